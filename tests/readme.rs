//! README, `--help` and the program say the same.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use pocketftpd::accounts::Accounts;
use pocketftpd::cli::{self, Action};
use pocketftpd::config::Rights;
use pocketftpd::pool;
use pocketftpd::verbs::{Needs, Offer, VERBS};

/// The file as the tests ask for it.
struct Readme(String);

impl Readme {
    fn open() -> Self {
        Self(fs::read_to_string(top().join("README.md")).unwrap())
    }

    /// What stands under a heading of the second level.
    #[track_caller]
    fn section(&self, heading: &str) -> &str {
        let begin = format!("\n## {heading}\n");
        let (_, rest) = self.0.split_once(&begin).unwrap_or_else(|| {
            panic!("no section {heading}");
        });
        rest.split("\n## ").next().unwrap()
    }

    /// The lines inside ``` fences, a list for each fence, with what stands behind its opening.
    fn blocks(&self) -> Vec<(&str, Vec<&str>)> {
        let mut blocks = Vec::new();
        for (number, part) in self.0.split("\n```").enumerate() {
            if number % 2 == 1 {
                let mut lines = part.lines();
                blocks.push((lines.next().unwrap_or_default(), lines.collect()));
            }
        }
        blocks
    }
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The cells of the table rows of a text, without its heading rows.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn parse(words: &[&str]) -> Result<Action, String> {
    cli::parse(["pocketftpd"].iter().chain(words).map(OsString::from))
}

/// The flags of `--help`, each with the default that its text ends with or `-`.
fn flags_of_the_help() -> BTreeMap<String, String> {
    let Ok(Action::Say(help)) = parse(&["--help"]) else {
        panic!("no help");
    };
    let options = help.split("\nOptions:\n").nth(1).unwrap();
    let options = options.split("\n\n").next().unwrap();
    // A text that goes on in the next line is one text.
    let options = options.replace("\n      ", " ");
    let mut flags = BTreeMap::new();
    for line in options.lines() {
        let (flag, text) = line.trim().split_once(' ').unwrap();
        let text: Vec<&str> = text.split_whitespace().collect();
        let text = text.join(" ");
        let default = text
            .split_once("(default: ")
            .and_then(|(_, rest)| rest.split_once(')'));
        let default = default.map_or("-", |(default, _)| default).to_owned();
        flags.insert(flag.to_owned(), default);
    }
    flags
}

#[test]
fn every_flag_of_the_help_is_in_the_table_with_its_default() {
    let readme = Readme::open();
    let rows = rows(readme.section("Flags"));
    let told: BTreeMap<String, String> = rows
        .iter()
        .map(|row| {
            assert_eq!(row.len(), 3, "{row:?}");
            let flag = quoted(row[0])[0].split(' ').next().unwrap();
            (flag.to_owned(), row[1].to_owned())
        })
        .collect();
    assert_eq!(told.len(), rows.len(), "a flag has two rows");
    assert!(told.len() > 20, "{told:?}");
    assert_eq!(told, flags_of_the_help(), "left: README, right: --help");
}

#[test]
fn no_flag_is_mentioned_that_does_not_exist() {
    let readme = Readme::open();
    let flags = flags_of_the_help();
    let is_name = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
    // These belong to cargo.
    let others = ["--release", "--test", "--all", "--no-default-features"];
    for (at, _) in readme.0.match_indices("--") {
        let before = readme.0[..at].chars().next_back().unwrap();
        let name: String = readme.0[at..]
            .chars()
            .take_while(|it| is_name(*it))
            .collect();
        let is_flag = name[2..].starts_with(|it: char| it.is_ascii_lowercase());
        if !is_flag || before == '-' || is_name(before) {
            continue; // a drawing, a rule of a table
        }
        if name != "--flag" && !others.contains(&name.as_str()) {
            assert!(flags.contains_key(&name), "{name}");
        }
    }
}

#[test]
fn every_verb_of_the_table_is_here_with_what_it_needs() {
    let readme = Readme::open();
    let mut told = BTreeMap::new();
    for row in rows(readme.section("What it does")) {
        assert_eq!(row.len(), 4, "{row:?}");
        for verb in quoted(row[0]) {
            let known = told.insert(verb.to_owned(), (row[1].to_owned(), row[3].to_owned()));
            assert_eq!(known, None, "{verb} has two rows");
        }
    }
    for verb in VERBS {
        let (needs, remarks) = told
            .remove(verb.name)
            .unwrap_or_else(|| panic!("{} is missing", verb.name));
        let wanted = match verb.needs {
            Needs::Nothing | Needs::Turn => "nothing",
            Needs::Login | Needs::Port => "log-in",
            Needs::Write => "write",
        };
        assert_eq!(needs, wanted, "{}", verb.name);
        let switches: &[&str] = match verb.offer {
            Offer::Always => &[],
            Offer::Active => &["--no-active"],
            Offer::Passive => &["--no-passive"],
            Offer::ExtendedPassive => &["--no-epsv", "--no-passive"],
            Offer::Never => &["502"],
        };
        for switch in switches {
            assert!(remarks.contains(switch), "{}: {remarks}", verb.name);
        }
    }
    assert!(told.is_empty(), "no such verbs: {told:?}");
}

#[test]
fn every_guarantee_names_tests_that_exist() {
    let readme = Readme::open();
    let guarantees = readme.section("Guarantees");
    let guarantees = guarantees.split("What it cannot do:").next().unwrap();
    let mut count = 0;
    for item in guarantees.split("\n\n").flat_map(numbered) {
        count += 1;
        assert!(item.starts_with(&format!("{count}. ")), "{item}");
        let tests = quoted(&item);
        let tests: Vec<&&str> = tests.iter().filter(|it| it.contains("::")).collect();
        assert!(!tests.is_empty(), "{item} is held by no test");
        for test in tests {
            let (file, name) = test.split_once("::").unwrap();
            let source = fs::read_to_string(top().join(file))
                .unwrap_or_else(|error| panic!("{test}: {error}"));
            assert!(is_test(&source, name), "no test {test}");
        }
    }
    assert!(count > 15, "{count}");
}

/// The same for the file about the tests, which also lists every file of them.
#[test]
fn the_readme_of_the_tests_names_what_exists_and_every_file() {
    let text = fs::read_to_string(top().join("tests/README.md")).unwrap();
    assert!(text.is_ascii());
    assert!(!text.contains(env!("CARGO_MANIFEST_DIR")));
    let names = quoted(&text);
    let tests: Vec<&&str> = names.iter().filter(|it| it.contains(".rs::")).collect();
    assert!(tests.len() > 30, "{tests:?}");
    for test in tests {
        let (file, name) = test.split_once("::").unwrap();
        let source =
            fs::read_to_string(top().join(file)).unwrap_or_else(|error| panic!("{test}: {error}"));
        assert!(is_test(&source, name), "no test {test}");
    }
    for entry in fs::read_dir(top().join("tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".rs") {
            let file = format!("tests/{name}");
            assert!(names.contains(&file.as_str()), "{file} is not listed");
        }
    }
}

/// The items of a numbered list.
fn numbered(text: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with(|it: char| it.is_ascii_digit()) {
            items.push(line.to_owned());
        } else if let Some(item) = items.last_mut() {
            item.push('\n');
            item.push_str(line);
        }
    }
    items
}

