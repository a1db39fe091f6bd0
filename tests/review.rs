//! What a hostile reading of the source found: each test is one sequence that once went wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{Backlog, MsgFlags, listen, send};

use nix::unistd::Pid;
use rustix::fs::XattrFlags;

use common::client::port_line;
use common::server::PROGRAM;
use common::share::NOBODY;
use common::{
    Client, Launch, PATIENCE, Server, Share, assert_same_octets, eventually, is_root, noise, skip,
};

/// `openssl passwd -6` of `secret`.
const ANN: &str = "ann:$6$pocketftpd$4ZNfGz/ABcmoC1jSk8dbkqrRnjRarxqM9UiG1u5jp3q1BdorkiKNWEpk1s6oM7iaW2ewUcAwrFGKDmKjygMOg0\n";

/// A server that knows ann, and lets anonymous clients in.
fn with_ann(share: &Share, flags: &[&str]) -> Server {
    let users = share.outside("users");
    std::fs::write(&users, ANN).unwrap();
    Launch::new()
        .flags(&["--users", users.to_str().unwrap(), "--anonymous"])
        .flags(flags)
        .start(share)
}

fn binary(server: &Server) -> Client {
    let mut client = Client::login(server);
    client.say("TYPE I").hear(200);
    client
}

#[test]
fn an_urgent_octet_in_an_upload_does_not_make_the_server_spin() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let (before, after) = (noise(300_000), noise(100_000));
    let data = client.data();
    client.say("STOR f").hear(150);
    let mut stream = data.stream();
    stream.write_all(&before).unwrap();
    eventually("what came first is in the file", PATIENCE, || {
        share.read("f").len() == before.len()
    });
    let time = server.cpu_time();
    assert_eq!(send(stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB), Ok(1));
    stream.write_all(&after).unwrap();
    eventually("the urgent octet is passed over", PATIENCE, || {
        share.read("f").len() == before.len() + after.len()
    });
    assert!(server.cpu_time() - time < Duration::from_secs(1));
    drop(stream);
    client.hear(226);
    assert_same_octets(&share.read("f"), &[&before[..], &after].concat());
}

#[test]
fn an_urgent_octet_is_not_taken_for_the_end_of_an_upload() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let (before, after) = (noise(300_000), noise(100_000));
    for _ in 0..20 {
        let data = client.data();
        client.say("STOR f").hear(150);
        let mut stream = data.stream();
        stream.write_all(&before).unwrap();
        assert_eq!(send(stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB), Ok(1));
        stream.write_all(&after).unwrap();
        drop(stream);
        client.hear(226);
        assert_same_octets(&share.read("f"), &[&before[..], &after].concat());
    }
}

#[test]
fn an_upload_that_is_there_before_it_is_asked_for_is_taken_whole() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let (before, after) = (noise(700), noise(300));
    // A file of 128 KiB fills the server's room, and then its end has still to be looked for.
    for pieces in [
        vec![],
        vec![noise(1)],
        vec![noise(131_072)],
        vec![before, after],
    ] {
        let mut stream = client.data().stream();
        for (place, piece) in pieces.iter().enumerate() {
            if place > 0 {
                assert_eq!(send(stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB), Ok(1));
            }
            stream.write_all(piece).unwrap();
        }
        drop(stream);
        client.say("STOR f").hear(150);
        client.hear(226);
        assert_same_octets(&share.read("f"), &pieces.concat());
    }
}

#[test]
fn a_stat_behind_a_long_stat_is_answered_too() {
    let share = Share::new();
    for number in 0..600 {
        share.write(format!("f{number}"), "");
    }
    let server = Server::start(&share, &[]);
    let mut client = binary(&server);
    client
        .raw(b"STAT /\r\nSTAT\r\nNOOP\r\n")
        .expect(&["STAT", "STAT", "NOOP"]);
    assert_eq!(client.hear(212).inner().len(), 600);
    client.hear(211);
    client.hear(200);
}

