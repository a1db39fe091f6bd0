//! TYPE STRU MODE PORT PASV EPRT EPSV, and whose data connections are let in (FIELD-NOTES 2.1 and 5.3; RFC 2428, 2577).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use common::client::{connect, drain, eprt_line, port_line, readable};
use common::{
    Client, Launch, Mode, PATIENCE, Server, Share, eventually, has_ipv6, is_root, noise, skip,
};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, socket};

fn small_share() -> Share {
    let share = Share::new();
    share.write("f", "data");
    share
}

/// Connects from another of this machine's addresses.
fn connect_from(local: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let SocketAddr::V4(to) = to else {
        panic!("IPv4 only")
    };
    let from: SocketAddrV4 = format!("{local}:0").parse().unwrap();
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(from))?;
    nix::sys::socket::connect(socket.as_raw_fd(), &SockaddrIn::from(to))?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// So many neighbouring ports that nobody uses just now, and that the kernel gives nobody who asks for any port.
fn free_ports(count: u16) -> (u16, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 4000).unwrap();
    for _ in 0..1000 {
        let low = 61_000 + (start + NEXT.fetch_add(count, Ordering::Relaxed)) % 4000;
        let high = low + count - 1;
        if (low..=high).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return (low, high);
        }
    }
    panic!("no {count} neighbouring free ports");
}

#[test]
fn b02_the_answers_to_pasv_and_epsv_are_what_clients_parse() {
    let share = small_share();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for _ in 0..20 {
        // each checks the form to the letter
        let passive = client.pasv();
        assert_eq!(passive.ip(), server.address().ip());
        connect(passive);
        connect(client.epsv());
    }
    client.say("PASV x").hear(501);
    client.say("PASV").hear(227);
    client.raw(b"P@SW\r\n").expect(&["PASV"]).hear(227); // what a router makes of PASV
}

#[test]
fn b19_types_structures_and_modes() {
    let share = small_share();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for line in [
        "TYPE A", "TYPE A N", "TYPE AN", "TYPE I", "TYPE L 8", "TYPE L8", "type a", "type i",
        "type a n", "TYPE i", "TYPE l 8", "STRU F", "stru f", "MODE S", "mode s",
    ] {
        client.say(line).hear(200);
    }
    for line in [
        "TYPE E",
        "TYPE A C",
        "TYPE A T",
        "TYPE L 7",
        "TYPE L 36",
        "STRU R",
        "STRU P",
        "MODE B",
        "MODE C",
        "MODE Z",
    ] {
        client.say(line).hear(504);
    }
    for line in ["TYPE", "TYPE  ", "STRU", "MODE"] {
        client.say(line).hear(501);
    }
    for line in [
        "TYPE X", "TYPE II", "STRU X", "MODE XYZ", "TYPE L", "TYPE L x",
    ] {
        client.say(line).hear_one_of(&[501, 504]);
    }
}

#[test]
fn each_kind_of_data_connection_works_both_ways() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let contents = noise(100_000);
    for mode in [Mode::Pasv, Mode::Epsv, Mode::Port, Mode::Eprt] {
        let mut client = Client::login(&server).by(mode);
        client.say("TYPE I").hear(200);
        client.put("f", &contents);
        common::assert_same_octets(&client.get("f"), &contents);
        assert_eq!(client.nlst(""), ["f"]);
    }
}

#[test]
fn ipv6_has_epsv_and_eprt_and_no_pasv() {
    if !has_ipv6() {
        return skip("no IPv6 on this machine");
    }
    let share = small_share();
    let server = Launch::new().listen("[::1]:0").start(&share);
    let mut client = Client::login(&server);
    client.say("TYPE I").hear(200);
    assert_eq!(client.get("f"), b"data");
    let mut client = client.by(Mode::Eprt);
    assert_eq!(client.get("f"), b"data");
    client.say("PASV").hear_one_of(&[425, 500, 501, 502, 522]);
    client
        .say("PORT 127,0,0,1,200,200")
        .hear_one_of(&[500, 501]);
    client
        .say("EPRT |1|127.0.0.1|51400|")
        .hear_one_of(&[501, 522]);
    client.say("EPSV 1").hear(522);
    client.say("EPSV 2").hear(229);
}

