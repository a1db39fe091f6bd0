//! RETR STOR APPE STOU ALLO REST, and what is said while octets move (FIELD-NOTES B8, B9, B18, B20, B26 to B30, B43).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use common::client::{connect, drain, port_line, reset};
use common::{
    Client, Data, Launch, Mode, PATIENCE, Server, Share, assert_same_octets, eventually, is_root,
    noise, skip,
};

/// More than all socket buffers on the way can hold: a server that sends it must wait for its client.
const BIG: usize = 24 << 20;

fn binary(server: &Server) -> Client {
    let mut client = Client::login(server);
    client.say("TYPE I").hear(200);
    client
}

/// Begins a download and has its stream.
fn begin(client: &mut Client, line: &str) -> TcpStream {
    let data = client.data();
    client.say(line).hear(150);
    data.stream()
}

#[test]
fn a_file_comes_and_goes_octet_for_octet() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    for len in [
        0, 1, 2, 511, 512, 513, 4096, 65_535, 65_536, 65_537, 1_000_003,
    ] {
        let contents = noise(len);
        client.put("f", &contents);
        assert_same_octets(&share.read("f"), &contents);
        assert_same_octets(&client.get("f"), &contents);
    }
    let big = noise(BIG);
    client.put("big", &big);
    assert_same_octets(&share.read("big"), &big);
    assert_same_octets(&client.get("big"), &big);
}

#[test]
fn the_opening_reply_names_the_size_where_it_is_known() {
    let share = Share::new();
    share.write("f", "0123456789");
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let data = client.data();
    let opening = client.say("RETR f").hear(150).line();
    assert!(
        opening.starts_with("150 Opening BINARY mode data connection for "),
        "{opening}"
    );
    assert!(opening.ends_with("f (10 bytes)."), "{opening}");
    drain(&mut data.stream());
    client.hear(226);
    let opening = client.give("STOR g", b"x").line();
    assert!(!opening.contains("bytes"), "{opening}");
    client.say("TYPE A").hear(200);
    let data = client.data();
    let opening = client.say("RETR f").hear(150).line();
    assert!(
        !opening.contains("bytes"),
        "TYPE A does not know its size: {opening}"
    );
    drain(&mut data.stream());
    client.hear(226);
}

#[test]
fn b08_what_is_said_during_a_transfer_is_answered_after_it() {
    let share = Share::new();
    let contents = noise(BIG);
    share.write("big", &contents);
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let mut stream = begin(&mut client, "RETR big");
    client.say("NOOP").say("PWD").say("CWD /").say("XYZZY");
    assert_same_octets(&drain(&mut stream), &contents);
    client.hear(226);
    client.hear(200);
    client.hear(257);
    client.hear(250);
    client.hear(500);
    client.hear_nothing();

    let mut stream = begin(&mut client, "STOR up");
    stream.write_all(&contents[..1 << 20]).unwrap();
    client.say("NOOP").say("PWD");
    stream.write_all(&contents[1 << 20..]).unwrap();
    drop(stream);
    client.hear(226);
    client.hear(200);
    client.hear(257);
    assert_same_octets(&share.read("up"), &contents);
}

#[test]
fn b08_stat_during_a_transfer_tells_how_far_it_is() {
    let share = Share::new();
    share.write_sparse("endless", 1 << 40);
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let mut stream = begin(&mut client, "RETR endless");
    stream.read_exact(&mut [0; 1000]).unwrap();
    let status = client.say("STAT").hear_one_of(&[211, 213]);
    let text = status
        .lines
        .iter()
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect::<Vec<_>>()
        .join("\n");
    assert!(text.contains("bytes transferred"), "{text}");
    client.say("ABOR").hear(426);
    client.hear(226);
    client.hear_nothing();
    assert!(client.say("STAT").hear(211).lines.len() > 2);
}

