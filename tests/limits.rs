//! Seats, deadlines, start and end: what happens when there is too much, too long, or too little
//! (FIELD-NOTES B10 to B13, B44, B45).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::client::reset;
use common::server::{PROGRAM, places, run_to_end};
use common::{
    Client, Launch, Mode, PATIENCE, Server, Share, assert_same_octets, eventually, is_root, noise,
    skip,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn b10_a_client_that_is_gone_in_the_middle_of_a_transfer_frees_its_seat() {
    let share = Share::new();
    share.write_sparse("endless", 1 << 40);
    let server = Server::start(
        &share,
        &["--data-timeout", "2", "--max-clients", "1", "--writable"],
    );
    let before = server.descriptors();
    for line in ["RETR endless", "STOR up"] {
        let mut client = the_only_guest(&server);
        client.say("TYPE I").hear(200);
        let data = client.data();
        client.say(line).hear(150);
        let mut stream = data.stream();
        if line.starts_with("RETR") {
            stream.read_exact(&mut [0; 1000]).unwrap();
        }
        client.reset();
        // the data connection stays open and nobody reads it
        eventually("the descriptors are back", PATIENCE, || {
            server.descriptors() == before
        });
        let idle = server.cpu_time();
        drop(the_only_guest(&server));
        assert!(
            server.cpu_time() - idle < SECOND,
            "the server is busy with nobody"
        );
        eventually("the descriptors are back", PATIENCE, || {
            server.descriptors() == before
        });
        drop(stream);
    }
}

/// A client on the one seat that there is, as soon as it is free.
fn the_only_guest(server: &Server) -> Client {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut client = Client::knock(server.address());
        if client.hear_one_of(&[220, 421]).code == 220 {
            client.say("USER a").hear(331);
            client.say("PASS b").hear(230);
            return client;
        }
        assert!(Instant::now() < end, "the seat is not given back");
    }
}

#[test]
fn b10_a_stalled_transfer_ends_and_the_session_lives() {
    let share = Share::new();
    share.write_sparse("endless", 1 << 40);
    let server = Server::start(&share, &["--data-timeout", "1", "--writable"]);
    let mut client = Client::login(&server);
    client.say("TYPE I").hear(200);
    for line in ["RETR endless", "STOR up"] {
        let data = client.data();
        client.say(line).hear(150);
        let stream = data.stream();
        let busy = server.cpu_time();
        client.hear_one_of(&[426, 451]);
        assert!(
            server.cpu_time() - busy < SECOND,
            "{line}: a stalled transfer costs {:?}",
            server.cpu_time() - busy
        );
        client.hear_nothing();
        drop(stream);
    }
}

