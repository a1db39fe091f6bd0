//! CWD CDUP PWD MKD RMD DELE RNFR RNTO, and what a name may hold (FIELD-NOTES B16, B17, B39, B42).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::io::Read;

use common::client::{listed_name, mlsd_name};
use common::{Client, Launch, Server, Share, is_root, skip};

#[test]
fn b16_the_top_is_the_top() {
    let share = Share::new();
    share.mkdir("a/b");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    assert!(client.say("PWD").hear(257).line().starts_with("257 \"/\""));
    for line in [
        "CWD /",
        "CWD .",
        "CWD ./",
        "CWD //",
        "CWD ..",
        "CDUP",
        "XCUP",
        "CWD ../../..",
        "CWD /..",
        "CWD /../../.",
        "CWD ../.",
    ] {
        client.say(line).hear_one_of(&[200, 250]);
        assert_eq!(client.pwd(), "/", "after {line}");
    }
    for (line, here) in [
        ("CWD a", "/a"),
        ("CWD b", "/a/b"),
        ("CWD ../b/./../b/", "/a/b"),
        ("CWD ..", "/a"),
        ("CWD /a//b", "/a/b"),
        ("CDUP", "/a"),
        ("XCWD /a/b", "/a/b"),
        ("CWD ../../../../a", "/a"),
    ] {
        client.say(line).hear_one_of(&[200, 250]);
        assert_eq!(client.pwd(), here, "after {line}");
    }
    client.say("CWD absent").hear(550);
    assert_eq!(client.pwd(), "/a", "a CWD that fails changes nothing");
    client.say("CDUP x").hear(501);
    client.say("PWD x").hear(501);
    client.say("CWD").hear_one_of(&[200, 250, 501]);
}

#[test]
fn b16_quotes_in_a_path_are_doubled() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    let made = client.say("MKD a\"b").hear(257);
    assert!(
        made.line().starts_with("257 \"/a\"\"b\""),
        "{}",
        made.line()
    );
    client.say("CWD a\"b").hear(250);
    assert!(
        client
            .say("PWD")
            .hear(257)
            .line()
            .starts_with("257 \"/a\"\"b\"")
    );
    assert_eq!(client.say("MKD \"").hear(257).quoted(), b"/a\"b/\"");
    assert_eq!(client.say("XMKD /plain").hear(257).quoted(), b"/plain");
    client.say("MKD /plain").hear(550);
    client.say("MKD absent/x").hear(550);
    client.say("MKD").hear(501);
}

#[test]
fn a_file_is_no_directory() {
    let share = Share::new();
    share.write("f", "x");
    share.write("d/inner", "x");
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    client.say("CWD f").hear(550);
    client.say("RMD f").hear(550);
    client.say("RMD d").hear(550);
    client.say("RMD absent").hear(550);
    client.say("DELE absent").hear(550);
    client.say("DELE d").hear(550);
    client.say("RMD /").hear(550);
    client.say("RMD .").hear(550);
    client.say("DELE").hear(501);
    client.say("DELE f").hear(250);
    client.say("DELE d/inner").hear(250);
    client.say("RMD d").hear(250);
    assert!(share.names("").is_empty());
}

#[test]
fn absent_and_forbidden_are_told_in_the_same_words() {
    let share = Share::new();
    share.write("closed/f", "x");
    share.set_mode("closed", 0o000);
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for verb in ["CWD", "SIZE", "MDTM", "MLST", "RETR"] {
        if verb == "RETR" {
            client.say("TYPE I").hear(200);
        }
        client.say("TYPE I").hear(200);
        let absent = client.say(format!("{verb} closed/absent")).hear(550);
        let present = client.say(format!("{verb} closed/f")).hear(550);
        assert_eq!(absent, present, "{verb}");
    }
}

#[test]
fn b17_a_rename_takes_both_halves_in_a_row() {
    let share = Share::new();
    share.write("a", "a");
    share.write("other", "o");
    share.mkdir("d");
    share.write("full/x", "x");
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    client.say("RNFR absent").hear(550);
    client.say("RNTO b").hear(503);
    client.say("RNFR a").hear(350);
    client.say("NOOP").hear(200);
    client.say("RNTO b").hear(503);
    client.say("RNFR a").hear(350);
    client.say("RNTO b").hear(250);
    client.say("RNTO c").hear(503); // a rename is spent once
    client.say("RNFR b").hear(350);
    client.say("RNTO d/deep").hear(250);
    client.say("RNFR d/deep").hear(350);
    client.say("RNTO d").hear_one_of(&[550, 553]);
    client.say("RNFR d").hear(350);
    client.say("RNTO full").hear_one_of(&[550, 553]);
    client.say("RNFR d").hear(350);
    client.say("RNTO d/inside-itself").hear_one_of(&[550, 553]);
    client.say("RNFR d").hear(350);
    client.say("RNTO").hear(501);
    client.say("RNFR").hear(501);
    assert_eq!(share.read("d/deep"), b"a");
    assert_eq!(share.read("full/x"), b"x");
}