/// Whether a source has a function of that name with `#[test]` before it.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    // A property of proptest has arguments.
    let wanted = format!("fn {name}(");
    let at = lines.iter().position(|line| line.starts_with(&wanted));
    at.is_some_and(|at| {
        let before = lines[..at].iter().rev();
        let mut attributes = before.take_while(|line| line.starts_with("#["));
        attributes.any(|line| *line == "#[test]")
    })
}

#[test]
fn the_command_lines_are_taken() {
    let readme = Readme::open();
    let blocks = readme.blocks();
    let first = blocks[0].1[0]
        .strip_prefix("cargo run --release -- ")
        .unwrap();
    let words: Vec<&str> = first.split(' ').collect();
    match parse(&words) {
        Ok(Action::Serve(config)) => {
            assert_eq!(config.share, Path::new("."));
            assert_eq!(config.anonymous, Some(Rights::ReadOnly));
            let port = config.listen[0].port;
            let curl = blocks[0].1.last().unwrap();
            let path = curl.split_once(&format!("curl ftp://localhost:{port}/"));
            let (_, path) = path.unwrap_or_else(|| panic!("{curl}"));
            assert!(top().join(path).is_file(), "{path}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(blocks[1].1, ["tests/run"]);
    assert!(top().join("tests/run").is_file());
    // Flags with a value, wherever they are quoted with one.
    for text in quoted(readme.section("NAT and firewalls")) {
        let words: Vec<&str> = text.split(' ').collect();
        if words.len() > 1 && words[0].starts_with("--") {
            let result = parse(&[&["--share", "."], &words[..]].concat());
            assert!(result.is_ok(), "{text}: {result:?}");
        }
    }
}

#[test]
fn the_example_of_a_users_file_is_one() {
    let readme = Readme::open();
    let blocks = readme.blocks();
    let (_, lines) = blocks.iter().find(|(kind, _)| *kind == "users").unwrap();
    let path = std::env::temp_dir().join(format!("pocketftpd-readme-{}", std::process::id()));
    fs::write(&path, lines.join("\n")).unwrap();
    let accounts = Accounts::open(Some(&path), None);
    fs::remove_file(&path).unwrap();
    let accounts = accounts.unwrap();
    let (_, after) = readme.0.split_once("have the password ").unwrap();
    let password = quoted(after)[0].as_bytes();
    for (user, rights, directory) in [
        ("alice", Rights::ReadWrite, "/alice"),
        ("bob", Rights::ReadOnly, "/"),
    ] {
        let grant = accounts.check(user.as_bytes(), password).unwrap();
        assert_eq!(grant.rights, rights);
        assert_eq!(grant.directory, directory.as_bytes());
    }
}

#[test]
fn the_memory_bound_is_the_one_that_is_printed() {
    let readme = Readme::open();
    let section = readme.section("Memory");
    let bound = pool::bound(32);
    let line = format!(
        "`32 clients at most, {} KiB of memory for them at most`",
        bound.div_ceil(1024)
    );
    assert!(section.contains(&line), "{line}");
    let parts = section.lines().filter_map(|line| {
        let cell = line.strip_suffix(" |")?.rsplit("| ").next()?;
        cell.parse::<usize>().ok()
    });
    let parts: Vec<usize> = parts.collect();
    assert_eq!(parts.iter().sum::<usize>(), pool::bound(1), "{parts:?}");
    assert!(parts.contains(&pool::STACK) && parts.contains(&pool::LINE_MAX));
    assert!(parts.contains(&pool::REPLY_MAX) && parts.contains(&pool::ENTRIES));
}

#[test]
fn the_map_is_that_of_the_library() {
    let library = fs::read_to_string(top().join("src/lib.rs")).unwrap();
    let map: Vec<&str> = library
        .lines()
        .skip_while(|line| *line != "//! ```text")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| line.trim_start_matches("//! "))
        .collect();
    assert!(map.len() > 10, "{map:?}");
    let readme = Readme::open();
    let drawn = readme.blocks().into_iter().any(|(_, lines)| lines == map);
    assert!(drawn, "{map:#?}");
}

#[test]
fn the_texts_of_425_are_those_that_are_sent() {
    let source = fs::read_to_string(top().join("src/wire/reply.rs")).unwrap();
    let readme = Readme::open();
    let section = readme.section("NAT and firewalls");
    let table = section.split("What 425 means:").nth(1).unwrap();
    let told: Vec<&str> = rows(table).iter().map(|row| quoted(row[0])[0]).collect();
    for text in &told {
        let begin = format!("\"{}", text.trim_end_matches("..."));
        assert!(source.contains(&begin), "{text}");
    }
    let sent = source.matches("say(425,").count() + source.matches("say(\n    425,").count();
    // The one with the port is put together elsewhere.
    assert_eq!(told.len(), sent + 1, "{told:#?}");
}

#[test]
fn no_path_of_the_machine_that_it_was_written_on() {
    let readme = Readme::open();
    assert!(readme.0.is_ascii());
    assert!(!readme.0.contains(env!("CARGO_MANIFEST_DIR")));
    // Absolute paths that are named, all of which exist or may exist anywhere.
    let allowed = ["/alice", "/dev/log", "/etc/group", "/etc/passwd"];
    let begins = |it: char| it.is_whitespace() || "`(:=\"'".contains(it);
    for word in readme.0.split(begins) {
        let path = word.trim_end_matches(|it: char| !it.is_ascii_alphanumeric());
        if path.starts_with('/') && !path.starts_with("//") {
            assert!(allowed.contains(&path), "{path}");
        }
    }
}

/// Each of these is caught; a check that cannot fail holds nothing.
#[test]
fn the_helpers_see_what_is_there() {
    let source = "#[test]\nfn a() {\n}\nfn b() {\n}\n";
    assert!(is_test(source, "a") && !is_test(source, "b") && !is_test(source, "c"));
    assert_eq!(rows("| a |\n| `b` | c |"), [["`b`", "c"]]);
    assert_eq!(quoted("x `a` y `b c`"), ["a", "b c"]);
    assert_eq!(numbered("words\n1. a\n  b\n2. c"), ["1. a\n  b", "2. c"]);
    let readme = Readme("x\n\n```sh\none\n```\n\n## A\n\n```t\ntwo\n```\n\n## B\nb".to_owned());
    assert_eq!(readme.blocks(), [("sh", vec!["one"]), ("t", vec!["two"])]);
    assert_eq!(readme.section("B"), "b");
    let flags = flags_of_the_help();
    assert_eq!(flags["--listen"], "21, all addresses");
    assert_eq!(flags["--share"], "-");
}
