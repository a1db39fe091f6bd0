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

use std::fs::Permissions;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::client::drain;
use common::server::{Launch, run_to_end};
use common::{
    Client, PATIENCE, Server, Share, assert_same_octets, eventually, is_root, noise, program, skip,
};
use failing_storage::faulty::{Disk, Faults};
use failing_storage::mounts::{Mounted, image, in_own_mounts, run};
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

// full

/// What is sent where the disk is full: less than the server's block, which is written; more, which is spliced; lines.
const LOADS: [(&str, usize); 3] = [("TYPE I", 50_000), ("TYPE I", 3 << 20), ("TYPE A", 3 << 20)];

/// Nothing is stored while there is no room, in any way to store, and the same session stores as soon as there is.
/// `room_for` leaves no room for so many octets, or takes every limit away.
fn no_room_is_no_success(
    client: &mut Client,
    share: &Share,
    room_for: &mut dyn FnMut(Option<usize>),
) {
    for (kind, len) in LOADS {
        client.say(kind).hear(200);
        for line in ["STOR f", "APPE f", "STOU u"] {
            room_for(Some(len));
            let data = client.data();
            // A small quota is used up by the name alone.
            if client.say(line).hear_one_of(&[150, 452, 552]).code == 150 {
                let mut stream = data.stream();
                stream.write_all(&noise(len)).ok();
                stream.shutdown(Shutdown::Write).ok();
                client.hear_one_of(&[452, 552]);
            } else {
                assert!(len < 1 << 20, "not even begun");
            }
            client.hear_nothing();
            room_for(None);
            for name in client.nlst("") {
                client.say(format!("DELE {name}")).hear(250);
            }
            client.give(line, b"room\r\n");
            let name = client.nlst("").remove(0);
            let stored: &[u8] = if kind == "TYPE I" {
                b"room\r\n"
            } else {
                b"room\n"
            };
            assert_eq!(share.read(&name), stored, "{kind} {line}");
            client.say(format!("DELE {name}")).hear(250);
        }
    }
}

#[test]
fn a_full_disk_is_452_in_every_way_to_store_and_over_when_there_is_room() {
    in_own_mounts(|| {
        let share = Share::new();
        let _disk = Mounted::memory(share.top(), 1024);
        let server = Server::start(&share, &["--writable"]);
        let mut client = Client::login(&server);
        let ballast = share.path("ballast");
        no_room_is_no_success(&mut client, &share, &mut |load| {
            if load.is_some() {
                std::fs::write(&ballast, noise(1_000_000)).unwrap();
            } else {
                std::fs::remove_file(&ballast).unwrap();
            }
        });
    });
}

#[test]
fn a_quota_that_is_used_up_is_452_as_a_full_disk_is() {
    in_own_mounts(|| {
        let share = Share::new();
        let Some(tool) = program("btrfs") else { return };
        let Some(image) = image(&share, "mkfs.btrfs", 128, &["-q", "-f"]) else {
            return;
        };
        let Some(_disk) = Mounted::image(&image, share.top(), "rw") else {
            return;
        };
        share.hand_over(share.top());
        let (tool, top) = (tool.to_str().unwrap(), share.top().to_str().unwrap());
        assert!(run(tool, &["quota", "enable", top]));
        let server = Server::start(&share, &["--writable"]);
        let mut client = Client::login(&server);
        no_room_is_no_success(&mut client, &share, &mut |load| {
            let limit = match load {
                Some(len) if len < 1 << 20 => "65536",
                Some(_) => "524288",
                None => "none",
            };
            assert!(run(tool, &["qgroup", "limit", limit, top]));
        });
    });
}

// read-only