#[test]
fn b11_idle_time_stands_still_while_data_moves() {
    let share = Share::new();
    share.write("big", noise(24 << 20));
    let server = Server::start(&share, &["--idle-timeout", "1"]);
    let mut client = Client::login(&server);
    client.say("TYPE I").hear(200);
    let data = client.data();
    client.say("RETR big").hear(150);
    let mut stream = data.stream();
    let start = Instant::now();
    let mut count = 0;
    let mut some = vec![0; 256 << 10];
    loop {
        match stream.read(&mut some).unwrap() {
            0 => break,
            len => count += len,
        }
        if start.elapsed() < Duration::from_millis(2500) {
            // a slow line: the pace is what is tested
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert!(
        start.elapsed() > 2 * SECOND,
        "the transfer was too fast to prove anything"
    );
    assert_eq!(count, 24 << 20);
    client.hear(226);
    client.hear_nothing();
    // and it runs again from then on
    let start = Instant::now();
    client.hear(421);
    assert!(
        start.elapsed() > Duration::from_millis(700),
        "{:?}",
        start.elapsed()
    );
    client.hear_end();
}

#[test]
fn b12_the_clock_on_the_wall_decides_nothing() {
    let library = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib/arm-linux-gnueabihf",
    ]
    .map(|directory| format!("{directory}/faketime/libfaketimeMT.so.1"))
    .into_iter()
    .find(|path| fs::exists(path).unwrap_or(false));
    let Some(library) = library else {
        assert!(
            !common::in_ci(),
            "faketime is not installed, and CI requires it"
        );
        return skip("faketime is not installed");
    };
    let share = Share::new();
    share.write("f", "x");
    let server = Launch::new()
        .variable("LD_PRELOAD", &library)
        .variable("FAKETIME_TIMESTAMP_FILE", "/clock") // seen from inside the share
        .variable("FAKETIME_NO_CACHE", "1")
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .flags(&["--idle-timeout", "100", "--login-timeout", "100"])
        .start(&share);
    let mut client = Client::login(&server);
    client.hear_nothing();
    let contents = noise(24 << 20);
    share.write("big", &contents);
    let mut busy = Client::login(&server);
    busy.say("TYPE I").hear(200);
    let data = busy.data();
    busy.say("RETR big").hear(150);
    let (mut stream, mut read) = (data.stream(), Vec::new());
    let date = |client: &mut Client| client.list("f").remove(0)[30..].to_owned();
    let today = date(&mut client);
    for jump in ["+1d", "-1d", "+400d", "-2000d", "+0"] {
        share.write("clock", jump);
        client.hear_nothing();
        assert_eq!(client.nlst("f"), ["f"]);
        if jump == "+400d" {
            assert_ne!(
                date(&mut client),
                today,
                "the clock was not moved: nothing is proven"
            );
        }
        assert!(
            !client.hears_within(Duration::from_millis(100)),
            "the session was ended by a jump of {jump}"
        );
        // The other session's download goes on, and nobody has thought it stalled.
        let mut some = vec![0; 1 << 20];
        stream.read_exact(&mut some).unwrap();
        read.extend(some);
        assert!(
            !busy.hears_within(Duration::ZERO),
            "the transfer was ended by a jump of {jump}"
        );
    }
    read.extend(common::client::drain(&mut stream));
    assert_same_octets(&read, &contents);
    busy.hear(226);
}

#[test]
fn b13_an_idle_session_ends_with_421_and_an_orderly_close() {
    let share = Share::new();
    let server = Server::start(&share, &["--idle-timeout", "1", "--login-timeout", "1"]);
    let mut stranger = Client::connect(&server);
    let mut client = Client::login(&server);
    stranger.hear(421);
    stranger.hear_end();
    client.hear(421);
    client.hear_end();
}

#[test]
fn a_reply_that_is_not_read_holds_the_seat_no_longer_than_data_would() {
    let share = Share::new();
    let server = Server::start(
        &share,
        &[
            "--data-timeout",
            "1",
            "--idle-timeout",
            "2",
            "--max-clients",
            "1",
        ],
    );
    let mut client = Client::login(&server);
    // more questions than the answers fit into all buffers on the way
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.read_exact(&mut [0; 3]).unwrap(); // 421: there is one seat
    client.raw(b"").hear_nothing();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let flood = b"HELP\r\n".repeat(100_000);
            for _ in 0..20 {
                if catch(|| client.raw(&flood)).is_err() {
                    break; // the server has hung up
                }
            }
        });
        eventually("the seat is free", 3 * PATIENCE, || {
            let mut next = Client::knock(server.address());
            next.hear_one_of(&[220, 421]).code == 220
        });
    });
}

/// A call that may panic.
fn catch<T>(call: impl FnOnce() -> T) -> std::thread::Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call))
}

#[test]
fn a_full_house_says_so() {
    let share = Share::new();
    let server = Server::start(&share, &["--max-clients", "2"]);
    let one = Client::login(&server);
    let _two = Client::login(&server);
    for _ in 0..5 {
        let mut three = Client::knock(server.address());
        let line = three.hear(421).line();
        assert!(line.contains("Too many connections"), "{line}");
        three.hear_end();
    }
    drop(one);
    eventually("the seat is free", PATIENCE, || {
        Client::knock(server.address()).hear_any().code == 220
    });
}