#[test]
fn a_password_out_of_order_is_no_guess_and_ends_no_session() {
    let share = Share::new();
    let server = with_ann(&share, &["--login-timeout", "2"]);
    let mut guest = Client::login(&server);
    // Once this one is sent away, the time that the guest had to log in has passed too.
    Client::connect(&server).hear(421);
    let mut guesser = Client::connect(&server);
    guesser.say("USER ann").hear(331);
    guesser.say("PASS wrong").hear(530);
    for _ in 0..3 {
        guest.say("PASS x").hear(503);
    }
    guest.say("NOOP").hear(200);
}

#[test]
fn an_anonymous_log_in_between_does_not_forgive_wrong_passwords() {
    let share = Share::new();
    let server = with_ann(&share, &[]);
    let mut client = Client::connect(&server);
    for _ in 0..2 {
        client.say("USER ann").hear(331);
        client.say("PASS wrong").hear(530);
    }
    client.say("USER anonymous").hear(331);
    client.say("PASS x").hear(230);
    client.say("USER ann").hear(331);
    client.say("PASS wrong").hear(421);
    client.hear_end();
}

#[test]
fn what_is_no_command_still_ends_the_life_of_rnfr() {
    let share = Share::new();
    share.write("f", "data");
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    for line in ["TOOLONG x".to_owned(), format!("NOOP {}", "x".repeat(5000))] {
        client.say("RNFR f").hear(350);
        client.say(line).hear(500);
        client.say("RNTO g").hear(503);
    }
    assert!(share.path("f").exists());
}

#[test]
fn port_without_an_address_forgets_the_endpoint_before() {
    let share = Share::new();
    share.write("f", "data");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for verb in ["PORT", "EPRT"] {
        let data = client.data();
        client.say(verb).hear(501);
        client.say("RETR f").hear(425);
        drop(data);
    }
}

#[test]
fn an_active_connection_is_opened_only_once_it_stands() {
    let share = Share::new();
    let server = Server::start(&share, &["--data-timeout", "1"]);
    let mut client = Client::login(&server);
    let listener = client.listener();
    let address = listener.local_addr().unwrap();
    // A queue that is full: whoever connects now gets no answer.
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let within = Duration::from_millis(100);
    let full: Vec<_> = (0..3)
        .map(|_| TcpStream::connect_timeout(&address, within))
        .collect();
    client.say(port_line(address)).hear(200);
    client.say("NLST").hang_up();
    client.hear(425);
    drop(full);
}

#[test]
fn where_port_20_cannot_be_had_the_start_says_so() {
    let share = Share::new();
    // A system that gives low ports to everybody lets it serve.
    let open = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .is_ok_and(|start| start.trim().parse::<u16>().is_ok_and(|start| start <= 20));
    if open {
        return skip("this system gives low ports to everybody");
    }
    let output = Launch::as_plain_user(&share)
        .flags(&["--active-from-20"])
        .run_to_end(&share);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("--active-from-20") && said.contains("root"),
        "{said}"
    );
}

#[test]
fn an_access_list_lets_a_client_in_as_the_kernel_does() {
    if !is_root() {
        return skip("only root can make a directory of somebody else's");
    }
    let share = Share::new();
    share.write("theirs/f", "data");
    let theirs = share.path("theirs");
    std::os::unix::fs::chown(&theirs, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&theirs, std::fs::Permissions::from_mode(0o700)).unwrap();
    // acl(5) as the kernel stores it: version 2, then tag, rights and number of each entry.
    let anybody = u32::MAX;
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 7, anybody),
        (0x02, 7, NOBODY),
        (0x04, 0, anybody),
        (0x10, 7, anybody),
        (0x20, 0, anybody),
    ];
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, rights, number) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(number.to_le_bytes());
    }
    let name = "system.posix_acl_access";
    if rustix::fs::setxattr(&theirs, name, &list, XattrFlags::empty()).is_err() {
        return skip("this file system has no access lists");
    }
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.say("CWD theirs").hear(250);
    assert_eq!(client.nlst(""), ["f"]);
}

