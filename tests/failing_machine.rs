//! Files that change under a transfer, a server that is killed, and one that is stopped while all of it is busy.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic, and says what it saw"
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use common::client::drain;
use common::server::Launch;
use common::{Client, PATIENCE, Server, Share, assert_same_octets, eventually, noise};

fn binary(server: &Server) -> Client {
    let mut client = Client::login(server);
    client.say("TYPE I").hear(200);
    client
}

fn begin(client: &mut Client, line: &str) -> TcpStream {
    let data = client.data();
    client.say(line).hear(150);
    data.stream()
}

// files that change while they are sent

/// More than all buffers between the file and the client hold.
const LARGE: usize = 16 << 20;

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_451_and_never_226() {
    let share = Share::new();
    let octets = noise(LARGE);
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for kind in ["TYPE I", "TYPE A"] {
        client.say(kind).hear(200);
        // To a part of it, and to nothing.
        for len in [12 << 20, 0] {
            let path = share.write("f", &octets);
            let mut stream = begin(&mut client, "RETR f");
            let mut first = vec![0; 1000];
            stream.read_exact(&mut first).unwrap();
            fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(len)
                .unwrap();
            first.extend(drain(&mut stream));
            client.hear(451);
            if kind == "TYPE I" {
                assert!(first.len() < octets.len());
                assert_same_octets(&first, &octets[..first.len()]);
            }
            client.hear_nothing();
        }
    }
}

/// Something that happens to a file while it is sent.
type Change<'c> = &'c dyn Fn(&mut Client);

#[test]
fn a_file_that_is_replaced_removed_or_grows_while_it_is_sent_arrives_as_it_was() {
    let share = Share::new();
    let octets = noise(LARGE);
    let server = Server::start(&share, &["--writable"]);
    let (mut client, mut other) = (binary(&server), binary(&server));
    let changes: [(&str, Change<'_>); 4] = [
        ("replaced", &|_| {
            let new = share.write("new", "new");
            fs::rename(new, share.path("f")).unwrap();
        }),
        ("replaced by a client", &|other| {
            other.put("new", b"new");
            other.say("RNFR new").hear(350);
            other.say("RNTO f").hear(250);
        }),
        ("removed", &|other| {
            other.say("DELE f").hear(250);
        }),
        ("longer", &|other| {
            other.give("APPE f", b"more");
        }),
    ];
    for (what, change) in changes {
        let _ = fs::remove_file(share.path("f"));
        share.write("f", &octets);
        let mut stream = begin(&mut client, "RETR f");
        let mut got = vec![0; 1000];
        stream.read_exact(&mut got).unwrap();
        change(&mut other);
        got.extend(drain(&mut stream));
        client.hear(226);
        println!("{what}");
        assert_same_octets(&got, &octets);
    }
}

#[test]
fn no_file_is_ever_mapped_so_none_that_shrinks_can_kill_the_server() {
    let share = Share::new();
    share.write("f", noise(300_000));
    let Some(launch) = Launch::traced(&share, &["-y", "-e", "trace=mmap,sendfile,renameat"]) else {
        return;
    };
    let server = launch.flags(&["--writable"]).start(&share);
    let mut client = Client::login(&server);
    for kind in ["TYPE A", "TYPE I"] {
        client.say(kind).hear(200);
        client.get("f");
        client.put("g", &noise(300_000));
        client.list("");
    }
    client.say("QUIT").hear(221);
    server.wait_for_log("left");
    let trace = fs::read_to_string(share.outside("trace")).unwrap();
    let top = share.top().to_str().unwrap();
    assert!(
        trace
            .lines()
            .any(|line| line.contains("sendfile(") && line.contains(top)),
        "nothing was traced"
    );
    let mapped: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains("mmap(") && line.contains(top))
        .collect();
    assert!(mapped.is_empty(), "{mapped:#?}");
}

// two that write to one name (b43_one_upload_at_a_time_per_file has the plain case)

