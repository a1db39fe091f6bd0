//! What must hold for every input, tried on inputs that proptest makes up: the parsers of the wire against simple
//! models, listings against a reader of their own, and the live server against cuts in what it is sent.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

#[path = "fuzz/checks.rs"]
mod checks;
mod common;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use pocketftpd::wire::listing::{self, Entry, Facts, Kind, LINE_MAX, Perm};
use pocketftpd::wire::octets::Cursor;
use pocketftpd::wire::reply;
use pocketftpd::wire::time::{self, Civil};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use common::{PATIENCE, Server, Share};

/// So many inputs a property, the same each time; more by the environment variable `PROPTEST_CASES`, others by
/// `PROPTEST_RNG_SEED`.
fn cases(count: u32) -> ProptestConfig {
    let asked = |name| std::env::var(name).ok()?.parse().ok();
    ProptestConfig {
        cases: asked("PROPTEST_CASES").map_or(count, |cases: u64| cases.try_into().unwrap()),
        rng_seed: RngSeed::Fixed(asked("PROPTEST_RNG_SEED").unwrap_or(1)),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Octets out of a few that matter, with any others in between.
fn mostly(octets: &'static [u8], most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![9 => select(octets), 1 => any::<u8>()], 0..=most)
}

/// Words out of a few that matter, one after the other, with any octets in between.
fn words(words: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        9 => select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..3),
    ];
    vec(word, 0..=most).prop_map(|words| words.concat())
}