#[test]
fn b08_a_listing_is_a_transfer_too() {
    let share = Share::new();
    for number in 0..2000 {
        std::fs::write(share.path(format!("{number:04}{}", "n".repeat(250))), "").unwrap();
    }
    let server = Server::start(&share, &[]);
    let mut client = binary(&server);
    for line in ["LIST", "NLST", "MLSD"] {
        let mut stream = begin(&mut client, line);
        client.say("PWD").say("NOOP");
        drain(&mut stream);
        client.hear(226);
        client.hear(257);
        client.hear(200);
    }
}

#[test]
fn b09_quit_lets_a_transfer_finish() {
    let share = Share::new();
    let contents = noise(BIG);
    share.write("big", &contents);
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let mut stream = begin(&mut client, "RETR big");
    client.say("QUIT");
    assert_same_octets(&drain(&mut stream), &contents);
    client.hear(226);
    client.hear(221);
    client.hear_end();

    let mut client = binary(&server);
    let mut stream = begin(&mut client, "STOR up");
    client.say("QUIT").hang_up();
    stream.write_all(&contents).unwrap();
    drop(stream);
    client.hear(226);
    client.hear(221);
    client.hear_end();
    assert_same_octets(&share.read("up"), &contents);
}

#[test]
fn b18_rest_lives_until_the_next_transfer() {
    let share = Share::new();
    share.write("f", "0123456789");
    let server = Server::start(&share, &[]);
    let mut client = binary(&server);
    for mode in [Mode::Pasv, Mode::Epsv, Mode::Port, Mode::Eprt] {
        client.mode = mode;
        client.say("REST 4").hear(350);
        assert_eq!(client.get("f"), b"456789", "REST before {mode:?}");
        assert_eq!(client.get("f"), b"0123456789", "it is spent");
        let data = client.data();
        client.say("REST 4").hear(350);
        client.say("TYPE I").hear(200);
        client.say("RETR f").hear(150);
        assert_eq!(drain(&mut data.stream()), b"456789", "REST after {mode:?}");
        client.hear(226);
    }
    assert!(client.say("REST 4").hear(350).line().contains('4'));
    client.say("REST 0").hear(350);
    assert_eq!(client.get("f"), b"0123456789");
    // a transfer that fails spends it too
    client.say("REST 4").hear(350);
    client.data();
    client.say("RETR absent").hear(550);
    assert_eq!(client.get("f"), b"0123456789");
    // a listing is a transfer
    client.say("REST 4").hear(350);
    assert_eq!(client.nlst(""), ["f"]);
    assert_eq!(client.get("f"), b"0123456789");
}

#[test]
fn b18_rest_at_and_beyond_the_end() {
    let share = Share::new();
    share.write("f", "0123456789");
    let server = Server::start(&share, &[]);
    let mut client = binary(&server);
    client.say("REST 10").hear(350);
    assert_eq!(client.get("f"), b"");
    client.say("REST 99").hear(350);
    let data = client.data();
    let first = client.say("RETR f").hear_one_of(&[150, 550, 554]);
    if first.code == 150 {
        assert_eq!(drain(&mut data.stream()), b"");
        client.hear(226);
    }
    client.hear_nothing();
    for line in [
        "REST",
        "REST -1",
        "REST abc",
        "REST 4x",
        "REST +4",
        "REST 1 2",
        "REST 99999999999999999999",
        "REST 9223372036854775808",
    ] {
        client.say(line).hear(501);
    }
    client.say("REST 9223372036854775807").hear(350);
    client.say("REST 0").hear(350);
    client.say("TYPE A").hear(200);
    client.say("REST 4").hear_one_of(&[501, 504]);
}