#[test]
fn an_upload_keeps_its_file_when_that_is_removed_or_renamed_and_another_takes_the_name() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let (mut first, mut second) = (binary(&server), binary(&server));
    let (ours, theirs) = (noise(400_000), noise(300_000));
    for way in ["DELE", "RNFR", "RNTO over it"] {
        let mut stream = begin(&mut first, "STOR f");
        stream.write_all(&ours[..200_000]).unwrap();
        eventually("some of it has arrived", PATIENCE, || {
            share.holds("f") && share.len("f") > 100_000
        });
        let _data = second.data();
        second.say("STOR f").hear(450);
        match way {
            "DELE" => {
                second.say("DELE f").hear(250);
                second.put("f", &theirs);
            }
            "RNFR" => {
                second.say("RNFR f").hear(350);
                second.say("RNTO moved").hear(250);
                second.put("f", &theirs);
            }
            _ => {
                second.put("new", &theirs);
                second.say("RNFR new").hear(350);
                second.say("RNTO f").hear(250);
            }
        }
        stream.write_all(&ours[200_000..]).unwrap();
        drop(stream);
        first.hear(226);
        assert_same_octets(&share.read("f"), &theirs);
        if way == "RNFR" {
            assert_same_octets(&share.read("moved"), &ours);
            fs::remove_file(share.path("moved")).unwrap();
        }
        // The name is free again for whoever comes.
        first.put("f", &ours);
        assert_same_octets(&share.read("f"), &ours);
        first.say("DELE f").hear(250);
        assert!(share.names("").is_empty(), "{way}");
    }
}

// killed

#[test]
fn a_server_that_was_killed_in_an_upload_is_back_at_once_on_its_port_and_the_upload_goes_on() {
    let share = Share::new();
    let octets = noise(8 << 20);
    let mut place = "127.0.0.1:0".to_owned();
    for verb in ["STOR", "APPE"] {
        let mut server = Launch::new()
            .listen(&place)
            .flags(&["--writable"])
            .start(&share);
        place = server.address().to_string();
        let (mut client, mut idle) = (binary(&server), binary(&server));
        let mut stream = begin(&mut client, "STOR f");
        stream.write_all(&octets[..3 << 20]).unwrap();
        eventually("some of it has arrived", PATIENCE, || {
            share.holds("f") && share.len("f") > 1 << 20
        });
        server.signal(Signal::SIGKILL);
        assert!(!server.ended(PATIENCE).success());
        assert!(client.ends() && idle.ends(), "nobody says 226 any more");
        // At once: the connections of before are still there for the kernel.
        let server = Launch::new()
            .listen(&place)
            .flags(&["--writable"])
            .start(&share);
        let mut client = binary(&server);
        let size: usize = client.say("SIZE f").hear(213).text().parse().unwrap();
        assert_same_octets(&share.read("f"), &octets[..size]);
        if verb == "STOR" {
            client.say(format!("REST {size}")).hear(350);
        }
        client.give(format!("{verb} f"), &octets[size..]);
        assert_same_octets(&share.read("f"), &octets);
        assert_same_octets(&client.get("f"), &octets);
        client.say("DELE f").hear(250);
        drop(stream);
    }
}

// stopped under load

/// A client that takes every end as it comes.
struct Plain(BufReader<TcpStream>);

/// How a session came to its end.
#[derive(Debug)]
enum Ended {
    Told421,
    Lost,
}

type Said = Result<u16, Ended>;

impl Plain {
    fn log_in(address: SocketAddr) -> Result<Self, Ended> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|_| Ended::Lost)?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self(BufReader::new(stream));
        assert_eq!(client.hear()?, 220);
        client.say("USER anonymous")?;
        client.say("PASS guest@")?;
        client.say("TYPE I")?;
        Ok(client)
    }

    fn say(&mut self, line: &str) -> Said {
        let sent = self.0.get_ref().write_all(format!("{line}\r\n").as_bytes());
        // The server may have hung up, and its last words still wait to be read.
        let _ = sent;
        self.hear()
    }

    fn hear(&mut self) -> Said {
        self.line().map(|(code, _)| code)
    }

    fn line(&mut self) -> Result<(u16, String), Ended> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => Err(Ended::Lost),
            Ok(_) if line.starts_with("421 ") => Err(Ended::Told421),
            Ok(_) => Ok((line[..3].parse().unwrap(), line)),
            Err(error) => {
                assert!(
                    !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                    "left without a word"
                );
                Err(Ended::Lost)
            }
        }
    }

    fn data(&mut self) -> Result<TcpStream, Ended> {
        self.0
            .get_ref()
            .write_all(b"EPSV\r\n")
            .map_err(|_| Ended::Lost)?;
        let (code, line) = self.line()?;
        assert_eq!(code, 229);
        let port: u16 = line.rsplit('|').nth(1).unwrap().parse().unwrap();
        let mut address = self.0.get_ref().peer_addr().map_err(|_| Ended::Lost)?;
        address.set_port(port);
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|_| Ended::Lost)?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Ok(stream)
    }

    /// A whole transfer: what came, and whether 226 was said.
    fn fetch(&mut self, line: &str) -> Result<(Vec<u8>, bool), Ended> {
        let mut data = self.data()?;
        assert_eq!(self.say(line)?, 150);
        let mut octets = Vec::new();
        let _ = data.read_to_end(&mut octets);
        let code = self.hear()?;
        assert!(matches!(code, 226 | 426), "{code}");
        Ok((octets, code == 226))
    }

    fn store(&mut self, line: &str, octets: &[u8]) -> Result<bool, Ended> {
        let mut data = self.data()?;
        assert_eq!(self.say(line)?, 150);
        let _ = data.write_all(octets);
        let _ = data.shutdown(Shutdown::Write);
        let code = self.hear()?;
        assert!(matches!(code, 226 | 426), "{code}");
        Ok(code == 226)
    }
}