const HASH: &str = "$6$pocketftpd$4ZNfGz/ABcmoC1jSk8dbkqrRnjRarxqM9UiG1u5jp3q1BdorkiKNWEpk1s6oM7iaW2ewUcAwrFGKDmKjygMOg0";

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_line_is_split_without_panic(line in words(&["USER", "noop", " ", "  ", "-la ", "-", "--", "P@SW", "GET ", "HTTP/1.1", "\u{fff}"], 12)) {
        checks::command_split_never_panics(&line);
    }

    #[test]
    fn telnet_does_not_mind_how_octets_are_cut(
        octets in mostly(b"ab\r\n\xff\xff\xff\xff\xf0\xf2\xf4\xfa\xfb\xfd\xfe\x01", 60),
        pieces in vec(1..9usize, 1..20),
    ) {
        checks::telnet_pieces_make_no_difference(&octets);
        prop_assert_eq!(checks::filtered(&octets, &pieces), checks::filtered(&octets, &[]));
    }

    #[test]
    fn a_pathname_stays_below_the_root_and_is_what_a_list_of_names_makes_of_it(octets in mostly(b"////....ab\n", 60)) {
        checks::pathname_stays_below_root(&octets);
    }

    #[test]
    fn a_long_pathname_is_refused_or_right(length in 4000..4200usize, base in 0..200usize, up in 0..3usize) {
        let octets = [b"b/".repeat(base), b"\n".to_vec(), b"../".repeat(up), vec![b'a'; length]].concat();
        checks::pathname_stays_below_root(&octets);
    }

    #[test]
    fn a_pattern_means_what_trying_everything_finds(
        pattern in mostly(b"ab**??[[]]!^-\\", 9),
        name in mostly(b"aabb[]-!*\\", 9),
    ) {
        checks::glob_is_the_naive_one(&[pattern, b"\n".to_vec(), name].concat());
    }

    #[test]
    fn a_file_in_ascii_comes_back_as_it_went(file in mostly(b"\r\r\n\n\0ab", 80)) {
        checks::ascii_survives_a_round_trip(&file);
    }

    #[test]
    fn addresses_are_read_back(
        numbers in vec(any::<u8>(), 6),
        six in any::<[u16; 8]>(),
        port in 1..=u16::MAX,
        delimiter in select(&b"|!~#$/"[..]),
        noise in words(&["1", "0", ",", "255", "|", "|2|", "::1", "127.0.0.1", " ", "65536", "ALL"], 14),
    ) {
        let text: Vec<String> = numbers.iter().map(u8::to_string).collect();
        checks::addresses_survive_a_round_trip(text.join(",").as_bytes());
        let d = char::from(delimiter);
        let ip = IpAddr::from(six);
        let line = format!("{d}2{d}{ip}{d}{port}{d}");
        let wanted = Ok(SocketAddr::new(ip, port));
        prop_assert_eq!(pocketftpd::wire::address::parse_eprt(line.as_bytes()), wanted);
        checks::addresses_survive_a_round_trip(&noise);
    }

    #[test]
    fn facts_are_chosen_by_name(argument in words(&["type", "size;", "Modify;", "UNIX.mode", ";", " ", "perm;", "unique;", "UNIX.uid;", "x"], 12)) {
        checks::facts_are_chosen_by_their_own_names(&argument);
    }

    #[test]
    fn a_proxy_header_waits_for_its_end(
        noise in words(&["PROXY ", "TCP4", "TCP6", "UNKNOWN", " ", "1.2.3.4", "::1", "80", "\r\n", "\r\n\r\n\0\r\nQUIT\n", "\x21", "\x20", "\x11", "\0", "\x0c"], 12),
        v4 in any::<([u8; 4], u16, [u8; 4], u16)>(),
        v6 in any::<([u16; 8], u16, [u16; 8], u16)>(),
    ) {
        checks::proxy_header_waits_for_its_end(&noise);
        checks::proxy_header_names((v4.0, v4.1).into(), (v4.2, v4.3).into());
        checks::proxy_header_names((v6.0, v6.1).into(), (v6.2, v6.3).into());
    }

    #[test]
    fn a_users_file_is_read_or_refused(text in words(&["ann", ":", "::", "\n", "\r\n", "#", HASH, "$6$", "$5$", "rounds=", "5000$", "ro", "rw", "/a/b", "..", "\u{feff}"], 14)) {
        checks::users_file_is_read_or_refused(&text);
    }

    #[test]
    fn bounded_strings_do_what_vectors_do(operations in vec(any::<u8>(), 0..80)) {
        checks::bounded_strings_are_vectors(&operations);
    }

    #[test]
    fn times_are_read_back(seconds in 0..253_402_300_799i64) {
        let mut room = [0; 14];
        let mut out = Cursor::new(&mut room);
        time::time_val(seconds, &mut out);
        prop_assert_eq!(time::parse_time_val(out.written()), Some((seconds, 0)));
    }

    #[test]
    fn a_date_of_list_is_read_back(now in 40_000_000..4_000_000_000i64, ago in prop_oneof![-3600..7200i64, 0..40_000_000i64]) {
        let modified = now - ago;
        let mut room = [0; 12];
        let mut out = Cursor::new(&mut room);
        time::list_date(modified, now, &mut out);
        prop_assert!(!out.is_full());
        let recent = ago <= 182 * 86_400;
        prop_assert_eq!(date(out.written(), now), modified - modified.rem_euclid(if recent { 60 } else { 86_400 }));
    }

    #[test]
    fn a_pathname_in_quotes_is_read_back(pathname in vec(prop_oneof![3 => select(&b"\"\"/ \xff."[..]), 1 => 0x20..0x7Fu8, 1 => 0xA0..=0xFFu8], 0..100)) {
        let pathname = [&b"/"[..], &pathname].concat();
        for reply in [reply::here(&pathname), reply::made(&pathname)] {
            let mut room = [0; 500];
            let mut out = Cursor::new(&mut room);
            reply.write(&mut out);
            prop_assert!(!out.is_full());
            // As a client reads: Telnet's doubled 255 first, then RFC 959's doubled quotes, up to one that is alone.
            let (octets, answer) = checks::filtered(out.written(), &[]);
            prop_assert!(answer.is_empty());
            let mut rest = octets.strip_prefix(b"257 \"").unwrap().iter();
            let mut read = Vec::new();
            while let Some(octet) = rest.next() {
                if *octet == b'"' && rest.next() != Some(&b'"') {
                    break;
                }
                read.push(*octet);
            }
            prop_assert_eq!(read.escape_ascii().to_string(), pathname.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_line_of_list_has_nine_columns_and_its_name(entry in entry(), owner in ".{0,40}", now in 0..4_000_000_000i64) {
        let (entry, name) = (entry.0.with(&entry.1), &entry.1);
        let mut room = [0; LINE_MAX];
        let mut out = Cursor::new(&mut room);
        listing::long_line(&entry, Some(owner.as_str()), None, now, &mut out);
        prop_assert!(!out.is_full());
        let line = out.written().strip_suffix(b"\r\n").unwrap();
        prop_assert_eq!(without_controls(line, b""), line, "{}", line.escape_ascii());
        let read = Listed::read(line);
        prop_assert_eq!(read.mode, entry.mode & 0o7777);
        prop_assert_eq!(read.letter, letter(entry.kind));
        prop_assert_eq!((read.links, read.size), (entry.links, entry.size));
        prop_assert_eq!(read.group, entry.group.to_string());
        let shown = without_controls(name, b"");
        let (found, target) = match entry.kind {
            Kind::Link => read.name.split_at(read.name.len() - b" -> there".len()),
            _ => (read.name, &b""[..]),
        };
        prop_assert_eq!(found, shown);
        prop_assert!(target.is_empty() || target == b" -> there");
    }

    #[test]
    fn a_line_of_mlsd_is_read_back(entry in entry(), letters in any::<[bool; 10]>()) {
        let (entry, name) = (entry.0.with(&entry.1), &entry.1);
        let perm = perm(letters);
        let mut room = [0; LINE_MAX];
        let mut out = Cursor::new(&mut room);
        let told = listing::fact_line(&entry, perm, Facts::ALL, &mut out);
        prop_assert!(!out.is_full());
        let torn = without_controls(name, b"\t") != *name;
        prop_assert_eq!(told, !torn);
        if torn {
            prop_assert!(out.is_empty());
            return Ok(());
        }
        let line = out.written().strip_suffix(b"\r\n").unwrap();
        // RFC 3659 7.2: the facts hold no space, so the first one ends them.
        let space = line.iter().position(|octet| *octet == b' ').unwrap();
        prop_assert_eq!(&line[space + 1..], name.as_slice());
        let facts = std::str::from_utf8(&line[..space]).unwrap();
        prop_assert!(facts.ends_with(';'));
        let fact = |wanted: &str| facts.split(';').find_map(|each| each.strip_prefix(wanted)?.strip_prefix('='));
        let size = entry.size.to_string();
        prop_assert_eq!(fact("size"), (entry.kind == Kind::File).then_some(size.as_str()));
        prop_assert_eq!(time::parse_time_val(fact("modify").unwrap().as_bytes()), Some((entry.modified, 0)));
        prop_assert_eq!(u32::from_str_radix(fact("UNIX.mode").unwrap(), 8).unwrap(), entry.mode & 0o7777);
        prop_assert_eq!(fact("UNIX.uid").unwrap(), entry.owner.to_string());
        prop_assert_eq!(fact("UNIX.gid").unwrap(), entry.group.to_string());
        prop_assert_eq!(fact("unique").unwrap(), format!("{:x}g{:x}", entry.device, entry.inode));
        let wanted: String = "acdeflmprw".chars().zip(letters).filter(|(_, held)| *held).map(|(letter, _)| letter).collect();
        prop_assert_eq!(fact("perm").unwrap(), wanted);
    }
}

/// A name with `?` for each control character but `kept`, taken apart character by character.
fn without_controls(name: &[u8], kept: &[u8]) -> Vec<u8> {
    let mut shown = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = (1..=rest.len().min(4)).find_map(|len| std::str::from_utf8(&rest[..len]).ok());
        let len = text.map_or(1, str::len);
        let control = match text {
            Some(text) => text.contains(char::is_control),
            None => matches!(rest[0], 0x80..=0x9f),
        };
        if control && !kept.contains(&rest[0]) {
            shown.push(b'?');
        } else {
            shown.extend_from_slice(&rest[..len]);
        }
        rest = &rest[len..];
    }
    shown
}

/// What a client makes of a date of LIST: where the year is left out, the one that brings it nearest to now.
fn date(text: &[u8], now: i64) -> i64 {
    let text = std::str::from_utf8(text).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [month, day, rest] = words[..] else {
        panic!("{text:?}")
    };
    let month = 1 + "JanFebMarAprMayJunJulAugSepOctNovDec".find(month).unwrap() / 3;
    let instant = |year, hour, minute| {
        let civil = Civil {
            year,
            month: month.try_into().unwrap(),
            day: day.parse().unwrap(),
            hour,
            minute,
            second: 0,
        };
        time::unix(&civil)
    };
    let Some((hour, minute)) = rest.split_once(':') else {
        return instant(rest.parse().unwrap(), 0, 0).unwrap();
    };
    let (hour, minute) = (hour.parse().unwrap(), minute.parse().unwrap());
    let year = time::civil(now).year;
    let years = [year - 1, year, year + 1].into_iter();
    let instants = years.filter_map(|year| instant(year, hour, minute));
    instants.min_by_key(|found| (found - now).abs()).unwrap()
}

/// Every check, on each line that was recorded from a client.
#[test]
fn what_clients_were_recorded_to_say_holds_in_every_check() {
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/profuzzbench");
    let mut lines = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "raw") {
            let octets = std::fs::read(path).unwrap();
            lines.extend(octets.split(|octet| *octet == b'\n').map(<[u8]>::to_vec));
        }
    }
    assert!(lines.len() > 50, "{} lines", lines.len());
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let at = line.iter().position(|octet| *octet == b' ');
        let argument = &line[at.map_or(line.len(), |at| at + 1)..];
        for octets in [line, argument] {
            checks::command_split_never_panics(octets);
            checks::telnet_pieces_make_no_difference(octets);
            checks::pathname_stays_below_root(octets);
            checks::addresses_survive_a_round_trip(octets);
            checks::facts_are_chosen_by_their_own_names(octets);
            checks::glob_is_the_naive_one(&[octets, b"\n", octets].concat());
            checks::ascii_survives_a_round_trip(octets);
            checks::proxy_header_waits_for_its_end(octets);
            checks::users_file_is_read_or_refused(octets);
            checks::bounded_strings_are_vectors(octets);
        }
    }
}