#[test]
fn b18_offsets_beyond_four_gibibytes_are_exact() {
    let share = Share::new();
    let len = (1_u64 << 32) + 10;
    share.write_sparse("huge", len);
    {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(share.path("huge"))
            .unwrap();
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(len - 6)).unwrap();
        file.write_all(b"thetip").unwrap();
    }
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    assert_eq!(client.say("SIZE huge").hear(213).text(), len.to_string());
    client.say(format!("REST {}", len - 6)).hear(350);
    assert_eq!(client.get("huge"), b"thetip");
    client.say(format!("REST {}", len - 3)).hear(350);
    client.put("huge", b"TAIL");
    assert_eq!(share.len("huge"), len + 1);
    client.say(format!("REST {}", len - 6)).hear(350);
    assert_eq!(client.get("huge"), b"theTAIL");
    client.say("REST 4294967300").hear(350);
    client.put("sparse", b"x");
    assert_eq!(share.len("sparse"), 4_294_967_301);
}

#[test]
fn b18_rest_and_stor_keep_what_lies_before_and_behind() {
    let share = Share::new();
    share.write("f", "0123456789");
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    client.say("REST 4").hear(350);
    client.put("f", b"ab");
    assert_eq!(share.read("f"), b"0123ab6789");
    client.say("REST 10").hear(350);
    client.put("f", b"more");
    assert_eq!(share.read("f"), b"0123ab6789more");
    client.put("f", b"new");
    assert_eq!(share.read("f"), b"new", "REST is spent");
}

#[test]
fn b20_ascii_comes_back_as_it_went() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    client.say("TYPE A").hear(200);
    // every border falls on every kind of line end once
    let mut odd = b"lf\ncrlf\r\nlone\rcr\r\rtwo\n\nend\r".to_vec();
    for len in [4093, 8190, 16_381, 65_533, 70_001] {
        odd.extend(std::iter::repeat_n(b'x', len));
        odd.extend_from_slice(b"\r\n\n\r\r\n");
    }
    for contents in [
        &b"a\nb\n"[..],
        b"",
        b"\n",
        b"\r",
        b"\r\n",
        b"no end",
        &odd,
        &b"\n".repeat(100_000),
        &b"\r".repeat(70_000),
    ] {
        share.write("f", contents);
        let travelling = client.get("f");
        let mut wanted = Vec::new();
        for octet in contents {
            if *octet == b'\n' {
                wanted.push(b'\r');
            }
            wanted.push(*octet);
        }
        assert_same_octets(&travelling, &wanted);
        client.put("g", &travelling);
        assert_same_octets(&share.read("g"), contents);
    }
    // split on the way between CR and LF
    let mut stream = begin(&mut client, "STOR split");
    for piece in [
        &b"one\r"[..],
        b"\ntwo\r",
        b"three",
        b"\r",
        b"\r",
        b"\n",
        b"end\r",
    ] {
        stream.write_all(piece).unwrap();
        stream.flush().unwrap();
        client.say("STAT").hear_one_of(&[211, 213]);
    }
    drop(stream);
    client.hear(226);
    assert_eq!(share.read("split"), b"one\ntwo\rthree\r\nend\r");
    client.give("APPE split", b"\nlast\r\n");
    assert_eq!(share.read("split"), b"one\ntwo\rthree\r\nend\r\nlast\n");
}

#[test]
fn b26_no_opening_reply_before_it_is_clear_that_there_is_something_to_open() {
    let share = Share::new();
    share.write("f", "data");
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    // RETR of an absent file spends no data connection
    for mode in [Mode::Pasv, Mode::Epsv, Mode::Port, Mode::Eprt] {
        client.mode = mode;
        let data = client.data();
        client.say("RETR absent").hear(550);
        client.say("NLST absent").hear(550);
        client.say("STOR absent/f").hear_one_of(&[550, 553]);
        client.say("RETR f").hear(150);
        assert_eq!(drain(&mut data.stream()), b"data", "{mode:?}");
        client.hear(226);
        // and one that worked is spent
        client.say("RETR f").hear_one_of(&[425, 503]);
    }
    for line in ["RETR f", "STOR g", "APPE g", "STOU", "LIST", "NLST", "MLSD"] {
        Client::login(&server).say(line).hear_one_of(&[425, 503]);
    }
    assert!(
        !share.holds("g"),
        "a STOR without a data connection leaves a file"
    );
    assert_eq!(share.names("").len(), 1);
    client.say("RETR").hear(501);
    client.say("STOR").hear(501);
    client.say("APPE").hear(501);
}

