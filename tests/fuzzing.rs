//! Whole sessions made up from a grammar and from recorded ones, against live servers: one to write to and one to read
//! from, for anonymous clients and for named users.
//!
//! After each round the server must still serve, with as many threads and descriptors as before and not much more
//! memory, and nothing beside the share may have changed; in a share to read from, nothing at all.  The sessions are
//! the same each time, by their seeds:
//!
//! * `POCKETFTPD_FUZZ_SECONDS` (default 2): how long, for each of the four servers
//! * `POCKETFTPD_FUZZ_SEED` (default 1): the first session's seed; a failure names its round's
//! * `POCKETFTPD_GROWTH_KIB` (default 2048): what memory may grow by; more for a server that is instrumented

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test may panic, and says what it did"
)]

mod common;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::client::{connect_from, reset};
use common::{Client, PATIENCE, Server, Share, eventually};

/// Sessions a round; between rounds the server is looked at.
const ROUND: u64 = 60;

/// Sessions at once.
const AT_ONCE: u64 = 4;

/// How long a session hears nothing before it goes on: what is answered is answered in less.
const SHORT: Duration = Duration::from_millis(3);

/// What an idle server has: the main thread, one for the listener, and those that always wait for a client.
const THREADS: usize = 6;

/// The users of the recorded sessions, with their names as passwords; the second sees one directory only.
const USERS: [(&str, &str, &str); 2] = [
    (
        "ubuntu",
        "$5$rounds=1000$fuzz$GvwahNxw/d3oiTEGwnisecTHSJnlc0Dpw6L3RNKwIKB",
        "/",
    ),
    (
        "fuzzing",
        "$5$rounds=1000$fuzz$fZ7xPnRoYCWlCa364G3pwzT/Hm6Q7f40sRXtjsSGr.6",
        "/d",
    ),
];

/// Xorshift: the same numbers for the same seed, on every machine.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// True once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

const VERBS: &[&str] = &[
    "USER", "PASS", "ACCT", "REIN", "HOST", "AUTH", "CWD", "XCWD", "CDUP", "PWD", "MKD", "RMD",
    "DELE", "RNFR", "RNTO", "SMNT", "TYPE", "STRU", "MODE", "PORT", "EPRT", "PASV", "EPSV", "RETR",
    "STOR", "STOU", "APPE", "ALLO", "REST", "ABOR", "LIST", "NLST", "MLSD", "MLST", "STAT", "SIZE",
    "MDTM", "MFMT", "MFF", "AVBL", "SYST", "HELP", "NOOP", "FEAT", "OPTS", "LANG", "CLNT", "SITE",
    "P@SW", "XXXX", "LPRT",
];

const NAMES: &[&str] = &[
    "f",
    "g",
    "d",
    "d/f",
    "/",
    ".",
    "..",
    "/..",
    "../..",
    "../../etc/passwd",
    "../outside",
    "../outside/secret",
    "d/../../outside/secret",
    "link",
    "link/secret",
    "linkf",
    "a b",
    " ",
    "-la",
    "-R",
    "-aR d",
    "*",
    "[a-z]*",
    "*?*?*?*[",
    "\u{e4}\u{1f600}",
    "~root",
    "%n%s%x",
    "`id`",
    "$(id)",
    "|id",
    "\\..\\..",
    "..\\..\\x",
    "....//",
    "/etc/passwd",
    "/proc/self/mem",
    "CON",
    "d/.",
    "d//f",
    "./f",
    "*/../*",
    "{a,b}",
    "\x01",
    "new",
    "new/deep",
];