/// An entry without its name.
#[derive(Debug, Clone)]
struct Nameless {
    kind: Kind,
    numbers: (u32, u64, u32, u32, u64, i64, u64, u64),
}

impl Nameless {
    fn with<'a>(&self, name: &'a [u8]) -> Entry<'a> {
        let (mode, links, owner, group, size, modified, device, inode) = self.numbers;
        Entry {
            name,
            kind: self.kind,
            mode,
            links,
            owner,
            group,
            size,
            modified,
            device,
            inode,
            target: (self.kind == Kind::Link).then_some(b"there"),
        }
    }
}

fn entry() -> impl Strategy<Value = (Nameless, Vec<u8>)> {
    const KINDS: &[Kind] = &[
        Kind::File,
        Kind::Directory,
        Kind::Link,
        Kind::Other(b'p'),
        Kind::Other(b's'),
    ];
    let numbers = (
        any::<u32>(),
        any::<u64>(),
        any::<u32>(),
        any::<u32>(),
        any::<u64>(),
        0..253_402_300_799i64,
        any::<u64>(),
        any::<u64>(),
    );
    let name = prop_oneof![
        vec(
            prop_oneof![3 => select(&b"ab .;=-> \r\n\x1b\xff\xc2\x9b"[..]), 1 => any::<u8>()],
            1..=255,
        ),
        vec(select(&b"ab .;=->\t\xe9\xff"[..]), 1..=255),
        "[^\0-\u{9f}]{1,60}".prop_map(String::into_bytes),
    ];
    (select(KINDS), numbers, name)
        .prop_map(|(kind, numbers, name)| (Nameless { kind, numbers }, name))
}