#[test]
fn ipv4_over_a_listener_for_both_is_ipv4() {
    if !has_ipv6() {
        return skip("no IPv6 on this machine");
    }
    let share = small_share();
    // no address: all of them, IPv6 and IPv4 (over one socket or two)
    let server = Launch::new().listen("0").start(&share);
    let port = server.port();
    for (address, modes) in [
        (
            "127.0.0.1",
            &[Mode::Pasv, Mode::Epsv, Mode::Port, Mode::Eprt][..],
        ),
        ("::1", &[Mode::Epsv, Mode::Eprt]),
    ] {
        for mode in modes {
            let mut client =
                Client::knock(SocketAddr::new(address.parse().unwrap(), port)).by(*mode);
            client.hear(220);
            client.say("USER a").hear(331);
            client.say("PASS b").hear(230);
            client.say("TYPE I").hear(200);
            assert_eq!(client.get("f"), b"data", "{address} {mode:?}");
            if address == "127.0.0.1" {
                assert_eq!(client.pasv().ip().to_string(), "127.0.0.1");
                client.say("EPSV 1").hear(229);
                client.say("EPSV 2").hear(522);
            }
        }
    }
    drop(server);
}

#[test]
fn epsv_takes_a_family_or_all() {
    let share = small_share();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.say("EPSV 1").hear(229);
    let refused = client.say("EPSV 3").hear(522).line();
    assert!(
        refused.contains("(1,2)") || refused.contains("(1)"),
        "{refused}"
    );
    client.say("EPSV x").hear_one_of(&[501, 522]);
    client.say("EPRT |3|x|1|").hear_one_of(&[501, 522]);
    let elsewhere = client.listener();
    client.say("EPSV ALL").hear(200);
    let local = elsewhere.local_addr().unwrap();
    for line in [
        port_line(local),
        eprt_line(local),
        "PASV".to_owned(),
        "LPRT 4,4,127,0,0,1,2,200,200".to_owned(),
    ] {
        client.say(line).hear_one_of(&[500, 501, 502, 503, 522]);
    }
    assert_eq!(client.nlst(""), ["f"]);
    // a transfer that fails does not lift it
    client.data();
    client.say("RETR absent").hear(550);
    client.say("PASV").hear_one_of(&[500, 501, 502, 503]);
}

#[test]
fn b22_pasv_without_end_leaves_one_listener() {
    if !is_root() {
        return skip("needs root to count the server's descriptors");
    }
    let share = small_share();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.pasv();
    let before = server.descriptors();
    let mut last = client.pasv();
    for _ in 0..5_000 {
        client.pasv();
        last = client.epsv();
    }
    assert_eq!(server.descriptors(), before);
    connect(last);
    client.say("NLST").hear(150);
    client.hear(226);
    assert!(
        server.descriptors() < before,
        "the listener outlives its transfer"
    );
}

#[test]
fn b22_nobody_comes_and_the_session_lives() {
    let share = small_share();
    let server = Server::start(&share, &["--data-timeout", "1"]);
    let mut client = Client::login(&server);
    let before = server.descriptors();
    for line in ["RETR f", "NLST", "LIST", "MLSD"] {
        client.epsv();
        let first = client.say(line).hear_one_of(&[150, 425]);
        if first.code == 150 {
            client.hear(425);
        }
        client.hear_nothing();
    }
    assert_eq!(server.descriptors(), before);
    let remedy = server.wait_for_log("firewall");
    assert!(!remedy.is_empty());
}

#[test]
fn b22_a_client_that_leaves_takes_its_listener_along() {
    let share = small_share();
    let server = Server::start(&share, &[]);
    let before = server.descriptors();
    for by_reset in [false, true] {
        let mut client = Client::login(&server);
        client.pasv();
        if by_reset {
            client.reset();
        } else {
            client.say("QUIT").hear(221);
            client.hear_end();
        }
        eventually("the descriptors are back", PATIENCE, || {
            server.descriptors() == before
        });
    }
}

#[test]
fn b23_a_range_of_ports_is_kept_to_and_does_not_run_dry() {
    let share = small_share();
    let (low, high) = free_ports(2);
    let server = Server::start(&share, &["--passive-ports", &format!("{low}-{high}")]);
    let mut client = Client::login(&server);
    for turn in 0..50 {
        client.mode = if turn % 2 == 0 {
            Mode::Pasv
        } else {
            Mode::Epsv
        };
        let address = if turn % 2 == 0 {
            client.pasv()
        } else {
            client.epsv()
        };
        assert!(
            (low..=high).contains(&address.port()),
            "{address} is not in {low}-{high}"
        );
        assert_eq!(client.nlst(""), ["f"]);
    }
}

