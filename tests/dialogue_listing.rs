//! LIST NLST MLSD MLST STAT (FIELD-NOTES B31 to B35, B38, B40; RFC 3659 7).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::io::{Read, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::client::{fact, listed_name, mlsd_name};
use common::{Client, Launch, Mode, PATIENCE, Server, Share, is_root};

fn now() -> i64 {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
    .unwrap()
}

const DAY: i64 = 86_400;

fn names_of(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| listed_name(line)).collect()
}

#[test]
fn b31_options_are_options_and_paths_are_paths() {
    let share = Share::new();
    share.write("f", "x");
    share.write(".dot", "x");
    share.write("sub/inner", "x");
    share.write("sub dir/deep", "x");
    share.write("-x", "x");
    share.write("a -la/inside", "x");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let top = ["-x", ".dot", "a -la", "f", "sub", "sub dir"];
    for line in [
        "LIST",
        "LIST ",
        "list",
        "LIST -a",
        "LIST -l",
        "LIST -la",
        "LIST -al",
        "list -la",
        "LIST -A",
        "LIST -L",
        "LIST -1",
        "LIST -F",
        "LIST -aL ",
        "LIST -Z",
        "LIST /",
        "LIST .",
        "LIST -la /",
        "LIST -l -a /",
        "LIST --",
    ] {
        let lines = client.fetch(line);
        let lines: Vec<String> = String::from_utf8(lines)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        // -1 may be names alone, as ls prints them
        let mut names: Vec<&str> = if lines[0].starts_with(['-', 'd']) && lines[0].len() > 40 {
            names_of(&lines)
        } else {
            lines.iter().map(String::as_str).collect()
        };
        names
            .iter_mut()
            .for_each(|name| *name = name.trim_end_matches('/'));
        names.sort_unstable();
        assert_eq!(names, top, "{line}");
    }
    for line in [
        "LIST sub",
        "LIST /sub",
        "LIST sub/",
        "LIST -al /sub",
        "LIST -a sub",
        "list -L sub",
        "LIST -l -a sub",
    ] {
        let lines: Vec<String> = String::from_utf8(client.fetch(line))
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        assert_eq!(names_of(&lines), ["inner"], "{line}");
    }
    for (argument, name) in [
        ("sub dir", "deep"),
        ("-L sub dir", "deep"),
        ("a -la", "inside"),
        ("-l a -la", "inside"),
    ] {
        assert_eq!(names_of(&client.list(argument)), [name], "{argument}");
    }
    for argument in ["./-x", "/-x", "-- -x"] {
        let lines = client.list(argument);
        assert_eq!(lines.len(), 1, "{argument}: {lines:?}");
        assert!(lines[0].ends_with("-x"), "{argument}: {lines:?}");
    }
    // -d is about the directory itself, -R about all below it
    let lines = client.list("-ld sub");
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with('d') && lines[0].ends_with(" sub"),
        "{lines:?}"
    );
    let all = client.fetch("LIST -R");
    let all = String::from_utf8(all).unwrap();
    assert!(
        all.contains(" inner\r\n") && all.contains(" deep\r\n") && all.contains(" inside\r\n"),
        "{all}"
    );
    for option in ["-t", "-S", "-r", "-ltr"] {
        assert_eq!(client.list(option).len(), top.len(), "{option}");
    }
}

/// Whether a LIST line has the form that every client parses.
fn is_well_formed(line: &str) -> bool {
    let Some((mode, rest)) = line.split_at_checked(10) else {
        return false;
    };
    let mode_ok =
        "-dlbcps".contains(&mode[..1]) && mode[1..].chars().all(|it| "rwxsStT-".contains(it));
    let columns: Vec<&str> = rest.split_whitespace().collect();
    if !mode_ok || columns.len() < 8 || !rest.starts_with(' ') {
        return false;
    }
    let number = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let date_at = rest.find(columns[4]).unwrap();
    let date = &rest[date_at..];
    let day_ok = date.len() > 12 && number(date[4..6].trim_start()) && &date[6..7] == " ";
    let year_or_time = &date[7..12];
    let time_ok =
        &year_or_time[2..3] == ":" && number(&year_or_time[..2]) && number(&year_or_time[3..]);
    let year_ok = year_or_time.starts_with(' ') && number(&year_or_time[1..]);
    number(columns[0])
        && number(columns[3])
        && months.contains(&columns[4])
        && day_ok
        && (time_ok || year_ok)
        && &date[12..13] == " "
}

