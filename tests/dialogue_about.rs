//! SYST FEAT OPTS HELP NOOP LANG HOST CLNT SITE HELP, and what the server does not know (FIELD-NOTES B3, B21).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use common::{Client, Server, Share};

/// What HELP lists, each verb once, without the marks for what is not supported.
fn known_verbs(client: &mut Client) -> Vec<String> {
    let reply = client.say("HELP").hear_one_of(&[211, 214]);
    let inner = reply.inner().join(" ");
    let words = inner
        .split_whitespace()
        .filter(|word| word.bytes().all(|it| it.is_ascii_uppercase()));
    let mut verbs: Vec<String> = words.map(str::to_owned).collect();
    verbs.sort();
    verbs.dedup();
    verbs
}

#[test]
fn b03_feat_has_its_form_and_every_line_is_true() {
    let share = Share::new();
    share.write("f", "data");
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    let reply = client.say("FEAT").hear(211);
    assert_eq!(String::from_utf8_lossy(&reply.lines[0]), "211-Features:");
    assert_eq!(reply.line(), "211 End");
    let features = reply.inner();
    for line in &features {
        assert!(
            line.starts_with(' ') && !line.starts_with("  ") && line.trim_end().len() == line.len(),
            "{line:?}"
        );
    }
    for wanted in [
        "EPRT",
        "EPSV",
        "MDTM",
        "SIZE",
        "REST STREAM",
        "UTF8",
        "TVFS",
        "MFMT",
    ] {
        assert!(
            features.contains(&format!(" {wanted}")),
            "{wanted} is not offered: {features:?}"
        );
    }
    let facts = features
        .iter()
        .find(|line| line.starts_with(" MLST "))
        .unwrap();
    assert!(
        facts.contains("type*;") && facts.contains("size*;") && facts.contains("modify*;"),
        "{facts}"
    );
    for line in &features {
        let mut words = line.split_whitespace();
        let probe = match words.next().unwrap() {
            "UTF8" => "OPTS UTF8 ON".to_owned(),
            "TVFS" => "PWD".to_owned(),
            "REST" => "REST 0".to_owned(),
            "SITE" => format!("SITE {}", words.next().unwrap_or("HELP")),
            "EPRT" => "EPRT |1|127.0.0.1|51400|".to_owned(),
            "MFF" => "MFF modify=20200101000000; f".to_owned(),
            "MFMT" => "MFMT 20200101000000 f".to_owned(),
            "LANG" => "LANG".to_owned(),
            "EPSV" | "CLNT" | "AVBL" => line.trim().to_owned(),
            "HOST" => "HOST localhost".to_owned(),
            verb => format!("{verb} f"),
        };
        let mut fresh = if probe.starts_with("HOST") {
            Client::connect(&server)
        } else {
            Client::login(&server)
        };
        let code = fresh.say(&probe).hear_any().code;
        assert!(
            ![500, 502].contains(&code),
            "{line} is offered and {probe} answered {code}"
        );
    }
    client.say("FEAT x").hear_one_of(&[211, 501]);
}

#[test]
fn b21_what_has_no_meaning_here_is_answered_politely() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    for line in ["ALLO 1", "ALLO 20000", "ALLO 1 R 10", "ALLO 99999999999"] {
        client.say(line).hear_one_of(&[200, 452, 552]);
    }
    client.say("ALLO 20000").hear(200);
    client.say("ALLO").hear(501);
    client.say("ALLO x").hear(501);
    client.say("ACCT x").hear(202);
    client.say("SMNT /").hear(502);
    client.say("SITE HELP").hear(214);
    let status = client.say("STAT").hear(211);
    assert!(status.lines.len() > 2, "{status:?}");
    client.say("STAT /").hear_one_of(&[212, 213]);
    client.say("NOOP").hear(200);
}

