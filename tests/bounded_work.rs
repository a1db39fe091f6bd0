//! Work that a client can ask for with one line: it takes a bounded time and no more memory than any other, and ends
//! when the client says ABOR or leaves.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may panic, and says what it measured"
)]

mod common;

use std::fs::File;
use std::io::Read;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use common::client::reset;
use common::crowd::{Holdings, is_served};
use common::{Client, PATIENCE, Server, Share, eventually};

const SECOND: Duration = Duration::from_secs(1);

/// Some milliseconds, and what a machine that does much else adds; the work itself takes longer, or for ever.
const SOON: Duration = Duration::from_secs(2);

/// Files in the large directory.
const MANY: usize = 100_000;

/// Directories in the wide one, each with a file in it.
const WIDE: usize = 2_000;

/// A share with a large directory, a wide one and an endless file; one for all tests that run at the same time.
fn large() -> Arc<Share> {
    static LARGE: Mutex<Weak<Share>> = Mutex::new(Weak::new());
    let mut large = LARGE.lock().unwrap();
    if let Some(share) = large.upgrade() {
        return share;
    }
    let share = Share::in_memory();
    let many = share.mkdir("many");
    for number in 0..MANY {
        File::create(many.join(format!("file-{number:06}.txt"))).unwrap();
    }
    let wide = share.mkdir("wide");
    for number in 0..WIDE {
        let directory = wide.join(format!("directory-{number:06}"));
        std::fs::create_dir(&directory).unwrap();
        File::create(directory.join("f")).unwrap();
    }
    share.write_sparse("endless", 1 << 40);
    let share = Arc::new(share);
    *large = Arc::downgrade(&share);
    share
}

/// A pattern that fits none of the names and is as dear as one can be.
fn dear_pattern() -> String {
    format!("many/*{}", "[!a-z]*".repeat(36))
}

/// Reads a whole listing, counts its lines and forgets them.
#[track_caller]
fn lines(client: &mut Client, line: &str) -> (usize, Duration) {
    let data = client.data();
    let start = Instant::now();
    client.say(line).hear(150);
    let mut stream = data.stream();
    let (mut count, mut some) = (0, vec![0; 64 << 10]);
    loop {
        match stream.read(&mut some).unwrap() {
            0 => break,
            len => count += some[..len].iter().filter(|octet| **octet == b'\n').count(),
        }
    }
    client.hear(226);
    (count, start.elapsed())
}

#[test]
fn a_hundred_thousand_names_take_a_bounded_time_and_no_memory() {
    let share = large();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.patience(60 * SECOND);
    for line in ["MLSD", "LIST -R", "NLST", "NLST *.txt"] {
        lines(&mut client, line);
    }
    let before = Holdings::of(&server);
    for (line, wanted) in [
        ("MLSD many", MANY),
        ("NLST many", MANY),
        ("LIST many", MANY),
        ("LIST -R wide", WIDE * 4),
        ("NLST many/*7.txt", MANY / 10),
    ] {
        let (count, took) = lines(&mut client, line);
        println!("{line}: {count} lines in {took:?}");
        assert_eq!(count, wanted, "{line}");
        assert!(took < 30 * SECOND, "{line}: {took:?}");
    }
    let (count, took) = lines(&mut client, &format!("NLST {}", dear_pattern()));
    println!("NLST of a dear pattern: {count} lines in {took:?}");
    assert!(count == 0 && took < 30 * SECOND);
    // a pattern is no longer than a name
    let start = Instant::now();
    let _unused = client.data();
    client
        .say(format!("NLST many/{}", "*a".repeat(1000)))
        .hear(550);
    assert!(start.elapsed() < SECOND);
    let after = Holdings::of(&server);
    println!("listings: before: {before}\nlistings: after:  {after}");
    let grown = after.most - before.most;
    assert!(
        grown <= 128,
        "{grown} KiB at most more than for a small one"
    );
}