#[test]
fn one_address_takes_its_share_of_the_seats_and_no_more() {
    let share = Share::new();
    let server = Server::start(&share, &["--max-per-ip", "2"]);
    let one = Client::login(&server);
    let mut two = Client::login(&server);
    let mut three = Client::knock(server.address());
    assert!(three.hear(421).line().contains("Too many connections"));
    three.hear_end();
    two.hear_nothing();
    drop(one);
    eventually("the seat is free", PATIENCE, || {
        Client::knock(server.address()).hear_any().code == 220
    });
}

#[test]
fn b44_running_out_of_descriptors_turns_clients_away_and_nothing_else() {
    let share = Share::new();
    share.write("f", "x");
    let server = Launch::new()
        .under(&["prlimit", "--nofile=20:20"])
        .flags(&["--max-per-ip", "32"])
        .start(&share);
    let busy = server.cpu_time();
    let mut streams: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();
    // some are served, the others hear 421 or wait; nobody gets nonsense
    let mut served = 0;
    for stream in &mut streams {
        stream
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let mut code = [0; 3];
        if stream.read_exact(&mut code).is_ok() {
            assert!(
                &code == b"220" || &code == b"421",
                "{}",
                code.escape_ascii()
            );
            served += usize::from(&code == b"220");
        }
    }
    assert!(served > 0);
    assert!(
        server.cpu_time() - busy < SECOND,
        "a loop without rest: {:?}",
        server.cpu_time() - busy
    );
    drop(streams);
    // Who waited at the door is let in first, and gone again.
    eventually("the crowd has gone", PATIENCE, || {
        server.descriptors().is_none_or(|open| open < 12)
    });
    eventually("it serves again", PATIENCE, || {
        let mut client = Client::knock(server.address());
        client.hear_any().code == 220 && {
            client.say("USER a").hear(331);
            client.say("PASS b").hear(230);
            client.nlst("") == ["f"]
        }
    });
}

#[test]
fn b44_an_accept_that_fails_is_no_reason_to_stop() {
    for error in [
        "ECONNABORTED",
        "EMFILE",
        "ENFILE",
        "EINTR",
        "EPROTO",
        "ENOMEM",
    ] {
        let share = Share::new();
        let Some(launch) =
            Launch::failing(&share, "accept,accept4", &format!("error={error}:when=1+3"))
        else {
            return;
        };
        let mut server = launch.start(&share);
        let mut served = 0;
        for _ in 0..6 {
            // out of descriptors, it may say so
            let mut client = Client::knock(server.address());
            if client.hear_one_of(&[220, 421]).code == 220 {
                client.say("QUIT").hear(221);
                served += 1;
            }
        }
        assert!(served > 0, "{error}: {:#?}", server.log());
        assert!(server.runs());
    }
}

#[test]
fn b44_where_no_thread_is_to_be_had_the_client_hears_421() {
    let share = Share::new();
    // the threads of the house itself are begun by then
    let Some(launch) = Launch::failing(&share, "clone,clone3", "error=EAGAIN:when=4+") else {
        return;
    };
    let mut server = launch.start(&share);
    let mut clients = Vec::new();
    let mut refused = 0;
    for _ in 0..6 {
        let mut client = Client::knock(server.address());
        if client.hear_one_of(&[220, 421]).code == 220 {
            clients.push(client);
        } else {
            refused += 1;
        }
    }
    assert!(refused > 0, "no thread was refused: nothing is proven");
    for client in &mut clients {
        client.hear_nothing();
    }
    assert!(server.runs());
}