const VALUES: &[&str] = &[
    "A",
    "I",
    "L 8",
    "E",
    "F",
    "S",
    "0",
    "1",
    "5",
    "-1",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "ALL",
    "2",
    "127,0,0,1,0,21",
    "127,0,0,1,200,200",
    "1,2,3,4,5,6",
    "|1|127.0.0.1|2121|",
    "|2|::1|2121|",
    "20240101000000 f",
    "modify=20240101000000; f",
    "UNIX.mode=777; f",
    "CHMOD 777 f",
    "CHMOD 4777 ../outside/secret",
    "UMASK 0",
    "IDLE 1",
    "IDLE 99999",
    "UTIME 20240101000000 f",
    "MLST type;size;",
    "UTF8 ON",
    "EN",
    "anonymous",
    "x R 5",
    "HELP",
    "%s%n",
];

struct Sessions {
    recorded: Vec<Vec<Vec<u8>>>,
}

impl Sessions {
    /// The recorded sessions, as lines.
    fn open() -> Self {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/profuzzbench");
        let mut files: Vec<_> = fs::read_dir(place)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "raw"))
            .collect();
        files.sort();
        let lines = |path: &Path| {
            let octets = fs::read(path).unwrap();
            octets
                .split_inclusive(|octet| *octet == b'\n')
                .map(<[u8]>::to_vec)
                .collect()
        };
        let recorded: Vec<Vec<Vec<u8>>> = files.iter().map(|path| lines(path)).collect();
        assert!(recorded.len() > 30, "{} sessions", recorded.len());
        Self { recorded }
    }

    /// The lines of one session: recorded, made up, or both, and some of them damaged.
    fn make(&self, names: &[&str], dice: &mut Dice) -> Vec<Vec<u8>> {
        let mut lines = match dice.below(3) {
            0 => dice.pick(&self.recorded).clone(),
            1 => {
                // The beginning of one, the end of another.
                let (one, other) = (dice.pick(&self.recorded), dice.pick(&self.recorded));
                let (end, start) = (dice.below(one.len() + 1), dice.below(other.len()));
                [&one[..end], &other[start..]].concat()
            }
            _ => Vec::new(),
        };
        if !dice.once_in(8) {
            let name = *dice.pick(names);
            let password = if dice.once_in(10) { "wrong" } else { name };
            let log_in = [
                format!("USER {name}\r\n").into_bytes(),
                format!("PASS {password}\r\n").into_bytes(),
            ];
            lines.splice(0..0, log_in);
        }
        for _ in 0..dice.below(25) {
            let at = if dice.once_in(3) {
                dice.below(lines.len() + 1)
            } else {
                lines.len()
            };
            lines.insert(at, Self::line(dice));
        }
        for line in &mut lines {
            if dice.once_in(10) {
                Self::damage(line, dice);
            }
        }
        if !lines.is_empty() && dice.once_in(4) {
            let (one, other) = (dice.below(lines.len()), dice.below(lines.len()));
            lines.swap(one, other);
            lines.insert(one, lines[other].clone());
        }
        lines
    }

    fn line(dice: &mut Dice) -> Vec<u8> {
        // What moves data is worth more than the rest.
        if dice.once_in(3) {
            let pair = *dice.pick(&[
                "PASV\r\nLIST",
                "EPSV\r\nSTOR new",
                "EPSV\r\nRETR f",
                "PASV\r\nSTOU",
                "EPSV\r\nAPPE g",
                "EPSV\r\nMLSD",
                "EPSV\r\nNLST *",
                "TYPE I\r\nREST 5\r\nEPSV\r\nRETR f",
                "EPSV\r\nLIST -R",
                "EPSV\r\nRETR big\r\nABOR",
                "RNFR g\r\nRNTO d/g",
                "EPSV\r\nSTOR new\r\nSTAT",
                "EPSV\r\nSTOR ../outside/x",
                "EPSV\r\nSTOU ../../x",
                "MKD new\r\nCWD new",
            ]);
            return [pair.as_bytes(), b"\r\n"].concat();
        }
        let verb = *dice.pick(VERBS);
        let mut line = verb.as_bytes().to_vec();
        if dice.once_in(6) {
            line.make_ascii_lowercase();
        }
        if !dice.once_in(5) {
            line.push(b' ');
            let all = if dice.once_in(2) { NAMES } else { VALUES };
            line.extend_from_slice(dice.pick(all).as_bytes());
        }
        line.extend_from_slice(if dice.once_in(12) { b"\n" } else { b"\r\n" });
        line
    }

    fn damage(line: &mut Vec<u8>, dice: &mut Dice) {
        let at = dice.below(line.len());
        match dice.below(9) {
            0 => line.truncate(at),
            1 if !line.is_empty() => line[at] ^= 1 << dice.below(8),
            2 => line.insert(at, *dice.pick(b"\0\r\n\xff\xf4\xf2\xfa\xf0 %/.*\x1b\x7f")),
            3 => drop(line.splice(at..at, vec![*dice.pick(b"A/*[.9%\xff"); dice.below(6000)])),
            4 => drop(line.splice(
                at..at,
                *dice.pick(&[
                    *b"\xff\xf4\xff\xf2",
                    *b"\xff\xfb\x01\xff",
                    *b"\xff\xfa\x01\x02",
                    *b"%n%n",
                    *b"../.",
                ]),
            )),
            5 => line.extend_from_within(..),
            6 => line.rotate_left(at),
            7 => drop(line.splice(at..at, VALUES[dice.below(VALUES.len())].bytes())),
            _ => line.reverse(),
        }
    }
}

