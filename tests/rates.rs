//! `--limit-rate` and the limits of the users file: that they hold, that nothing else suffers, and what they cost.
//!
//! On a busy machine a transfer may take longer than its limit wants, never less.  So the upper bounds on a rate are
//! strict, and the lower ones generous.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may panic, and says what it measured"
)]

mod common;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use common::client::drain;
use common::{
    Client, Data, Launch, PATIENCE, Server, Share, assert_same_octets, eventually, noise,
};
use nix::sys::signal::Signal;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};

/// `openssl passwd -6` of `secret`.
const SECRET: &str = "$6$pocketftpd$4ZNfGz/ABcmoC1jSk8dbkqrRnjRarxqM9UiG1u5jp3q1BdorkiKNWEpk1s6oM7iaW2ewUcAwrFGKDmKjygMOg0";

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

fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    (what(), began.elapsed())
}

/// That this took its time at `rate` octets a second: within 15 %, and twice as long at most where much else runs.
#[track_caller]
fn assert_rate(octets: usize, rate: u32, took: Duration) {
    let due = octets as f64 / f64::from(rate);
    let ratio = due / took.as_secs_f64();
    println!("{octets} octets at {rate}/s in {took:?}: {ratio:.3} of the rate");
    assert!(
        ratio <= 1.15,
        "{octets} octets in {took:?}, {due} s were due"
    );
    assert!(
        ratio >= 0.5,
        "{octets} octets in {took:?}, {due} s were due"
    );
}

#[test]
fn a_download_keeps_to_its_limit_in_binary_and_in_ascii() {
    const RATE: u32 = 1_000_000;
    let share = Share::new();
    // Without line ends, so that both types send the same.
    let contents: Vec<u8> = noise(2_500_000)
        .into_iter()
        .map(|octet| octet | 0x80)
        .collect();
    share.write("f", &contents);
    let server = Server::start(&share, &["--limit-rate", ":1M"]);
    thread::scope(|scope| {
        for kind in ["TYPE I", "TYPE A"] {
            let (server, contents) = (&server, &contents);
            scope.spawn(move || {
                let mut client = Client::login(server);
                client.say(kind).hear(200);
                let mut stream = begin(&mut client, "RETR f");
                let (octets, took) = timed(|| drain(&mut stream));
                client.hear(226);
                assert_same_octets(&octets, contents);
                assert_rate(octets.len(), RATE, took);
            });
        }
    });
}