#[test]
fn b23_a_range_of_one_port_works_and_two_sessions_take_turns() {
    let share = small_share();
    let (port, _) = free_ports(1);
    let range = format!("{port}-{port}");
    let server = Server::start(&share, &["--passive-ports", &range, "--data-timeout", "2"]);
    let mut one = Client::login(&server);
    let mut two = Client::login(&server);
    for _ in 0..10 {
        assert_eq!(one.nlst(""), ["f"]);
        assert_eq!(two.nlst(""), ["f"]);
    }
    // who comes second waits until the first has used the port
    let place = one.pasv();
    assert_eq!(place.port(), port);
    two.say("PASV");
    assert!(
        !two.hears_within(Duration::from_millis(200)),
        "the same port for two"
    );
    connect(place);
    one.say("NLST").hear(150);
    one.hear(226);
    let line = two.hear(227).line();
    assert!(
        line.ends_with(&format!(",{},{})", port / 256, port % 256)),
        "{line}"
    );
    // or until the first has had it long enough, or hears that there is none
    one.say("EPSV");
    let first = one.hear_one_of(&[229, 425]);
    two.hear_nothing();
    if first.code == 229 {
        two.say("NLST").hear(425);
    }
}

#[test]
fn b24_a_port_command_reaches_nobody_but_its_client() {
    let share = small_share();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    // somebody else, who must not be called
    let victim = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = victim.local_addr().unwrap();
    let line = client
        .say(port_line(address))
        .hear_one_of(&[500, 501])
        .line();
    assert!(line.contains("passive"), "the way out is not told: {line}");
    client.say(eprt_line(address)).hear_one_of(&[500, 501]);
    client.say("NLST").hear(425);
    assert!(
        !readable(&victim, Duration::from_millis(50)),
        "the server called a stranger"
    );
    for port in [0, 1, 21, 22, 1023] {
        client
            .say(format!("PORT 127,0,0,1,{},{}", port / 256, port % 256))
            .hear_one_of(&[500, 501]);
        client
            .say(format!("EPRT |1|127.0.0.1|{port}|"))
            .hear_one_of(&[500, 501]);
    }
    client.say("NLST").hear(425);
}

#[test]
fn b24_a_stranger_at_the_passive_port_is_sent_away_and_the_client_still_served() {
    let share = small_share();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for mode in [Mode::Pasv, Mode::Epsv] {
        let address = if mode == Mode::Pasv {
            client.pasv()
        } else {
            client.epsv()
        };
        let mut stranger = connect_from("127.0.0.2", address).unwrap();
        let second_stranger = connect_from("127.0.0.3", address).unwrap();
        client.say("NLST");
        let mut right = connect(address);
        right.set_read_timeout(Some(PATIENCE)).unwrap();
        client.hear(150);
        assert_eq!(drain(&mut right), b"f\r\n");
        client.hear(226);
        let mut heard = Vec::new();
        stranger.read_to_end(&mut heard).ok();
        assert!(heard.is_empty(), "a stranger got {heard:?}");
        drop(second_stranger);
    }
}

#[test]
fn b24_mapped_addresses_are_ipv4_addresses() {
    let share = small_share();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server).by(Mode::Eprt);
    let listener = client.listener();
    let port = listener.local_addr().unwrap().port();
    client
        .say(format!("EPRT |2|::ffff:127.0.0.1|{port}|"))
        .hear_one_of(&[200, 501, 522]);
    assert_eq!(client.nlst(""), ["f"]);
}