fn letter(kind: Kind) -> u8 {
    match kind {
        Kind::File => b'-',
        Kind::Directory => b'd',
        Kind::Link => b'l',
        Kind::Other(letter) => letter,
    }
}

fn perm(held: [bool; 10]) -> Perm {
    let [
        append,
        create,
        delete,
        enter,
        rename,
        list,
        make,
        purge,
        read,
        write,
    ] = held;
    Perm {
        append,
        create,
        delete,
        enter,
        rename,
        list,
        make,
        purge,
        read,
        write,
    }
}

/// A line of LIST as a client reads it: words between spaces, the ninth being the rest.
struct Listed<'a> {
    letter: u8,
    mode: u32,
    links: u64,
    group: String,
    size: u64,
    name: &'a [u8],
}

impl<'a> Listed<'a> {
    fn read(line: &'a [u8]) -> Self {
        let mut rest = line;
        let mut word = || {
            let start = rest.iter().position(|octet| *octet != b' ').unwrap();
            let end = rest[start..].iter().position(|octet| *octet == b' ');
            let end = start + end.unwrap();
            let word = String::from_utf8_lossy(&rest[start..end]).into_owned();
            rest = &rest[end..];
            word
        };
        let mode = word();
        let links = word().parse().unwrap();
        let (_owner, group) = (word(), word());
        let size = word().parse().unwrap();
        let (month, day, year) = (word(), word(), word());
        assert!("JanFebMarAprMayJunJulAugSepOctNovDec".contains(&month) && month.len() == 3);
        assert!((1..=31).contains(&day.parse::<u8>().unwrap()));
        let clock = year.split_once(':');
        let is_time = clock.is_some_and(|(hour, minute)| {
            hour.parse::<u8>().unwrap() < 24 && minute.parse::<u8>().unwrap() < 60
        });
        assert!(is_time || year.parse::<u16>().is_ok(), "{year}");
        let octets = mode.as_bytes();
        assert_eq!(octets.len(), 10);
        let mut bits = 0;
        for (place, octet) in octets[1..].iter().enumerate() {
            let bit = 0o400 >> place;
            let special = 0o4000 >> (place / 3);
            bits |= match octet {
                b'-' => 0,
                b'r' | b'w' | b'x' => bit,
                b's' | b't' => bit | special,
                b'S' | b'T' => special,
                _ => panic!("{mode}"),
            };
        }
        Self {
            letter: octets[0],
            mode: bits,
            links,
            group,
            size,
            name: &rest[1..],
        }
    }
}

