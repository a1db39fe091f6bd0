//! The control connection: how lines come in, how replies go out (FIELD-NOTES 5.1; RFC 959 4, RFC 854, RFC 1123 4.1.2).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::io::Read;
use std::time::{Duration, Instant};

use common::{Client, Data, Launch, Reply, Server, Share, eventually, noise};

/// Every send of the server that `strace` saw, as strace writes it between the quotes.
fn sends(trace: &str) -> Vec<String> {
    let calls = trace.lines().filter(|line| !line.contains("(2, "));
    let starts = calls.filter_map(|line| line.split_once('"'));
    starts
        .filter_map(|(_, rest)| rest.rsplit_once('"'))
        .map(|(sent, _)| sent.to_owned())
        .collect()
}

/// A reply as strace writes it.
fn as_traced(reply: &Reply) -> String {
    let lines = reply.lines.iter().map(|line| {
        String::from_utf8_lossy(line)
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
    });
    lines.map(|line| line + "\\r\\n").collect()
}

#[test]
fn b01_every_reply_is_one_send_and_only_pasv_is_answered_with_227() {
    let share = Share::new();
    share.write("f", "data");
    share.mkdir("d");
    let Some(launch) = Launch::traced(
        &share,
        &["-s", "9999", "-e", "trace=write,writev,sendto,sendmsg"],
    ) else {
        return;
    };
    let server = launch.flags(&["--writable"]).start(&share);
    let mut client = Client::knock(server.address());
    let mut heard = vec![client.hear(220)];
    for line in [
        "NOOP",
        "RETR f",
        "XYZZY",
        "USER anonymous",
        "PASS guest",
        "FEAT",
        "HELP",
        "HELP RETR",
        "SITE HELP",
        "STAT",
        "MLST f",
        "MLST",
        "SYST",
        "PWD",
        "CWD d",
        "CWD /absent",
        "CDUP",
        "TYPE I",
        "TYPE E",
        "SIZE f",
        "MDTM f",
        "REST 2",
        "MKD made",
        "RNFR made",
        "RNTO renamed",
        "RMD renamed",
        "OPTS UTF8 ON",
        "OPTS MLST type;size;",
        "EPSV ALL",
        "EPSV",
        "ABOR",
        "STRU F",
        "MODE S",
        "ALLO 1",
        "ACCT x",
        "REIN",
        "USER anonymous",
        "PASS guest",
        "PASV",
        "PORT 1,2,3",
        "NOOP",
        "DELE f",
        "QUIT",
    ] {
        client.say(line);
        heard.push(client.hear_any());
    }
    client.hear_end();
    let text = || std::fs::read_to_string(share.outside("trace")).unwrap_or_default();
    eventually("the trace is written", common::PATIENCE, || {
        text().contains(&as_traced(heard.last().unwrap()))
    });
    let sent = sends(&text());
    for reply in &heard {
        let wanted = as_traced(reply);
        assert!(
            sent.contains(&wanted),
            "not in one send: {wanted}\nthese were sent: {sent:#?}"
        );
    }
    for one in &sent {
        assert!(
            one.ends_with("\\r\\n"),
            "a send that does not end a line: {one}"
        );
    }
    assert_eq!(
        sent.iter().filter(|one| one.starts_with("227")).count(),
        1,
        "{sent:#?}"
    );
    assert_eq!(
        sent.iter().filter(|one| one.starts_with("229")).count(),
        1,
        "{sent:#?}"
    );
    assert_eq!(sent.len(), heard.len(), "{sent:#?}");
}