#[test]
fn a_disk_that_becomes_read_only_under_a_session_is_said_to_be() {
    in_own_mounts(|| {
        let share = Share::new();
        let _disk = Mounted::memory(share.top(), 1024);
        let server = Server::start(&share, &["--writable"]);
        let mut client = binary(&server);
        client.put("old", b"old");
        client.say("MKD dir").hear(257);
        let remount =
            |how: &str| assert!(run("mount", &["-o", how, share.top().to_str().unwrap()]));
        remount("remount,ro");
        let before = share.fingerprint();
        for line in [
            "MKD new",
            "RMD dir",
            "DELE old",
            "SITE CHMOD 600 old",
            "MFMT 20200101000000 old",
        ] {
            let reply = client.say(line).hear(550);
            assert!(
                reply.line().contains("read-only"),
                "{line}: {}",
                reply.line()
            );
        }
        client.say("RNFR old").hear(350);
        assert!(
            client
                .say("RNTO new")
                .hear(550)
                .line()
                .contains("read-only")
        );
        for line in ["STOR new", "STOR old", "APPE old", "STOU"] {
            let _data = client.data();
            let reply = client.say(line).hear(550);
            assert!(
                reply.line().contains("read-only"),
                "{line}: {}",
                reply.line()
            );
        }
        assert_eq!(share.fingerprint(), before, "no half file");
        assert_eq!(client.get("old"), b"old");
        remount("remount,rw");
        client.put("new", b"new");
        assert_eq!(share.read("new"), b"new");
    });
}

#[test]
fn a_file_system_that_finds_itself_broken_in_an_upload_is_no_success() {
    in_own_mounts(|| {
        let share = Share::new();
        let Some(image) = image(&share, "mkfs.ext4", 16, &["-q", "-F"]) else {
            return;
        };
        let Some(disk) = Mounted::image(&image, share.top(), "errors=remount-ro") else {
            return;
        };
        share.hand_over(share.top());
        let device = disk.device();
        let device = device.file_name().unwrap().to_str().unwrap();
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        let server = Server::start(&share, &["--writable"]);
        let mut client = binary(&server);
        client.put("old", b"old");
        let data = client.data();
        client.say("STOR new").hear(150);
        let mut stream = data.stream();
        stream.write_all(&noise(1 << 20)).unwrap();
        eventually("some of it has arrived", PATIENCE, || {
            share.holds("new") && share.len("new") > 500_000
        });
        if let Err(error) = std::fs::write(&trigger, "pocketftpd's test") {
            return skip(&format!("{trigger}: {error}"));
        }
        stream.write_all(&noise(1 << 20)).ok();
        stream.shutdown(Shutdown::Write).ok();
        client.hear(451);
        server.wait_for_log("STOR /new: failed (451: ");
        assert_eq!(client.get("old"), b"old");
        client.say("DELE old").hear_one_of(&[450, 550]);
        client.hear_nothing();
    });
}

// broken

#[test]
fn an_error_of_the_disk_while_reading_is_451_and_the_data_ends() {
    in_own_mounts(|| {
        let (share, disk) = (Share::new(), Disk::default());
        let Some(_plugged) = disk.plug_in(share.top()) else {
            return;
        };
        let octets = noise(2_000_000);
        disk.write_file("f", &octets);
        let server = Server::start(&share, &[]);
        let mut client = Client::login(&server);
        for kind in ["TYPE I", "TYPE A"] {
            client.say(kind).hear(200);
            for from in [0, 1_000_000] {
                disk.fails(Faults {
                    read: Some((from, Errno::EIO)),
                    ..Faults::default()
                });
                let data = client.data();
                client.say("RETR f").hear(150);
                let got = drain(&mut data.stream());
                assert!(got.len() < octets.len(), "{kind} {from}");
                if kind == "TYPE I" {
                    assert_same_octets(&got, &octets[..got.len()]);
                }
                client.hear(451);
                client.hear_nothing();
            }
        }
        server.wait_for_logs("RETR /f: failed (451: I/O error)", 4);
        disk.fails(Faults::default());
        client.say("TYPE I").hear(200);
        assert_same_octets(&client.get("f"), &octets);
    });
}

#[test]
fn a_directory_that_cannot_be_read_to_its_end_is_no_complete_listing() {
    in_own_mounts(|| {
        let (share, disk) = (Share::new(), Disk::default());
        let Some(_plugged) = disk.plug_in(share.top()) else {
            return;
        };
        disk.write_file("f", b"x");
        let server = Server::start(&share, &[]);
        let mut client = binary(&server);
        disk.fails(Faults {
            list: Some(Errno::EIO),
            ..Faults::default()
        });
        for line in ["LIST", "LIST -R", "NLST", "NLST *", "MLSD"] {
            let data = client.data();
            client.say(line).hear(150);
            drain(&mut data.stream());
            client.hear(451);
            client.hear_nothing();
        }
        server.wait_for_logs("failed (451: I/O error)", 5);
        disk.fails(Faults::default());
        assert_eq!(client.nlst(""), ["f"]);
    });
}

