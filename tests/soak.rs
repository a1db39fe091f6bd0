//! Hours of ordinary life in little: several clients at once who upload, download, list, break off, vanish and come back.
//!
//! Each client has an address of its own: on one address another program of this machine would, over many thousands of
//! data connections, sooner or later knock at the port of one.
//!
//! Every octet that comes back is checked by its hash.  At the end there must be no error, and no more threads,
//! descriptors and memory than in the beginning.  `tests/soak [MINUTES]` is the long form and prints the figures.
//!
//! * `POCKETFTPD_SOAK_SECONDS` (default 6): how long
//! * `POCKETFTPD_GROWTH_KIB` (default 1024): what memory may grow by, from the first part of the run to the last; more
//!   for a server that is instrumented

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test may panic, and says what it did"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use common::client::{connect_from, reset};
use common::{Client, Mode, Server, Share, eventually, noise};

/// Clients that work at the same time, beside the one that only logs in.
const CLIENTS: usize = 8;

/// Files that each of them has at most.
const FILES: usize = 12;

/// Operations of a session, before it says QUIT and comes again.
const SESSION: usize = 40;

/// A file that nobody reads to its end.
const BIG: u64 = 1 << 30;

/// `ann` with the password `secret`, of few rounds.
const USERS: &str = "ann:$5$rounds=1000$soak$RirFYLJAL/1xm5D1ZSvmIMGiM5lJzlfrao83aV6.bX8:rw\n";

type Hash = [u8; 32];

fn hash(octets: &[u8]) -> Hash {
    Sha256::digest(octets).into()
}

/// A file as it was stored; its contents can be made again from the dice that they were made with.
struct Stored {
    hash: Hash,
    len: usize,
    dice: u64,
}

impl Stored {
    /// Compares by the hash; only what differs is looked at more closely.
    #[track_caller]
    fn check(&self, octets: &[u8], what: &str) {
        if hash(octets) == self.hash {
            return;
        }
        let wanted = Dice(self.dice).contents();
        let same = wanted.iter().zip(octets).take_while(|(a, b)| a == b);
        panic!(
            "{what}: {} octets where {} were due; they part at {}, with {}",
            octets.len(),
            self.len,
            same.count(),
            octets[..octets.len().min(100)].escape_ascii()
        );
    }
}

/// Xorshift: each client does the same for the same number.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    /// Contents that no other file has; most are small.
    fn contents(&mut self) -> Vec<u8> {
        let most = [1, 4096, 4096, 65_536, 65_536, 300_000, 300_000, 3_000_000][self.below(8)];
        let (from, len) = (self.below(4096), self.below(most));
        let mut octets = noise(from + len).split_off(from);
        for octet in octets.iter_mut().take(8) {
            *octet = u8::try_from(self.below(256)).unwrap();
        }
        octets
    }
}

/// What a client did: how long each took, in microseconds, and what went wrong.
#[derive(Default)]
struct Notes {
    took: BTreeMap<&'static str, Vec<u32>>,
    errors: Vec<String>,
}

impl Notes {
    fn time<T>(&mut self, what: &'static str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        let micros = u32::try_from(began.elapsed().as_micros()).unwrap();
        self.took.entry(what).or_default().push(micros);
        result
    }

    fn add(&mut self, other: Self) {
        for (what, took) in other.took {
            self.took.entry(what).or_default().extend(took);
        }
        self.errors.extend(other.errors);
    }

    /// Runs one session; what it panics with is an error, and the next one goes on.
    fn guard(&mut self, work: impl FnOnce(&mut Self)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(self))) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let text = text.unwrap_or_default();
            // The end of a long dialogue tells enough.
            let from = text.char_indices().rev().nth(1500).map_or(0, |(at, _)| at);
            self.errors.push(text[from..].to_owned());
        }
    }
}

/// A client at work, with the hashes of the files that it has in its directory.
struct Worker<'a> {
    server: &'a Server,
    home: Ipv4Addr,
    directory: String,
    dice: Dice,
    files: BTreeMap<usize, Stored>,
    /// Uploads that broke off, to be removed by the next session.
    torn: Vec<String>,
    count: usize,
    text: Hash,
    end: Instant,
}