#[test]
fn b27_226_comes_after_the_data_and_the_file() {
    let share = Share::new();
    share.write("f", noise(5000));
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    for turn in 0..50 {
        let mut stream = begin(&mut client, "RETR f");
        client.hear(226);
        // nothing is under way any more: all of it and the end are here already
        stream.set_nonblocking(true).unwrap();
        let mut found = Vec::new();
        stream
            .read_to_end(&mut found)
            .unwrap_or_else(|error| panic!("turn {turn}: not closed before 226: {error}"));
        assert_same_octets(&found, &share.read("f"));
        let name = format!("up{turn}");
        client.put(&name, &noise(3000 + turn));
        assert_eq!(
            share.len(&name),
            3000 + turn as u64,
            "226 before the file is whole"
        );
    }
}

#[test]
fn b27_a_full_disk_is_no_success() {
    if !is_root() {
        return skip("needs root to mount a small disk");
    }
    let share = Share::new();
    share.mkdir("mnt");
    let server = Launch::with_small_disk(&share)
        .flags(&["--writable"])
        .start(&share);
    let mut client = binary(&server);
    for line in ["STOR mnt/f", "STOU mnt/f", "APPE mnt/g"] {
        let mut stream = begin(&mut client, line);
        stream.write_all(&noise(3 << 20)).ok();
        stream.shutdown(Shutdown::Write).ok();
        let verdict = client.hear_one_of(&[452, 552]);
        assert!(!verdict.line().is_empty());
        drop(stream);
        client.hear_nothing();
        for name in client.nlst("mnt") {
            client.say(format!("DELE {name}")).hear(250);
        }
    }
    client.put("mnt/small", b"there is room again");
    client.say("TYPE A").hear(200);
    let mut stream = begin(&mut client, "STOR mnt/ascii");
    stream.write_all(&noise(3 << 20)).ok();
    stream.shutdown(Shutdown::Write).ok();
    client.hear_one_of(&[452, 552]);
    client.hear_nothing();
}

#[test]
fn b27_a_client_that_breaks_off_an_upload_hears_no_226() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let mut stream = begin(&mut client, "STOR f");
    stream.write_all(&noise(1 << 20)).unwrap();
    eventually("some of it has arrived", PATIENCE, || {
        share.holds("f") && share.len("f") > 0
    });
    reset(stream);
    client.hear_one_of(&[426, 451]);
    client.hear_nothing();
    // a download that is broken off
    share.write_sparse("endless", 1 << 40);
    let mut stream = begin(&mut client, "RETR endless");
    stream.read_exact(&mut [0; 1000]).unwrap();
    reset(stream);
    client.hear_one_of(&[426, 451]);
    client.hear_nothing();
    let mut stream = begin(&mut client, "RETR endless");
    stream.read_exact(&mut [0; 1000]).unwrap();
    drop(stream);
    client.hear_one_of(&[426, 451]);
    client.hear_nothing();
}

#[test]
fn b27_an_error_of_the_disk_is_told() {
    let share = Share::new();
    share.write("f", noise(300_000));
    let Some(launch) = Launch::failing(&share, "sendfile", "error=EIO") else {
        return;
    };
    let server = launch.start(&share);
    let mut client = binary(&server);
    let data = client.data();
    let first = client.say("RETR f").hear_one_of(&[150, 451]);
    if first.code == 150 {
        drain(&mut data.stream());
        client.hear(451);
    }
    client.hear_nothing();
}