#[test]
fn size_and_help_do_not_look_at_what_is_large() {
    let share = large();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.say("HELP").hear(214);
    let before = Holdings::of(&server);
    let start = Instant::now();
    // how long it is with other line ends nobody knows without reading a tebibyte
    client.say("SIZE endless").hear(550);
    client.say("TYPE I").hear(200);
    for _ in 0..200 {
        assert_eq!(
            client.say("SIZE endless").hear(213).text(),
            (1u64 << 40).to_string()
        );
        client.say("SIZE many").hear(550);
        client.say("HELP").hear(214);
        client.say("HELP RETR").hear(214);
        client.say("MLST many").hear(250);
    }
    let after = Holdings::of(&server);
    println!(
        "1,000 of SIZE, HELP and MLST: {:?}; {after}",
        start.elapsed()
    );
    assert!(start.elapsed() < 5 * SECOND);
    assert!(after.most - before.most <= 64);
}

/// The beginning of a listing whose rest nobody reads.
#[track_caller]
fn begin(client: &mut Client, line: &str, has_output: bool) -> TcpStream {
    let data = client.data();
    client.say(line).hear(150);
    let mut stream = data.stream();
    if has_output {
        stream.read_exact(&mut [0; 1000]).unwrap();
    }
    stream
}

/// Lines that work long, and whether anything is to be read of them.
fn long_work() -> Vec<(String, bool)> {
    vec![
        ("MLSD many".to_owned(), true),
        ("LIST -R".to_owned(), true),
        ("LIST many".to_owned(), true),
        (format!("NLST {}", dear_pattern()), false),
    ]
}

#[test]
fn abor_ends_long_work_at_once() {
    let share = large();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for (line, has_output) in long_work() {
        let stream = begin(&mut client, &line, has_output);
        let start = Instant::now();
        client.say("ABOR").hear(426);
        client.hear(226);
        let took = start.elapsed();
        println!("ABOR: {} ended after {took:?}", &line[..line.len().min(20)]);
        assert!(took < SOON, "{line}: {took:?}");
        drop(stream);
    }
    // the same inside a reply, which must still be ended
    client.say(format!("STAT {}", dear_pattern()));
    let start = Instant::now();
    client.say("ABOR").hear_one_of(&[212, 213]);
    client.hear(226);
    println!("ABOR: STAT ended after {:?}", start.elapsed());
    assert!(start.elapsed() < SOON);
    client.hear_nothing();
}

/// The descriptors of a server whose clients have left.
fn at_rest(server: &Server) -> Option<usize> {
    let mut before = None;
    eventually("the descriptors of a server at rest", PATIENCE, || {
        let now = server.descriptors();
        now.is_none() || std::mem::replace(&mut before, now) == now
    });
    before
}

#[test]
fn who_leaves_long_work_gives_the_seat_back() {
    let share = large();
    let server = Server::start(&share, &["--max-clients", "2"]);
    assert!(is_served(&server, "127.0.0.1"));
    let before = at_rest(&server);
    for (line, has_output) in long_work() {
        for way in ["data", "both", "reset"] {
            if way == "data" && !has_output {
                // nothing is sent that could fail; it ends by itself
                continue;
            }
            let mut client = Client::login(&server);
            let stream = begin(&mut client, &line, has_output);
            let start = Instant::now();
            match way {
                "data" => {
                    drop(stream);
                    client.hear(426);
                    client.say("QUIT").hear(221);
                }
                "both" => drop((stream, client)),
                _ => {
                    client.reset();
                    reset(stream);
                }
            }
            eventually("the seat is free", PATIENCE, || {
                server.descriptors() <= before
            });
            let took = start.elapsed();
            println!(
                "leaving ({way}): {} ended after {took:?}",
                &line[..line.len().min(20)]
            );
            assert!(took < SOON, "{line}, {way}: {took:?}");
        }
    }
}

#[test]
fn who_leaves_the_data_unread_and_the_control_connection_gives_the_seat_back() {
    let share = large();
    let server = Server::start(&share, &[]);
    assert!(is_served(&server, "127.0.0.1"));
    let before = at_rest(&server);
    // the data connection stays open, and nobody reads it: by the end of the other one somebody who pipes his commands
    // may only have said all
    let mut client = Client::login(&server);
    let stream = begin(&mut client, "MLSD many", true);
    let start = Instant::now();
    drop(client);
    // five seconds after nothing moves any more, and long before --data-timeout
    eventually("the seat is free", 2 * PATIENCE, || {
        server.descriptors() <= before
    });
    println!("leaving (control alone): ended after {:?}", start.elapsed());
    drop(stream);
    assert!(is_served(&server, "127.0.0.1"));
}