#[test]
fn an_error_of_the_disk_while_writing_or_closing_is_no_success() {
    in_own_mounts(|| {
        let (share, disk) = (Share::new(), Disk::default());
        let Some(_plugged) = disk.plug_in(share.top()) else {
            return;
        };
        let server = Server::start(&share, &["--writable"]);
        let mut client = Client::login(&server);
        let mut failures = 0;
        for (errno, code) in [
            (Errno::EIO, 451),
            (Errno::ENOSPC, 452),
            (Errno::EDQUOT, 452),
        ] {
            let writing = |from| Faults {
                write: Some((from, errno)),
                ..Faults::default()
            };
            let closing = Faults {
                close: Some(errno),
                ..Faults::default()
            };
            for (kind, faults, len) in [
                ("TYPE I", writing(0), 1000),
                ("TYPE I", writing(500_000), 1 << 20),
                ("TYPE A", writing(500_000), 1 << 20),
                ("TYPE I", closing, 1000),
                ("TYPE I", closing, 1 << 20),
                ("TYPE A", closing, 1 << 20),
            ] {
                client.say(kind).hear(200);
                for line in ["STOR f", "APPE f", "STOU"] {
                    disk.fails(faults);
                    pour(&mut client, line, &noise(len));
                    client.hear(code);
                    client.hear_nothing();
                    disk.fails(Faults::default());
                    for name in disk.names() {
                        client.say(format!("DELE {name}")).hear(250);
                    }
                    failures += 1;
                }
            }
        }
        server.wait_for_logs(": failed (45", failures);
        client.say("TYPE I").hear(200);
        client.put("f", &noise(300_000));
        assert_same_octets(&disk.file("f").unwrap(), &noise(300_000));
    });
}

// pulled out and put back

/// What a session hears while the disk does not answer: never a success, and never an end of the session.
fn hears_of_the_disk(client: &mut Client, at: &str, words: &str) {
    for (line, code) in [
        (format!("CWD {at}"), 550),
        (format!("SIZE {at}f"), 550),
        (format!("MLST {at}f"), 550),
        (format!("MKD {at}d"), 550),
        (format!("DELE {at}f"), 450),
        (format!("RNFR {at}f"), 450),
        (format!("STAT {at}."), 450),
    ] {
        let reply = client.say(&line).hear(code);
        assert!(reply.line().contains(words), "{line}: {}", reply.line());
    }
    for line in ["RETR", "LIST", "NLST", "MLSD", "STOR", "APPE"] {
        let name = if line.len() == 4 && line.contains('L') || line == "NLST" || line == "MLSD" {
            ""
        } else {
            "f"
        };
        let _data = client.data();
        let reply = client
            .say(format!("{line} {at}{name}"))
            .hear_one_of(&[450, 451]);
        assert!(
            reply.line().contains(words) || reply.line().contains("Cannot write"),
            "{line}: {}",
            reply.line()
        );
    }
    client.hear_nothing();
}

#[test]
fn a_medium_below_the_share_is_pulled_out_and_put_back_under_a_session() {
    in_own_mounts(|| {
        let (share, disk) = (Share::new(), Disk::default());
        share.mkdir("usb");
        share.write("here", "here");
        disk.write_file("f", b"first");
        let Some(plugged) = disk.plug_in(&share.path("usb")) else {
            return;
        };
        let server = Server::start(&share, &["--writable"]);
        let mut client = binary(&server);
        client.say("CWD usb").hear(250);
        assert_eq!(client.get("f"), b"first");
        // The mount goes away: what was there is not there any more.
        plugged.pull();
        client.say("SIZE f").hear(550);
        assert!(client.nlst("").is_empty());
        disk.write_file("f", b"second");
        let plugged = disk.plug_in(&share.path("usb")).unwrap();
        assert_eq!(client.get("f"), b"second");
        // The disk goes away, and its mount stays.
        plugged.abort();
        hears_of_the_disk(&mut client, "/usb/", "The disk does not answer");
        assert_eq!(client.get("/here"), b"here");
        server.wait_for_log("the disk of the share, or one below it, does not answer: ");
        plugged.pull();
        let _plugged = disk.plug_in(&share.path("usb")).unwrap();
        assert_eq!(client.get("f"), b"second");
        client.put("g", b"third");
        assert_eq!(disk.file("g").unwrap(), b"third");
    });
}