#[test]
fn b32_each_line_has_the_form_that_clients_parse() {
    let share = Share::new();
    share.write("plain", "12345");
    share.mkdir("dir");
    share.mkdir("sticky");
    share.set_mode("sticky", 0o1777);
    share.write("odd-mode", "");
    share.set_mode("odd-mode", 0o4711);
    share.symlink("plain", "link");
    share.symlink("nowhere", "dangling");
    share.fifo("fifo");
    let _socket = share.socket("socket");
    share.write_sparse("huge", (1 << 32) + 7);
    share.write("old", "");
    share.set_modified("old", 951_782_400); // 2000-02-29 00:00:00
    share.write("ancient", "");
    share.set_modified("ancient", -86_400 * 365);
    share.write("future", "");
    share.set_modified("future", now() + 2 * DAY);
    share.write("recent", "");
    share.set_modified("recent", now() - 30 * DAY);
    share.write("half-a-year", "");
    share.set_modified("half-a-year", now() - 200 * DAY);
    if is_root() {
        std::os::unix::fs::lchown(
            share.path("plain"),
            Some(4_000_000_000),
            Some(4_000_000_000),
        )
        .unwrap();
    }
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let lines = client.list("");
    for line in &lines {
        assert!(is_well_formed(line), "{line:?}");
        assert!(!line.starts_with("total"), "{line}");
    }
    assert_eq!(lines.len(), 14, "{lines:#?}");
    let line = |name: &str| {
        let found = lines
            .iter()
            .find(|line| listed_name(line).split(" -> ").next() == Some(name));
        found
            .unwrap_or_else(|| panic!("{name} is not listed: {lines:#?}"))
            .clone()
    };
    assert!(line("old").contains(" Feb 29  2000 old"), "{}", line("old"));
    assert!(
        line("ancient").contains(" Jan 01  1969 ancient"),
        "{}",
        line("ancient")
    );
    let has_year = |name: &str| !line(name)[30..].contains(':');
    assert!(
        has_year("future") && has_year("half-a-year") && !has_year("recent") && !has_year("dir"),
        "{lines:#?}"
    );
    assert!(line("huge").contains(" 4294967303 "), "{}", line("huge"));
    assert!(line("plain").contains(" 5 "), "{}", line("plain"));
    assert!(
        line("dangling").ends_with(" dangling -> nowhere"),
        "{}",
        line("dangling")
    );
    assert!(
        line("link").starts_with('l') && line("link").ends_with("link -> plain"),
        "{}",
        line("link")
    );
    assert!(
        line("sticky").starts_with("drwxrwxrwt"),
        "{}",
        line("sticky")
    );
    assert!(
        line("odd-mode").starts_with("-rws--x--x"),
        "{}",
        line("odd-mode")
    );
    assert!(line("fifo").starts_with('p') && line("socket").starts_with('s'));
    assert!(
        !is_root() || line("plain").contains(" 4000000000 "),
        "{}",
        line("plain")
    );
}