impl Worker<'_> {
    fn session(&mut self, notes: &mut Notes) {
        let mode = [Mode::Epsv, Mode::Pasv, Mode::Port, Mode::Eprt][self.dice.below(4)];
        let name = ["anonymous", "ann"][self.dice.below(2)];
        let (server, home) = (self.server, self.home);
        let mut client = notes.time("log-in", || log_in(server, home, name)).by(mode);
        client.say("TYPE I").hear(200);
        client.say(format!("CWD {}", self.directory)).hear(250);
        for torn in self.torn.drain(..) {
            client.say(format!("DELE {torn}")).hear_one_of(&[250, 550]);
        }
        for _ in 0..SESSION {
            if Instant::now() >= self.end {
                break;
            }
            // Not a wait for anything: people do not come at full speed, and CI runs other tests beside this one.
            std::thread::sleep(Duration::from_micros(self.dice.0 % 8000));
            match self.dice.below(100) {
                0..25 => self.upload(&mut client, notes),
                25..60 => self.download(&mut client, notes),
                60..68 => self.resume(&mut client, notes),
                68..72 => self.text(&mut client, notes),
                72..82 => self.list(&mut client, notes),
                82..90 => self.abort(&mut client, notes),
                90..96 => {
                    notes.time("NOOP", || client.say("NOOP").hear(200));
                }
                _ => return self.vanish(client, notes),
            }
        }
        notes.time("log-out", || {
            client.say("QUIT").hear(221);
            client.hear_end();
        });
    }

    fn upload(&mut self, client: &mut Client, notes: &mut Notes) {
        let number = self.dice.below(FILES);
        let dice = self.dice.0;
        let contents = self.dice.contents();
        // What a failure in the middle would leave is not known.
        self.files.remove(&number);
        notes.time("upload", || client.put(format!("f{number}"), &contents));
        let (hash, len) = (hash(&contents), contents.len());
        self.files.insert(number, Stored { hash, len, dice });
    }

    /// One of its own files with its name, if there is any.
    fn file(&mut self) -> Option<(String, &Stored)> {
        let at = self.dice.below(self.files.len().max(1));
        let (number, stored) = self.files.iter().nth(at)?;
        Some((format!("{}/f{number}", self.directory), stored))
    }

    fn download(&mut self, client: &mut Client, notes: &mut Notes) {
        let Some((name, stored)) = self.file() else {
            return;
        };
        let octets = notes.time("download", || client.get(&name));
        stored.check(&octets, &format!("download of {name} by {:?}", client.mode));
    }

    /// The first part, a broken connection, and the rest by REST.
    fn resume(&mut self, client: &mut Client, notes: &mut Notes) {
        let part = self.dice.below(101);
        let Some((name, stored)) = self.file() else {
            return;
        };
        let at = stored.len * part / 100;
        let octets = notes.time("resumed download", || {
            let data = client.data();
            client.say(format!("RETR {name}")).hear(150);
            let mut stream = data.stream();
            let mut octets = vec![0; at];
            stream.read_exact(&mut octets).unwrap();
            drop(stream);
            client.hear_one_of(&[226, 426, 451]);
            client.say(format!("REST {at}")).hear(350);
            octets.extend(client.get(&name));
            octets
        });
        stored.check(&octets, &format!("{name} from {at} by {:?}", client.mode));
    }

    fn text(&mut self, client: &mut Client, notes: &mut Notes) {
        client.say("TYPE A").hear(200);
        let octets = notes.time("download as text", || client.get("/text"));
        client.say("TYPE I").hear(200);
        assert_eq!(hash(&octets), self.text, "/text");
    }

    fn list(&mut self, client: &mut Client, notes: &mut Notes) {
        let lines = match self.dice.below(3) {
            0 => notes.time("LIST", || client.list("")),
            1 => notes.time("NLST", || client.nlst("")),
            _ => notes.time("MLSD", || {
                let lines = client.mlsd("");
                for (number, Stored { len, .. }) in &self.files {
                    let name = format!("; f{number}");
                    let line = lines.iter().find(|line| line.ends_with(&name)).unwrap();
                    assert!(line.contains(&format!("size={len};")), "{line}");
                }
                lines
            }),
        };
        for number in self.files.keys() {
            let name = format!("f{number}");
            assert!(
                lines
                    .iter()
                    .any(|line| line.rsplit(' ').next() == Some(&name)),
                "{name}"
            );
        }
    }

    fn torn(&mut self) -> String {
        self.count += 1;
        let name = format!("torn{}", self.count);
        self.torn.push(name.clone());
        name
    }

    fn abort(&mut self, client: &mut Client, notes: &mut Notes) {
        let upload = self.dice.below(2) == 0;
        let data = client.data();
        if upload {
            client.say(format!("STOR {}", self.torn())).hear(150);
        } else {
            client.say("RETR /big").hear(150);
        }
        let mut stream = data.stream();
        if upload {
            stream.write_all(&noise(20_000)).unwrap();
        } else {
            stream.read_exact(&mut vec![0; 20_000]).unwrap();
        }
        notes.time("ABOR", || {
            client.say("ABOR");
            client.hear(426);
            client.hear(226);
        });
    }

    /// Leaves without a word, in the middle of something.
    fn vanish(&mut self, mut client: Client, notes: &mut Notes) {
        let way = self.dice.below(5);
        if way == 0 {
            return notes.time("disconnect", || drop(client));
        }
        let data = client.data();
        if way < 3 {
            client.say("RETR /big").hear(150);
        } else {
            client.say(format!("STOR {}", self.torn())).hear(150);
        }
        let mut stream = data.stream();
        if way >= 3 {
            stream.write_all(&noise(50_000)).unwrap();
        }
        notes.time("disconnect", || match way {
            1 | 3 => drop((client, stream)),
            _ => {
                reset(stream);
                client.reset();
            }
        });
    }
}