/// One session: says its lines in pieces, does half-heartedly what the replies ask for, and leaves in some way.
///
/// Returns how many lines it said.
///
/// Each comes from the address `home`: a log-in that is refused makes that address alone wait.
fn converse(server: &Server, home: Ipv4Addr, lines: &[Vec<u8>], dice: &mut Dice) -> usize {
    let mut control = connect_from(home.into(), server.address()).unwrap();
    control.set_nodelay(true).unwrap();
    control.set_read_timeout(Some(SHORT)).unwrap();
    control.set_write_timeout(Some(PATIENCE)).unwrap();
    let listener = TcpListener::bind((home, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let [a, b, c, d] = home.octets();
    let port = listener.local_addr().unwrap().port().to_be_bytes();
    let mut data: Option<TcpStream> = None;
    let mut said = 0;
    let in_one_piece = dice.once_in(4);
    for line in lines {
        said += 1;
        let mut octets = line.clone();
        if dice.once_in(15) {
            octets =
                format!("PORT {a},{b},{c},{d},{},{}\r\nLIST\r\n", port[0], port[1]).into_bytes();
        }
        let (first, second) = octets.split_at(dice.below(octets.len()));
        if control.write_all(first).is_err() || control.write_all(second).is_err() {
            break;
        }
        if in_one_piece && !dice.once_in(6) {
            continue;
        }
        match hear(&mut control) {
            Heard::End => break,
            Heard::Nothing => {}
            Heard::Port(address) => data = connect_from(home.into(), address).ok(),
        }
        if let Ok((stream, _)) = listener.accept() {
            data = Some(stream);
        }
        if let Some(stream) = &mut data {
            stream.set_nonblocking(true).unwrap();
            let mut octets = [b'x'; 5000];
            match dice.below(5) {
                0 => drop(stream.write(&octets[..dice.below(5000)])),
                1 => drop(stream.read(&mut octets)),
                2 => data = None,
                3 => data.take().into_iter().for_each(reset),
                _ => {}
            }
        }
    }
    match dice.below(4) {
        0 => reset(control),
        1 => drop(control),
        2 => {
            let _ = control.write_all(b"\r\nQUIT\r\n");
            let _ = hear(&mut control);
        }
        _ => {
            let _ = control.shutdown(std::net::Shutdown::Write);
            let _ = hear(&mut control);
        }
    }
    said
}

enum Heard {
    Nothing,
    /// A passive port was named.
    Port(SocketAddr),
    End,
}

fn hear(control: &mut TcpStream) -> Heard {
    let mut octets = [0; 8192];
    match control.read(&mut octets) {
        Ok(0) => Heard::End,
        Ok(len) => {
            let text = String::from_utf8_lossy(&octets[..len]).into_owned();
            // Every reply is lines that end in CRLF, and no code begins with another digit.
            let extended = text
                .rsplit("(|||")
                .next()
                .and_then(|it| it.split('|').next()?.parse().ok());
            let plain = || {
                let inner = text.rsplit("Mode (").next()?.split(')').next()?;
                let numbers: Vec<u16> = inner.split(',').filter_map(|it| it.parse().ok()).collect();
                (numbers.len() == 6).then(|| numbers[4] << 8 | numbers[5])
            };
            match extended.or_else(plain) {
                Some(port) if port > 0 => Heard::Port(SocketAddr::from(([127, 0, 0, 1], port))),
                _ => Heard::Nothing,
            }
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Heard::Nothing
        }
        Err(_) => Heard::End,
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// A share as it is before each round.
fn furnish(share: &Share) {
    for name in share.names("") {
        let path = share.path(&name);
        if fs::remove_file(&path).is_err() {
            common::share::remove(&path);
        }
    }
    share.write("f", "contents of f\r\n");
    share.write("g", "g\n");
    share.write("d/f", "d");
    share.write_sparse("big", 1 << 30);
    share.symlink("../outside", "link");
    share.symlink(share.outside("outside/secret"), "linkf");
}

/// What lies in these directories, one line each; of what may be written to, the mode alone.
fn seen(directories: &[&Path], changing: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for place in directories {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            let small = about.is_file() && about.len() < 1 << 20;
            let contents = small.then(|| fs::read(&path).unwrap());
            let still = path != changing;
            let rest = still.then(|| (about.mtime(), about.mtime_nsec(), about.len()));
            lines.push(format!("{path:?} {:o} {rest:?} {contents:?}", about.mode()));
        }
    }
    lines.sort();
    lines
}

/// The same sessions for any server, with `names` to log in by; anonymous where there are none.
fn sessions_leave_the_server_as_it_was(writable: bool, named: bool) {
    let (seconds, first) = (
        setting("POCKETFTPD_FUZZ_SECONDS", 2),
        setting("POCKETFTPD_FUZZ_SEED", 1),
    );
    let growth = setting("POCKETFTPD_GROWTH_KIB", 2048);
    let sessions = Sessions::open();
    let share = Share::new();
    let secret = share.outside("outside/secret");
    fs::create_dir(share.outside("outside")).unwrap();
    share.hand_over(&share.outside("outside"));
    fs::write(&secret, "secret").unwrap();
    share.hand_over(&secret);
    furnish(&share);
    let users = share.outside("users");
    let mut flags = vec!["--max-clients", "64", "--max-per-ip", "64"];
    flags.extend(["--data-timeout", "1"]);
    let mut names = vec!["anonymous"];
    if named {
        let rights = if writable { "rw" } else { "ro" };
        let lines = USERS.map(|(name, hash, home)| format!("{name}:{hash}:{rights}:{home}\n"));
        fs::write(&users, lines.concat()).unwrap();
        names = USERS.map(|(name, ..)| name).to_vec();
        flags.extend(["--users", users.to_str().unwrap()]);
    } else if writable {
        flags.push("--writable");
    }
    let mut server = Server::start(&share, &flags);
    let before = server.descriptors();
    let (outer, outside, deeper) = (share.outside(""), share.outside("outside"), share.path("d"));
    let mut directories = vec![outer.as_path(), &outside];
    if !writable {
        directories.extend([share.top(), &deeper]);
    }
    let changing = if writable { share.top() } else { Path::new("") };
    let untouched = seen(&directories, changing);
    let (mut threads, mut memory) = (0, 0);
    let said = AtomicUsize::new(0);
    let mut seed = first;
    let end = Instant::now() + Duration::from_secs(seconds);
    while seed == first || Instant::now() < end {
        let round = (seed - first) / ROUND;
        let where_it_was = format!("seeds {seed}..{}", seed + ROUND);
        std::thread::scope(|scope| {
            for worker in 0..AT_ONCE {
                let (server, sessions, names, said) = (&server, &sessions, &names, &said);
                scope.spawn(move || {
                    for seed in
                        (seed + worker..seed + ROUND).step_by(usize::try_from(AT_ONCE).unwrap())
                    {
                        let mut dice = Dice::new(seed);
                        let lines = sessions.make(names, &mut dice);
                        let [.., c, d] = u32::try_from(seed & 0x7FFF).unwrap().to_be_bytes();
                        let home = if named {
                            [127, 100, c, d]
                        } else {
                            [127, 0, 0, 1]
                        };
                        let count = converse(server, home.into(), &lines, &mut dice);
                        said.fetch_add(count, Ordering::Relaxed);
                    }
                });
            }
        });
        seed += ROUND;
        assert!(server.runs(), "it ended: {where_it_was}");
        // A session whose data stood still ends by its time limit; until all are over one may still
        // change the share.
        eventually(
            &format!("descriptors are given back: {where_it_was}"),
            2 * PATIENCE,
            || server.descriptors() <= before,
        );
        if before.is_none() {
            // Nobody but root can see when that is; a third wrong password is answered after seven seconds.
            std::thread::sleep(Duration::from_secs(if named { 8 } else { 3 }));
        }
        if writable {
            furnish(&share);
        }
        let mut client = Client::login_as(&server, names[0], names[0]);
        client.say("TYPE I").hear(200);
        assert_eq!(client.get("f"), b"contents of f\r\n", "{where_it_was}");
        if writable {
            client.put("new", b"new");
            assert_eq!(share.read("new"), b"new", "{where_it_was}");
        } else {
            client.data();
            client.say("STOR new").hear(550);
        }
        client.say("QUIT").hear(221);
        client.hear_end();
        assert_eq!(seen(&directories, changing), untouched, "{where_it_was}");
        // The log is read now and then, for it grows.
        assert!(
            !round.is_multiple_of(10) || !server.log().iter().any(|line| line.contains("panic")),
            "{where_it_was}"
        );
        // Threads rest a while before they end, at most one for each session that there was at once.
        threads = server.threads().max(threads);
        assert!(
            threads <= usize::try_from(ROUND).unwrap() + THREADS,
            "{threads}: {where_it_was}"
        );
        // The first rounds make the server as large as it gets.
        if round < 3 {
            memory = server.memory_kib();
        }
        let grown = server.memory_kib().saturating_sub(memory);
        assert!(grown <= growth, "{grown} KiB more: {where_it_was}");
    }
    assert!(!server.log().iter().any(|line| line.contains("panic")));
    if seconds > 30 {
        eventually("threads are given back", 4 * PATIENCE, || {
            server.threads() <= THREADS
        });
    }
    println!(
        "writable {writable}, named users {named}: {} sessions, {} lines in {seconds} s; {threads} threads at most, \
         descriptors {before:?} then {:?}, {memory} KiB then {}",
        seed - first,
        said.into_inner(),
        server.descriptors(),
        server.memory_kib()
    );
}

#[test]
fn made_up_sessions_leave_a_server_to_write_to_as_it_was() {
    sessions_leave_the_server_as_it_was(true, false);
}

#[test]
fn made_up_sessions_leave_a_server_to_read_from_as_it_was() {
    sessions_leave_the_server_as_it_was(false, false);
}

#[test]
fn made_up_sessions_of_named_users_leave_a_server_to_write_to_as_it_was() {
    sessions_leave_the_server_as_it_was(true, true);
}

#[test]
fn made_up_sessions_of_named_users_leave_a_server_to_read_from_as_it_was() {
    sessions_leave_the_server_as_it_was(false, true);
}