#[test]
fn b44_clients_that_knock_and_run_away_do_no_harm() {
    let share = Share::new();
    let mut server = Server::start(&share, &[]);
    Client::login(&server).say("QUIT").hear(221);
    eventually("the first client is gone", PATIENCE, || {
        !server.log().is_empty()
    });
    let before = server.descriptors();
    for _ in 0..1000 {
        reset(TcpStream::connect(server.address()).unwrap());
    }
    eventually("it serves again", PATIENCE, || {
        Client::knock(server.address()).hear_any().code == 220
    });
    eventually("the descriptors are back", PATIENCE, || {
        server.descriptors() <= before
    });
    assert!(server.runs());
    assert!(
        !server.log().iter().any(|line| line.contains("panic")),
        "{:#?}",
        server.log()
    );
}

#[test]
fn b45_what_cannot_start_says_why_in_one_line() {
    let share = Share::new();
    let top = share.top().to_str().unwrap().to_owned();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let absent = share.outside("absent").to_str().unwrap().to_owned();
    let file = share.write("file", "x").to_str().unwrap().to_owned();
    let cases: [(&[&str], i32, &[&str]); 21] = [
        (
            &["--share", &top, "--listen", &taken],
            1,
            &["listen", &taken],
        ),
        (
            &["--share", &absent, "--listen", "127.0.0.1:0"],
            1,
            &["share", &absent],
        ),
        (&["--share", &file, "--listen", "127.0.0.1:0"], 1, &[&file]),
        (
            &[
                "--share",
                &top,
                "--listen",
                "127.0.0.1:0",
                "--users",
                &absent,
            ],
            1,
            &[&absent],
        ),
        (
            &[
                "--share",
                &top,
                "--listen",
                "127.0.0.1:0",
                "--log-file",
                "/absent/log",
            ],
            1,
            &["/absent/log"],
        ),
        (
            &[
                "--share",
                &top,
                "--listen",
                "127.0.0.1:0",
                "--pid-file",
                "/absent/pid",
            ],
            1,
            &["/absent/pid"],
        ),
        (
            &["--share", &top, "--listen", "203.0.113.1:0"],
            1,
            &["listen", "203.0.113.1"],
        ),
        (&[], 2, &["--share"]),
        (
            &["--share", &top, "--listen", "nonsense"],
            2,
            &["--listen", "nonsense"],
        ),
        (
            &["--share", &top, "--listen", "127.0.0.1:99999"],
            2,
            &["--listen", "99999"],
        ),
        (
            &["--share", &top, "--passive-ports", "200-100"],
            2,
            &["--passive-ports", "200-100"],
        ),
        (
            &["--share", &top, "--passive-ports", "50000-70000"],
            2,
            &["--passive-ports", "50000-70000"],
        ),
        (
            &["--share", &top, "--public-address", "\"1.2.3.4\""],
            2,
            &["--public-address"],
        ),
        (
            &["--share", &top, "--public-address=ftp.example.com"],
            2,
            &["--public-address", "ftp.example.com"],
        ),
        (
            &["--share", &top, "--max-clients", "0"],
            2,
            &["--max-clients", "0"],
        ),
        (
            &["--share", &top, "--max-clients=many"],
            2,
            &["--max-clients", "many"],
        ),
        (
            &["--share", &top, "--idle-timeout", "-1"],
            2,
            &["--idle-timeout"],
        ),
        (&["--share", &top, "--umask", "9"], 2, &["--umask", "9"]),
        (
            &["--share", &top, "--log-level", "loud"],
            2,
            &["--log-level", "loud"],
        ),
        (&["--share", &top, "--nonsense"], 2, &["--nonsense"]),
        (&["--share", &top, "--daemon", "--inetd"], 2, &["--daemon"]),
    ];
    for (arguments, code, words) in cases {
        for daemon in [false, true] {
            let mut arguments = arguments.to_vec();
            if daemon && code == 1 {
                arguments.push("--daemon"); // the exit status tells it all the same
                if !arguments.contains(&"--log-file") {
                    arguments.extend(["--log-file", "/dev/null"]);
                }
            }
            let output = run_to_end(&arguments);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
            for word in words {
                assert!(said.contains(word), "{arguments:?}: no {word} in: {said}");
            }
        }
    }
}