#[test]
fn b17_a_link_is_renamed_not_its_target() {
    let share = Share::new();
    share.write("f", "x");
    share.symlink("nowhere", "dangling");
    share.symlink("f", "good");
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    for name in ["dangling", "good"] {
        client.say(format!("RNFR {name}")).hear(350);
        client.say(format!("RNTO {name}2")).hear(250);
    }
    assert_eq!(
        std::fs::read_link(share.path("dangling2"))
            .unwrap()
            .to_str(),
        Some("nowhere")
    );
    assert_eq!(
        std::fs::read_link(share.path("good2")).unwrap().to_str(),
        Some("f")
    );
    client.say("DELE dangling2").hear(250);
    client.say("DELE good2").hear(250);
    assert_eq!(share.read("f"), b"x");
}

#[test]
fn b17_a_rename_to_another_file_system_leaves_the_source() {
    if !is_root() {
        return skip("needs root to mount a file system");
    }
    let share = Share::new();
    share.mkdir("mnt");
    share.write("f", "x");
    let server = Launch::with_small_disk(&share)
        .flags(&["--writable"])
        .start(&share);
    let mut client = Client::login(&server);
    client.say("RNFR f").hear(350);
    client.say("RNTO mnt/f").hear_one_of(&[550, 553]);
    assert_eq!(client.nlst("mnt"), Vec::<String>::new());
    assert_eq!(share.read("f"), b"x");
}

/// Names that others have lost.
const NAMES: [&[u8]; 24] = [
    b"a b",
    b" x",
    b"x ",
    b"a  b",
    b"a..b",
    b"..x",
    b"...",
    b".hidden",
    b"[1]",
    b"*",
    b"?",
    b"-l",
    b"-la sub",
    b"a\"b",
    b"a'b",
    b"a;b",
    b"a -> b",
    b"~",
    b"$HOME",
    b"a\\b",
    b"caf\xc3\xa9",
    b"caf\xe9",
    b"\xf0\x9f\x98\x80",
    b"%s%n",
];

#[test]
fn b39_every_name_that_a_file_can_have_makes_the_round_trip() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    client.say("TYPE I").hear(200);
    let long = [b'n'; 255];
    for name in NAMES.iter().copied().chain([&long[..]]) {
        let shown = name.escape_ascii();
        client.put(name, name);
        assert_eq!(share.names(""), [name], "{shown}");
        assert_eq!(client.get(name), name, "{shown}");
        assert_eq!(client.get([b"/", name].concat()), name, "{shown}");
        assert_eq!(client.listing("NLST"), [name], "{shown}");
        let listed = client.listing("LIST");
        assert_eq!(listed.len(), 1, "{shown}");
        assert!(
            listed[0].ends_with(&[b" ", name].concat()),
            "{shown}: {}",
            listed[0].escape_ascii()
        );
        let facts = client.listing("MLSD");
        assert!(
            facts[0].ends_with(&[b"; ", name].concat()),
            "{shown}: {}",
            facts[0].escape_ascii()
        );
        assert_eq!(
            client.say([b"SIZE ", name].concat()).hear(213).text(),
            name.len().to_string(),
            "{shown}"
        );
        // what begins like an option is a name behind a slash
        let alone = client.listing([b"LIST ./", name].concat());
        assert_eq!(alone.len(), 1, "{shown}");
        client.say([b"RNFR ", name].concat()).hear(350);
        client.say("RNTO other").hear(250);
        client.say("RNFR other").hear(350);
        client.say([b"RNTO ", name].concat()).hear(250);
        client.say([b"DELE ", name].concat()).hear(250);
        client.say([b"MKD ", name].concat()).hear(257);
        client.say([b"CWD ", name].concat()).hear(250);
        assert_eq!(
            client.say("PWD").hear(257).quoted(),
            [b"/", name].concat(),
            "{shown}"
        );
        client.say("CDUP").hear_one_of(&[200, 250]);
        client.say([b"RMD ", name].concat()).hear(250);
        assert!(share.names("").is_empty(), "{shown}");
    }
}

#[test]
fn b39_a_tab_is_told_as_it_is_where_a_client_must_find_back() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    assert_eq!(
        client.say("MKD tab\there").hear(257).quoted(),
        b"/tab\there"
    );
    client.say("CWD tab\there").hear(250);
    assert_eq!(client.pwd(), "/tab\there");
    client.put("f", b"x");
    assert_eq!(client.nlst("/"), ["/tab\there"]);
    assert!(client.mlsd("/")[0].ends_with("; tab\there"));
    assert_eq!(
        client
            .list("/")
            .iter()
            .map(|line| listed_name(line))
            .collect::<Vec<_>>(),
        ["tab?here"]
    );
}