#[test]
fn what_one_read_brings_is_answered_in_one_send_but_data_replies_wait_for_nothing() {
    let share = Share::new();
    share.write("f", "data");
    let Some(launch) = Launch::traced(
        &share,
        &["-s", "9999", "-e", "trace=write,writev,sendto,sendmsg"],
    ) else {
        return;
    };
    let server = launch.start(&share);
    let mut client = Client::login(&server);
    let mut ask = |lines: &[&str]| {
        client.raw(format!("{}\r\n", lines.join("\r\n")).as_bytes());
        let verbs = lines.iter().filter_map(|line| line.split(' ').next());
        client.expect(&verbs.collect::<Vec<_>>());
        let heard = lines.iter().map(|_| as_traced(&client.hear_any()));
        heard.collect::<Vec<String>>()
    };
    let noops = ask(&["NOOP"; 16]);
    let mixed = ask(&["PWD", "PASV", "NOOP", "SYST", "RETR absent", "NOOP", "PWD"]);
    let long = ask(&["NOOP", "HELP", "HELP", "NOOP"]);
    client.raw(b"NOOP\r\n\r\n").expect(&["NOOP"]).hear(200);
    client.raw(b"SYST\r\nQUIT\r\n").expect(&["SYST", "QUIT"]);
    let last = [client.hear(215), client.hear(221)].map(|reply| as_traced(&reply));
    client.hear_end();
    let text = || std::fs::read_to_string(share.outside("trace")).unwrap_or_default();
    eventually("the trace is written", common::PATIENCE, || {
        text().contains("221 ")
    });
    let sent = sends(&text());
    let after_log_in = sent.iter().position(|one| one.starts_with("230")).unwrap() + 1;
    let expected = [
        noops.concat(),
        mixed[0].clone(),
        mixed[1].clone(),
        // NOOP and SYST go with the refusal of RETR, which does not wait for those behind it.
        mixed[2..5].concat(),
        mixed[5..].concat(),
        // Two texts of HELP are more than one segment takes for sure.
        long[..2].concat(),
        long[2..].concat(),
        "200 Done.\\r\\n".to_owned(),
        last.concat(),
    ];
    assert_eq!(sent[after_log_in..], expected);
}

#[test]
fn b01_stat_of_a_small_directory_is_one_send() {
    let share = Share::new();
    share.write("f", "data");
    let Some(launch) = Launch::traced(
        &share,
        &["-s", "9999", "-e", "trace=write,writev,sendto,sendmsg"],
    ) else {
        return;
    };
    let server = launch.start(&share);
    let mut client = Client::login(&server);
    let heard = [
        client.say("STAT /").hear_one_of(&[212, 213]),
        client.say("STAT f").hear_one_of(&[211, 212, 213]),
    ];
    client.say("QUIT").hear(221);
    client.hear_end();
    let text = || std::fs::read_to_string(share.outside("trace")).unwrap_or_default();
    eventually("the trace is written", common::PATIENCE, || {
        text().contains("221 ")
    });
    let sent = sends(&text());
    for reply in &heard {
        let wanted = as_traced(reply);
        assert!(
            sent.contains(&wanted),
            "not in one send: {wanted}\nthese were sent: {sent:#?}"
        );
    }
}

#[test]
fn b04_case_spaces_and_line_ends_do_not_matter() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for line in [
        &b"noop\n"[..],
        b"NOOP\r\n",
        b"NoOp\r\r\n",
        b"NOOP \r\n",
        b"noop  \n",
    ] {
        client.raw(line).expect(&["NOOP"]).hear(200);
    }
    for nothing in [&b"\r\n"[..], b"\n", b"\r\n\r\n\n"] {
        client.raw(nothing).hear_nothing();
    }
    for odd in [
        &b"NO\x80P\r\n"[..],
        b"NO\xff\xffP\r\n",
        b"N\xffOOP\r\n",
        b"\xc3\x84BOR\r\n",
        b"\x00\r\n",
        b"NO\x00OP\r\n",
    ] {
        client.raw(odd).hear_one_of(&[500, 501]);
        client.hear_nothing();
    }
    client
        .raw(b"type i\r\nTyPe a\r\n")
        .expect(&["TYPE", "TYPE"]);
    client.hear(200);
    client.hear(200);
}

#[test]
fn b05_a_line_that_is_too_long_is_answered_once_and_dropped_to_its_end() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let before = server.memory_kib();
    for part in ["X", "NOOP ", "NOOP\r"] {
        let mut line = part.repeat(100 * 1024 / part.len()).into_bytes();
        line.extend_from_slice(b"\r\n");
        client.raw(&line).hear(500);
        client.hear_nothing();
    }
    let grown = server.memory_kib().saturating_sub(before);
    assert!(grown < 512, "300 KiB of lines cost {grown} KiB");
    // a path as long as the kernel takes one is no long line
    let path = "d/".repeat(2000);
    client.say(format!("CWD {path}")).hear(550);
}