// The same octets, cut otherwise.

/// Everything the server says to `octets`, sent in pieces of these lengths, up to its end; each piece is a packet.
fn told(server: &Server, octets: &[u8], pieces: &[usize]) -> Vec<u8> {
    let mut stream = TcpStream::connect_timeout(&server.address(), PATIENCE).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).unwrap();
    let mut lengths = pieces.iter().cycle();
    let mut rest = octets;
    while !rest.is_empty() {
        let length = lengths.next().copied().unwrap_or(usize::MAX);
        let (piece, after) = rest.split_at(length.clamp(1, rest.len()));
        rest = after;
        // The server may have said goodbye already.
        if stream.write_all(piece).is_err() {
            break;
        }
        // Not a wait for anything: it only lets the server read this piece by itself.
        std::thread::sleep(Duration::from_micros(if pieces.is_empty() {
            0
        } else {
            50
        }));
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    said
}

/// What was said, and apart from it what was said in Telnet, since that comes when the octets do.
fn sorted(said: &[u8]) -> (String, Vec<[u8; 3]>) {
    let (mut plain, mut telnet) = (Vec::new(), Vec::new());
    let mut rest = said;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match rest {
            [command @ (0xFC | 0xFE), option, after @ ..] if *octet == 0xFF => {
                telnet.push([0xFF, *command, *option]);
                rest = after;
            }
            _ => plain.push(*octet),
        }
    }
    (
        plain.escape_ascii().to_string().replace("\\r\\n", "\n"),
        telnet,
    )
}