#[test]
fn an_upload_keeps_to_its_limit_in_binary_and_in_ascii() {
    const RATE: u32 = 1_000_000;
    let share = Share::new();
    let contents: Vec<u8> = noise(2_500_000)
        .into_iter()
        .map(|octet| octet | 0x80)
        .collect();
    let server = Server::start(&share, &["--writable", "--limit-rate", "1M:"]);
    thread::scope(|scope| {
        for (kind, name) in [("TYPE I", "binary"), ("TYPE A", "ascii")] {
            let (server, contents) = (&server, &contents);
            scope.spawn(move || {
                let mut client = Client::login(server);
                client.say(kind).hear(200);
                let ((), took) = timed(|| client.put(name, contents));
                assert_rate(contents.len(), RATE, took);
            });
        }
    });
    assert_same_octets(&share.read("binary"), &contents);
    assert_same_octets(&share.read("ascii"), &contents);
    // The other way is free.
    let mut client = binary(&server);
    let (octets, took) = timed(|| client.get("binary"));
    assert_same_octets(&octets, &contents);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn where_the_kernel_does_not_pace_the_limit_holds_all_the_same() {
    const RATE: u32 = 1_000_000;
    let share = Share::new();
    let contents = noise(2_500_000);
    share.write("f", &contents);
    share.write("nothing", "");
    // Each thread counts for itself.  The first of them sets seven options of the listening socket.
    let Some(launch) = Launch::failing(&share, "setsockopt", "error=ENOPROTOOPT:when=10+") else {
        return;
    };
    let server = launch.flags(&["--limit-rate", ":1M"]).start(&share);
    let mut client = binary(&server);
    for _ in 0..10 {
        client.get("nothing");
    }
    let mut stream = begin(&mut client, "RETR f");
    let (octets, took) = timed(|| drain(&mut stream));
    client.hear(226);
    assert_same_octets(&octets, &contents);
    assert_rate(octets.len(), RATE, took);
    let trace = fs::read_to_string(share.outside("trace")).unwrap();
    let last = trace
        .lines()
        .rfind(|line| line.contains("SO_MAX_PACING_RATE"));
    assert!(
        last.is_some_and(|line| line.contains("ENOPROTOOPT")),
        "the last download was paced by the kernel: {last:?}"
    );
}

#[test]
fn a_slow_upload_is_slow_for_its_client_too() {
    const RATE: usize = 100_000;
    let share = Share::new();
    let server = Server::start(&share, &["--writable", "--limit-rate", "100k:0"]);
    let mut passive = binary(&server);
    let mut active = binary(&server).by(common::Mode::Eprt);
    for client in [&mut passive, &mut active] {
        let data = client.data();
        client.say("STOU").hear(150);
        let mut stream = data.stream();
        setsockopt(&stream, sockopt::SndBuf, &4096).unwrap();
        let own = getsockopt(&stream, sockopt::SndBuf).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let (began, mut sent) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_millis(600) {
            match stream.write(&[b'x'; 4096]) {
                Ok(count) => sent += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        let took = began.elapsed().as_millis() as usize;
        // Ahead of its time: two pieces in the file, and what the window holds of a quarter of a second.
        let due = RATE * took / 1000;
        println!("{sent} octets after {took} ms, {due} were due");
        assert!(
            sent <= due + RATE / 5 + RATE / 2 + own,
            "{sent} after {took} ms"
        );
        client.say("ABOR").hear(426);
        client.hear(226);
    }
}

#[test]
fn many_small_files_and_listings_are_no_way_around_the_limit() {
    const RATE: u32 = 100_000;
    let share = Share::new();
    let contents = noise(12_000);
    for number in 0..20 {
        share.write(format!("file-{number}"), &contents);
    }
    let server = Server::start(&share, &["--limit-rate", "100k:100k", "--writable"]);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = binary(&server);
            let (moved, took) = timed(|| {
                let mut moved = 0;
                for number in 0..20 {
                    let octets = client.get(format!("file-{number}"));
                    assert_same_octets(&octets, &contents);
                    let listed = client.fetch("LIST");
                    assert!(listed.len() > 20 * 60, "{}", listed.escape_ascii());
                    moved += octets.len() + listed.len();
                }
                moved
            });
            assert_rate(moved, RATE, took);
        });
        scope.spawn(|| {
            let mut client = binary(&server);
            let ((), took) = timed(|| {
                for number in 0..20 {
                    client.put(format!("up-{number}"), &contents);
                }
            });
            assert_rate(20 * contents.len(), RATE, took);
        });
    });
    assert_same_octets(&share.read("up-19"), &contents);
}

#[test]
fn two_sessions_do_not_share_a_limit() {
    let share = Share::new();
    share.write("f", noise(200_000));
    let server = Server::start(&share, &["--limit-rate", ":100k"]);
    let ((), took) = timed(|| {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut client = binary(&server);
                    let (octets, took) = timed(|| client.get("f"));
                    assert_rate(octets.len(), 100_000, took);
                });
            }
        });
    });
    assert!(
        took < Duration::from_millis(3500),
        "one after the other? {took:?}"
    );
}

#[test]
fn abor_and_stat_act_at_once_while_a_limit_is_waited_for() {
    let share = Share::new();
    share.write_sparse("endless", 1 << 40);
    // At this rate the next piece is four seconds away.
    let server = Server::start(&share, &["--limit-rate", "1k:1k", "--writable"]);
    for line in ["RETR endless", "STOR up"] {
        let mut client = binary(&server);
        let mut stream = begin(&mut client, line);
        stream.set_nonblocking(true).unwrap();
        if line.starts_with("STOR") {
            // As much as goes; the window is small.
            while stream.write(&[b'x'; 4096]).is_ok() {}
        }
        server.wait_for_logs("logged in", 1);
        thread::sleep(Duration::from_millis(200)); // the first two pieces have gone, and the wait has begun
        let began = Instant::now();
        let told = client.say("STAT").hear_one_of(&[211, 213]).lines.concat();
        assert!(
            String::from_utf8_lossy(&told).contains("8192"),
            "two pieces have moved: {}",
            told.escape_ascii()
        );
        client.say("ABOR").hear(426);
        client.hear(226);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{line}: {took:?}");
        client.hear_nothing();
    }
    // What had come of the upload is kept, as without a limit.
    assert_eq!(share.len("up"), 8192);
}