#[test]
fn a_stop_under_load_is_orderly_and_breaks_no_promise() {
    const EACH: usize = 4;
    let share = Share::new();
    let large = noise(4 << 20);
    share.write("large", &large);
    share.write_sparse("endless", 1 << 40);
    for number in 0..300 {
        share.write(format!("many/{number}"), "");
    }
    let mut server = Server::start(
        &share,
        &["--writable", "--max-clients", "32", "--max-per-ip", "32"],
    );
    let address = server.address();
    let done: Arc<[AtomicUsize; 4]> = Arc::default();
    let kept: Arc<Mutex<Vec<(String, usize)>>> = Arc::default();
    let mut sessions = Vec::new();
    for number in 0..4 * EACH {
        let (done, kept, large) = (done.clone(), kept.clone(), large.clone());
        let work = move |round: usize, client: &mut Plain| -> Result<(), Ended> {
            match number % 4 {
                // One of them reads too slowly to be done in time, and is cut off.
                0 if number == 0 => {
                    let mut data = client.data()?;
                    assert_eq!(client.say("RETR endless")?, 150);
                    done[0].fetch_add(1, Ordering::Relaxed);
                    while data.read(&mut [0; 65536]).is_ok_and(|count| count > 0) {
                        thread::sleep(Duration::from_millis(20));
                    }
                    assert_eq!(client.hear()?, 426);
                }
                0 => {
                    let (octets, whole) = client.fetch("RETR large")?;
                    if whole {
                        assert_same_octets(&octets, &large);
                    }
                }
                1 => {
                    let (name, len) = (format!("up-{number}-{round}"), 100_000 + 1000 * round);
                    if client.store(&format!("STOR {name}"), &large[..len])? {
                        kept.lock().unwrap().push((name, len));
                    }
                }
                2 => {
                    let (octets, whole) = client.fetch("LIST many")?;
                    let lines = octets.iter().filter(|octet| **octet == b'\n').count();
                    assert!(!whole || lines == 300, "{lines}");
                }
                _ => *client = Plain::log_in(address)?,
            }
            done[number % 4].fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        sessions.push(thread::spawn(move || {
            let mut client = Plain::log_in(address)?;
            for round in 0..10_000 {
                work(round, &mut client)?;
            }
            Ok::<(), Ended>(())
        }));
    }
    eventually("all are at work", PATIENCE, || {
        done.iter()
            .all(|count| count.load(Ordering::Relaxed) > EACH)
    });
    let start = Instant::now();
    server.signal(Signal::SIGTERM);
    let status = server.ended(PATIENCE);
    let took = start.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    let mut told = 0;
    for session in sessions {
        match session.join().unwrap() {
            Err(Ended::Told421) => told += 1,
            Err(Ended::Lost) => {}
            Ok(()) => panic!("a session outlives its server"),
        }
    }
    let counts: Vec<usize> = done
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .collect();
    let kept = kept.lock().unwrap();
    println!(
        "stopped in {took:?}; downloads, uploads, listings, log-ins: {counts:?}; {told} of 16 heard 421"
    );
    assert!(!kept.is_empty());
    for (name, len) in kept.iter() {
        assert_same_octets(&share.read(name), &large[..*len]);
    }
    for line in server.log() {
        assert!(
            !line.contains("a bug has ended") && !line.contains(" ERROR "),
            "{line}"
        );
    }
}