#[test]
fn b39_a_name_with_a_line_end_forges_no_line() {
    let share = Share::new();
    let evil = b"x\r\n226 forged\r\n-rw-r--r-- 1 a b 1 Jan 01 00:00 y";
    share.write(evil, "x");
    share.write("a\nb", "x");
    share.write("bell\x07\x1b[2J", "x");
    share.write("good", "x");
    let server = Server::start(&share, &["--log-level", "trace"]);
    let mut client = Client::login(&server);
    let names = client.nlst("");
    assert!(
        !names
            .iter()
            .any(|name| name.contains("forged") || name == "a" || name == "b"),
        "{names:?}"
    );
    assert!(names.contains(&"good".to_owned()));
    assert!(
        !client
            .mlsd("")
            .iter()
            .any(|line| line.contains("forged") || line.ends_with("; a"))
    );
    let lines = client.list("");
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(
        lines.iter().all(|line| line.starts_with("-rw")
            && !line.contains('\x1b')
            && !line.contains('\x07')),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| listed_name(line) == "a?b"),
        "{lines:?}"
    );
    // a whole directory shown on the control connection forges nothing there either
    client.say("STAT /").hear_one_of(&[211, 212, 213]);
    client.hear_nothing();
}

#[test]
fn b39_a_path_with_nul_or_cr_is_refused() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    for verb in ["MKD", "DELE", "CWD", "RNFR"] {
        for name in [&b"a\0b"[..], b"a\rb"] {
            client
                .say([verb.as_bytes(), b" ", name].concat())
                .hear_one_of(&[501, 550, 553]);
        }
    }
    client.data();
    client.say(b"STOR a\0b").hear_one_of(&[501, 553]);
    assert!(share.names("").is_empty(), "{:?}", share.names(""));
}

#[test]
fn a_name_that_is_too_long_is_refused_and_nothing_else() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    let long = "n".repeat(256);
    client.say(format!("MKD {long}")).hear(550);
    client.data();
    client.say(format!("STOR {long}")).hear_one_of(&[550, 553]);
    client.say(format!("MLST {long}")).hear(550);
    // deeper than a path that the kernel takes at once
    for _ in 0..30 {
        client.say(format!("MKD {}", "d".repeat(200))).hear_any();
        if client
            .say(format!("CWD {}", "d".repeat(200)))
            .hear_any()
            .code
            != 250
        {
            break;
        }
    }
    client.hear_nothing();
}

#[test]
fn b42_read_only_means_that_nothing_changes() {
    let share = Share::new();
    share.write("f", "data");
    share.write("d/inner", "data");
    share.mkdir("empty");
    share.set_mode("f", 0o666);
    share.set_mode("d", 0o777);
    share.set_mode("", 0o777);
    let server = Server::start(&share, &[]);
    let before = share.fingerprint();
    let mut client = Client::login(&server);
    client.say("TYPE I").hear(200);
    for line in [
        "DELE f",
        "MKD x",
        "XMKD x",
        "RMD empty",
        "XRMD empty",
        "RNFR f",
        "MFMT 20200101000000 f",
        "MDTM 20200101000000 f",
        "MFF modify=20200101000000; f",
        "MFF UNIX.mode=0600; f",
        "SITE CHMOD 600 f",
        "SITE UTIME 20200101000000 f",
        "SITE UTIME f 20200101000000 20200101000000 20200101000000 UTC",
    ] {
        client.say(line).hear(550);
    }
    client.say("RNTO g").hear_one_of(&[503, 550]);
    for line in ["STOR f", "STOR new", "STOU", "STOU f", "APPE f", "APPE new"] {
        let data = client.data();
        client.say(line).hear(550);
        drop(data);
    }
    client.say("REST 2").hear(350);
    client.data();
    client.say("STOR f").hear(550);
    // every verb that HELP knows, with what might be its argument
    let verbs: Vec<String> = client
        .say("HELP")
        .hear_one_of(&[211, 214])
        .inner()
        .iter()
        .flat_map(|line| line.split_whitespace())
        .map(str::to_owned)
        .collect();
    assert!(verbs.len() > 40, "{verbs:?}");
    for verb in verbs.iter().filter(|verb| {
        !["QUIT", "USER", "REIN", "PORT", "EPRT"].contains(&verb.trim_end_matches('*'))
    }) {
        for argument in ["", " f", " 20200101000000 f", " I", " empty"] {
            let mut one = Client::login(&server);
            let data = one.data();
            let first = one.say(format!("{verb}{argument}")).hear_any();
            if first.code < 200 {
                data.stream().read_to_end(&mut Vec::new()).unwrap();
                one.hear_any();
            }
        }
    }
    assert_eq!(share.fingerprint(), before);
}

#[test]
fn names_in_listings_are_the_names_that_were_stored() {
    let share = Share::new();
    share.write("plain", "x");
    share.write("with  two spaces", "x");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let lines = client.list("");
    assert_eq!(
        lines
            .iter()
            .map(|line| listed_name(line))
            .collect::<Vec<_>>(),
        ["plain", "with  two spaces"]
    );
    let mut lines = client.mlsd("");
    lines.sort_by_key(|line| mlsd_name(line).to_owned());
    assert_eq!(
        lines.iter().map(|line| mlsd_name(line)).collect::<Vec<_>>(),
        ["plain", "with  two spaces"]
    );
}
