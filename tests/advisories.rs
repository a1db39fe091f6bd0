//! One test for each class of vulnerability that FTP servers have had in the public record.
//!
//! A doc line names cases of the class where they have a number that could be looked up; where none is named the class
//! is known from RFC 2577 or from practice.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pocketftpd::verbs::{Needs, Offer, VERBS};

use common::client::{connect, connect_from, drain, eprt_line, port_line, readable};
use common::{Client, Mode, PATIENCE, Server, Share, assert_same_octets, eventually, noise};

/// A share with a secret beside it, which no client may see or change.
fn guarded() -> Share {
    let share = Share::new();
    share.write("f", "data");
    share.write("d/f", "deeper");
    fs::create_dir(share.outside("out")).unwrap();
    fs::set_permissions(share.outside("out"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(share.outside("out/secret"), "SECRET").unwrap();
    fs::set_permissions(
        share.outside("out/secret"),
        fs::Permissions::from_mode(0o666),
    )
    .unwrap();
    share
}

#[track_caller]
fn is_untouched(share: &Share) {
    let names: Vec<_> = fs::read_dir(share.outside("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["secret"]);
    assert_eq!(fs::read(share.outside("out/secret")).unwrap(), b"SECRET");
    let mode = |name: &str| fs::metadata(share.outside(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("out"), mode("out/secret")), (0o777, 0o666));
    assert_eq!(
        fs::read_dir(share.outside("")).unwrap().count(),
        2,
        "beside the share"
    );
}

fn writer(server: &Server) -> Client {
    let mut client = Client::login(server);
    client.say("TYPE I").hear(200);
    client
}

/// The bounce attack: CVE-1999-0017, RFC 2577 3.
#[test]
fn bounce_a_data_connection_goes_to_nobody_but_the_client() {
    let share = guarded();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let victim = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = victim.local_addr().unwrap();
    let mapped = format!("EPRT |2|::ffff:127.0.0.2|{}|", address.port());
    for line in [port_line(address), eprt_line(address), mapped] {
        client.say(line).hear_one_of(&[501, 522]);
        client.say("RETR f").hear(425);
    }
    // not to the client's own mail server either
    client.say("PORT 127,0,0,1,0,25").hear(501);
    client.say("EPRT |1|127.0.0.1|1023|").hear(501);
    client.say("RETR f").hear(425);
    assert!(!readable(&victim, Duration::from_millis(50)));
}

/// Stealing a passive connection ("pizza thief"): CVE-1999-0351, RFC 2577 8.
#[test]
fn passive_theft_a_stranger_at_the_port_gets_nothing() {
    let share = guarded();
    let server = Server::start(&share, &["--writable"]);
    let mut client = writer(&server);
    let address = client.pasv();
    let from = socket_from("127.0.0.2");
    let mut thief = from(address);
    client.say("RETR f");
    let mut own = connect(address);
    own.set_read_timeout(Some(PATIENCE)).unwrap();
    client.hear(150);
    assert_eq!(drain(&mut own), b"data");
    client.hear(226);
    let mut stolen = Vec::new();
    thief.read_to_end(&mut stolen).ok();
    assert!(stolen.is_empty());
    // nor is a stranger's upload taken
    let address = client.pasv();
    let mut thief = from(address);
    thief.write_all(b"forged").ok();
    client.say("STOR g");
    let mut own = connect(address);
    client.hear(150);
    own.write_all(b"genuine").unwrap();
    drop(own);
    client.hear(226);
    assert_eq!(share.read("g"), b"genuine");
}

/// Connections from there, whose reads end some time.
fn socket_from(local: &'static str) -> impl Fn(std::net::SocketAddr) -> TcpStream {
    move |to| {
        let stream = connect_from(local.parse().unwrap(), to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// Traversal, in the syntaxes of every system: CVE-1999-0082 (`~root`), CVE-2001-0054 (`..%20.`), CVE-2010-3867.
#[test]
fn traversal_no_syntax_leads_out_of_the_share() {
    let share = guarded();
    let server = Server::start(&share, &["--writable"]);
    let mut client = writer(&server);
    let real = share.outside("out/secret");
    let prefixes = [
        "../out/",
        "../../out/",
        "/../out/",
        "//..//out/",
        "d/../../out/",
        "./.././out/",
        "....//out/",
        "..\\out\\",
        "\\..\\out\\",
        "..%2fout/",
        "%2e%2e/out/",
        "..%20./out/",
        "..%c0%afout/",
        "~/../out/",
        "~root/../out/",
        "*/../../out/",
        "d/./../..//out/",
        "-la ../out/",
        "C:/../out/",
        "..;/out/",
        ".. /out/",
        "/proc/self/root/",
        "/proc/self/cwd/../out/",
    ];
    for prefix in prefixes {
        for name in [
            format!("{prefix}secret"),
            format!("{prefix}secret\u{0}.txt"),
        ] {
            client.say(format!("RETR {name}")).hear_one_of(&[501, 550]);
            client
                .say(format!("SIZE {name}"))
                .hear_one_of(&[501, 550, 553]);
            client.say(format!("MLST {name}")).hear_one_of(&[501, 550]);
            client.say(format!("DELE {name}")).hear_one_of(&[501, 550]);
            client.say(format!("SITE CHMOD 777 {name}")).hear_any();
            client
                .say(format!("MFMT 20000101000000 {name}"))
                .hear_one_of(&[501, 550]);
            client.say(format!("RNFR {name}")).hear_one_of(&[501, 550]);
        }
        client.say(format!("CWD {prefix}")).hear_one_of(&[501, 550]);
        client.say(format!("RMD {prefix}")).hear_one_of(&[501, 550]);
        client.say("RNFR f").hear(350);
        client
            .say(format!("RNTO {prefix}stolen"))
            .hear_one_of(&[250, 501, 550, 553]);
        if !share.holds("f") {
            share.write("f", "data");
        }
        client
            .say(format!("MKD {prefix}made"))
            .hear_one_of(&[257, 501, 550, 553]);
    }
    client.say(format!("RETR {}", real.display())).hear(550);
    assert_eq!(client.pwd(), "/");
    is_untouched(&share);
}

/// Links out of the share, and one that changes between the check and the use: CVE-2017-7418.
#[test]
fn symlink_races_lead_nowhere() {
    let share = guarded();
    symlink(share.outside("out"), share.path("far")).unwrap();
    symlink("../out", share.path("near")).unwrap();
    symlink("../out/secret", share.path("file")).unwrap();
    symlink("/proc/self/root", share.path("root")).unwrap();
    let server = Server::start(&share, &["--writable"]);
    let mut client = writer(&server);
    for name in ["far/secret", "near/secret", "file", "root/etc/passwd"] {
        client.say(format!("RETR {name}")).hear(550);
        client.say(format!("SITE CHMOD 600 {name}")).hear_any();
        let data = client.data();
        if client
            .say(format!("STOR {name}"))
            .hear_one_of(&[150, 550, 553])
            .code
            == 150
        {
            drop(data);
            client.hear_any();
        }
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (real, link, aside) = (share.path("d"), share.path("link"), share.path("aside"));
            symlink("../out", &link).unwrap();
            while !stop.load(Ordering::Relaxed) {
                fs::rename(&real, &aside).unwrap();
                fs::rename(&link, &real).unwrap();
                fs::rename(&real, &link).unwrap();
                fs::rename(&aside, &real).unwrap();
            }
        });
        for round in 0..100 {
            let size = client.say("SIZE d/secret").hear_one_of(&[213, 550]);
            let data = client.data();
            let made = client
                .say(format!("STOR d/new{round}"))
                .hear_one_of(&[150, 550, 553]);
            if made.code == 150 {
                drop(data);
                client.hear_any();
            }
            client.say("DELE d/secret").hear_one_of(&[550, 450]);
            if size.code == 213 {
                stop.store(true, Ordering::Relaxed);
                panic!("the secret has a size");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    is_untouched(&share);
}

/// Uploads that choose their own name, outside: no number known; the class of CVE-2010-3867.
#[test]
fn stou_stays_in_the_share() {
    let share = guarded();
    symlink("../out", share.path("link")).unwrap();
    let server = Server::start(&share, &["--writable"]);
    let mut client = writer(&server);
    for wish in [
        "", "../out/x", "../../x", "/../x", "link/x", "link", "..", "/", ".", "d/..", "f",
        "x\u{0}y",
    ] {
        let data = client.data();
        let opening = client
            .say(common::client::joined("STOU", wish.as_bytes()))
            .hear_one_of(&[150, 501, 550, 553]);
        if opening.code == 150 {
            data.stream().write_all(b"x").unwrap();
            client.hear(226);
        }
    }
    assert_eq!(
        share.read("f"),
        b"data",
        "a name that is taken is not chosen"
    );
    is_untouched(&share);
}

/// Commands sent ahead of a change of state: CVE-2011-0411 and CVE-2011-1575 (STARTTLS), and a log-in that fails.
#[test]
fn pipelining_past_a_state_change_injects_nothing() {
    let share = guarded();
    let users = share.path("../users");
    fs::write(&users, "ann:$6$pocketftpd$4ZNfGz/ABcmoC1jSk8dbkqrRnjRarxqM9UiG1u5jp3q1BdorkiKNWEpk1s6oM7iaW2ewUcAwrFGKDmKjygMOg0\n").unwrap();
    let server = Server::start(&share, &["--users", users.to_str().unwrap()]);
    let mut client = Client::connect(&server);
    // no TLS is begun, so nothing of what follows is taken for part of it
    client.raw(b"AUTH TLS\r\nUSER ann\r\nDELE f\r\nPASS wrong\r\nDELE f\r\nQUIT\r\nDELE f\r\n");
    client.expect(&["AUTH", "USER", "DELE", "PASS", "DELE", "QUIT"]);
    client.hear_one_of(&[502, 504]);
    client.hear(331);
    client.hear(530);
    client.hear(530);
    client.hear(530);
    client.hear(221);
    client.hear_end();
    // what is sent behind REIN is a stranger's
    let mut client = Client::login_as(&server, "ann", "secret");
    client
        .raw(b"REIN\r\nDELE f\r\nMKD x\r\n")
        .expect(&["REIN", "DELE", "MKD"]);
    client.hear(220);
    client.hear(530);
    client.hear(530);
    assert_eq!(share.names(""), [b"d", b"f"]);
}

/// A page in a browser speaks FTP in the body of a request: CVE-2021-3618 (ALPACA), the HTML form attack.
#[test]
fn an_http_body_is_not_executed() {
    let share = guarded();
    let server = Server::start(&share, &["--writable"]);
    for head in [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\r\n",
        "post / http/1.1\r\n",
        "PUT /x HTTP/1.0\r\n",
        "PROPFIND / HTTP/1.1\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = Client::connect(&server);
        client.raw(format!("{head}USER anonymous\r\nPASS x\r\nDELE f\r\n").as_bytes());
        client.hear(421);
        client.hear_end();
        assert!(share.holds("f"), "{head}");
    }
}

/// A client's octets in the log, in replies and in listings: CWE-117, CWE-150.
#[test]
fn nothing_forges_a_line_of_log_reply_or_listing() {
    let share = guarded();
    share.write(b"x\n-rw-r--r--   1 ftp ftp 1 Jan 01 00:00 forged", "");
    share.write(b"y\r\n226 forged", "");
    share.write(b"z\x1b[2J\x1b]0;title\x07", "");
    let server = Server::start(&share, &["--writable", "--log-level", "trace"]);
    let mut client = Client::connect(&server);
    client.say(b"USER root\r[ERROR] forged\x1b[31m").hear_any();
    client.say("USER a").hear(331);
    client.say("PASS x\n2026 INFO forged").hear(230);
    client.raw(b"").hear_any();
    client.say(b"MKD \x1b]0;t\x07\xe2\x80\xae").hear_any();
    client.say(b"CWD a\r250 forged").hear(501);
    for line in client.list("") {
        assert!(!line.ends_with(" forged") || line.contains('?'), "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    assert!(!client.mlsd("").iter().any(|line| line.contains("forged")));
    client.say("STAT /").hear_one_of(&[211, 212]);
    client.say("QUIT").hear(221);
    server.wait_for_log("QUIT");
    for line in server.log() {
        assert!(
            !line
                .chars()
                .any(|each| each.is_control() || each == '\u{202e}'),
            "{line:?}"
        );
        assert!(
            !line.starts_with("[ERROR]") && !line.starts_with("2026 INFO forged"),
            "{line:?}"
        );
    }
}

/// The octets that begin a terminal's escapes, in each way to write them, are raw in no listing, reply or log line:
/// CWE-150, CVE-2003-0069.
#[test]
fn no_terminal_is_steered_by_a_name() {
    const ESCAPES: [&[u8]; 12] = [
        b"\x1b[2J",
        b"\x1b]0;title\x07",
        b"\x9b2J",
        b"\xc2\x9b2J",
        b"\xc2\x9dtitle\xc2\x9c",
        b"\x90q",
        b"\x07",
        b"\x08\x08\x08",
        b"\x7f",
        b"\x0e",
        b"\x05",
        b"\xe2\x9b2J", // a character that ends too early
    ];
    /// However the terminal reads it: octet by octet, or as UTF-8.
    #[track_caller]
    fn is_harmless(line: &[u8]) {
        let shown = line.escape_ascii();
        let mut rest = line;
        while let Some(octet) = rest.first() {
            let text =
                (1..=rest.len().min(4)).find_map(|len| std::str::from_utf8(&rest[..len]).ok());
            let steers = match text {
                Some(text) => text.contains(|each: char| each.is_control() && each != '\t'),
                None => (0x80..=0x9f).contains(octet),
            };
            assert!(!steers, "{shown}");
            rest = &rest[text.map_or(1, str::len)..];
        }
    }
    let share = Share::new();
    share.write("d/n", "plain");
    for (number, escape) in ESCAPES.iter().enumerate() {
        let name = [b"n", number.to_string().as_bytes(), escape, b"m"].concat();
        share.write([b"d/", &name[..]].concat(), number.to_string());
        symlink(
            std::ffi::OsStr::from_bytes(&name),
            share.path(format!("d/link{number}")),
        )
        .unwrap();
    }
    let server = Server::start(&share, &["--writable", "--log-level", "trace"]);
    let mut client = Client::login(&server);
    client.say("TYPE I").hear(200);
    for command in [
        "LIST d",
        "LIST -R",
        "NLST d",
        "NLST -l d",
        "NLST d/n*",
        "MLSD d",
    ] {
        let lines = client.listing(command);
        assert!(!lines.is_empty(), "{command}");
        lines.iter().for_each(|line| is_harmless(line));
    }
    assert_eq!(client.list("d").len(), 2 * ESCAPES.len() + 1);
    let status = client.say("STAT d").hear(212);
    assert_eq!(status.lines.len(), 2 + 2 * ESCAPES.len() + 1);
    status.lines.iter().for_each(|line| is_harmless(line));
    // Names are octets: who knows one reaches the file.
    for (number, escape) in ESCAPES.iter().enumerate() {
        let name = [b"/d/n", number.to_string().as_bytes(), escape, b"m"].concat();
        let said = |verb: &str| [verb.as_bytes(), b" ", &name[..]].concat();
        let mut replies = Vec::new();
        let data = client.data();
        replies.push(client.say(said("RETR")).hear(150));
        let octets = common::client::drain(&mut data.stream());
        assert_eq!(octets, number.to_string().as_bytes());
        client.hear(226);
        replies.push(client.say(said("SIZE")).hear(213));
        replies.push(client.say(said("MLST")).hear(250));
        replies.push(client.say(said("STAT")).hear(213));
        replies.push(client.say(said("MFMT 20200102030405")).hear(213));
        replies.push(client.say(said("MFF Modify=20200102030405;")).hear(213));
        client
            .listing(said("NLST"))
            .iter()
            .for_each(|line| is_harmless(line));
        client
            .listing(said("LIST"))
            .iter()
            .for_each(|line| is_harmless(line));
        replies.push(client.say(said("RNFR")).hear(350));
        replies.push(client.say([&said("RNTO")[..], b"2"].concat()).hear(250));
        replies.push(client.say([&said("DELE")[..], b"2"].concat()).hear(250));
        replies.push(client.say(said("MKD")).hear(257));
        replies.push(client.say(said("CWD")).hear(250));
        replies.push(client.say("PWD").hear(257));
        let data = client.data();
        replies.push(client.say([b"STOU ", *escape].concat()).hear(150));
        drop(data);
        client.hear(226);
        replies.push(client.say(said("HELP")).hear_one_of(&[501, 502, 504]));
        for reply in replies {
            reply.lines.iter().for_each(|line| is_harmless(line));
        }
    }
    client.say("QUIT").hear(221);
    server.wait_for_log("QUIT");
    for line in server.log() {
        is_harmless(line.as_bytes());
    }
}

/// A NUL ends a name for the kernel but not for the check before it: CWE-626.
#[test]
fn a_nul_truncates_no_name() {
    let share = guarded();
    let server = Server::start(&share, &["--writable"]);
    let mut client = writer(&server);
    for line in [
        &b"RETR f\0.txt"[..],
        b"DELE f\0",
        b"MKD new\0x",
        b"CWD d\0",
        b"SIZE f\0",
        b"RNFR f\0",
        b"STOR f\0.jpg",
        b"MLST \0",
    ] {
        client.data();
        client.say(line).hear(501);
    }
    assert_eq!(share.names(""), [b"d", b"f"]);
}

/// Patterns that cost or overflow: CVE-2001-0247, CVE-2001-0550, CVE-2002-0073, CVE-2003-1207, CVE-2005-0256,
/// CVE-2009-2521, CVE-2009-3023, CVE-2010-2632, CVE-2011-0762.
#[test]
fn a_pattern_costs_no_more_than_a_listing() {
    let share = guarded();
    for number in 0..100 {
        share.write(format!("{}{number}", "a".repeat(200)), "");
    }
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let stars = format!("{}b", "a*".repeat(120));
    let dots = format!("{}/*", ".".repeat(1000));
    let marks = "?*".repeat(400);
    let patterns = [
        stars.as_str(),
        &dots,
        &marks,
        "*?*?*?*?*?*?*?*?*?*?*?*?*?*b",
        "{{{{{{{{a,b},c},d},e},f},g},h},i}",
        "{..,..,..}/{..,..,..}/{..,..,..}/*",
        "*/../*/../*/../*/../*",
        "~{",
        "~",
        "[[[[[[[[[[[[[[[[[[[[",
        "[a-",
        "\\",
        "-R */../",
        "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}",
    ];
    let (time, memory) = (server.cpu_time(), server.memory_kib());
    for pattern in patterns {
        for verb in ["NLST", "LIST"] {
            let data = client.data();
            if client
                .say(format!("{verb} {pattern}"))
                .hear_one_of(&[150, 501, 550])
                .code
                == 150
            {
                drain(&mut data.stream());
                client.hear(226);
            }
        }
        client.say(format!("STAT {pattern}")).hear_any();
    }
    let spent = server.cpu_time() - time;
    assert!(spent < Duration::from_secs(2), "{spent:?}");
    let grown = server.memory_kib().saturating_sub(memory);
    assert!(grown < 1024, "{grown} KiB");
}

/// Numbers that overflow an address: the class of RFC 2577 3; no case with a number is named for sure.
#[test]
fn a_port_that_overflows_is_refused() {
    let share = guarded();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let digits = "9".repeat(2000);
    for line in [
        "PORT 127,0,0,1,256,1".to_owned(),
        "PORT 383,0,0,1,200,200".to_owned(),
        "PORT 127,0,0,1,65535,65535".to_owned(),
        "PORT 127,0,0,257,8,8".to_owned(),
        "PORT 127,0,0,1,4294967296,21".to_owned(),
        "PORT 127,0,0,1,-56,21".to_owned(),
        format!("PORT {digits},0,0,1,1,1"),
        format!("PORT {}1", "1,".repeat(1000)),
        "EPRT |1|127.0.0.1|67536|".to_owned(),
        "EPRT |1|127.0.0.1|4294969296|".to_owned(),
        format!("EPRT |1|{digits}|2000|"),
        format!("EPRT |{digits}|127.0.0.1|2000|"),
        format!("EPRT {}", "|".repeat(3000)),
        "EPSV 4294967297".to_owned(),
    ] {
        client.say(&line).hear_one_of(&[501, 522]);
        client.say("RETR f").hear(425);
    }
}

/// Verbs that work without a log-in: CVE-2015-3306 and CVE-2019-12815 (SITE CPFR and CPTO), CVE-1999-0075 (PASV).
#[test]
fn a_stranger_can_do_nothing_to_files_or_ports() {
    let share = guarded();
    let server = Server::start(&share, &["--writable"]);
    let free = [
        "USER", "PASS", "ACCT", "REIN", "QUIT", "HOST", "AUTH", "SYST", "HELP", "NOOP", "FEAT",
        "OPTS", "LANG", "CLNT",
    ];
    for named in [false, true] {
        let mut client = Client::connect(&server);
        if named {
            client.say("USER anonymous").hear(331);
        }
        for verb in VERBS.iter().filter(|verb| !free.contains(&verb.name)) {
            assert!(!matches!(verb.needs, Needs::Nothing), "{}", verb.name);
            let refusal = if verb.offer == Offer::Never { 502 } else { 530 };
            client.say(format!("{} f", verb.name)).hear(refusal);
            client.say(verb.name).hear(refusal);
        }
        for line in [
            "SITE CPFR f",
            "SITE CPTO g",
            "SITE EXEC id",
            "SITE CHMOD 777 f",
            "SITE HELP",
        ] {
            client.say(line).hear(530);
        }
    }
    let mut client = Client::login(&server);
    for line in [
        "SITE CPFR /etc/passwd",
        "SITE CPTO g",
        "SITE EXEC id",
        "SITE SYMLINK / x",
        "SITE MKDIR ../x",
    ] {
        client.say(line).hear_one_of(&[500, 501, 502, 504]);
    }
    assert_eq!(share.names(""), [b"d", b"f"]);
    is_untouched(&share);
}

/// Conversions in what a client sends: CVE-2000-0573 (SITE EXEC), CVE-2000-0574 (setproctitle).
#[test]
fn a_format_string_is_text() {
    let share = guarded();
    let server = Server::start(&share, &["--writable", "--log-level", "trace"]);
    let text = "%n%s%x%p%99999999d{}{0}{:?}";
    let mut client = Client::connect(&server);
    client.say(format!("USER {text}")).hear(331);
    client.say(format!("PASS {text}")).hear(230);
    let made = client.say(format!("MKD {text}")).hear(257);
    assert_eq!(made.quoted(), [b"/", text.as_bytes()].concat());
    client.say(format!("CWD {text}")).hear(250);
    assert_eq!(client.pwd(), format!("/{text}"));
    client.say(format!("SITE EXEC {text}")).hear_any();
    client.say(format!("HELP {text}")).hear_any();
    client.say(format!("CLNT {text}")).hear_any();
    server.wait_for_log(&format!("MKD {text}"));
}

/// Offsets and sizes beyond any integer: CVE-2004-1883 (ALLO), CVE-2004-1848 (a file made larger than the disk).
#[test]
fn rest_and_allo_do_not_overflow() {
    let share = guarded();
    let server = Server::start(&share, &["--writable"]);
    let mut client = writer(&server);
    for number in [
        "-1",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775808",
        "0x10",
        "1e9",
        &"9".repeat(1000),
    ] {
        client.say(format!("REST {number}")).hear(501);
        assert_eq!(client.get("f"), b"data", "{number}");
    }
    client.say("REST 9223372036854775807").hear(350);
    client.data();
    client.say("RETR f").hear(554);
    client.say("REST 9223372036854775807").hear(350);
    let data = client.data();
    if client.say("STOR f").hear_any().code == 150 {
        data.stream().write_all(b"beyond").unwrap();
        client.hear_one_of(&[426, 451, 452, 552]);
    }
    assert_eq!(share.len("f"), 4);
    for argument in [
        "18446744073709551616",
        "-1",
        "99999999999999999999 R 1",
        "1 R 99999999999999999999",
    ] {
        client.say(format!("ALLO {argument}")).hear(501);
    }
    client
        .say("ALLO 18446744073709551615")
        .hear_one_of(&[200, 202, 452, 501, 552]);
    assert_eq!(client.get("f"), b"data");
}

/// Telnet sequences where a buffer is counted down: CVE-2010-4221.
#[test]
fn telnet_sequences_of_any_length_do_no_harm() {
    let share = guarded();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for sequence in [
        &b"\xff\xff"[..],
        b"\xff\xf4\xff\xf2",
        b"\xff\xfe\x01",
        b"\xff",
        b"\xff\xfa\x01\xff\xf0",
        b"\xffA",
    ] {
        for times in [255, 256, 1024, 4095, 4096, 4097, 20_000] {
            client.raw(&[&b"NOOP "[..], &sequence.repeat(times), b"\r\n"].concat());
            client.hear_one_of(&[200, 500]);
        }
    }
    assert_eq!(client.pwd(), "/");
}

/// One PASV, one descriptor: CVE-1999-0079.
#[test]
fn passive_ports_do_not_pile_up() {
    let share = guarded();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.pasv();
    let before = server.descriptors();
    for _ in 0..300 {
        client.pasv();
        client.epsv();
        let _listener = client.port();
        client.epsv();
    }
    assert!(
        server.descriptors() <= before,
        "{:?} {before:?}",
        server.descriptors()
    );
    let first = client.pasv();
    client.pasv();
    assert!(
        TcpStream::connect(first).is_err(),
        "the port before is closed"
    );
}

/// A line too long, taken for several: CVE-2008-4242, CVE-2008-4247; or never done with: CVE-2019-18217.
#[test]
fn the_rest_of_a_long_line_is_no_command() {
    let share = guarded();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    for length in [
        500, 507, 512, 1024, 4090, 4096, 4155, 4160, 4165, 8192, 65_536,
    ] {
        let line = [
            b"NOOP ".to_vec(),
            vec![b' '; length],
            b"DELE f\r\n".to_vec(),
        ]
        .concat();
        client.raw(&line).hear_one_of(&[200, 500]);
        client.hear_nothing();
        let line = [b"/".repeat(length), b"DELE f\r\n".to_vec()].concat();
        client.raw(&line).hear(500);
        client.hear_nothing();
    }
    assert!(share.holds("f"));
}

/// Quotes and backslashes that a parser of words reads past: CVE-2023-51713.
#[test]
fn quotes_and_backslashes_are_octets_like_any_other() {
    let share = guarded();
    let server = Server::start(&share, &["--writable"]);
    let mut client = writer(&server);
    for line in ["\"", "\\", "\"\\", "\"RETR\" f", "\"\"", "'", "RETR\\ f"] {
        client.raw(format!("{line}\r\n").as_bytes()).hear(500);
    }
    for name in ["d'\\", "\"d\"", "\"", "\\", "d\\", "\"d", "d \\\""] {
        let made = client.say(format!("MKD {name}")).hear(257);
        assert_eq!(made.quoted(), format!("/{name}").as_bytes());
        client.say(format!("RMD {name}")).hear(250);
        client.say(format!("RETR {name}")).hear_one_of(&[425, 550]);
    }
    assert_eq!(share.names(""), [b"d", b"f"]);
}

/// Names longer than a buffer: CVE-1999-0368, CVE-2003-0466 (realpath, off by one).
#[test]
fn a_long_name_overflows_nothing() {
    let share = guarded();
    let server = Server::start(&share, &["--writable"]);
    let mut client = writer(&server);
    let name = "n".repeat(255);
    for depth in 0..15 {
        let made = client
            .say(format!("MKD {name}"))
            .hear_one_of(&[257, 501, 550, 553])
            .code;
        client
            .say(format!("CWD {name}"))
            .hear_one_of(if made == 257 { &[250] } else { &[501, 550] });
        assert!(made == 257 || depth > 10, "{depth}");
    }
    for length in [1, 254, 255, 256, 1024, 4095, 4096] {
        let name = "x".repeat(length);
        for verb in [
            "CWD", "DELE", "RMD", "SIZE", "MLST", "RETR", "APPE", "STOU", "RNFR", "MDTM", "STAT",
            "NLST",
        ] {
            client.say(format!("{verb} {name}")).hear_any();
        }
    }
    client.say("CWD /").hear(250);
    client.hear_nothing();
}

/// Line ends counted wrong where a block ends: CVE-2003-0831.
#[test]
fn line_ends_at_the_border_of_a_block_are_converted() {
    let share = guarded();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    for around in [1024usize, 4096, 16_384, 65_536] {
        let file = [
            b"\n".repeat(around - 1),
            b"\r\n\r".to_vec(),
            b"\n".repeat(7),
        ]
        .concat();
        share.write("lines", &file);
        let network = client.get("lines");
        assert_eq!(
            network.len(),
            file.len() + file.iter().filter(|octet| **octet == b'\n').count()
        );
        client.put("back", &network);
        assert_same_octets(&share.read("back"), &file);
    }
}

/// Commands and resets in the middle of a transfer: CVE-1999-0035, CVE-2020-9273.
#[test]
fn a_transfer_that_is_interrupted_leaves_nothing_behind() {
    let share = guarded();
    share.write_sparse("big", 1 << 30);
    let server = Server::start(&share, &["--writable"]);
    let mut client = writer(&server);
    drop(client.get("f"));
    let descriptors = server.descriptors();
    for round in 0..20 {
        let upload = round % 2 == 0;
        let data = client.data();
        client
            .say(if upload { "STOR up" } else { "RETR big" })
            .hear(150);
        let mut stream = data.stream();
        if upload {
            stream.write_all(&noise(1000)).unwrap();
        } else {
            stream.read_exact(&mut [0; 1000]).unwrap();
        }
        match round % 4 {
            0 | 1 => {
                client.urgent_all(b"\xff\xf4\xff\xf2");
                client.say("ABOR");
                client.hear(426);
                client.hear(226);
            }
            _ => {
                common::client::reset(stream);
                client.hear_one_of(&[426, 451]);
            }
        }
        client.say("PWD").hear(257);
    }
    for _ in 0..10 {
        let mut other = writer(&server);
        let data = other.data();
        other.say("RETR big").hear(150);
        let _stream = data.stream();
        other.reset();
    }
    // Threads rest before they end; there is one for each session that there was at once.
    eventually("descriptors are back", PATIENCE, || {
        server.descriptors() <= descriptors
    });
    assert!(server.threads() < 20, "{}", server.threads());
    assert_eq!(client.get("f"), b"data");
}

/// Users told apart by words or by time: CVE-2004-1602, RFC 2577 5 and 7.
#[test]
fn an_unknown_user_sounds_like_a_known_one() {
    let share = guarded();
    let users = share.path("../users");
    fs::write(&users, "ann:$6$pocketftpd$4ZNfGz/ABcmoC1jSk8dbkqrRnjRarxqM9UiG1u5jp3q1BdorkiKNWEpk1s6oM7iaW2ewUcAwrFGKDmKjygMOg0\n").unwrap();
    let server = Server::start(&share, &["--users", users.to_str().unwrap()]);
    let mut heard = Vec::new();
    for name in ["ann", "bob"] {
        let mut client = Client::connect(&server);
        let first = client.say(format!("USER {name}")).hear(331).line();
        let start = Instant::now();
        heard.push((first, client.say("PASS wrong").hear(530).line()));
        assert!(start.elapsed() < PATIENCE);
    }
    assert!(
        heard.windows(2).all(|pair| pair[0] == pair[1]),
        "{heard:#?}"
    );
}

/// Names that are options or commands for a program which the server runs: CVE-1999-0080 (SITE EXEC), CVE-1999-0997.
#[test]
fn no_program_is_run() {
    let share = guarded();
    share.write("--use-compress-program=id", "");
    let server = Server::start(&share, &["--writable"]);
    let mut client = writer(&server);
    for line in [
        "RETR f.tar",
        "RETR d.tar.gz",
        "RETR f.Z",
        "RETR --use-compress-program=id.tar",
        "RETR |id",
        "RETR `id`",
        "RETR f;id",
        "RETR $(id)",
    ] {
        client.data();
        client.say(line).hear(550);
    }
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"SITE EXEC id\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.contains("530 ") && !said.contains("uid="), "{said}");
}

/// The mode of data connections makes no difference to who is let out: RFC 2577 3, over every way there is.
#[test]
fn the_secret_is_not_to_be_had_by_any_mode() {
    let share = guarded();
    let server = Server::start(&share, &[]);
    for mode in [Mode::Pasv, Mode::Epsv, Mode::Port, Mode::Eprt] {
        let mut client = Client::login(&server).by(mode);
        assert_eq!(client.get("f"), b"data");
        client.data();
        client.say("RETR ../out/secret").hear(550);
    }
}