#[test]
fn a_medium_that_goes_in_the_middle_of_a_transfer_ends_that_transfer_alone() {
    in_own_mounts(|| {
        let (share, disk) = (Share::new(), Disk::default());
        share.mkdir("usb");
        let octets = noise(24 << 20);
        disk.write_file("f", &octets);
        let Some(plugged) = disk.plug_in(&share.path("usb")) else {
            return;
        };
        let server = Server::start(&share, &["--writable"]);
        let (mut reader, mut writer) = (binary(&server), binary(&server));
        let data = reader.data();
        reader.say("RETR usb/f").hear(150);
        let mut download = data.stream();
        let data = writer.data();
        writer.say("STOR usb/g").hear(150);
        let mut upload = data.stream();
        upload.write_all(&octets[..1 << 20]).unwrap();
        eventually("some of it has arrived", PATIENCE, || {
            disk.file("g").is_some_and(|octets| octets.len() > 500_000)
        });
        plugged.abort();
        assert!(drain(&mut download).len() < octets.len());
        reader.hear(451);
        upload.write_all(&octets[..1 << 20]).ok();
        upload.shutdown(Shutdown::Write).ok();
        writer.hear(451);
        drop(plugged);
        let _plugged = disk.plug_in(&share.path("usb")).unwrap();
        assert_same_octets(&reader.get("usb/f"), &octets);
        writer.put("usb/g", b"again");
    });
}

#[test]
fn a_share_that_has_gone_is_told_once_with_the_remedy() {
    in_own_mounts(|| {
        let (share, disk) = (Share::new(), Disk::default());
        disk.write_file("f", b"x");
        let Some(plugged) = disk.plug_in(share.top()) else {
            return;
        };
        let mut server = Server::start(&share, &["--writable"]);
        let mut client = binary(&server);
        assert_eq!(client.get("f"), b"x");
        plugged.abort();
        hears_of_the_disk(&mut client, "/", "The disk does not answer");
        let line = server.wait_for_log("does not answer");
        assert!(
            line.contains("restart the server") && line.contains("--removable"),
            "{line}"
        );
        let told = server
            .log()
            .iter()
            .filter(|line| line.contains("does not answer"))
            .count();
        assert_eq!(told, 1, "at most once a minute");
        assert!(server.stop().success());
    });
}

/// Nothing was put into the directory under the mount point.
fn is_bare(share: &Share) {
    assert!(share.names("").is_empty(), "{:?}", share.names(""));
}

const NO_MEDIUM: &str = "The medium is not there; try again later.";

#[test]
fn under_removable_a_medium_is_taken_out_while_sessions_idle_and_found_again_when_it_is_back() {
    in_own_mounts(|| {
        let share = Share::new();
        let disk = Mounted::memory(share.top(), 4096);
        let server = Server::start(&share, &["--writable", "--removable"]);
        let (mut client, mut other) = (binary(&server), binary(&server));
        client.put("f", b"first");
        client.say("MKD sub").hear(257);
        client.say("CWD sub").hear(250);
        client.put("g", &noise(300_000));
        assert_eq!(client.nlst("/"), ["/f", "/sub"]);
        assert_eq!(other.get("/f"), b"first");
        // A transfer holds it.
        let data = other.data();
        other.say("STOR h").hear(150);
        let mut stream = data.stream();
        stream.write_all(b"half").unwrap();
        eventually("it has begun", PATIENCE, || share.holds("h"));
        let disk = disk.take_out().unwrap_err();
        drop(stream);
        other.hear(226);
        // Two sessions that idle do not.
        disk.take_out().unwrap();
        is_bare(&share);
        hears_of_the_disk(&mut client, "/", NO_MEDIUM);
        hears_of_the_disk(&mut other, "", NO_MEDIUM);
        client.say("RNFR f").hear(450);
        let _data = client.data();
        client.say("STOU").hear(450);
        client.say("AVBL").hear(550);
        client.say("SITE CHMOD 600 f").hear(550);
        assert_eq!(client.pwd(), "/sub");
        let mut third = binary(&server);
        hears_of_the_disk(&mut third, "", NO_MEDIUM);
        is_bare(&share);
        // Another medium.
        let disk = Mounted::memory(share.top(), 4096);
        share.write("sub/new", "new");
        assert_eq!(client.get("new"), b"new");
        assert_eq!(other.nlst(""), ["sub"]);
        third.put("sub/third", b"third");
        assert_eq!(share.read("sub/third"), b"third");
        disk.pull();
        is_bare(&share);
        client.say("SIZE new").hear(550);
    });
}