#[test]
fn version_and_help_need_nothing_else() {
    let output = run_to_end(&["--version"]);
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        concat!("pocketftpd ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let output = run_to_end(&["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in [
        "--share",
        "--listen",
        "--writable",
        "--users",
        "--anonymous",
        "--run-as",
        "--passive-ports",
        "--public-address",
        "--active-from-20",
        "--no-active",
        "--no-passive",
        "--no-epsv",
        "--max-clients",
        "--max-per-ip",
        "--idle-timeout",
        "--login-timeout",
        "--data-timeout",
        "--umask",
        "--banner",
        "--log-level",
        "--log-file",
        "--syslog",
        "--daemon",
        "--pid-file",
        "--inetd",
        "--hash-password",
        "--version",
        "--help",
    ] {
        assert!(help.contains(flag), "{flag} is not in --help");
    }
}

#[test]
fn b45_sigterm_lets_a_transfer_finish_and_tells_the_others() {
    let share = Share::new();
    let contents = noise(24 << 20);
    share.write("big", &contents);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start(&share, &[]);
        let mut idle = Client::login(&server);
        let mut stranger = Client::connect(&server);
        let mut client = Client::login(&server);
        client.say("TYPE I").hear(200);
        let data = client.data();
        client.say("RETR big").hear(150);
        let mut stream = data.stream();
        server.signal(signal);
        idle.hear(421);
        idle.hear_end();
        stranger.hear(421);
        stranger.hear_end();
        assert_same_octets(&common::client::drain(&mut stream), &contents);
        client.hear(226);
        client.hear(421);
        client.hear_end();
        assert!(server.ended(PATIENCE).success());
    }
}

#[test]
fn b45_sigterm_does_not_wait_for_ever() {
    let share = Share::new();
    share.write_sparse("endless", 1 << 40);
    let mut server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.say("TYPE I").hear(200);
    let data = client.data();
    client.say("RETR endless").hear(150);
    let stream = data.stream();
    let start = Instant::now();
    assert!(server.stop().success());
    assert!(start.elapsed() < 7 * SECOND, "{:?}", start.elapsed());
    drop(stream);
}

#[test]
fn b45_nobody_can_write_into_the_log() {
    let share = Share::new();
    let server = Server::start(&share, &["--log-level", "trace", "--writable"]);
    let mut client = Client::connect(&server);
    client
        .say(b"USER evil\x1b[31m\rname\x07")
        .hear_one_of(&[331, 500, 501]);
    client.say("USER a").hear(331);
    client.say("PASS b").hear(230);
    for line in [
        &b"MKD x\x1b]0;title\x07"[..],
        b"MKD \xe2\x80\xaereversed",
        b"CWD absent\x0b\x0c",
        b"XYZZY \x1b[2J",
        b"DELE \xff\xff\xfe",
        b"MKD a\r[INFO] forged",
        b"CWD \xc2\x9b31m",
    ] {
        client.say(line).hear_any();
    }
    client.say("QUIT").hear(221);
    server.wait_for_log("QUIT");
    for line in server.log() {
        assert!(!line.starts_with("[INFO] forged"), "{line}");
        assert!(
            line.chars().all(|it| !it.is_control() && it != '\u{202e}'),
            "{line:?}"
        );
    }
}

#[test]
fn b45_a_port_scan_does_not_fill_the_log() {
    for by_reset in [false, true] {
        let share = Share::new();
        let server = Server::start(&share, &["--max-per-ip", "32", "--log-level", "debug"]);
        let before = server.log().len();
        for _ in 0..10 {
            let probe = Client::connect(&server);
            if by_reset {
                probe.reset();
            }
        }
        server.wait_for_logs("DEBUG", 10);
        let mut client = Client::login(&server);
        client.say("QUIT").hear(221);
        server.wait_for_log("left");
        let lines = server.log().split_off(before);
        let loud: Vec<&String> = lines
            .iter()
            .filter(|line| !line.contains("DEBUG"))
            .collect();
        assert_eq!(
            loud.len(),
            2,
            "more than the log-in and the end of the one real client: {loud:#?}"
        );
    }
}