#[test]
fn b27_an_error_at_the_end_of_an_upload_is_told() {
    for (error, codes) in [
        ("EIO", &[451][..]),
        ("ENOSPC", &[452, 552]),
        ("EDQUOT", &[452, 552]),
    ] {
        let share = Share::new();
        share.write("up", "");
        let path = share.path("up");
        let inject = format!("inject=close:error={error}");
        let arguments = [
            "-P",
            path.to_str().unwrap(),
            "-e",
            "trace=close",
            "-e",
            &inject,
        ];
        let Some(launch) = Launch::traced(&share, &arguments) else {
            return;
        };
        let server = launch.flags(&["--writable"]).start(&share);
        let mut client = binary(&server);
        let mut stream = begin(&mut client, "STOR up");
        stream.write_all(b"data").unwrap();
        drop(stream);
        client.hear_one_of(codes);
        client.hear_nothing();
    }
}

#[test]
fn b27_a_limit_on_the_size_of_files_ends_one_upload_and_nobody_elses_session() {
    let share = Share::new();
    let server = Launch::new()
        .under(&["prlimit", "--fsize=100000"])
        .flags(&["--writable"])
        .start(&share);
    let mut other = binary(&server);
    let mut client = binary(&server);
    let mut stream = begin(&mut client, "STOR up");
    stream.write_all(&noise(1 << 20)).ok();
    stream.shutdown(Shutdown::Write).ok();
    client.hear_one_of(&[452, 552, 451]);
    client.hear_nothing();
    other.put("small", b"x");
}

#[test]
fn an_upload_that_fails_half_way_leaves_nothing_of_the_old_file_behind_it() {
    let share = Share::new();
    // Small enough to be written over the old file in one piece, and large enough to go beyond the limit.
    let (old, new) = (noise(110_000), [b'n'; 120_000]);
    share.write("up", &old);
    let server = Launch::new()
        .under(&["prlimit", "--fsize=100000"])
        .flags(&["--writable"])
        .start(&share);
    let mut client = binary(&server);
    let mut stream = begin(&mut client, "STOR up");
    stream.write_all(&new).ok();
    stream.shutdown(Shutdown::Write).ok();
    client.hear_one_of(&[452, 552, 451]);
    assert_same_octets(&share.read("up"), &new[..100_000]);
}

#[test]
fn a_file_is_replaced_whole_by_a_shorter_a_longer_and_an_equal_one() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    // Around what is taken in one piece.
    for len in [
        300_000, 131_073, 131_072, 131_071, 131_072, 5, 5, 4, 0, 0, 3, 200_000, 1,
    ] {
        let contents: Vec<u8> = noise(len).iter().map(|octet| octet ^ 0x55).collect();
        client.put("f", &contents);
        assert_same_octets(&share.read("f"), &contents);
        client.say("TYPE A").hear(200);
        client.put("f", b"short\r\n");
        client.say("TYPE I").hear(200);
        client.put("f", &contents);
        assert_same_octets(&share.read("f"), &contents);
    }
}

#[test]
fn b28_where_the_short_way_is_refused_the_long_one_is_taken() {
    let contents = noise(300_000);
    for error in ["EINVAL", "ENOSYS"] {
        let share = Share::new();
        share.write("f", &contents);
        let Some(launch) = Launch::failing(
            &share,
            "sendfile,splice,copy_file_range",
            &format!("error={error}"),
        ) else {
            return;
        };
        let server = launch.flags(&["--writable"]).start(&share);
        let mut client = binary(&server);
        assert_same_octets(&client.get("f"), &contents);
        client.say("REST 100000").hear(350);
        assert_same_octets(&client.get("f"), &contents[100_000..]);
        client.put("up", &contents);
        assert_same_octets(&share.read("up"), &contents);
        client.give("APPE up", b"more");
        assert_eq!(share.len("up"), 300_004);
    }
}