#[test]
fn help_lists_what_is_understood_and_each_has_a_line_of_its_own() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    let verbs = known_verbs(&mut client);
    for verb in [
        "USER", "PASS", "ACCT", "REIN", "QUIT", "CWD", "CDUP", "PWD", "MKD", "RMD", "DELE", "RNFR",
        "RNTO", "TYPE", "STRU", "MODE", "PORT", "PASV", "EPRT", "EPSV", "RETR", "STOR", "APPE",
        "STOU", "ALLO", "REST", "ABOR", "LIST", "NLST", "MLSD", "MLST", "STAT", "SIZE", "MDTM",
        "MFMT", "MFF", "SYST", "HELP", "NOOP", "FEAT", "OPTS", "LANG", "HOST", "CLNT", "AVBL",
        "SITE", "XCUP", "XCWD", "XMKD", "XPWD", "XRMD",
    ] {
        assert!(
            verbs.iter().any(|known| known == verb),
            "HELP does not know {verb}: {verbs:?}"
        );
        let line = client.say(format!("HELP {verb}")).hear_one_of(&[211, 214]);
        assert!(
            line.lines
                .iter()
                .any(|line| String::from_utf8_lossy(line).contains(verb)),
            "{line:?}"
        );
    }
    client.say("help retr").hear_one_of(&[211, 214]);
    client.say("HELP NONSENSE").hear_one_of(&[501, 502, 504]);
    // nothing that HELP names is unknown
    for verb in &verbs {
        let mut fresh = Client::login(&server);
        let code = fresh.say(verb).hear_any().code;
        assert!(
            code != 500 && (code != 502 || verb == "SMNT"),
            "HELP names {verb}, which is answered {code}"
        );
    }
}

#[test]
fn what_is_unknown_is_500_and_the_session_lives() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for line in [
        "XYZZY",
        "X",
        "LPRT",
        "RETRX f",
        "ABCDEFGHIJKLMNOP",
        "1234",
        "QUITE",
        "SITEHELP",
        "%s%s%n",
        "MAIL",
        "TVFS",
    ] {
        client.say(line).hear_one_of(&[500, 502]);
    }
    client.raw(b" NOOP\r\n").hear_one_of(&[200, 500]);
    client.hear_nothing();
}

#[test]
fn a_verb_that_takes_nothing_refuses_something() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for line in ["CDUP x", "PWD x", "PASV x", "ABOR x"] {
        client.say(line).hear(501);
    }
    // RFC 959 5.4 gives these no 501
    client.say("NOOP x").hear(200);
    client.say("SYST x").hear_one_of(&[215, 501]);
    Client::connect(&server).say("REIN x").hear(220);
    Client::connect(&server).say("QUIT x").hear(221);
    for line in [
        "RETR", "STOR", "DELE", "RMD", "MKD", "RNFR", "RNTO", "SIZE", "MDTM", "TYPE", "STRU",
        "MODE", "PORT", "EPRT", "REST", "USER",
    ] {
        let codes: &[u16] = match line {
            // a reader hears that first
            "STOR" | "DELE" | "RMD" | "MKD" | "RNFR" | "RNTO" => &[501, 503, 550],
            _ => &[501],
        };
        client.say(line).hear_one_of(codes);
    }
}

#[test]
fn languages_hosts_and_options() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::connect(&server);
    client.say("HOST ftp.example.com").hear_one_of(&[220, 504]);
    client.say("HOST").hear(501);
    client.say("LANG").hear(200);
    client.say("LANG EN").hear(200);
    client.say("LANG en-US").hear_one_of(&[200, 504]);
    client.say("LANG xx").hear(504);
    client.say("OPTS UTF8 OFF").hear_one_of(&[200, 501, 504]);
    client.say("OPTS NONSENSE").hear_one_of(&[501, 504]);
    client.say("OPTS").hear(501);
    client.say("USER a").hear(331);
    client.say("PASS b").hear(230);
    client.say("HOST ftp.example.com").hear(503);
}

#[test]
fn the_banner_is_what_the_owner_says() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    assert_eq!(
        Client::knock(server.address()).hear(220).line(),
        "220 pocketftpd ready"
    );
    let server = Server::start(&share, &["--banner", "Welcome to the attic"]);
    assert_eq!(
        Client::knock(server.address()).hear(220).line(),
        "220 Welcome to the attic"
    );
}