#[test]
fn b45_every_log_line_can_be_written() {
    let share = Share::new();
    share.write("f", noise(10_000));
    let server = Server::start(
        &share,
        &["--log-level", "trace", "--writable", "--data-timeout", "1"],
    );
    for mode in [Mode::Pasv, Mode::Epsv, Mode::Port, Mode::Eprt] {
        let mut client = Client::login(&server).by(mode);
        client.say("TYPE I").hear(200);
        client.get("f");
        client.put("g", b"x");
        client.list("");
        client.mlsd("");
        client.say("RETR absent").hear_any();
        client.say("CWD absent").hear(550);
        client.say("PORT 1,2,3,4,5,6").hear_any();
        server.signal(Signal::SIGUSR1);
        client.say("QUIT").hear(221);
    }
    assert!(
        !server.log().iter().any(|line| line.contains("panic")),
        "{:#?}",
        server.log()
    );
}

#[test]
fn sigusr1_tells_what_each_session_does() {
    let share = Share::new();
    share.write_sparse("endless", 1 << 40);
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let _other = Client::login(&server);
    client.say("TYPE I").hear(200);
    let data = client.data();
    client.say("RETR endless").hear(150);
    let mut stream = data.stream();
    stream.read_exact(&mut [0; 1000]).unwrap();
    let before = server.log().len();
    server.signal(Signal::SIGUSR1);
    eventually("a line for each session", PATIENCE, || {
        server
            .log()
            .split_off(before)
            .iter()
            .filter(|line| line.contains("127.0.0.1"))
            .count()
            >= 2
    });
    let lines = server.log().split_off(before);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("anonymous") && line.contains("RETR")),
        "{lines:#?}"
    );
}

#[test]
fn signals_that_mean_nothing_here_do_no_harm() {
    let share = Share::new();
    let mut server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for signal in [Signal::SIGHUP, Signal::SIGPIPE, Signal::SIGUSR1] {
        server.signal(signal);
        client.hear_nothing();
    }
    assert!(server.runs());
}

#[test]
fn the_start_says_where_it_listens_and_what_it_may_cost() {
    let share = Share::new();
    let server = Server::start(&share, &["--max-clients", "3", "--max-per-ip", "3"]);
    Client::connect(&server);
    let log = server.log();
    assert!(
        log.iter()
            .any(|line| line.contains("KiB") || line.contains("MiB") || line.contains("bytes")),
        "no memory bound: {log:#?}"
    );
    let server = Server::start(&share, &["--passive-ports", "40100-40101"]);
    server.wait_for_log("40100-40101");
    assert!(
        server.log().iter().any(|line| line.contains("WARN")),
        "a range smaller than the seats: {:#?}",
        server.log()
    );
}

#[test]
fn a_full_house_costs_no_more_than_the_start_said() {
    let share = Share::new();
    share.write_sparse("endless", 1 << 40);
    for number in 0..3000 {
        fs::write(share.path(format!("{number:04}{}", "n".repeat(200))), "").unwrap();
    }
    let seats = 16;
    let server = Server::start(
        &share,
        &["--max-clients", "16", "--max-per-ip", "16", "--writable"],
    );
    let line = server.wait_for_log("KiB of memory");
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "KiB").unwrap();
    let promised: u64 = words[at - 1].parse().unwrap();
    let before = server.memory_kib();
    let mut guests = Vec::new();
    for number in 0..seats {
        let mut client = Client::login(&server);
        client
            .say(if number % 2 == 0 { "TYPE I" } else { "TYPE A" })
            .hear(200);
        client
            .raw(format!("CWD {}\r\n", "d/".repeat(2000)).as_bytes())
            .hear(550);
        client.say("STAT /").hear_any();
        client.list("-R");
        let data = client.data();
        let line = ["RETR endless", "STOR up", "LIST", "MLSD"][number % 4].to_owned();
        client
            .say(if line == "STOR up" {
                format!("STOR up{number}")
            } else {
                line
            })
            .hear(150);
        let mut stream = data.stream();
        if number % 4 == 1 {
            stream.write_all(&noise(1 << 20)).unwrap();
        } else {
            stream.read_exact(&mut [0; 100]).unwrap();
        }
        guests.push((client, stream));
    }
    let grown = server.memory_kib().saturating_sub(before);
    assert!(
        grown <= promised,
        "{seats} clients cost {grown} KiB, {promised} KiB were promised"
    );
}