#[test]
fn b28_interrupted_calls_are_made_again() {
    let contents = noise(2_000_000);
    let share = Share::new();
    share.write("f", &contents);
    let calls = "sendfile,splice,recvfrom,sendto,poll,accept4";
    let Some(launch) = Launch::failing(&share, calls, "error=EINTR:when=2+3") else {
        return;
    };
    let server = launch.flags(&["--writable"]).start(&share);
    let mut client = binary(&server);
    assert_same_octets(&client.get("f"), &contents);
    client.put("up", &contents);
    assert_same_octets(&share.read("up"), &contents);
    assert_eq!(client.nlst(""), ["f", "up"]);
}

#[test]
fn b28_an_interrupted_listing_goes_on() {
    let share = Share::new();
    share.write("f", "data");
    let Some(launch) = Launch::failing(&share, "getdents64", "error=EINTR:when=2+3") else {
        return;
    };
    let server = launch.start(&share);
    let mut client = binary(&server);
    for _ in 0..5 {
        assert_eq!(client.nlst(""), ["f"]);
    }
}

#[test]
fn b28_a_file_that_shrinks_while_it_is_sent_is_no_success() {
    let share = Share::new();
    share.write("big", noise(BIG));
    let server = Server::start(&share, &[]);
    let mut client = binary(&server);
    let mut stream = begin(&mut client, "RETR big");
    stream.read_exact(&mut [0; 1000]).unwrap();
    std::fs::OpenOptions::new()
        .write(true)
        .open(share.path("big"))
        .unwrap()
        .set_len(2000)
        .unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).ok();
    assert!(rest.len() < BIG - 1000);
    client.hear(451);
    client.hear_nothing();
}

#[test]
fn b28_a_file_of_procfs_is_sent_although_it_has_no_size() {
    if !is_root() {
        return skip("needs root to serve a directory of somebody else's");
    }
    let server = Launch::new().start_at(std::path::Path::new("/proc/sys/kernel"));
    let mut client = binary(&server);
    assert_eq!(client.get("ostype"), b"Linux\n");
    assert!(client.nlst("").contains(&"ostype".to_owned()));
}

#[test]
fn b29_what_is_no_file_is_refused_at_once() {
    let share = Share::new();
    share.mkdir("d");
    share.fifo("fifo");
    let _socket = share.socket("socket");
    share.symlink("fifo", "to-fifo");
    share.symlink("d", "to-d");
    let mut names = vec!["d", "fifo", "socket", "to-fifo", "to-d"];
    if is_root() {
        use nix::sys::stat::{Mode, SFlag, makedev, mknod};
        mknod(
            &share.path("zero"),
            SFlag::S_IFCHR,
            Mode::from_bits_truncate(0o666),
            makedev(1, 5),
        )
        .unwrap();
        names.push("zero");
    }
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let start = Instant::now();
    for name in names {
        client.data();
        client.say(format!("RETR {name}")).hear(550);
        client.say(format!("STOR {name}")).hear_one_of(&[550, 553]);
        client.say(format!("APPE {name}")).hear_one_of(&[550, 553]);
        client.say(format!("SIZE {name}")).hear(550);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "it blocked");
}

#[test]
fn b30_small_files_come_without_a_pause() {
    let share = Share::new();
    share.write("f", "small");
    let server = Server::start(&share, &[]);
    let mut client = binary(&server);
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(client.get("f"), b"small");
            start.elapsed()
        })
        .collect();
    times.sort();
    // a delayed acknowledgement shows as a step of 40 ms
    assert!(
        times[100] < Duration::from_millis(20),
        "a small file takes {:?}",
        times[100]
    );
}