#[test]
fn a_file_without_any_right_can_be_given_some_again() {
    let share = Share::new();
    share.write("f", "data");
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    client.say("SITE CHMOD 000 f").hear(200);
    client.say("MFMT 20200102030405 f").hear(213);
    client.say("SITE CHMOD 644 f").hear(200);
    assert_eq!(client.get("f"), b"data");
}

/// A client of a server that inetd has started for it alone.
fn by_inetd(share: &Share) -> (Client, Child) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let control = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let child = Command::new(PROGRAM)
        .args(["--share", share.top().to_str().unwrap(), "--inetd"])
        .stdin(Stdio::from(OwnedFd::from(accepted)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut client = Client::over(control);
    client.hear(220);
    (client, child)
}

#[test]
fn a_session_of_inetds_can_be_stopped() {
    let share = Share::new();
    let (mut client, mut child) = by_inetd(&share);
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    client.hear(421);
    client.hear_end();
    assert!(child.wait().unwrap().success());
}

#[test]
fn who_waits_for_a_data_connection_hears_that_the_server_stops() {
    let share = Share::new();
    let mut server = Server::start(&share, &["--log-level", "debug"]);
    let mut client = Client::login(&server);
    client.epsv();
    client.say("NLST");
    server.wait_for_log("< NLST");
    server.signal(Signal::SIGTERM);
    client.hear(425);
    client.hear(421);
    client.hear_end();
    assert!(server.ended(PATIENCE).success());
}

#[test]
fn telnets_own_octets_do_not_prolong_a_wait_for_the_data_connection() {
    let share = Share::new();
    share.write("f", "x");
    let server = Server::start(&share, &["--data-timeout", "1"]);
    let control = common::client::connect(server.address());
    let mut flood = control.try_clone().unwrap();
    let mut client = Client::over(control);
    client.hear(220);
    client.say("USER anonymous").hear(331);
    client.say("PASS x").hear(230);
    client.pasv();
    client.say("RETR f");
    let began = Instant::now();
    let over = AtomicBool::new(false);
    let heard = std::thread::scope(|scope| {
        scope.spawn(|| {
            // IAC NOP, without a gap
            let nothing = b"\xff\xf1".repeat(500);
            while !over.load(Ordering::Relaxed) {
                flood.write_all(&nothing).unwrap();
            }
        });
        let heard = client.hears_within(Duration::from_secs(8));
        over.store(true, Ordering::Relaxed);
        heard
    });
    assert!(heard, "nothing after {:?}", began.elapsed());
    client.hear(425);
}

#[test]
fn a_device_in_the_share_can_be_renamed_behind_the_second_wall() {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let share = Share::new();
    let devices = [("char", SFlag::S_IFCHR), ("block", SFlag::S_IFBLK)];
    for (name, kind) in devices {
        if mknod(&share.path(name), kind, Mode::S_IRUSR, makedev(7, 0)).is_err() {
            skip("needs root to make devices");
            return;
        }
    }
    share.mkdir("below");
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    for (name, _) in devices {
        client.say(format!("RNFR {name}")).hear(350);
        client.say(format!("RNTO below/{name}")).hear(250);
        assert!(share.holds(format!("below/{name}")));
    }
}

#[test]
fn an_active_port_that_nobody_listens_at_fills_no_log() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    // Bound, so that nobody else gets it, and not listening.
    let silent = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Stream,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    nix::sys::socket::bind(
        silent.as_raw_fd(),
        &nix::sys::socket::SockaddrIn::new(127, 0, 0, 1, 0),
    )
    .unwrap();
    let silent = TcpListener::from(silent);
    let line = port_line(silent.local_addr().unwrap());
    let began = Instant::now();
    for _ in 0..100 {
        client.say(&line).hear(200);
        client.say("LIST").hear(425);
    }
    client.say("QUIT").hear(221);
    server.wait_for_log("left");
    let told = server.log();
    let told = told.iter().filter(|line| line.contains("refuses the data"));
    let most = 1 + began.elapsed().as_secs() / 10;
    assert!((1..=most).contains(&(told.count() as u64)));
}