#[test]
fn more_than_one_address_is_listened_at() {
    let share = Share::new();
    let server = Launch::new()
        .listen("127.0.0.1:0")
        .listen("127.0.0.2:0")
        .start(&share);
    assert_eq!(server.addresses().len(), 2);
    for address in server.addresses() {
        let mut client = Client::knock(*address);
        client.hear(220);
        client.say("USER a").hear(331);
        client.say("PASS b").hear(230);
        assert_eq!(client.pasv().ip(), address.ip());
    }
}

#[test]
fn memory_and_threads_do_not_grow_with_what_was_served() {
    let share = Share::new();
    share.write("f", noise(100_000));
    let server = Server::start(&share, &["--writable"]);
    let serve = |times: usize| {
        for _ in 0..times {
            let mut client = Client::login(&server);
            client.say("TYPE I").hear(200);
            client.get("f");
            client.put("g", &[0; 100_000]);
            client.list("");
            client.say("QUIT").hear(221);
            client.hear_end();
        }
    };
    serve(20);
    let (memory, threads) = (server.memory_kib(), server.threads());
    serve(100);
    let grown = server.memory_kib().saturating_sub(memory);
    assert!(grown < 256, "a hundred sessions cost {grown} KiB");
    eventually("threads are given back", PATIENCE, || {
        server.threads() <= threads + 1
    });
}

// other lives than in the foreground

/// A server that a test which fails must not leave behind.
struct Detached(Pid);

impl Drop for Detached {
    fn drop(&mut self) {
        if std::thread::panicking() {
            kill(self.0, Signal::SIGKILL).ok();
        }
    }
}

#[test]
fn a_daemon_is_ready_when_its_parent_ends_and_empties_its_pid_file() {
    let share = Share::new();
    share.write("f", "x");
    let (log, pid_file) = (share.outside("log"), share.outside("pid"));
    let (log, pid_file) = (log.to_str().unwrap(), pid_file.to_str().unwrap());
    let top = share.top().to_str().unwrap();
    let output = run_to_end(&[
        "--share",
        top,
        "--listen",
        "127.0.0.1:0",
        "--daemon",
        "--log-file",
        log,
        "--pid-file",
        pid_file,
    ]);
    assert!(output.status.success(), "{output:?}");
    // all of it is there already: nothing is waited for
    let pid: i32 = fs::read_to_string(pid_file)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let daemon = Detached(Pid::from_raw(pid));
    let said = fs::read_to_string(log).unwrap();
    let mut client = Client::knock(places(&said)[0]);
    client.hear(220);
    client.say("USER a").hear(331);
    client.say("PASS b").hear(230);
    assert_eq!(client.nlst(""), ["f"]);
    kill(daemon.0, Signal::SIGTERM).unwrap();
    client.hear(421);
    client.hear_end();
    eventually("it is gone", PATIENCE, || {
        fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
    });
    assert_eq!(fs::read_to_string(pid_file).unwrap(), "");
}

