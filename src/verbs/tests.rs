//! The table as a whole: names, arguments, rights, and that HELP and FEAT have room for all of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::net::SocketAddr;
use std::sync::Arc;

use nix::unistd::{Gid, Uid};

use super::*;
use crate::accounts::Accounts;
use crate::accounts::guesses::Guesses;
use crate::cli;
use crate::cli::Action;
use crate::data::Ports;
use crate::pool::PATHNAMES;
use crate::pool::TEXT_MAX;
use crate::sandbox::{Identity, Wall};
use crate::session::{House, Owners};
use crate::wire::octets::Cursor;
use crate::wire::pathname::PATH_MAX;

/// What a stranger hears to a line, under these flags.
fn hear(flags: &[&str], line: &str) -> String {
    let words = ["pocketftpd", "--share", "/"].iter().chain(flags);
    let Ok(Action::Serve(config)) = cli::parse(words.map(Into::into)) else {
        panic!("{flags:?}");
    };
    let identity = Identity {
        uid: Uid::current(),
        gid: Gid::current(),
        groups: Vec::new(),
        name: String::new(),
    };
    let house = Arc::new(House {
        policy: config.policy,
        accounts: Accounts::open(None, config.anonymous).unwrap(),
        guesses: Guesses::new(),
        identity: Arc::new(identity),
        wall: Wall::Openat2,
        medium: None,
        ports: Ports::new(None),
        networks: Vec::new(),
        proxies: Vec::new(),
        owners: Owners::default(),
    });
    let mut text = [0; TEXT_MAX];
    let mut rooms: [&'static mut [u8]; PATHNAMES] =
        std::array::from_fn(|_| &mut *Vec::leak(vec![0; PATH_MAX]));
    let address = SocketAddr::from(([127, 0, 0, 1], 21));
    let mut session = Session::new(house, 1, address, address, &mut rooms, &mut text);
    let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
    let verb = find(VerbName::of(name)).unwrap();
    let mut room = [0; 4096];
    let mut out = Cursor::new(&mut room);
    match (verb.run)(&mut session, argument.as_bytes()) {
        Ok(Answer::Say(reply)) => reply.write(&mut out),
        Err(reply) => reply.write(&mut out),
        Ok(other) => panic!("{line}: {other:?}"),
    }
    assert!(!out.is_full(), "{line}");
    String::from_utf8(out.written().to_vec()).unwrap()
}

/// The inner lines of a reply.
fn inner(reply: &str) -> Vec<&str> {
    let lines: Vec<&str> = reply.split_terminator("\r\n").collect();
    match lines.as_slice() {
        [_, inner @ .., _] => inner.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_name_is_short_in_capitals_and_found_once() {
    for verb in VERBS {
        let name = verb.name;
        assert!((3..=4).contains(&name.len()), "{name}");
        assert!(name.bytes().all(|it| it.is_ascii_uppercase()), "{name}");
        // The row itself, so none before it has the same name.
        let found = find(VerbName::of(name)).unwrap();
        assert!(std::ptr::eq(found, verb), "{name}");
    }
    assert!(find(VerbName::of("LPRT")).is_none());
    assert!(find(VerbName::of("")).is_none());
}

#[test]
fn a_feature_begins_with_the_name_of_its_verb() {
    for verb in VERBS.iter().filter(|verb| !verb.feature.is_empty()) {
        let word = verb.feature.split(' ').next().unwrap();
        assert_eq!(word, verb.name);
        assert!(verb.feature.is_ascii(), "{}", verb.name);
        assert_ne!(verb.offer, Offer::Never, "{}", verb.name);
    }
    for feature in FURTHER_FEATURES {
        assert!(find(VerbName::of(feature)).is_none(), "{feature}");
    }
}

#[test]
fn what_changes_things_needs_the_right_to_write() {
    let writers: Vec<&str> = VERBS
        .iter()
        .filter(|verb| verb.needs == Needs::Write)
        .map(|verb| verb.name)
        .collect();
    // MDTM and SITE change things in some of their forms, and ask for the right themselves.
    assert_eq!(
        writers,
        [
            "MKD", "XMKD", "RMD", "XRMD", "DELE", "RNFR", "RNTO", "STOR", "STOU", "APPE", "MFMT",
            "MFF"
        ]
    );
}

#[test]
fn strangers_may_say_these_and_no_others() {
    let open: Vec<&str> = VERBS
        .iter()
        .filter(|verb| matches!(verb.needs, Needs::Nothing | Needs::Turn))
        .map(|verb| verb.name)
        .collect();
    assert_eq!(
        open,
        [
            "USER", "PASS", "ACCT", "REIN", "QUIT", "HOST", "AUTH", "SYST", "HELP", "NOOP", "FEAT",
            "OPTS", "LANG", "CLNT"
        ]
    );
}

/// What must be said, without what stands in brackets.
fn demanded(syntax: &str) -> String {
    let mut depth = 0;
    let kept = syntax.chars().filter(|it| {
        depth += i32::from(*it == '[');
        let outside = depth == 0;
        depth -= i32::from(*it == ']');
        outside
    });
    let kept: String = kept.collect();
    assert_eq!(depth, 0, "{syntax}");
    kept.trim().to_owned()
}

#[test]
fn the_syntax_agrees_with_what_a_verb_takes() {
    // Taken without an argument too, though their RFCs know them with one only.
    // PASS may be empty, CWD goes to the root, CLNT says nothing, PORT and EPRT forget the endpoint before they refuse.
    let lenient = ["PASS", "CWD", "XCWD", "CLNT", "PORT", "EPRT"];
    for verb in VERBS {
        let (name, syntax) = (verb.name, verb.syntax);
        let begins = syntax.is_empty() || syntax.starts_with("<SP>") || syntax.starts_with('[');
        assert!(begins && syntax.is_ascii(), "{name}: {syntax}");
        let demanded = demanded(syntax);
        assert_eq!(demanded.is_empty(), !demanded.starts_with("<SP>"), "{name}");
        match verb.takes {
            Takes::Nothing => assert_eq!(syntax, "", "{name}"),
            Takes::Argument => assert!(!demanded.is_empty(), "{name}: {syntax}"),
            Takes::Maybe if verb.offer == Offer::Never => {}
            Takes::Maybe => assert_eq!(
                demanded.is_empty(),
                !lenient.contains(&name),
                "{name}: {syntax}"
            ),
        }
    }
}

#[test]
fn help_has_room_for_every_verb_and_every_syntax() {
    let reply = hear(&[], "HELP");
    let words: Vec<&str> = inner(&reply)
        .iter()
        .flat_map(|line| line.split_whitespace())
        .collect();
    let offered: Vec<&str> = VERBS
        .iter()
        .filter(|verb| verb.offer != Offer::Never)
        .map(|verb| verb.name)
        .collect();
    assert_eq!(words, offered);
    for verb in VERBS.iter().filter(|verb| verb.offer != Offer::Never) {
        let reply = hear(&[], &format!("HELP {}", verb.name));
        let line = format!(" Syntax: {} {}", verb.name, verb.syntax);
        assert_eq!(inner(&reply), [line.trim_end()]);
    }
    assert!(hear(&[], "HELP SMNT").starts_with("502 "));
}

#[test]
fn feat_has_room_for_every_feature() {
    let reply = hear(&[], "FEAT");
    let lines = inner(&reply);
    let features = VERBS.iter().map(|verb| verb.feature);
    let features: Vec<&str> = features
        .filter(|it| !it.is_empty())
        .chain(FURTHER_FEATURES)
        .collect();
    assert_eq!(lines.len(), features.len(), "{lines:?}");
    for (line, feature) in lines.iter().zip(features) {
        let told = line.strip_prefix(' ').unwrap();
        if feature == "MLST " {
            // The facts follow.
            assert!(told.starts_with(feature) && told.ends_with(";"), "{told}");
        } else {
            assert_eq!(told, feature);
        }
    }
}

#[test]
fn what_is_switched_off_is_in_neither_list() {
    for (flag, gone) in [
        ("--no-active", &["PORT", "EPRT"][..]),
        ("--no-passive", &["PASV", "EPSV"]),
        ("--no-epsv", &["EPSV"]),
    ] {
        let lists = [hear(&[flag], "HELP"), hear(&[flag], "FEAT")].concat();
        let words: Vec<&str> = lists.split_whitespace().collect();
        for verb in VERBS {
            if gone.contains(&verb.name) {
                assert!(!words.contains(&verb.name), "{flag}: {}", verb.name);
                assert!(hear(&[flag], &format!("HELP {}", verb.name)).starts_with("502 "));
            } else if verb.offer != Offer::Never {
                assert!(words.contains(&verb.name), "{flag}: {}", verb.name);
            }
        }
    }
}