#[test]
fn b32_the_date_is_utc_whatever_the_time_zone() {
    let share = Share::new();
    let at = now() - 3 * DAY;
    share.write("f", "");
    share.set_modified("f", at);
    let mut dates = Vec::new();
    for zone in ["UTC", "America/New_York", "Asia/Kolkata", "EST5EDT"] {
        let server = Launch::new().variable("TZ", zone).start(&share);
        let mut client = Client::login(&server);
        let (hour, minute) = (at / 3600 % 24, at / 60 % 60);
        let line = client.list("").remove(0);
        assert!(
            line.contains(&format!(" {hour:02}:{minute:02} f")),
            "{zone}: {line}"
        );
        dates.push((line, client.say("MDTM f").hear(213), client.mlsd("")));
    }
    dates.dedup();
    assert_eq!(dates.len(), 1, "{dates:?}");
}

#[test]
fn b33_every_entry_is_listed_once() {
    let share = Share::new();
    for count in [0, 1, 2, 16, 17, 100, 5000] {
        share.mkdir(format!("d{count}"));
        for number in 0..count {
            std::fs::write(share.path(format!("d{count}/file{number:04}")), "").unwrap();
        }
    }
    share.mkdir("long");
    for number in 0..400 {
        std::fs::write(
            share.path(format!("long/{number:04}{}", "n".repeat(251))),
            "",
        )
        .unwrap();
    }
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for count in [0, 1, 2, 16, 17, 100, 5000] {
        let directory = format!("d{count}");
        let wanted: Vec<String> = (0..count)
            .map(|number| format!("file{number:04}"))
            .collect();
        client.say(format!("CWD /{directory}")).hear(250);
        let mut names = client.nlst("");
        names.sort();
        assert_eq!(names, wanted, "NLST of {count}");
        let lines = client.list(&format!("/{directory}"));
        let mut names = names_of(&lines);
        names.sort_unstable();
        assert_eq!(names, wanted, "LIST of {count}");
        let lines = client.mlsd("");
        let mut names: Vec<&str> = lines
            .iter()
            .filter(|line| fact(line, "type") == Some("file"))
            .map(|line| mlsd_name(line))
            .collect();
        names.sort_unstable();
        assert_eq!(names, wanted, "MLSD of {count}");
    }
    assert_eq!(client.nlst("/long").len(), 400);
    assert_eq!(client.list("/long").len(), 400);
}

#[test]
fn b33_a_file_is_one_line_and_what_is_absent_is_refused() {
    let share = Share::new();
    share.write("d/f", "12345");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let lines = client.list("d/f");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains(" 5 ") && lines[0].ends_with('f'),
        "{lines:?}"
    );
    assert_eq!(client.nlst("d/f"), ["d/f"]);
    assert_eq!(
        client.nlst("d"),
        ["d/f"],
        "a path in front is kept, so that the line can be said to RETR"
    );
    assert_eq!(client.nlst("/d/"), ["/d/f"]);
    let data = client.data();
    for line in [
        "LIST absent",
        "NLST absent",
        "MLSD absent",
        "LIST d/absent",
        "LIST d/f/x",
        "LIST -a absent",
    ] {
        client.say(line).hear(550);
    }
    client.say("NLST").hear(150);
    drop(data);
    client.hear_one_of(&[226, 426]);
}

#[test]
fn b34_what_cannot_be_looked_at_hides_nothing_else() {
    let share = Share::new();
    share.write("a", "x");
    share.symlink("nowhere", "dangling");
    share.symlink("loop", "loop");
    share.mkdir("closed");
    share.set_mode("closed", 0o000);
    share.write("z", "x");
    share.mkdir("unsearchable");
    share.write("unsearchable/f", "x");
    share.set_mode("unsearchable", 0o444);
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let all = ["a", "closed", "dangling", "loop", "unsearchable", "z"];
    assert_eq!(client.nlst(""), all);
    assert_eq!(client.list("").len(), all.len());
    assert_eq!(
        client
            .mlsd("")
            .iter()
            .filter(|line| !line.contains("type=cdir"))
            .count(),
        all.len()
    );
    // names can be read there, and nothing about them
    client.data();
    client.say("LIST unsearchable").hear_one_of(&[150, 550]);
    let mut client = Client::login(&server);
    client.data();
    client.say("LIST closed").hear(550);
    client.hear_nothing();
}

