//! Guessing passwords: slower and slower from one address, whatever it tries, and nothing to be learnt from words or
//! from time.  That a flood of addresses costs no memory is in `guess_table.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may panic, and says what it measured"
)]

mod common;

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use common::crowd::{Holdings, connect_from, honest_visit, long, worst_and_median};
use common::{Client, Server, Share};
const SECOND: Duration = Duration::from_secs(1);

/// Nobody knows their passwords.  Few rounds, so that a debug build on a busy machine is done before the reply is due.
const USERS: &str = "ann:$6$rounds=1000$pocketftpd$4ZNfGz/ABcmoC1jSk8dbkqrRnjRarxqM9UiG1u5jp3q1BdorkiKNWEpk1s6oM7iaW2ewUcAwrFGKDmKjygMOg0\n\
                     bob:$5$rounds=1000$pocketftpd$ZoveL4HoPULReMSoNj3Mo311p4BoMyO3QgXuA5Tgeg/\n";

/// A server with named users beside anonymous ones.
fn server(share: &Share) -> Server {
    let users = share.outside("users");
    std::fs::write(&users, USERS).unwrap();
    Server::start(share, &["--users", users.to_str().unwrap(), "--anonymous"])
}

/// One guess from an address of its own; the words, and how long they took.
fn guess(server: &Server, source: &str, name: &str) -> (String, Duration) {
    let mut client = Client::over(connect_from(source, server.address()).unwrap());
    client.hear(220);
    client.say(format!("USER {name}")).hear(331);
    let start = Instant::now();
    let words = client.say("PASS wrong").hear(530).line();
    (words, start.elapsed())
}

#[test]
fn neither_words_nor_time_tell_which_names_exist() {
    let share = Share::new();
    let server = server(&share);
    const NAMES: [&str; 4] = ["ann", "bob", "eve", "anne"];
    let mut all: Vec<(&str, String, Duration)> = Vec::new();
    for wave in 0..2 * long(10) {
        // each guess from an address that has failed nowhere, one after the other
        let replies = thread::scope(|scope| {
            let guesses: Vec<_> = (0..2 * NAMES.len())
                .map(|number| {
                    let (server, name) = (&server, NAMES[number % NAMES.len()]);
                    thread::sleep(Duration::from_millis(50));
                    scope.spawn(move || {
                        let (words, took) =
                            guess(server, &format!("127.1.{wave}.{}", number + 1), name);
                        (name, words, took)
                    })
                })
                .collect();
            let replies = guesses.into_iter().map(|one| one.join().unwrap());
            replies.collect::<Vec<_>>()
        });
        all.extend(replies);
    }
    all.sort_by_key(|(_, _, took)| *took);
    let words = all[0].1.clone();
    assert!(all.iter().all(|(_, said, _)| *said == words), "{all:?}");
    let mut least = Vec::new();
    for name in NAMES {
        let mut times: Vec<Duration> = all
            .iter()
            .filter(|(of, _, _)| *of == name)
            .map(|(_, _, took)| *took)
            .collect();
        let (worst, median) = worst_and_median(&mut times);
        println!(
            "{name}: least {:?}, median {median:?}, worst {worst:?}",
            times[0]
        );
        least.push(times[0]);
    }
    // a machine that is busy only adds to what it takes
    let spread = least
        .iter()
        .max()
        .unwrap()
        .abs_diff(*least.iter().min().unwrap());
    println!("the least are {spread:?} apart");
    assert!(spread < Duration::from_millis(100), "{least:?}");
}

#[test]
fn eight_connections_that_guess_all_the_time_get_a_few_answers_a_minute() {
    const FLOODER: &str = "127.0.0.1";
    let share = Share::new();
    let server = server(&share);
    let before = Holdings::of(&server);
    let start = Instant::now();
    let span = 4 * long(10) * SECOND;
    let answers: usize = thread::scope(|scope| {
        let guessers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = 0;
                    while start.elapsed() < span {
                        let Ok(mut stream) = connect_from(FLOODER, server.address()) else {
                            continue;
                        };
                        stream.set_read_timeout(Some(2 * SECOND)).unwrap();
                        stream.write_all(b"USER ann\r\nPASS wrong\r\n").ok();
                        let mut heard = [0; 512];
                        // whoever waits in vain hangs up and comes again
                        while start.elapsed() < span {
                            match stream.read(&mut heard) {
                                Ok(len) if len > 0 => {
                                    let said = heard[..len].escape_ascii().to_string();
                                    answers += usize::from(said.contains("530 "));
                                    if said.contains("530 ") {
                                        break;
                                    }
                                }
                                _ => break,
                            }
                        }
                    }
                    answers
                })
            })
            .collect();
        guessers.into_iter().map(|one| one.join().unwrap()).sum()
    });
    // and somebody else is not kept from coming in
    let visit = honest_visit(&server, "127.0.0.2");
    println!(
        "guessing: {answers} answers to eight connections in {:?}; an honest visit {visit:?}; {} before, {} after",
        start.elapsed(),
        before,
        Holdings::of(&server)
    );
    // the first of each may come at once: nobody has failed yet; from then on one in ten seconds
    let most = 8 + 1 + usize::try_from(span.as_secs() / 10).unwrap();
    assert!(answers <= most, "{answers} answers");
    assert!(visit < SECOND);
}
