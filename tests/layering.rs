//! Imports go one way: a file uses `crate::` only from floors below its own, as the map in `src/lib.rs` says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Room names with their floors.
type Map = BTreeMap<String, u32>;

/// The rooms drawn in the docs of `lib.rs`: lines of the form `//! 3 verbs  words`.
fn drawn(library: &str) -> Map {
    let rows = library.lines().filter_map(|line| {
        let mut words = line.strip_prefix("//! ")?.split_whitespace();
        let floor = words.next()?.parse().ok()?;
        let room = words.next()?.trim_end_matches('/').to_owned();
        words.next().map(|_| (room, floor)) // a room has a line of words
    });
    rows.collect()
}

/// The modules that `lib.rs` declares.
fn declared(library: &str) -> Vec<String> {
    let lines = library
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';'));
    let names =
        lines.filter_map(|line| line.strip_prefix("pub mod ").or(line.strip_prefix("mod ")));
    names.map(str::to_owned).collect()
}

/// What is wrong with one file of `room`, a line each.
fn breaches(map: &Map, room: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let floor = map.get(room).copied();
    if floor.is_none() {
        found.push(format!("{room} is not on the map"));
    }
    for (number, line) in source.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let mut say =
            |what: String| found.push(format!("line {}: {what}: {}", number + 1, line.trim()));
        for name in after(code, "crate::")
            .into_iter()
            .chain(after(code, "pocketftpd::"))
        {
            match map.get(name) {
                None if name.is_empty() && room == "main" => {} // all may be used there
                None if name.is_empty() => say("braces after crate::".to_owned()),
                None => say(format!("{name} is not on the map")),
                Some(_) if name == room || room == "main" => {}
                Some(above) if Some(*above) >= floor => say(format!("{name} is not below {room}")),
                Some(_) => {}
            }
        }
        for name in after(code, "super::") {
            if map.contains_key(name) && name != room {
                say(format!(
                    "{name} is reached by super::, past this test; write crate::{name}"
                ));
            }
        }
        if code
            .split(|it: char| !it.is_alphanumeric() && it != '_')
            .any(|word| word == "unsafe")
        {
            say("unsafe".to_owned());
        }
    }
    found
}

/// The identifiers that follow each `path` in a line of code; empty where a brace follows.
fn after<'a>(code: &'a str, path: &str) -> Vec<&'a str> {
    let is_word = |it: char| it.is_alphanumeric() || it == '_';
    let starts = code
        .match_indices(path)
        .filter(|(at, _)| !code[..*at].ends_with(is_word));
    starts
        .map(|(at, _)| {
            code[at + path.len()..]
                .split(|it| !is_word(it))
                .next()
                .unwrap_or_default()
        })
        .collect()
}

fn files_below(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}

fn source_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn imports_go_down_one_way() {
    let top = source_directory();
    let map = drawn(&fs::read_to_string(top.join("lib.rs")).unwrap());
    let mut files = Vec::new();
    files_below(&top, &mut files);
    assert!(files.len() > 2, "no sources found in {}", top.display());
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with("lib.rs")) {
        let name = file.strip_prefix(&top).unwrap();
        let room = name
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        let source = fs::read_to_string(file).unwrap();
        found.extend(
            breaches(&map, room, &source)
                .into_iter()
                .map(|what| format!("{}: {what}", name.display())),
        );
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_map_and_the_modules_are_the_same() {
    let library = fs::read_to_string(source_directory().join("lib.rs")).unwrap();
    let mut drawn: Vec<String> = drawn(&library)
        .into_keys()
        .filter(|room| room != "main")
        .collect();
    let mut declared = declared(&library);
    drawn.sort();
    declared.sort();
    assert_eq!(
        declared, drawn,
        "left: `pub mod` lines of lib.rs, right: its map"
    );
}

#[test]
fn the_map_is_read() {
    let map = drawn(
        "//! The map.\n//! ```text\n//! 3 verbs/   one function each\n//! 0 wire     octets\n//! 1 lonely\n",
    );
    assert_eq!(
        map,
        Map::from([("verbs".to_owned(), 3), ("wire".to_owned(), 0)])
    );
}

/// Each of these is caught; a check that cannot fail holds nothing.
#[test]
fn what_goes_up_or_sideways_is_caught() {
    let map = Map::from(
        [
            ("main", 6),
            ("verbs", 3),
            ("session", 2),
            ("transfer", 2),
            ("wire", 0),
        ]
        .map(|(room, floor)| (room.to_owned(), floor)),
    );
    let caught = |room: &str, source: &str| breaches(&map, room, source).len();
    assert_eq!(
        caught(
            "verbs",
            "use crate::session::Session;\nuse crate::verbs::refusal;\nuse crate::wire::reply;"
        ),
        0
    );
    assert_eq!(
        caught("main", "use pocketftpd::verbs; // all may be used here"),
        0
    );
    assert_eq!(
        caught(
            "session",
            "//! See [`crate::verbs`].\npub(crate) fn f() {} // crate::verbs"
        ),
        0
    );
    assert_eq!(caught("wire", "use crate::session;"), 1, "up");
    assert_eq!(
        caught("session", "    let it = crate::transfer::run();"),
        1,
        "sideways"
    );
    assert_eq!(caught("verbs", "use crate::{session, wire};"), 1, "braces");
    assert_eq!(caught("wire", "use super::session;"), 1, "by super");
    assert_eq!(caught("wire", "use crate::cellar;"), 1, "off the map");
    assert_eq!(caught("cellar", ""), 1, "a file that is not on the map");
    assert_eq!(caught("wire", "fn f() { unsafe { g() } }"), 1, "unsafe");
}