#[test]
fn b34_files_that_vanish_while_they_are_listed_do_no_harm() {
    let share = Share::new();
    for number in 0..3000 {
        std::fs::write(share.path(format!("vanishing{number:04}")), "").unwrap();
    }
    share.write("staying", "x");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let mut second = Client::login(&server);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..3000 {
                std::fs::remove_file(share.path(format!("vanishing{number:04}"))).unwrap();
            }
        });
        for _ in 0..5 {
            assert!(
                client
                    .list("")
                    .iter()
                    .any(|line| line.ends_with(" staying"))
            );
            assert!(
                second
                    .mlsd("")
                    .iter()
                    .any(|line| line.ends_with(" staying"))
            );
        }
    });
    assert_eq!(client.nlst(""), ["staying"]);
}

#[test]
fn b35_facts_have_their_form() {
    let share = Share::new();
    share.write("file", "12345");
    share.set_modified("file", 1_600_000_000);
    share.mkdir("dir");
    share.write(" leading", "x");
    share.write("semi; colon", "x");
    share.write("a=b;c=d; e", "x");
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    let lines = client.mlsd("");
    for line in &lines {
        let facts = line
            .split_once("; ")
            .unwrap_or_else(|| panic!("{line:?}"))
            .0;
        for one in facts.split(';') {
            let (name, value) = one.split_once('=').unwrap_or_else(|| panic!("{line:?}"));
            assert!(
                !name.is_empty() && !name.contains(' ') && !value.contains(' '),
                "{line:?}"
            );
        }
        assert!(line.to_ascii_lowercase().starts_with("type="), "{line:?}");
        assert_eq!(fact(line, "modify").map(str::len), Some(14), "{line:?}");
    }
    let mut names: Vec<&str> = lines
        .iter()
        .filter(|line| !["cdir", "pdir"].contains(&fact(line, "type").unwrap()))
        .map(|line| mlsd_name(line))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [" leading", "a=b;c=d; e", "dir", "file", "semi; colon"]
    );
    let file = lines.iter().find(|line| line.ends_with("; file")).unwrap();
    assert_eq!(fact(file, "type"), Some("file"));
    assert_eq!(fact(file, "size"), Some("5"));
    assert_eq!(fact(file, "modify"), Some("20200913122640"));
    assert!(
        fact(file, "unique").is_some()
            && fact(file, "UNIX.uid").is_some()
            && fact(file, "UNIX.gid").is_some()
    );
    assert_eq!(
        fact(file, "UNIX.mode").map(|mode| mode.trim_start_matches('0')),
        Some("644")
    );
    let dir = lines.iter().find(|line| line.ends_with("; dir")).unwrap();
    assert_eq!(fact(dir, "type"), Some("dir"));
    assert!(
        fact(dir, "perm").unwrap().contains('e') && fact(dir, "perm").unwrap().contains('c'),
        "{dir}"
    );
    assert!(fact(file, "perm").unwrap().contains('w'), "{file}");

    let reply = client.say("MLST dir").hear(250);
    assert_eq!(reply.lines.len(), 3);
    assert_eq!(reply.line(), "250 End");
    let inner = &reply.inner()[0];
    assert!(
        inner.starts_with(" type=dir;") || inner.starts_with(" Type=dir;"),
        "{inner}"
    );
    assert!(
        inner.ends_with("; /dir") || inner.ends_with("; dir"),
        "{inner}"
    );
    let inner = client.say("MLST").hear(250).inner().remove(0);
    assert!(inner.to_ascii_lowercase().contains("type="), "{inner}");
    let inner = client.say("MLST file").hear(250).inner().remove(0);
    assert_eq!(fact(&inner, "size"), Some("5"));
    client.say("MLST absent").hear(550);
    client.data();
    client.say("MLSD file").hear(501);
    client.say("MLSD absent").hear(550);
}

