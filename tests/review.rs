//! What a hostile reading of the source found: each test is one sequence that once went wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::io::Write;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, send};

use common::{Client, PATIENCE, Server, Share, assert_same_octets, eventually, noise};

fn binary(server: &Server) -> Client {
    let mut client = Client::login(server);
    client.say("TYPE I").hear(200);
    client
}

#[test]
fn an_urgent_octet_in_an_upload_does_not_make_the_server_spin() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let (before, after) = (noise(300_000), noise(100_000));
    let data = client.data();
    client.say("STOR f").hear(150);
    let mut stream = data.stream();
    stream.write_all(&before).unwrap();
    eventually("what came first is in the file", PATIENCE, || {
        share.read("f").len() == before.len()
    });
    let time = server.cpu_time();
    assert_eq!(send(stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB), Ok(1));
    stream.write_all(&after).unwrap();
    eventually("the urgent octet is passed over", PATIENCE, || {
        share.read("f").len() == before.len() + after.len()
    });
    assert!(server.cpu_time() - time < Duration::from_secs(1));
    drop(stream);
    client.hear(226);
    assert_same_octets(&share.read("f"), &[&before[..], &after].concat());
}

#[test]
fn an_urgent_octet_is_not_taken_for_the_end_of_an_upload() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let (before, after) = (noise(300_000), noise(100_000));
    for _ in 0..20 {
        let data = client.data();
        client.say("STOR f").hear(150);
        let mut stream = data.stream();
        stream.write_all(&before).unwrap();
        assert_eq!(send(stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB), Ok(1));
        stream.write_all(&after).unwrap();
        drop(stream);
        client.hear(226);
        assert_same_octets(&share.read("f"), &[&before[..], &after].concat());
    }
}

#[test]
fn a_stat_behind_a_long_stat_is_answered_too() {
    let share = Share::new();
    for number in 0..600 {
        share.write(format!("f{number}"), "");
    }
    let server = Server::start(&share, &[]);
    let mut client = binary(&server);
    client
        .raw(b"STAT /\r\nSTAT\r\nNOOP\r\n")
        .expect(&["STAT", "STAT", "NOOP"]);
    assert_eq!(client.hear(212).inner().len(), 600);
    client.hear(211);
    client.hear(200);
}