#[test]
fn under_removable_a_disk_that_died_is_found_again_when_it_is_back() {
    in_own_mounts(|| {
        let (share, disk) = (Share::new(), Disk::default());
        disk.write_file("f", b"first");
        let Some(plugged) = disk.plug_in(share.top()) else {
            return;
        };
        let server = Server::start(&share, &["--writable", "--removable"]);
        let mut client = binary(&server);
        assert_eq!(client.get("f"), b"first");
        plugged.abort();
        hears_of_the_disk(&mut client, "/", "The disk does not answer");
        server.wait_for_log("it is looked for again at each command");
        plugged.pull();
        hears_of_the_disk(&mut client, "/", NO_MEDIUM);
        let _plugged = disk.plug_in(share.top()).unwrap();
        assert_eq!(client.get("f"), b"first");
        client.put("g", b"second");
        assert_eq!(disk.file("g").unwrap(), b"second");
    });
}

#[test]
fn under_removable_it_starts_without_a_medium_and_serves_the_one_that_comes() {
    in_own_mounts(|| {
        let share = Share::new();
        let server = Server::start(&share, &["--writable", "--removable"]);
        server.wait_for_log("no medium is mounted at ");
        let mut client = binary(&server);
        hears_of_the_disk(&mut client, "/", NO_MEDIUM);
        is_bare(&share);
        let _disk = Mounted::memory(share.top(), 4096);
        client.put("f", b"x");
        assert_eq!(share.read("f"), b"x");
        // A mount of what is there already is a medium too, whatever its device number.
        let below = share.mkdir("below");
        share.write("below/inner", "inner");
        assert!(run(
            "mount",
            &[
                "--bind",
                below.to_str().unwrap(),
                share.top().to_str().unwrap()
            ]
        ));
        assert_eq!(client.nlst(""), ["inner"]);
        assert!(run("umount", &[share.top().to_str().unwrap()]));
        assert_eq!(client.nlst(""), ["below", "f"]);
    });
}

#[test]
fn under_removable_nobody_leaves_the_medium() {
    in_own_mounts(|| {
        let share = Share::new();
        let beside = share.outside("beside");
        std::fs::create_dir(&beside).unwrap();
        std::fs::write(beside.join("secret"), "secret").unwrap();
        share.hand_over(&beside);
        let _disk = Mounted::memory(share.top(), 4096);
        share.write("f", "f");
        share.write("home/own", "own");
        share.symlink("../beside", "up");
        share.symlink("/beside", "absolute");
        share.symlink("../../../../../../etc", "etc");
        share.symlink("../up", "home/up");
        share.symlink("../f", "home/f");
        let users = share.outside("users");
        std::fs::write(&users, format!("ann:{}:rw:/home\n", hash())).unwrap();
        let users = users.to_str().unwrap();
        for wall in ["chroot", "openat2"] {
            let flags = ["--writable", "--removable", "--anonymous", "--users", users];
            let server = if wall == "chroot" {
                Server::start(&share, &flags)
            } else {
                let Some(strace) = Launch::failing(&share, "unshare", "error=EPERM") else {
                    return;
                };
                Launch::as_plain_user(&share)
                    .within(strace)
                    .flags(&flags)
                    .start(&share)
            };
            server.wait_for_log(&format!("confined by {wall};"));
            let mut client = binary(&server);
            for name in [
                "up/secret",
                "absolute/secret",
                "../beside/secret",
                "/../beside/secret",
                "etc/passwd",
                "/beside/secret",
            ] {
                client.say(format!("SIZE {name}")).hear(550);
                let _data = client.data();
                client.say(format!("RETR {name}")).hear(550);
                client.say(format!("STOR {name}2")).hear(553);
                client.say(format!("MKD {name}3")).hear(550);
            }
            client.say("RNFR f").hear(350);
            client.say("RNTO ../beside/g").hear(553);
            assert_eq!(client.get("f"), b"f");
            let mut ann = Client::login_as(&server, "ann", "sesame");
            ann.say("TYPE I").hear(200);
            assert_eq!(ann.nlst(""), ["f", "own", "up"]);
            assert_eq!(ann.get("own"), b"own");
            for name in ["f", "up", "up/secret", "../f", "/home/own"] {
                ann.say(format!("SIZE {name}")).hear(550);
            }
            ann.put("mine", b"mine");
            assert_eq!(share.read("home/mine"), b"mine");
            ann.say("DELE mine").hear(250);
        }
        let names: Vec<_> = std::fs::read_dir(&beside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["secret"]);
    });
}