#[test]
fn inetd_serves_the_one_client_on_standard_input() {
    let share = Share::new();
    share.write("f", "data");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let control = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let mut child = Command::new(PROGRAM)
        .args([
            "--share",
            share.top().to_str().unwrap(),
            "--inetd",
            "--log-file",
        ])
        .arg(share.outside("log"))
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(accepted)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut client = Client::over(control);
    client.hear(220);
    client.say("USER a").hear(331);
    client.say("PASS b").hear(230);
    client.say("TYPE I").hear(200);
    assert_eq!(client.get("f"), b"data");
    let mut client = client.by(Mode::Port);
    assert_eq!(client.get("f"), b"data");
    client.say("QUIT").hear(221);
    client.hear_end();
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_log_goes_to_a_file_and_is_appended_to() {
    let share = Share::new();
    let log = share.outside("log");
    fs::write(&log, "what was there\n").unwrap();
    let mut child = Command::new(PROGRAM)
        .args([
            "--share",
            share.top().to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--log-file",
        ])
        .arg(&log)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _guard = Detached(Pid::from_raw(i32::try_from(child.id()).unwrap()));
    let found = || places(&fs::read_to_string(&log).unwrap());
    eventually("it listens", PATIENCE, || !found().is_empty());
    let place = found()[0];
    let mut client = Client::knock(place);
    client.hear(220);
    client.say("QUIT").hear(221);
    client.hear_end();
    // copytruncate: the file is emptied under its hands
    fs::write(&log, "").unwrap();
    let mut client = Client::knock(place);
    client.hear(220);
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    client.hear(421);
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(child.wait().unwrap().success());
    let said = fs::read_to_string(&log).unwrap();
    assert!(
        said.contains("127.0.0.1") && !said.contains('\0'),
        "{said:?}"
    );
    assert_eq!(stderr, "");
}

#[test]
fn syslog_is_written_to_as_ftp_and_its_loss_is_survived() {
    if !is_root() || fs::exists("/dev/log").unwrap_or(true) {
        return skip("needs root and a machine without a log daemon");
    }
    use std::os::unix::net::UnixDatagram;
    let share = Share::new();
    let socket = share.outside("devlog");
    let daemon = UnixDatagram::bind(&socket).unwrap();
    daemon.set_read_timeout(Some(PATIENCE)).unwrap();
    // its own /dev, with our socket in it
    let script = format!(
        "mount -t tmpfs none /dev && touch /dev/null /dev/log && mount --bind '{}' /dev/log && exec \"$@\"",
        socket.display()
    );
    let server = Launch::new()
        .under(&[
            "unshare",
            "-m",
            "--propagation",
            "private",
            "sh",
            "-c",
            &script,
            "sh",
        ])
        .flags(&["--syslog"]);
    let mut child = server.listen("127.0.0.1:0").spawn(&share);
    let _guard = Detached(Pid::from_raw(i32::try_from(child.id()).unwrap()));
    let mut line = [0; 2000];
    let mut said = String::new();
    while !said.contains("listening on") {
        let len = daemon.recv(&mut line).unwrap();
        said = String::from_utf8_lossy(&line[..len]).into_owned();
        let priority: u32 = said
            .strip_prefix('<')
            .and_then(|rest| rest.split('>').next())
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(priority / 8, 11, "facility ftp: {said}");
        assert!(said.contains("pocketftpd"), "{said}");
    }
    drop(daemon);
    let mut client = Client::knock(places(&said)[0]);
    client.hear(220);
    client.say("USER a").hear(331);
    client.say("PASS b").hear(230);
    client.say("QUIT").hear(221);
    client.hear_end();
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert!(
        stderr.contains("127.0.0.1"),
        "lines fall back to standard error: {stderr:?}"
    );
}

#[test]
fn a_listener_that_is_busy_is_not_disturbed_by_octets_before_the_greeting() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut early = TcpStream::connect(server.address()).unwrap();
    early.write_all(b"USER a\r\nPASS b\r\nQUIT\r\n").unwrap();
    let mut client = Client::over(early);
    client.hear(220);
    client.expect(&["USER", "PASS", "QUIT"]);
    client.hear(331);
    client.hear(230);
    client.hear(221);
    client.hear_end();
}