#[test]
fn b43_an_upload_replaces_appends_or_finds_a_new_name() {
    let share = Share::new();
    share.write("f", noise(10_000));
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    client.put("f", b"short");
    assert_eq!(share.read("f"), b"short");
    client.give("APPE f", b" and more");
    assert_eq!(share.read("f"), b"short and more");
    client.give("APPE fresh", b"made");
    assert_eq!(share.read("fresh"), b"made");
    let mut names = Vec::new();
    for line in ["STOU", "STOU", "STOU f", "STOU f"] {
        let opening = client.give(line, line.as_bytes()).line();
        let name = opening
            .strip_prefix("150 FILE: ")
            .unwrap_or_else(|| panic!("{opening}"))
            .to_owned();
        assert_eq!(share.read(&name), line.as_bytes());
        names.push(name);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!(share.read("f"), b"short and more", "STOU replaces nothing");
    client.put("empty", b"");
    assert_eq!(share.read("empty"), b"");
}

#[test]
fn b43_a_refused_upload_destroys_nothing() {
    let share = Share::new();
    share.write("f", "precious");
    share.write("closed", "precious");
    share.set_mode("closed", 0o400);
    share.mkdir("d");
    let server = Server::start(&share, &["--writable", "--data-timeout", "1"]);
    let mut client = binary(&server);
    client.data();
    client.say("STOR closed").hear_one_of(&[550, 553]);
    client.say("STOR d").hear_one_of(&[550, 553]);
    assert_eq!(share.read("closed"), b"precious");
    // no data connection comes about
    let mut client = binary(&server);
    client.say("STOR f").hear_one_of(&[425, 503]);
    client.epsv();
    let first = client.say("STOR f").hear_one_of(&[150, 425]);
    if first.code == 150 {
        client.hear(425);
    }
    let gone = client.listener().local_addr().unwrap();
    client.say(port_line(gone)).hear(200);
    let first = client.say("STOR f").hear_one_of(&[150, 425]);
    if first.code == 150 {
        client.hear(425);
    }
    assert_eq!(
        share.read("f"),
        b"precious",
        "truncated although nothing was sent"
    );
}

#[test]
fn b43_one_upload_at_a_time_per_file() {
    let share = Share::new();
    share.write("f", "old");
    let server = Server::start(&share, &["--writable"]);
    let mut one = binary(&server);
    let mut two = binary(&server);
    let mut stream = begin(&mut one, "STOR f");
    stream.write_all(b"first").unwrap();
    two.data();
    for line in ["STOR f", "APPE f"] {
        two.say(line).hear(450);
    }
    stream.write_all(b" writer").unwrap();
    drop(stream);
    one.hear(226);
    assert_eq!(share.read("f"), b"first writer");
    two.put("f", b"second");
    assert_eq!(share.read("f"), b"second");
}

#[test]
fn umask_holds_for_files_and_directories() {
    let share = Share::new();
    let server = Server::start(&share, &["--writable", "--umask", "027"]);
    let mut client = binary(&server);
    client.put("f", b"x");
    client.say("MKD d").hear(257);
    assert_eq!((share.mode("f"), share.mode("d")), (0o640, 0o750));
    client.say("SITE UMASK 077").hear(200);
    client.put("g", b"x");
    client.say("MKD e").hear(257);
    assert_eq!((share.mode("g"), share.mode("e")), (0o600, 0o700));
    let server = Server::start(&share, &["--writable"]);
    binary(&server).put("h", b"x");
    assert_eq!(share.mode("h"), 0o644);
}

#[test]
fn a_data_connection_with_words_from_the_wrong_side_does_no_harm() {
    let share = Share::new();
    let contents = noise(1 << 20);
    share.write("f", &contents);
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    // a client that writes during a download
    let data = client.data();
    client.say("RETR f").hear(150);
    let mut stream = Data::stream(data);
    stream.write_all(b"nonsense").unwrap();
    let mut found = Vec::new();
    stream.read_to_end(&mut found).ok();
    client.hear_one_of(&[226, 426, 451]);
    client.hear_nothing();
    // one that closes its writing side at once, as some do
    let address = client.epsv();
    let mut stream = connect(address);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    client.say("RETR f").hear(150);
    assert_same_octets(&drain(&mut stream), &contents);
    client.hear(226);
}
