//! Disks that fail: full, read-only, broken, pulled out and put back; and what is on them after a power cut.
//!
//! Each test that mounts something does so in a mount namespace of its own, as root; elsewhere it is a printed SKIP.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic, and says what it saw"
)]

mod common;

mod failing_storage {
    pub mod faulty;
    pub mod mounts;
}

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use common::client::drain;
use common::server::Launch;
use common::{Client, PATIENCE, Server, Share, assert_same_octets, eventually, noise, skip};
use failing_storage::faulty::{Disk, Faults};
use failing_storage::mounts::{Mounted, ext4, in_own_mounts, run};
use fuser::Errno;

fn binary(server: &Server) -> Client {
    let mut client = Client::login(server);
    client.say("TYPE I").hear(200);
    client
}

/// Says a command that takes data, gives it that, and closes; what comes then is the verdict.
fn pour(client: &mut Client, line: &str, octets: &[u8]) {
    let data = client.data();
    client.say(line).hear(150);
    let mut stream: TcpStream = data.stream();
    // The server may hang up before it has taken all of it.
    stream.write_all(octets).ok();
    stream.shutdown(Shutdown::Write).ok();
}

// power cuts

/// What strace has seen, one call a line, without the thread's number.
fn calls(share: &Share) -> Vec<String> {
    let trace = std::fs::read_to_string(share.outside("trace")).unwrap();
    let lines = trace
        .lines()
        .filter(|line| line.ends_with(|end: char| end.is_ascii_digit() || end == ')'));
    lines
        .map(|line| line.split_once(' ').unwrap().1.trim().to_owned())
        .collect()
}

#[test]
fn under_sync_success_is_told_after_the_disk_has_the_octets_and_the_name() {
    let share = Share::new();
    share.mkdir("d");
    share.write("d/old", "old");
    let trace = "trace=fdatasync,fsync,sync,syncfs,close,sendto,renameat,mkdirat,unlinkat";
    let Some(launch) = Launch::traced(&share, &["-y", "-e", trace]) else {
        return;
    };
    let server = launch.flags(&["--writable", "--sync"]).start(&share);
    let mut client = binary(&server);
    for octets in [noise(1000), noise(400_000)] {
        client.give("STOR d/new", &octets);
        client.give("APPE d/new", &octets);
        assert_same_octets(&share.read("d/new"), &[&octets[..], &octets].concat());
    }
    client.give("STOU d/unique", b"x");
    client.say("TYPE A").hear(200);
    client.give("STOR d/lines", b"a\r\nb\r\n");
    client.say("MKD d/dir").hear(257);
    client.say("RNFR d/dir").hear(350);
    client.say("RNTO d/dir2").hear(250);
    client.say("RNFR d/dir2").hear(350);
    client.say("RNTO dir3").hear(250);
    client.say("RMD dir3").hear(250);
    client.say("DELE d/old").hear(250);
    client.say("QUIT").hear(221);
    server.wait_for_log("left");
    let calls = calls(&share);
    let top = share.top().to_str().unwrap();
    // Everything that was asked of the disk, and every success told, in order; of the closes only those of files.
    let told: Vec<String> = calls
        .iter()
        .filter_map(|call| {
            let word = call.split('(').next()?;
            let of = |name: &str| call.contains(&format!("<{top}{name}>"));
            let success = ["\"226", "\"250", "\"257"]
                .into_iter()
                .find(|code| call.contains(code));
            match word {
                "sendto" => success.map(|code| code[1..].to_owned()),
                "close" if ["/d/new", "/d/unique", "/d/lines"].into_iter().any(of) => {
                    Some("close".to_owned())
                }
                "fdatasync" => Some("fdatasync".to_owned()),
                "fsync" if of("/d") => Some("fsync d".to_owned()),
                "fsync" if of("") => Some("fsync top".to_owned()),
                "fsync" | "sync" | "syncfs" => Some(call.clone()),
                "renameat" | "mkdirat" | "unlinkat" => Some(word.to_owned()),
                _ => None,
            }
        })
        .collect();
    let upload = "fdatasync close fsync d 226";
    let wanted = [
        upload,
        upload,
        upload,
        upload,
        upload,
        upload,
        "mkdirat fsync d 257",
        "renameat fsync d 250",
        "renameat fsync top fsync d 250",
        "unlinkat fsync top 250",
        "unlinkat fsync d 250",
    ];
    assert_eq!(told.join(" "), wanted.join(" "), "{calls:#?}");
}

#[test]
fn without_sync_the_disk_is_not_waited_for() {
    let share = Share::new();
    let Some(launch) = Launch::traced(
        &share,
        &[
            "-e",
            "trace=fdatasync,fsync,sync,syncfs,sync_file_range,renameat",
        ],
    ) else {
        return;
    };
    let server = launch.flags(&["--writable"]).start(&share);
    let mut client = binary(&server);
    client.put("f", &noise(300_000));
    client.say("MKD d").hear(257);
    client.say("RNFR f").hear(350);
    client.say("RNTO d/f").hear(250);
    client.say("DELE d/f").hear(250);
    client.say("RMD d").hear(250);
    client.say("QUIT").hear(221);
    server.wait_for_log("left");
    let calls = calls(&share);
    assert!(
        calls.iter().any(|call| call.starts_with("renameat(")),
        "nothing was traced"
    );
    assert!(
        !calls.iter().any(|call| call.contains("sync")),
        "{calls:#?}"
    );
}

#[test]
fn a_directory_that_may_not_be_read_is_synced_all_the_same() {
    let share = Share::new();
    share.mkdir("drop");
    share.set_mode("drop", 0o300);
    let Some(launch) = Launch::traced(&share, &["-e", "trace=fdatasync,fsync,sync,sendto"]) else {
        return;
    };
    let server = launch.flags(&["--writable", "--sync"]).start(&share);
    let mut client = binary(&server);
    client.put("drop/f", b"x");
    client.say("QUIT").hear(221);
    server.wait_for_log("left");
    let calls = calls(&share);
    let told: Vec<&str> = calls
        .iter()
        .filter(|call| !call.starts_with("sendto") || call.contains("\"226"))
        .map(|call| call.split('(').next().unwrap())
        .collect();
    assert_eq!(told, ["fdatasync", "sync", "sendto"], "{calls:#?}");
}

#[test]
fn a_sync_that_fails_is_no_success() {
    in_own_mounts(|| {
        let (share, disk) = (Share::new(), Disk::default());
        let Some(_plugged) = disk.plug_in(share.top()) else {
            return;
        };
        let server = Server::start(&share, &["--writable", "--sync"]);
        let mut client = binary(&server);
        for (errno, code) in [
            (Errno::EIO, 451),
            (Errno::ENOSPC, 452),
            (Errno::EDQUOT, 452),
        ] {
            for octets in [noise(1000), noise(400_000)] {
                disk.fails(Faults {
                    sync: Some(errno),
                    ..Faults::default()
                });
                pour(&mut client, "STOR f", &octets);
                client.hear(code);
                client.hear_nothing();
                disk.fails(Faults {
                    sync_directory: Some(errno),
                    ..Faults::default()
                });
                pour(&mut client, "APPE f", &octets);
                client.hear(code);
                client.hear_nothing();
            }
            client.say("DELE f").hear(550);
        }
        disk.fails(Faults::default());
        client.put("f", b"x");
        assert_eq!(disk.file("f").unwrap(), b"x");
    });
}