#[test]
fn b35_facts_are_chosen_and_the_choice_is_kept() {
    let share = Share::new();
    share.write("file", "12345");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    assert_eq!(
        client.say("OPTS MLST type;size;").hear(200).line(),
        "200 MLST OPTS type;size;"
    );
    let inner = client.say("MLST file").hear(250).inner().remove(0);
    assert!(inner.starts_with(" type=file;size=5; "), "{inner}");
    assert_eq!(
        client
            .mlsd("")
            .iter()
            .filter(|line| line.starts_with("type=file;size=5; file"))
            .count(),
        1
    );
    assert_eq!(
        client.say("OPTS MLST modify;nonsense;").hear(200).line(),
        "200 MLST OPTS modify;"
    );
    let inner = client.say("MLST file").hear(250).inner().remove(0);
    assert!(inner.starts_with(" modify="), "{inner}");
    // FEAT marks the chosen ones
    let features = client.say("FEAT").hear(211).inner();
    let row = features
        .iter()
        .find(|line| line.starts_with(" MLST "))
        .unwrap();
    assert!(row.contains("modify*;") && row.contains("size;"), "{row}");
    // none at all
    client.say("OPTS MLST").hear(200);
    let inner = client.say("MLST file").hear(250).inner().remove(0);
    assert!(!inner.contains('='), "{inner}");
    client.say("OPTS MLST TYPE;SIZE;").hear(200);
    let inner = client.say("MLST file").hear(250).inner().remove(0);
    assert_eq!(fact(&inner, "size"), Some("5"));
}

#[test]
fn b35_perm_tells_the_truth_to_a_reader() {
    let share = Share::new();
    share.write("file", "x");
    share.mkdir("dir");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for line in client.mlsd("") {
        let perm = fact(&line, "perm").unwrap();
        assert!(
            perm.chars().all(|it| "elr".contains(it)),
            "{line}: nothing may be changed here"
        );
    }
}

#[test]
fn b38_empty_is_not_missing() {
    let share = Share::new();
    share.mkdir("empty");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for mode in [Mode::Pasv, Mode::Epsv, Mode::Port, Mode::Eprt] {
        client.mode = mode;
        assert!(client.nlst("empty").is_empty());
        assert!(client.list("empty").is_empty());
        assert!(client.list("-a empty").is_empty());
        assert!(
            client
                .mlsd("empty")
                .iter()
                .all(|line| line.contains("type=cdir") || line.contains("type=pdir"))
        );
    }
    client.data();
    client.say("NLST missing").hear(550);
    client.say("NLST missing/*.txt").hear_one_of(&[150, 550]);
}

#[test]
fn patterns_find_files_and_names_with_brackets_are_names() {
    let share = Share::new();
    for name in ["one.txt", "two.txt", "three.dat", "[x]", "a*b"] {
        share.write(name, name);
    }
    share.write("sub/four.txt", "x");
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    assert_eq!(client.nlst("*.txt"), ["one.txt", "two.txt"]);
    assert_eq!(client.nlst("sub/*.txt"), ["sub/four.txt"]);
    assert_eq!(client.nlst("t??.txt"), ["two.txt"]);
    assert_eq!(client.nlst("[ot]*.txt"), ["one.txt", "two.txt"]);
    assert_eq!(names_of(&client.list("*.dat")), ["three.dat"]);
    assert_eq!(client.nlst("[x]"), ["[x]"], "the literal name first");
    assert_eq!(client.nlst("a*b"), ["a*b"]);
    // nothing else knows patterns
    client.say("DELE *.txt").hear(550);
    client.say("MLST *.txt").hear(550);
    client.data();
    client.say("RETR *.txt").hear(550);
    client.say("MLSD s*").hear(550);
    // and none takes long
    share.write("a".repeat(250), "");
    let start = Instant::now();
    let pattern = "*a".repeat(100) + "b";
    client.say(format!("NLST {pattern}")).hear_any();
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "a pattern takes {:?}",
        start.elapsed()
    );
}