#[test]
fn b25_what_is_no_address_is_refused_and_leaves_no_older_one() {
    let share = small_share();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let digits = "9".repeat(1024);
    let lines = [
        "PORT 1,2,3",
        "PORT 127,0,0,1,200",
        "PORT 127,0,0,1,200,256",
        "PORT 127,0,0,1,200,200,7",
        "PORT 127,0,0,1,200,200,",
        "PORT -1,0,0,1,200,200",
        "PORT 127,0,0,1,200,-1",
        "PORT 127.0.0.1.200.200",
        "PORT 127,0,0,1,,200",
        "PORT a,b,c,d,e,f",
        "PORT 127,0,0,1,0x10,1",
        "PORT 127, 0, 0, 1, 200, 200x",
        "EPRT |1|127.0.0.1|",
        "EPRT |1|127.0.0.1|70000|",
        "EPRT |1|127.0.0.1|-1|",
        "EPRT |1|1.2.3|51400|",
        "EPRT |3|x|1|",
        "EPRT |2|127.0.0.1|51400|",
        "EPRT |1|::1|51400|",
        "EPRT 1|127.0.0.1|51400|",
        "EPRT |1|127.0.0.1|51400",
        "EPRT ||||",
        "EPRT |1|127.0.0.1|51400|x",
        "EPRT x1x127.0.0.1x51400x",
    ];
    let long_lines = [
        format!("PORT {digits}"),
        format!("PORT 127,0,0,1,{digits},1"),
        format!("EPRT |1|127.0.0.1|{digits}|"),
    ];
    for line in lines
        .into_iter()
        .chain(long_lines.iter().map(String::as_str))
    {
        let data = client.data();
        let first = client.say(line).hear_one_of(&[200, 500, 501, 522]);
        if first.code == 200 {
            assert_eq!(
                line, "EPRT x1x127.0.0.1x51400x",
                "any delimiter is allowed, nothing else"
            );
            continue;
        }
        client.say("RETR f").hear(425);
        drop(data);
    }
    client
        .say(format!("PORT {}", "9".repeat(10 * 1024)))
        .hear_one_of(&[500, 501]);
    client.say("TYPE I").hear(200);
    assert_eq!(client.get("f"), b"data");
}

#[test]
fn b25_port_without_an_address_leaves_no_older_one_either() {
    let share = small_share();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for line in ["PORT", "EPRT"] {
        let data = client.data();
        client.say(line).hear(501);
        client.say("RETR f").hear(425);
        drop(data);
    }
}

#[test]
fn what_is_switched_off_is_refused_and_not_offered() {
    let share = small_share();
    for (flags, refused, hidden) in [
        (
            &["--no-active"][..],
            &["PORT 127,0,0,1,200,200", "EPRT |1|127.0.0.1|51400|"][..],
            &["EPRT"][..],
        ),
        (&["--no-passive"], &["PASV", "EPSV", "EPSV ALL"], &["EPSV"]),
        (&["--no-epsv"], &["EPSV", "EPSV ALL"], &["EPSV"]),
    ] {
        let server = Server::start(&share, flags);
        let mut client = Client::login(&server);
        for line in refused {
            client.say(line).hear(502);
        }
        let features = client.say("FEAT").hear(211).inner();
        let help = client
            .say("HELP")
            .hear_one_of(&[211, 214])
            .inner()
            .join(" ");
        for verb in hidden {
            assert!(
                !features.iter().any(|line| line.trim().starts_with(verb)),
                "{flags:?}: {features:?}"
            );
            let words: Vec<&str> = help.split(|it: char| !it.is_ascii_alphanumeric()).collect();
            assert!(!words.contains(verb), "{flags:?}: {help}");
        }
        client.mode = if flags == ["--no-passive"] {
            Mode::Port
        } else {
            Mode::Pasv
        };
        assert_eq!(client.nlst(""), ["f"]);
    }
}

#[test]
fn the_public_address_is_not_for_those_who_are_near() {
    let share = small_share();
    let server = Server::start(&share, &["--public-address", "203.0.113.7"]);
    let mut client = Client::login(&server);
    assert_eq!(client.pasv().ip().to_string(), "127.0.0.1");
    assert_eq!(client.by(Mode::Pasv).nlst(""), ["f"]);
}

#[test]
fn an_active_client_that_cannot_be_reached_is_told_what_to_do() {
    let share = small_share();
    let server = Server::start(&share, &["--data-timeout", "2"]);
    let mut client = Client::login(&server);
    let gone = client.listener().local_addr().unwrap();
    for line in [port_line(gone), eprt_line(gone)] {
        client.say(line).hear(200);
        let start = Instant::now();
        let mut last = client.say("NLST").hear_one_of(&[150, 425]);
        if last.code == 150 {
            last = client.hear(425);
        }
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(last.line().contains("passive"), "{}", last.line());
        // it is spent
        client.say("NLST").hear(425);
    }
}

#[test]
fn active_connections_leave_from_the_address_that_was_reached() {
    let share = small_share();
    let server = Launch::new().listen("127.0.0.5:0").start(&share);
    let mut client = Client::login(&server);
    let listener = client.port();
    client.say("NLST");
    let mut stream = common::client::accept(&listener);
    assert_eq!(stream.peer_addr().unwrap().ip().to_string(), "127.0.0.5");
    client.hear(150);
    stream.write_all(b"").unwrap();
    assert_eq!(drain(&mut stream), b"f\r\n");
    client.hear(226);
    assert_eq!(client.pasv().ip().to_string(), "127.0.0.5");
}