#[test]
fn under_removable_a_users_own_directory_comes_and_goes_with_the_medium() {
    in_own_mounts(|| {
        let share = Share::new();
        let users = share.outside("users");
        std::fs::write(&users, format!("ann:{}:rw:/home\n", hash())).unwrap();
        let server = Server::start(&share, &["--removable", "--users", users.to_str().unwrap()]);
        // Without the medium nobody knows whether the directory is there.
        let mut ann = Client::login_as(&server, "ann", "sesame");
        ann.say("TYPE I").hear(200);
        hears_of_the_disk(&mut ann, "", NO_MEDIUM);
        let disk = Mounted::memory(share.top(), 4096);
        ann.say("SIZE own").hear(550);
        share.write("home/own", "own");
        assert_eq!(ann.get("own"), b"own");
        disk.take_out().unwrap();
        hears_of_the_disk(&mut ann, "", NO_MEDIUM);
        is_bare(&share);
        let _disk = Mounted::memory(share.top(), 4096);
        share.write("other", "x");
        ann.say("QUIT").hear(221);
        // The medium is there and the directory is not: no log-in, as without the flag.
        let mut ann = Client::connect(&server);
        ann.say("USER ann").hear(331);
        ann.say("PASS sesame").hear(530);
    });
}

#[test]
fn removable_is_refused_where_it_cannot_work() {
    for (share, words) in [
        ("/", "cannot come and go"),
        ("/usr", "one directory deeper"),
    ] {
        let output = run_to_end(&["--share", share, "--listen", "127.0.0.1:0", "--removable"]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words), "{said}");
    }
    let share = Share::new();
    if is_root() {
        let above = share.top().parent().unwrap();
        let allow = |mode| std::fs::set_permissions(above, Permissions::from_mode(mode)).unwrap();
        allow(0o700);
        let output = Launch::new().flags(&["--removable"]).run_to_end(&share);
        allow(0o755);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("may not enter the directory above"), "{said}");
    }
    let Some(launch) = Launch::failing(&share, "openat2", "error=ENOSYS") else {
        return;
    };
    let output = launch.flags(&["--removable"]).run_to_end(&share);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--removable needs openat2"), "{said}");
}