#[test]
fn a_listing_of_all_below_has_an_end() {
    let share = Share::new();
    let deep = "d/".repeat(100);
    share.write(format!("{deep}bottom"), "x");
    share.symlink(".", "loop");
    share.symlink("..", "up");
    share.write("wide/f", "x");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    for line in ["LIST -R", "LIST -lR", "NLST -R", "LIST -aR d"] {
        let octets = client.fetch(line);
        assert!(
            !octets.is_empty() && octets.len() < 100_000,
            "{line}: {} octets",
            octets.len()
        );
    }
    client.hear_nothing();
}

#[test]
fn stat_of_a_path_comes_on_the_control_connection() {
    let share = Share::new();
    share.write("d/one", "12345");
    share.write("d/two", "x");
    share.write("d/211 End", "x");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let reply = client.say("STAT d").hear_one_of(&[212, 213]);
    let inner = reply.inner();
    assert_eq!(inner.len(), 3, "{inner:?}");
    assert!(
        inner
            .iter()
            .any(|line| line.contains(" 5 ") && line.ends_with(" one")),
        "{inner:?}"
    );
    let reply = client.say("STAT d/one").hear_one_of(&[211, 212, 213]);
    assert_eq!(reply.inner().len(), 1);
    client.say("STAT absent").hear_one_of(&[450, 550]);
    client.say("STAT -la d").hear_one_of(&[212, 213]);
    client.hear_nothing();
}

#[test]
fn b40_a_large_directory_costs_no_more_than_a_small_one() {
    let share = Share::new();
    let directory = share.mkdir("large");
    for number in 0..100_000_u32 {
        std::fs::File::create(directory.join(format!("{number:06}"))).unwrap();
    }
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    client.list("");
    let before = server.memory_kib();
    for line in ["NLST large", "LIST large", "MLSD large"] {
        let data = client.data();
        let start = Instant::now();
        client.say(line).hear(150);
        let mut stream = data.stream();
        stream.read_exact(&mut [0]).unwrap();
        let first = start.elapsed();
        let mut rest = Vec::new();
        stream.set_read_timeout(Some(3 * PATIENCE)).unwrap();
        stream.read_to_end(&mut rest).unwrap();
        client.hear(226);
        assert_eq!(
            rest.iter().filter(|octet| **octet == b'\n').count(),
            100_000,
            "{line}"
        );
        assert!(
            first < Duration::from_secs(1),
            "{line}: first octet after {first:?}"
        );
    }
    let grown = server.memory_kib().saturating_sub(before);
    assert!(grown < 1024, "listing 100 000 entries cost {grown} KiB");
}

#[test]
fn a_listing_that_nobody_reads_ends_and_one_that_is_aborted_too() {
    let share = Share::new();
    for number in 0..2000 {
        std::fs::write(share.path(format!("{number:04}{}", "n".repeat(250))), "").unwrap();
    }
    let server = Server::start(&share, &["--data-timeout", "2"]);
    let mut client = Client::login(&server);
    let data = client.data();
    client.say("LIST -R").hear(150);
    let mut stream = data.stream();
    stream.read_exact(&mut [0]).unwrap();
    let first = client.say("ABOR").hear_one_of(&[226, 426]);
    client.hear_one_of(&[225, 226]);
    assert!(first.code == 426 || first.code == 226);
    drop(stream);
    client.hear_nothing();
    stream_is_dropped_in_the_middle(&mut client);
}

/// A client that goes away in the middle of a listing.
fn stream_is_dropped_in_the_middle(client: &mut Client) {
    let data = client.data();
    client.say("LIST").hear(150);
    let mut stream = data.stream();
    stream.read_exact(&mut [0]).unwrap();
    stream.flush().unwrap();
    drop(stream);
    client.hear_one_of(&[226, 426, 451]);
    client.hear_nothing();
}