#[test]
fn b05_half_a_line_does_not_hold_a_seat_for_ever() {
    let share = Share::new();
    let server = Server::start(
        &share,
        &[
            "--login-timeout",
            "2",
            "--idle-timeout",
            "2",
            "--max-clients",
            "3",
        ],
    );
    let mut stuck = Client::connect(&server);
    stuck
        .raw(b"USER anonymous\r\nPARTIAL")
        .expect(&["USER"])
        .hear(331);
    let mut dripping = Client::connect(&server);
    // another client is served meanwhile
    let mut other = Client::login(&server);
    other.say("PWD").hear(257);
    // and octets that drip in do not put the end off
    let start = Instant::now();
    dripping.raw(b"N");
    while !dripping.hears_within(Duration::from_millis(100)) {
        assert!(
            start.elapsed() < Duration::from_secs(8),
            "a drip of octets holds the seat"
        );
        dripping.raw(b"O");
    }
    dripping.hear(421);
    stuck.hear(421);
    stuck.hear_end();
}

#[test]
fn b06_commands_in_one_packet_are_answered_in_order() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let said = b"USER a\r\nPASS b\r\nMKD x\r\nCWD x\r\nPWD\r\nNOOP\r\nQUIT\r\n";
    let verbs = ["USER", "PASS", "MKD", "CWD", "PWD", "NOOP", "QUIT"];
    let codes = [331, 230, 257, 250, 257, 200, 221];
    let mut client = Client::connect(&server);
    client.raw(said).expect(&verbs);
    let at_once: Vec<Reply> = codes.iter().map(|code| client.hear(*code)).collect();
    client.hear_end();
    assert!(share.holds("x"));

    std::fs::remove_dir(share.path("x")).unwrap();
    let mut client = Client::connect(&server);
    for octet in said {
        client.raw(&[*octet]);
    }
    client.expect(&verbs);
    let one_by_one: Vec<Reply> = codes.iter().map(|code| client.hear(*code)).collect();
    client.hear_end();
    assert_eq!(one_by_one, at_once);
}

#[test]
fn b06_a_thousand_commands_in_one_packet_are_all_answered() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.raw(&b"NOOP\r\n".repeat(1000));
    client.expect(&["NOOP"; 1000]);
    for _ in 0..1000 {
        client.hear(200);
    }
    client.hear_nothing();
}

/// A download that cannot end by itself, of which one octet has been read.
fn endless_download(client: &mut Client) -> std::net::TcpStream {
    client.say("TYPE I").hear(200);
    let data = client.data();
    client.say("RETR endless").hear(150);
    let mut stream = Data::stream(data);
    stream.read_exact(&mut [0]).unwrap();
    stream
}

#[test]
fn b07_urgent_abor_ends_a_transfer_with_426_and_226() {
    let share = Share::new();
    share.write_sparse("endless", 1 << 40);
    let server = Server::start(&share, &["--writable"]);
    let ways: [fn(&mut Client); 5] = [
        // lftp: IP in line, DM urgent
        |client| {
            client.raw(b"\xff\xf4\xff").urgent(0xf2).raw(b"ABOR\r\n");
        },
        // RFC 959: DM as urgent data
        |client| {
            client
                .raw(b"\xff\xf4")
                .urgent_all(b"\xff\xf2")
                .raw(b"ABOR\r\n");
        },
        // Cisco: all in line
        |client| {
            client.raw(b"\xff\xf4\xff\xf2ABOR\r\n");
        },
        // Python: the whole line urgent
        |client| {
            client.urgent_all(b"ABOR\r\n");
        },
        // curl: plain
        |client| {
            client.raw(b"ABOR\r\n");
        },
    ];
    for (number, way) in ways.iter().enumerate() {
        let mut client = Client::login(&server);
        let mut stream = endless_download(&mut client);
        client.raw(b"");
        way(&mut client);
        client.expect(&["RETR", "ABOR"]);
        assert_eq!(
            client.hear_any().code,
            426,
            "way {number}:\n{}",
            client.dialogue()
        );
        client.hear(226);
        client.hear_nothing();
        // closed, not left open
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).ok();
        client.say("PWD").hear(257);
    }
}