#[test]
fn sigusr1_tells_how_far_a_limited_transfer_is_and_sigterm_lets_it_end() {
    let share = Share::new();
    share.write_sparse("endless", 1 << 40);
    let contents = noise(30_000);
    share.write("short", &contents);
    let mut server = Server::start(&share, &["--limit-rate", ":10k"]);
    let (mut patient, mut greedy) = (binary(&server), binary(&server));
    let mut short = begin(&mut patient, "RETR short");
    let _endless = begin(&mut greedy, "RETR endless");
    thread::sleep(Duration::from_millis(200));
    server.signal(Signal::SIGUSR1);
    eventually("a line for the transfer", PATIENCE, || {
        server
            .log()
            .iter()
            .any(|line| line.contains("RETR") && line.contains("8192 octets"))
    });
    server.signal(Signal::SIGTERM);
    let began = Instant::now();
    assert_same_octets(&drain(&mut short), &contents);
    patient.hear(226);
    patient.hear(421);
    // It ends by its own time, not by that of the stop.
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    greedy.hear(426);
    greedy.hear(421);
    assert!(
        began.elapsed() > Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert!(server.ended(PATIENCE).success());
}

#[test]
fn a_limited_transfer_is_not_taken_for_stalled_and_a_stalled_one_is() {
    let share = Share::new();
    let contents = noise(11_000);
    share.write("f", &contents);
    share.write_sparse("endless", 1 << 40);
    let flags = ["--writable", "--data-timeout", "1"];
    let slow = Launch::new()
        .flags(&flags)
        .flags(&["--limit-rate", "1k:1k"])
        .start(&share);
    let fast = Launch::new()
        .flags(&flags)
        .flags(&["--limit-rate", "1M:1M"])
        .start(&share);
    thread::scope(|scope| {
        // Four seconds to wait for the third piece.
        scope.spawn(|| assert_same_octets(&binary(&slow).get("f"), &contents));
        scope.spawn(|| binary(&slow).put("up", &contents));
        scope.spawn(|| {
            let mut client = binary(&fast).by(common::Mode::Eprt);
            let data = client.data();
            let Data::Active(listener) = &data else {
                panic!("EPRT is active")
            };
            setsockopt(listener, sockopt::RcvBuf, &8192).unwrap();
            client.say("RETR endless").hear(150);
            let _nobody_reads = data.stream();
            let (_, took) = timed(|| client.hear(426));
            assert!(took < Duration::from_secs(6), "{took:?}");
            client.hear_nothing();
        });
        scope.spawn(|| {
            let mut client = binary(&fast);
            let _nothing_sent = begin(&mut client, "STOR nothing");
            let (_, took) = timed(|| client.hear(426));
            assert!(took < Duration::from_secs(6), "{took:?}");
            client.hear_nothing();
        });
    });
    assert_same_octets(&share.read("up"), &contents);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_wait_gives_its_seat_back() {
    let share = Share::new();
    share.write_sparse("endless", 1 << 40);
    let flags = [
        "--limit-rate",
        "1k:1k",
        "--max-clients",
        "1",
        "--max-per-ip",
        "1",
    ];
    let server = Server::start(&share, &flags);
    let mut client = binary(&server);
    let stream = begin(&mut client, "RETR endless");
    thread::sleep(Duration::from_millis(200));
    client.reset();
    drop(stream);
    let began = Instant::now();
    eventually("a free seat", PATIENCE, || {
        Client::knock(server.address())
            .hear_one_of(&[220, 421])
            .code
            == 220
    });
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_users_own_limit_goes_before_the_flags() {
    let share = Share::new();
    let contents = noise(60_000);
    share.write("f", &contents);
    let users = share.outside("users");
    let lines = [
        format!("slow:{SECRET}:rw,down=40k,up=40k"),
        format!("free:{SECRET}:ro,down=0"),
        format!("old:{SECRET}:rw:/"),
    ];
    fs::write(&users, lines.join("\n")).unwrap();
    let flags = [
        "--users",
        users.to_str().unwrap(),
        "--anonymous",
        "--limit-rate",
        "0:20k",
    ];
    let server = Launch::new().flags(&flags).start(&share);
    let log_in = |name: &str| {
        let mut client = Client::login_as(&server, name, "secret");
        client.say("TYPE I").hear(200);
        client
    };
    let get = |name: &str| {
        let mut client = log_in(name);
        let (octets, took) = timed(|| client.get("f"));
        assert_same_octets(&octets, &contents);
        took.as_millis()
    };
    let put = |user: &str, name: &str| {
        let mut client = log_in(user);
        timed(|| client.put(name, &contents)).1.as_millis()
    };
    thread::scope(|scope| {
        // Two pieces, 8192 octets, go at once at such rates.
        let slow = scope.spawn(|| get("slow"));
        let slow_up = scope.spawn(|| put("slow", "up"));
        let free = scope.spawn(|| get("free"));
        let free_up = scope.spawn(|| put("old", "up-2"));
        let (old, guest) = (scope.spawn(|| get("old")), scope.spawn(|| get("anonymous")));
        let took = |thread: thread::ScopedJoinHandle<'_, u128>| thread.join().unwrap();
        for slow in [took(slow), took(slow_up)] {
            assert!((1200..2400).contains(&slow), "at 40k: {slow} ms");
        }
        for free in [took(free), took(free_up)] {
            assert!(free < 1200, "without a limit: {free} ms");
        }
        for flag in [took(old), took(guest)] {
            assert!((2500..4500).contains(&flag), "at the flag's 20k: {flag} ms");
        }
    });
}

/// Time on the processor of all the server's threads, to the nanosecond.
fn on_processor(server: &Server) -> Duration {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let nanos = threads.map(|thread| {
        let path = thread.unwrap().path().join("schedstat");
        let stat = fs::read_to_string(path).unwrap();
        stat.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanos.sum())
}

/// Waits until `octets` are due at the rate of the next test, once ten milliseconds have come together.
fn keep_pace(began: Instant, octets: usize) {
    let due = Duration::from_secs_f64(octets as f64 / 32e6);
    let ahead = due.saturating_sub(began.elapsed());
    if ahead > Duration::from_millis(10) {
        thread::sleep(ahead);
    }
}

/// The same octets in the same time: once the client is slow, once the server is.  A client that takes all that comes
/// would be no measure, since a transfer without any wait costs less whatever the reason for waiting.
///
/// The figures are in the output; `POCKETFTPD_RATES=1` makes it 64 MiB and holds the ratio, for quiet machines.
#[test]
fn a_limited_transfer_costs_the_processor_no_more_than_a_slow_client() {
    let long = std::env::var_os("POCKETFTPD_RATES").is_some();
    let size = if long { 64 << 20 } else { 16 << 20 };
    let rounds = if long { 5 } else { 1 };
    let share = Share::new();
    let contents = noise(size);
    share.write("f", &contents);
    let free = Server::start(&share, &["--writable"]);
    let limited = Server::start(&share, &["--writable", "--limit-rate", "32M:32M"]);
    let mut costs = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
    for _ in 0..rounds {
        for (server, costs) in [&free, &limited].into_iter().zip(&mut costs) {
            let slow = std::ptr::eq(server, &free);
            let mut client = binary(server);
            let mut sink = vec![0; 64 * 1024];
            let before = on_processor(server);
            let mut stream = begin(&mut client, "RETR f");
            let (began, mut moved) = (Instant::now(), 0);
            loop {
                let count = stream.read(&mut sink).unwrap();
                if count == 0 {
                    break;
                }
                moved += count;
                if slow {
                    keep_pace(began, moved);
                }
            }
            client.hear(226);
            let between = on_processor(server);
            let mut stream = begin(&mut client, "STOR up");
            let (began, mut moved) = (Instant::now(), 0);
            for piece in contents.chunks(64 * 1024) {
                stream.write_all(piece).unwrap();
                moved += piece.len();
                if slow {
                    keep_pace(began, moved);
                }
            }
            drop(stream);
            client.hear(226);
            costs[0].push(between - before);
            costs[1].push(on_processor(server) - between);
        }
    }
    for way in [0, 1] {
        let [free, limited] = [0, 1].map(|kind: usize| {
            let costs = &mut costs[kind][way];
            costs.sort();
            costs[costs.len() / 2]
        });
        let ratio = limited.as_secs_f64() / free.as_secs_f64();
        let name = ["down", "up"][way];
        println!(
            "{name}: {size} octets, slow client {free:?}, limit {limited:?}, ratio {ratio:.2}"
        );
        if long {
            assert!(ratio < 1.2, "{name}: {ratio}");
        }
        // Whoever spins while it waits would be found out here: a transfer takes half a second.
        let bound = free * 2 + Duration::from_millis(100);
        assert!(
            limited < bound,
            "{name}: {limited:?}, a slow client {free:?}"
        );
    }
}