fn log_in(server: &Server, home: Ipv4Addr, name: &str) -> Client {
    let mut client = Client::over(connect_from(home.into(), server.address()).unwrap());
    client.hear(220);
    client.say(format!("USER {name}")).hear(331);
    client.say("PASS secret").hear(230);
    client
}

/// Log-ins, wrong and right, each pair from an address that has not failed before: what waits is the guess.
fn guess(server: &Server, number: usize, notes: &mut Notes) {
    let [.., c, d] = u32::try_from(number % 0x8000).unwrap().to_be_bytes();
    let home = Ipv4Addr::from([127, 77, c, d]);
    let mut client = Client::over(connect_from(home.into(), server.address()).unwrap());
    client.hear(220);
    let name = ["ann", "nobody"][number % 2];
    client.say(format!("USER {name}")).hear(331);
    notes.time("wrong log-in", || client.say("PASS wrong").hear(530));
    client.say("USER ann").hear(331);
    notes.time("log-in after a wrong one", || {
        client.say("PASS secret").hear(230)
    });
    client.say("QUIT").hear(221);
    client.hear_end();
}

/// The server at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    threads: usize,
    descriptors: Option<usize>,
    resident: u64,
    /// Written to and shared with nobody: what the program's own file lends is another server's too, now and then.
    /// `None` for everybody but root.
    dirty: Option<u64>,
}

fn look(server: &Server) -> Sample {
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", server.pid()));
    let dirty = rollup.ok().and_then(|text| {
        let row = text.lines().find(|row| row.starts_with("Private_Dirty:"))?;
        row.split_whitespace().nth(1)?.parse().ok()
    });
    Sample {
        threads: server.threads(),
        descriptors: server.descriptors(),
        resident: server.memory_kib(),
        dirty,
    }
}

fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// The middle of some samples, number for number.
fn middle(samples: &[Sample]) -> Sample {
    Sample {
        threads: median(samples.iter().map(|it| it.threads)).unwrap(),
        descriptors: median(samples.iter().filter_map(|it| it.descriptors)),
        resident: median(samples.iter().map(|it| it.resident)).unwrap(),
        dirty: median(samples.iter().filter_map(|it| it.dirty)),
    }
}

fn row(when: &str, sample: Sample) {
    let shown = |value: Option<u64>| value.map_or("?".to_owned(), |value| value.to_string());
    let descriptors = sample.descriptors.map(|count| count as u64);
    println!(
        "| {when} | {} | {} | {} | {} |",
        sample.threads,
        shown(descriptors),
        sample.resident,
        shown(sample.dirty)
    );
}