#[test]
fn b07_abor_ends_an_upload_too() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    let data = client.data();
    client.say("STOR up").hear(150);
    let stream = data.stream();
    client.say("ABOR").hear(426);
    client.hear(226);
    drop(stream);
    client.hear_nothing();
    client.put("up", b"again");
    assert_eq!(share.read("up"), b"again");
}

#[test]
fn b07_abor_before_the_data_connection_comes() {
    let share = Share::new();
    share.write("f", "data");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.epsv();
    client.say("RETR f");
    client.say("ABOR");
    let first = client.hear_one_of(&[150, 425, 426]);
    if first.code == 150 {
        client.hear_one_of(&[425, 426]);
    }
    client.hear_one_of(&[225, 226]);
    client.hear_nothing();
}

#[test]
fn b07_abor_with_nothing_to_abort_is_answered_once() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.say("ABOR").hear_one_of(&[225, 226]);
    client.hear_nothing();
    client
        .raw(b"\xff\xf4\xff")
        .urgent(0xf2)
        .raw(b"ABOR\r\n")
        .expect(&["ABOR"])
        .hear_one_of(&[225, 226]);
    client.hear_nothing();
    // a port that waits for its transfer is closed by it
    client.epsv();
    client.say("ABOR").hear_one_of(&[225, 226]);
    client.say("NLST").hear(425);
}

#[test]
fn b07_an_escaped_iac_in_a_name_is_one_octet() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    client.put(b"a\xff\xffb", b"contents");
    assert_eq!(share.names(""), [b"a\xffb"]);
    assert_eq!(client.get(b"a\xff\xffb"), b"contents");
    // four octets of UTF-8 begin with F0, which is a Telnet command only behind an IAC
    let clef = "\u{1d11e} f\u{f0}r \u{1f600}";
    client.put(clef, b"clef");
    assert_eq!(share.read(clef), b"clef");
}

#[test]
fn telnet_options_are_refused_and_never_agreed_to() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.raw(b"\xff\xfd\x01NOOP\r\n");
    assert_eq!(
        client.hear_octets(3),
        b"\xff\xfc\x01",
        "DO is answered with WONT"
    );
    client.hear(200);
    client.raw(b"\xff\xfb\x03NOOP\r\n");
    assert_eq!(
        client.hear_octets(3),
        b"\xff\xfe\x03",
        "WILL is answered with DONT"
    );
    client.hear(200);
    // what is off stays off: no answer, or two servers would chat for ever
    client
        .raw(b"\xff\xfe\x01\xff\xfc\x03NO\xff\xf1OP\r\n")
        .expect(&["NOOP"])
        .hear(200);
    client.hear_nothing();
}

#[test]
fn a_browser_is_hung_up_on() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    for line in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\nUSER a\r\n",
        "POST / HTTP/1.0\r\n\r\nDELE f\r\n",
        "EHLO example.com\r\nMAIL FROM:<a@b>\r\n",
        "HELO example.com\r\n",
    ] {
        let mut client = Client::connect(&server);
        client.raw(line.as_bytes());
        client.hear_one_of(&[421, 500, 501]);
        client.hear_end();
    }
}

#[test]
fn noise_on_the_control_connection_ends_no_one_elses_session() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut other = Client::login(&server);
    for seed in 0..20 {
        let mut client = Client::connect(&server);
        client.raw(&noise(3000 + seed));
        client.raw(b"\r\n");
    }
    other.hear_nothing();
    let mut client = Client::login(&server);
    client.hear_nothing();
    assert!(
        !server.log().iter().any(|line| line.contains("panic")),
        "{:#?}",
        server.log()
    );
}