#[test]
fn check_tells_of_removable_where_the_share_is_a_mount_point() {
    in_own_mounts(|| {
        let share = Share::new();
        let check = |flags: &[&str]| {
            let output = Launch::new().flags(flags).run_to_end(&share);
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        assert!(!check(&["--check"]).contains("--removable"));
        assert!(check(&["--check", "--removable"]).contains("no medium is mounted at "));
        let _disk = Mounted::memory(share.top(), 4096);
        let said = check(&["--check"]);
        assert!(
            said.contains("is a mount point") && said.contains("--removable"),
            "{said}"
        );
        let said = check(&["--check", "--removable"]);
        assert!(
            said.contains("openat2 to the share") && !said.contains("is a mount point"),
            "{said}"
        );
        assert!(!said.contains("[FAIL]"), "{said}");
    });
}

/// The hash of `sesame`.
fn hash() -> String {
    let readme = include_str!("../README.md");
    let line = readme
        .lines()
        .find(|line| line.starts_with("alice:"))
        .unwrap();
    line.split(':').nth(1).unwrap().to_owned()
}

// power cuts

/// The disks of a machine that runs tests are busy, and only the order counts here: strace lets these succeed at once.
const SWIFT: &str = "inject=fdatasync,fsync,sync,syncfs:retval=0";

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
    let Some(launch) = Launch::traced(&share, &["-y", "-e", trace, "-e", SWIFT]) else {
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

/// The disk as it is at this moment, without what the kernel has not written to it yet, and what is found on it later.
fn after_a_power_cut(share: &Share, disk: &Path) -> Option<(Mounted, PathBuf)> {
    let (copy, at) = (share.outside("copy"), share.outside("after"));
    std::fs::copy(disk, &copy).unwrap();
    std::fs::create_dir_all(&at).unwrap();
    Some((Mounted::image(&copy, &at, "rw")?, at))
}

#[test]
fn a_power_cut_after_success_loses_nothing_under_sync() {
    in_own_mounts(|| {
        power_cut("mkfs.ext4", 32, &["-q", "-F"]);
        power_cut("mkfs.btrfs", 128, &["-q", "-f"]);
    });
}

/// Makes five changes, cuts the power, and counts those that are undone: none with the flag, and some without.
fn power_cut(mkfs: &str, mib: u64, flags: &[&str]) {
    let share = Share::new();
    let Some(disk) = image(&share, mkfs, mib, flags) else {
        return;
    };
    // The journal is written when somebody asks for it, and not every five seconds.
    let Some(_mounted) = Mounted::image(&disk, share.top(), "commit=300") else {
        return;
    };
    share.hand_over(share.top());
    let octets = noise(400_000);
    let lost = |sync: bool| {
        for name in ["old", "moved", "f", "d/g"] {
            std::fs::remove_file(share.path(name)).ok();
        }
        std::fs::remove_dir_all(share.path("d")).ok();
        share.write("old", "old");
        share.write("moved", "moved");
        rustix::fs::syncfs(std::fs::File::open(share.top()).unwrap()).unwrap();
        let flags: &[&str] = if sync {
            &["--writable", "--sync"]
        } else {
            &["--writable"]
        };
        let server = Server::start(&share, flags);
        let mut client = binary(&server);
        client.put("f", &octets);
        client.say("MKD d").hear(257);
        client.give("APPE d/g", &octets);
        client.give("APPE d/g", b"more");
        client.say("RNFR moved").hear(350);
        client.say("RNTO d/moved").hear(250);
        client.say("DELE old").hear(250);
        let (_after, at) = after_a_power_cut(&share, &disk)?;
        let read = |name: &str| std::fs::read(at.join(name)).ok();
        let more = [&octets[..], b"more"].concat();
        let found = [
            read("f").as_deref() == Some(&octets[..]),
            read("d/g").as_deref() == Some(&more[..]),
            read("d/moved").as_deref() == Some(b"moved"),
            read("moved").is_none(),
            read("old").is_none(),
        ];
        Some(found.iter().filter(|found| !**found).count())
    };
    let Some(without) = lost(false) else { return };
    let with = lost(true).unwrap();
    println!("{mkfs}: of five changes a power cut undoes {without} without --sync, {with} with it");
    assert_eq!(with, 0);
    assert!(
        without > 0,
        "nothing is proven: this disk keeps all by itself"
    );
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
fn a_directory_that_may_not_be_read_or_is_not_known_is_synced_all_the_same() {
    let share = Share::new();
    share.mkdir("drop");
    share.set_mode("drop", 0o300);
    share.mkdir("elsewhere");
    share.symlink("elsewhere/new", "link");
    let Some(launch) = Launch::traced(
        &share,
        &[
            "-e",
            "trace=fdatasync,fsync,sync,syncfs,sendto",
            "-e",
            SWIFT,
        ],
    ) else {
        return;
    };
    let server = launch.flags(&["--writable", "--sync"]).start(&share);
    let mut client = binary(&server);
    client.put("drop/f", b"x");
    client.put("link", b"x");
    client.say("MKD drop/d").hear(257);
    assert_eq!(share.read("elsewhere/new"), b"x");
    client.say("QUIT").hear(221);
    server.wait_for_log("left");
    let calls = calls(&share);
    let told: Vec<&str> = calls
        .iter()
        .filter(|call| {
            !call.starts_with("sendto") || call.contains("\"226") || call.contains("\"257")
        })
        .map(|call| call.split('(').next().unwrap())
        .collect();
    let upload = ["fdatasync", "syncfs", "sendto"];
    assert_eq!(
        told,
        [&upload[..], &upload, &["sync", "sendto"]].concat(),
        "{calls:#?}"
    );
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
            // It is removed, and nobody knows for how long.
            client.say("DELE f").hear_one_of(&[450, 550]);
        }
        disk.fails(Faults::default());
        client.put("f", b"x");
        assert_eq!(disk.file("f").unwrap(), b"x");
    });
}