#[test]
fn a_long_life_leaves_no_error_and_no_leak() {
    let setting = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seconds = setting("POCKETFTPD_SOAK_SECONDS").unwrap_or(6);
    let growth = setting("POCKETFTPD_GROWTH_KIB").unwrap_or(1024);
    let length = Duration::from_secs(seconds);
    let share = Share::new();
    let lines = "a line of some length\n\n".repeat(3000);
    share.write("text", &lines);
    share.write_sparse("big", BIG);
    for client in 0..CLIENTS {
        share.mkdir(format!("w{client}"));
    }
    let users = share.outside("users");
    fs::write(&users, USERS).unwrap();
    let flags = ["--writable", "--anonymous", "--max-per-ip", "32", "--users"];
    let mut server = Server::start(&share, &[&flags[..], &[users.to_str().unwrap()]].concat());
    let before = look(&server);
    let (began, end) = (Instant::now(), Instant::now() + length);
    let text = hash(lines.replace('\n', "\r\n").as_bytes());

    let (mut notes, mut samples, mut ledgers) = (Notes::default(), Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let server = &server;
        let workers: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let mut notes = Notes::default();
                    let mut worker = Worker {
                        server,
                        home: Ipv4Addr::new(127, 88, 0, u8::try_from(client + 1).unwrap()),
                        directory: format!("/w{client}"),
                        dice: Dice(0x9E37_79B9_7F4A_7C15 ^ client as u64),
                        files: BTreeMap::new(),
                        torn: Vec::new(),
                        count: 0,
                        text,
                        end,
                    };
                    while Instant::now() < end && notes.errors.len() < 20 {
                        notes.guard(|notes| worker.session(notes));
                    }
                    (notes, worker.directory, worker.files)
                })
            })
            .collect();
        let guesser = scope.spawn(move || {
            let (mut notes, mut number) = (Notes::default(), 0);
            while Instant::now() < end && notes.errors.len() < 20 {
                number += 1;
                notes.guard(|notes| guess(server, number, notes));
            }
            notes
        });
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(250));
            samples.push(look(server));
        }
        for worker in workers {
            let (more, directory, files) = worker.join().unwrap();
            notes.add(more);
            ledgers.push((directory, files));
        }
        notes.add(guesser.join().unwrap());
    });
    let took = began.elapsed();

    // What is on the disk is what the 226 promised.
    for (directory, files) in &ledgers {
        for (number, stored) in files {
            let name = format!("{directory}/f{number}");
            notes.guard(|_| stored.check(&share.read(&name), &format!("{name} on the disk")));
        }
    }
    // The first part of the run is not its first moment: every thread has to have been at work once.
    let part = samples.len().min(240).min(samples.len() / 4).max(1);
    let warm = if seconds > 120 { 40 } else { part.min(4) };
    let first = middle(&samples[warm.min(samples.len() - 1)..][..part.min(samples.len() - warm)]);
    let last = middle(&samples[samples.len() - part..]);
    if seconds >= 60 {
        // Threads rest half a minute before they go.
        eventually("threads go home", Duration::from_secs(45), || {
            server.threads() <= before.threads + 1
        });
    }
    eventually("descriptors are given back", common::PATIENCE, || {
        server.descriptors() <= before.descriptors
    });
    let after = look(&server);

    let all: usize = notes.took.values().map(Vec::len).sum();
    println!(
        "\n{all} operations in {:.0} s by {CLIENTS} clients and one who guesses, {} errors\n",
        took.as_secs_f64(),
        notes.errors.len()
    );
    println!(
        "| operation | count | p50 ms | p90 ms | p99 ms | max ms |\n|---|---|---|---|---|---|"
    );
    for (what, took) in &mut notes.took {
        took.sort_unstable();
        let at = |share: usize| f64::from(took[(took.len() - 1) * share / 100]) / 1000.0;
        println!(
            "| {what} | {} | {:.2} | {:.2} | {:.2} | {:.2} |",
            took.len(),
            at(50),
            at(90),
            at(99),
            at(100)
        );
    }
    println!(
        "\n| when | threads | descriptors | VmRSS KiB | private dirty KiB |\n|---|---|---|---|---|"
    );
    row("before the first client", before);
    row("first part (median)", first);
    row("last part (median)", last);
    row("after the last client", after);

    for error in &notes.errors {
        println!("ERROR {error}");
    }
    assert!(notes.errors.is_empty(), "{} errors", notes.errors.len());
    assert!(server.runs(), "it ended");
    assert!(!server.log().iter().any(|line| line.contains("panicked")));
    let grown = last.resident.saturating_sub(first.resident);
    assert!(grown <= growth, "resident memory grew by {grown} KiB");
    let grown = last.dirty.zip(first.dirty);
    let grown = grown.map_or(0, |(last, first)| last.saturating_sub(first));
    assert!(grown <= growth, "private memory grew by {grown} KiB");
    assert!(
        after.threads <= before.threads + CLIENTS * 2 + 2,
        "{} threads",
        after.threads
    );
    // A run in which some kind of operation never came is no soak.
    assert!(
        all < 400 || notes.took.len() == 14,
        "{:?}",
        notes.took.keys()
    );
}