/// A line of a dialogue that is answered alike each time.
fn line() -> impl Strategy<Value = Vec<u8>> {
    const LINES: &[&[u8]] = &[
        b"USER anonymous",
        b"PASS guest@",
        b"PWD",
        b"cwd d",
        b"CWD ..",
        b"CDUP",
        b"MLST f",
        b"STAT",
        b"STAT d",
        b"FEAT",
        b"HELP",
        b"SIZE f",
        b"MDTM f",
        b"TYPE I",
        b"TYPE A",
        b"REST 5",
        b"OPTS MLST size;",
        b"RNFR f",
        b"RNTO f",
        b"MKD n",
        b"RMD n",
        b"MKD a\xff\xffb",
        b"RMD a\xff\xffb",
        b"MKD a\xffb",
        b"RMD a\xffb",
        b"MKD z\xff",
        b"RMD z\xff",
        b"RMD z",
        b"\xff\xf4\xff\xf2ABOR",
        b"NO\xff\xf1OP",
        b"\xff\xfd\x01NOOP",
        b"\xff\xfb\x03",
        b"\xff\xfa\x18\x01\xff\xff\r\n\xff\xf0NOOP",
        b"REIN",
        b"LIST",
        b"NLST x*",
        b"PORT 1,2,3",
        b"EPSV ALL",
        b"",
        b"   ",
        b"XYZZY",
        b"NOOP \0",
        b"SITE HELP",
        b"SYST",
        b"\xf2NOOP",
        b"P\xff",
        b"\xff",
        b"\xff\xff",
        b"CWD \xf0\x9d\x84\x9e",
        b"AUTH TLS",
        b"HOST x",
        b"ALLO 5",
    ];
    const ENDS: &[&[u8]] = &[
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r\r\n",
        b"\r",
        b"\xff\n",
        b"\xff\r\n",
    ];
    let long =
        (0..3usize, 505..520usize, 4140..4180usize).prop_map(|(which, short, long)| match which {
            0 => b"x".repeat(short),
            1 => [b"CWD ".to_vec(), b"y".repeat(long)].concat(),
            _ => [b"CWD ".to_vec(), b"\xff\xff".repeat(long / 2)].concat(),
        });
    let line = prop_oneof![
        20 => select(LINES).prop_map(<[u8]>::to_vec),
        1 => long,
        2 => mostly(b"\xff\xff\xf4\xf0\xfa\xfb\xfd aNOOP", 12),
    ];
    (line, select(ENDS)).prop_map(|(line, end)| [&line, end].concat())
}

#[test]
fn how_a_dialogue_is_cut_into_packets_makes_no_difference() {
    let share = Share::new();
    share.write("f", "contents");
    share.write("d/g", "");
    share.set_modified("f", 1_000_000_000);
    share.set_modified("d", 1_000_000_000);
    share.set_modified("d/g", 1_000_000_000);
    let server = Server::start(&share, &["--writable", "--max-per-ip", "32"]);
    let mut runner = proptest::test_runner::TestRunner::new(cases(60));
    let dialogue = (
        vec(line(), 1..14),
        vec(prop_oneof![1..5usize, 1..40usize, 400..600usize], 1..8),
    );
    let result = runner.run(&dialogue, |(lines, pieces)| {
        let log_in = b"USER anonymous\r\nPASS x\r\n".to_vec();
        let octets = [vec![log_in], lines, vec![b"\r\nQUIT\r\n".to_vec()]]
            .concat()
            .concat();
        let leave_nothing = || {
            for (directory, own) in [("", &[&b"d"[..], b"f"][..]), ("d/", &[b"g"])] {
                for name in share.names(directory) {
                    if !own.contains(&name.as_slice()) {
                        let path = share.path([directory.as_bytes(), &name].concat());
                        if std::fs::remove_dir(&path).is_err() {
                            std::fs::remove_file(&path).unwrap();
                        }
                    }
                }
            }
            // A name that ends in IAC is another one: RNTO may have led there.
            if !share.holds("f") {
                share.write("f", "contents");
                share.set_modified("f", 1_000_000_000);
            }
            share.set_modified("d", 1_000_000_000);
        };
        let whole = sorted(&told(&server, &octets, &[]));
        leave_nothing();
        let cut = sorted(&told(&server, &octets, &pieces));
        leave_nothing();
        prop_assert_eq!(&cut, &whole, "{} in {:?}", octets.escape_ascii(), pieces);
        if octets.len() < 400 {
            let single = sorted(&told(&server, &octets, &[1]));
            leave_nothing();
            prop_assert_eq!(&single, &whole, "{} octet by octet", octets.escape_ascii());
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// What DELE acted on when a packet ended between IAC and the line end: the name without its last octet.
#[test]
fn a_packet_that_ends_in_the_octet_ff_names_the_same_file() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let log_in = b"USER x\nPASS x\n";
    for cut in [b"DELE a".len(), b"DELE a\xff".len()] {
        share.write("a", "keep");
        share.write(b"a\xff", "delete");
        let octets = [&log_in[..], b"DELE a\xff\nQUIT\n"].concat();
        told(&server, &octets, &[log_in.len() + cut, 1, 6]);
        assert_eq!(share.names(""), [b"a"], "cut {cut}");
    }
}
