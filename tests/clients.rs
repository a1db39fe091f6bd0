//! Other people's clients against the server, contents compared octet for octet.
//!
//! A client that is not installed is a printed SKIP, and in CI a failure.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::fs;
use std::path::Path;

use common::{
    Client, Desk, Mode, Server, Share, assert_same_octets, finished, has_ipv6, noise, program, skip,
};

/// The share that most clients are sent to.
fn furnished() -> Share {
    let share = Share::new();
    share.write("hello.txt", "hello\nworld\n");
    share.set_modified("hello.txt", 981_173_106); // 2001-02-03 04:05:06
    share.write("noise.bin", noise(300_000));
    share.write("sub/a b.txt", "a name with a space");
    share.write("sub/deep/inner.dat", noise(5_000));
    share.mkdir("empty");
    share
}

const ANYWHERE: &str = "--writable";

fn url(server: &Server, path: &str) -> String {
    format!("ftp://{}/{path}", server.address())
}

/// Compares two directories: the same names, the same octets.
#[track_caller]
fn assert_same_tree(found: &Path, wanted: &Path) {
    let names = |directory: &Path| {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        names(found),
        names(wanted),
        "{} and {}",
        found.display(),
        wanted.display()
    );
    for name in names(wanted) {
        let (found, wanted) = (found.join(&name), wanted.join(&name));
        if wanted.is_dir() {
            assert_same_tree(&found, &wanted);
        } else {
            assert_same_octets(&fs::read(&found).unwrap(), &fs::read(&wanted).unwrap());
        }
    }
}

// curl

#[test]
fn curl_lists_a_directory() {
    let Some(curl) = program("curl") else { return };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[]);
    let curl = || desk.command(&curl);
    let names = finished(
        curl()
            .args(["-sS", "-l", &url(&server, "")])
            .output()
            .unwrap(),
    );
    assert_eq!(names, "empty\nhello.txt\nnoise.bin\nsub\n");
    let lines = finished(
        curl()
            .args(["-sS", &url(&server, "sub/")])
            .output()
            .unwrap(),
    );
    assert!(
        lines.contains(" a b.txt\n") && lines.lines().count() == 2,
        "{lines}"
    );
    let nothing = finished(
        curl()
            .args(["-sS", &url(&server, "empty/")])
            .output()
            .unwrap(),
    );
    assert_eq!(nothing, "");
}

#[test]
fn curl_downloads_over_each_kind_of_data_connection() {
    let Some(curl) = program("curl") else { return };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[]);
    let kinds: [(&[&str], &str); 4] = [
        (&[], "> EPSV"),
        (&["--disable-epsv"], "> PASV"),
        (&["--ftp-port", "-"], "> EPRT |1|"),
        (&["--ftp-port", "-", "--disable-eprt"], "> PORT "),
    ];
    for (flags, verb) in kinds {
        let mut command = desk.command(&curl);
        command
            .args(["-sS", "-v", "-o", "got", &url(&server, "noise.bin")])
            .args(flags);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        finished(output);
        assert!(said.contains(verb), "{verb} was not used:\n{said}");
        assert_same_octets(&desk.read("got"), &share.read("noise.bin"));
        fs::remove_file(desk.path("got")).unwrap();
    }
}

#[test]
fn curl_walks_to_a_file_by_each_of_its_methods() {
    let Some(curl) = program("curl") else { return };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[]);
    for method in ["multicwd", "nocwd", "singlecwd"] {
        let mut command = desk.command(&curl);
        command.args([
            "-sS",
            "--ftp-method",
            method,
            &url(&server, "sub/deep/inner.dat"),
            "-o",
            "got",
        ]);
        finished(command.output().unwrap());
        assert_same_octets(&desk.read("got"), &share.read("sub/deep/inner.dat"));
        let mut command = desk.command(&curl);
        command.args([
            "-sS",
            "--ftp-method",
            method,
            &url(&server, "sub/a%20b.txt"),
        ]);
        assert_eq!(finished(command.output().unwrap()), "a name with a space");
    }
}

#[test]
fn curl_uploads_appends_and_resumes() {
    let Some(curl) = program("curl") else { return };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[ANYWHERE]);
    let run = |arguments: &[&str]| {
        finished(
            desk.command(&curl)
                .arg("-sS")
                .args(arguments)
                .output()
                .unwrap(),
        )
    };
    let sent = noise(200_000);
    desk.write("up.bin", &sent);
    run(&["-T", "up.bin", &url(&server, "up.bin")]);
    assert_same_octets(&share.read("up.bin"), &sent);
    run(&[
        "--ftp-create-dirs",
        "-T",
        "up.bin",
        &url(&server, "new/er/up.bin"),
    ]);
    assert_same_octets(&share.read("new/er/up.bin"), &sent);

    desk.write("tail", "tail");
    run(&["-a", "-T", "tail", &url(&server, "up.bin")]);
    assert_same_octets(&share.read("up.bin"), &[&sent[..], b"tail"].concat());

    assert_eq!(run(&["-C", "6", &url(&server, "hello.txt")]), "world\n");
    desk.write("part", &sent[..5]);
    run(&["-C", "-", "-o", "part", &url(&server, "new/er/up.bin")]);
    assert_same_octets(&desk.read("part"), &sent);
    assert_eq!(run(&["-r", "2-4", &url(&server, "hello.txt")]), "llo");

    share.write("half.bin", &sent[..1000]);
    run(&["-C", "-", "-T", "up.bin", &url(&server, "half.bin")]);
    assert_same_octets(&share.read("half.bin"), &sent);
}

#[test]
fn curl_asks_for_size_and_time() {
    let Some(curl) = program("curl") else { return };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[]);
    let head = finished(
        desk.command(&curl)
            .args(["-sS", "-I", &url(&server, "hello.txt")])
            .output()
            .unwrap(),
    );
    assert!(head.contains("Content-Length: 12\r\n"), "{head}");
    assert!(
        head.contains("Last-Modified: Sat, 03 Feb 2001 04:05:06 GMT\r\n"),
        "{head}"
    );
}

#[test]
fn curl_makes_renames_and_deletes() {
    let Some(curl) = program("curl") else { return };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[ANYWHERE]);
    let quote = |commands: &[&str]| {
        let mut command = desk.command(&curl);
        command.args(["-sS", &url(&server, "")]);
        for line in commands {
            command.args(["-Q", line]);
        }
        finished(command.output().unwrap())
    };
    quote(&[
        "MKD box",
        "RNFR hello.txt",
        "RNTO box/moved.txt",
        "DELE noise.bin",
    ]);
    assert_eq!(share.read("box/moved.txt"), b"hello\nworld\n");
    assert!(!share.holds("noise.bin") && !share.holds("hello.txt"));
    quote(&["DELE box/moved.txt", "RMD box"]);
    assert!(!share.holds("box"));
}

#[test]
fn curl_tells_what_is_missing_from_what_is_forbidden() {
    let Some(curl) = program("curl") else { return };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[]);
    let code = |arguments: &[&str]| {
        desk.command(&curl)
            .arg("-sS")
            .args(arguments)
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(
        code(&[&url(&server, "absent")]),
        Some(78),
        "remote file not found"
    );
    assert_eq!(
        code(&[&url(&server, "absent/")]),
        Some(9),
        "access denied by CWD"
    );
    let own = desk.write("own", "x");
    assert_eq!(
        code(&["-T", own.to_str().unwrap(), &url(&server, "x")]),
        Some(25),
        "upload refused: the share is read-only"
    );
    assert!(!share.holds("x"));
}

#[test]
fn curl_comes_over_ipv6() {
    let Some(curl) = program("curl") else { return };
    if !has_ipv6() {
        return skip("no IPv6 on this machine");
    }
    let (share, desk) = (furnished(), Desk::new());
    let server = common::Launch::new().listen("[::1]:0").start(&share);
    for flags in [&[][..], &["--ftp-port", "-"]] {
        let mut command = desk.command(&curl);
        command
            .args(["-sS", "-o", "got", &url(&server, "noise.bin")])
            .args(flags);
        finished(command.output().unwrap());
        assert_same_octets(&desk.read("got"), &share.read("noise.bin"));
    }
}

// wget

#[test]
fn wget_fetches_a_tree() {
    let Some(wget) = program("wget") else { return };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[]);
    for (way, flags) in [("passive", &[][..]), ("active", &["--no-passive-ftp"])] {
        let mut command = desk.command(&wget);
        command
            .args([
                "-q",
                "-r",
                "-nH",
                "--tries=2",
                "--timeout=10",
                "-P",
                way,
                &url(&server, ""),
            ])
            .args(flags);
        let output = command.output().unwrap();
        fs::remove_file(desk.path(way).join(".listing")).ok();
        finished(output);
        fs::create_dir(desk.path(way).join("empty")).ok(); // wget makes no directory that it has nothing for
        assert_same_tree(&desk.path(way), share.top());
    }
}

#[test]
fn wget_goes_on_where_it_stopped_and_expands_patterns() {
    let Some(wget) = program("wget") else { return };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[]);
    desk.write("noise.bin", &share.read("noise.bin")[..100_000]);
    let output = desk
        .command(&wget)
        .args([
            "-c",
            "--tries=2",
            "--timeout=10",
            &url(&server, "noise.bin"),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    finished(output);
    assert!(said.contains("REST 100000"), "{said}");
    assert_same_octets(&desk.read("noise.bin"), &share.read("noise.bin"));

    share.write("two.txt", "two");
    finished(
        desk.command(&wget)
            .args(["-q", "--tries=2", "--timeout=10", &url(&server, "*.txt")])
            .output()
            .unwrap(),
    );
    assert_eq!(desk.read("hello.txt"), b"hello\nworld\n");
    assert_eq!(desk.read("two.txt"), b"two");
}

// lftp

fn lftp(desk: &Desk, program: &Path, server: &Server, script: &str) -> String {
    let script = format!(
        "set cmd:fail-exit yes; set net:max-retries 3; set net:timeout 10; set net:reconnect-interval-base 1; \
         set net:reconnect-interval-max 1; open {}; {script}; quit",
        url(server, "")
    );
    finished(
        desk.command(program)
            .args(["-c", &script])
            .output()
            .unwrap(),
    )
}

#[test]
fn lftp_mirrors_down_and_up_in_every_mode() {
    let Some(program) = program("lftp") else {
        return;
    };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[ANYWHERE]);
    for (number, settings) in [
        "set ftp:passive-mode on",
        "set ftp:passive-mode off",
        "set ftp:sync-mode off",
        "set ftp:prefer-epsv yes",
        "set ftp:prefer-epsv no; set ftp:sync-mode off",
        "set ftp:use-mdtm-overloaded yes; set ftp:list-options -a",
        "set ftp:use-mlsd no",
    ]
    .into_iter()
    .enumerate()
    {
        let down = format!("down{number}");
        lftp(
            &desk,
            &program,
            &server,
            &format!("{settings}; mirror / {down}"),
        );
        assert_same_tree(&desk.path(&down), share.top());
    }
    lftp(&desk, &program, &server, "mirror -R down0 copy");
    assert_same_tree(&share.path("copy"), &desk.path("down0"));
    assert_eq!(
        share.modified("copy/hello.txt"),
        981_173_106,
        "a mirror keeps the time of a file"
    );
}

#[test]
fn lftp_works_with_single_files() {
    let Some(program) = program("lftp") else {
        return;
    };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[ANYWHERE]);
    let sent = noise(150_000);
    desk.write("one.bin", &sent);
    desk.write("two.bin", "2");
    lftp(
        &desk,
        &program,
        &server,
        "put one.bin; mkdir -p x/y; mput -O x/y one.bin two.bin",
    );
    assert_same_octets(&share.read("one.bin"), &sent);
    assert_same_octets(&share.read("x/y/one.bin"), &sent);
    assert_eq!(share.read("x/y/two.bin"), b"2");

    desk.write("noise.bin", &share.read("noise.bin")[..1234]);
    share.write("half.bin", &sent[..777]);
    lftp(
        &desk,
        &program,
        &server,
        "get -c noise.bin; put -c one.bin -o half.bin",
    );
    assert_same_octets(&desk.read("noise.bin"), &share.read("noise.bin"));
    assert_same_octets(&share.read("half.bin"), &sent);

    lftp(
        &desk,
        &program,
        &server,
        "mv one.bin moved.bin; rm half.bin; chmod 600 moved.bin; rm -r x",
    );
    assert!(!share.holds("x") && !share.holds("half.bin") && !share.holds("one.bin"));
    assert_eq!(share.mode("moved.bin"), 0o600);

    let listed = lftp(&desk, &program, &server, "cls -1; find sub");
    assert!(
        listed.contains("hello.txt\n") && listed.contains("sub/deep/inner.dat\n"),
        "{listed}"
    );
}

#[test]
fn lftp_lives_with_fewer_seats_than_it_asks_for() {
    let Some(program) = program("lftp") else {
        return;
    };
    let (share, desk) = (Share::new(), Desk::new());
    for number in 0..24 {
        share.write(format!("file{number}"), noise(20_000 + number));
    }
    let server = Server::start(&share, &["--max-per-ip", "2"]);
    lftp(&desk, &program, &server, "mirror --parallel=4 / down");
    assert_same_tree(&desk.path("down"), share.top());
}

// tnftp

fn tnftp(desk: &Desk, program: &Path, server: &Server, flags: &[&str], script: &str) -> String {
    let mut command = desk.command(program);
    command
        .args(["-n", "-i", "-v"])
        .args(flags)
        .args(["127.0.0.1", &server.port().to_string()]);
    let script = format!("user anonymous guest\nbinary\n{script}\nbye\n");
    let said = finished(desk.feed(command, &script));
    assert!(said.contains("\n221 "), "{said}");
    said
}

#[test]
fn tnftp_gets_and_puts_many_files() {
    let Some(program) = program("tnftp") else {
        return;
    };
    let (share, desk) = (furnished(), Desk::new());
    share.write("two.txt", "two");
    let server = Server::start(&share, &[ANYWHERE]);
    for flags in [&["-p"][..], &["-A"]] {
        for name in ["hello.txt", "two.txt", "noise.bin"] {
            fs::remove_file(desk.path(name)).ok();
        }
        tnftp(&desk, &program, &server, flags, "mget *.txt\nget noise.bin");
        assert_same_octets(&desk.read("noise.bin"), &share.read("noise.bin"));
        assert_eq!(desk.read("two.txt"), b"two");
        assert_eq!(desk.read("hello.txt"), b"hello\nworld\n");
    }
    assert_eq!(
        fs::metadata(desk.path("hello.txt"))
            .unwrap()
            .modified()
            .unwrap(),
        fs::metadata(share.path("hello.txt"))
            .unwrap()
            .modified()
            .unwrap(),
        "tnftp keeps the time that MDTM tells"
    );
    desk.write("u1.dat", noise(9_999));
    desk.write("u2.dat", "2");
    tnftp(
        &desk,
        &program,
        &server,
        &[],
        "mkdir up\ncd up\nmput *.dat\nappend u2.dat u1.dat",
    );
    assert_same_octets(
        &share.read("up/u1.dat"),
        &[&noise(9_999)[..], b"2"].concat(),
    );
    assert_eq!(share.read("up/u2.dat"), b"2");
}

#[test]
fn tnftp_asks_for_all_that_it_knows() {
    let Some(program) = program("tnftp") else {
        return;
    };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[ANYWHERE]);
    desk.write("noise.bin", &share.read("noise.bin")[..4321]);
    let said = tnftp(
        &desk,
        &program,
        &server,
        &[],
        "epsv4 off\npwd\nls\nmls . names.txt\nmlst hello.txt\nmlsd sub\nget hello.txt -\nsize hello.txt\nmodtime hello.txt\nsystem\n\
         features\nrstatus\nrhelp\nchmod 640 hello.txt\nreget noise.bin\nrename hello.txt hi.txt\ndelete hi.txt\n\
         mkdir d\ncd d\ncdup\nrmdir d\nascii\nls sub\nsite help\nquote NOOP",
    );
    assert_same_octets(&desk.read("noise.bin"), &share.read("noise.bin"));
    assert!(
        !share.holds("d") && !share.holds("hello.txt") && !share.holds("hi.txt"),
        "{said}"
    );
    for code in ["\n500 ", "\n501 ", "\n502 ", "\n550 "] {
        assert!(!said.contains(code), "something was refused:\n{said}");
    }
}

// ncftp

#[test]
fn ncftp_copies_trees_both_ways() {
    let (Some(get), Some(put), Some(ls)) =
        (program("ncftpget"), program("ncftpput"), program("ncftpls"))
    else {
        return;
    };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[ANYWHERE]);
    let port = server.port().to_string();
    for (way, flag) in [("passive", "-F"), ("active", "-E")] {
        fs::create_dir(desk.path(way)).unwrap();
        let mut command = desk.command(&get);
        command.args([
            "-V",
            flag,
            "-R",
            "-r",
            "1",
            "-t",
            "10",
            "-P",
            &port,
            "127.0.0.1",
            way,
            "/sub",
        ]);
        finished(command.output().unwrap());
        assert_same_tree(&desk.path(way).join("sub"), &share.path("sub"));

        let mut command = desk.command(&put);
        command.args([
            "-V",
            flag,
            "-R",
            "-m",
            "-r",
            "1",
            "-t",
            "10",
            "-P",
            &port,
            "127.0.0.1",
        ]);
        command.arg(format!("/up/{way}")).arg(format!("{way}/sub"));
        finished(command.output().unwrap());
        assert_same_tree(&share.path(format!("up/{way}/sub")), &share.path("sub"));
    }
    let mut command = desk.command(&ls);
    command.args(["-1", "-r", "1", "-t", "10", "-P", &port, "ftp://127.0.0.1/"]);
    let listed = finished(command.output().unwrap());
    let names: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!(
        names,
        ["empty", "hello.txt", "noise.bin", "sub", "up"].as_slice(),
        "{listed}"
    );
}

// Python's ftplib

fn ftplib(share: &Share, server: &Server, mode: &str) {
    let Some(python) = program("python3") else {
        return;
    };
    let desk = Desk::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/ftplib_session.py");
    let local = desk.write("noise.bin", share.read("noise.bin"));
    let address = server.address();
    let mut command = desk.command(&python);
    command
        .arg(script)
        .args([
            address.ip().to_string(),
            address.port().to_string(),
            mode.to_owned(),
        ])
        .arg(local);
    assert_eq!(finished(command.output().unwrap()).trim(), "all held");
}

#[test]
fn ftplib_works_in_passive_mode() {
    let share = furnished();
    ftplib(&share, &Server::start(&share, &[ANYWHERE]), "passive");
}

#[test]
fn ftplib_works_in_active_mode() {
    let share = furnished();
    ftplib(&share, &Server::start(&share, &[ANYWHERE]), "active");
}

#[test]
fn ftplib_works_over_ipv6() {
    if !has_ipv6() {
        return skip("no IPv6 on this machine");
    }
    for mode in ["passive", "active"] {
        let share = furnished();
        ftplib(
            &share,
            &common::Launch::new()
                .listen("[::1]:0")
                .flags(&[ANYWHERE])
                .start(&share),
            mode,
        );
    }
}

// rclone

/// Runs rclone on a remote described on its command line.
fn rclone(desk: &Desk, program: &Path, server: &Server, words: &[&str]) -> String {
    let remote = format!(
        ":ftp,host=127.0.0.1,port={},user=anonymous,concurrency=4:",
        server.port()
    );
    let password = finished(
        desk.command(program)
            .args(["obscure", "guest"])
            .output()
            .unwrap(),
    );
    let mut command = desk.command(program);
    command
        .env("RCLONE_CONFIG", desk.path("rclone.conf"))
        .env("RCLONE_FTP_PASS", password.trim());
    command.args([
        "--retries",
        "1",
        "--low-level-retries",
        "2",
        "--contimeout",
        "5s",
        "--timeout",
        "10s",
    ]);
    command.args(words.iter().map(|word| word.replace("REMOTE:", &remote)));
    finished(command.output().unwrap())
}

#[test]
fn rclone_keeps_difficult_names() {
    let Some(program) = program("rclone") else {
        return;
    };
    let (share, desk) = (Share::new(), Desk::new());
    let server = Server::start(&share, &[ANYWHERE]);
    for name in [
        "[x]",
        "[x]/in brackets",
        "a b",
        " leading",
        "dots...",
        "star*",
        "quote\"d",
        "semi;colon",
        "umläut",
        "-l",
    ] {
        if name == "[x]" {
            fs::create_dir(desk.top().join("here")).ok();
            continue;
        }
        desk.write(&format!("here/{name}"), format!("contents of {name}"));
    }
    rclone(&desk, &program, &server, &["copy", "here", "REMOTE:there"]);
    assert_same_tree(&share.path("there"), &desk.path("here"));
    rclone(&desk, &program, &server, &["copy", "REMOTE:there", "back"]);
    assert_same_tree(&desk.path("back"), &desk.path("here"));
    let listed = rclone(&desk, &program, &server, &["lsf", "REMOTE:there/[x]"]);
    assert_eq!(listed, "in brackets\n");
}

#[test]
fn rclone_makes_the_share_the_same_as_here() {
    let Some(program) = program("rclone") else {
        return;
    };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[ANYWHERE]);
    desk.write("here/new.txt", "new");
    desk.write("here/sub/deep/inner.dat", noise(70_000));
    desk.write("here/hello.txt", "changed here");
    rclone(&desk, &program, &server, &["sync", "here", "REMOTE:"]);
    rclone(
        &desk,
        &program,
        &server,
        &["rmdirs", "--leave-root", "REMOTE:"],
    );
    assert_same_tree(share.top(), &desk.path("here"));
    rclone(
        &desk,
        &program,
        &server,
        &["check", "--download", "here", "REMOTE:"],
    );
    let listed = rclone(
        &desk,
        &program,
        &server,
        &["lsf", "-R", "--files-only", "REMOTE:"],
    );
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["hello.txt", "new.txt", "sub/deep/inner.dat"]);
}

// BusyBox

#[test]
fn busybox_gets_and_puts() {
    let Some(busybox) = program("busybox") else {
        return;
    };
    let (share, desk) = (furnished(), Desk::new());
    let server = Server::start(&share, &[ANYWHERE]);
    let port = server.port().to_string();
    let run = |words: &[&str]| finished(desk.command(&busybox).args(words).output().unwrap());
    run(&["ftpget", "-P", &port, "127.0.0.1", "got", "noise.bin"]);
    assert_same_octets(&desk.read("got"), &share.read("noise.bin"));
    desk.write("half", &share.read("noise.bin")[..999]);
    run(&[
        "ftpget",
        "-c",
        "-P",
        &port,
        "127.0.0.1",
        "half",
        "noise.bin",
    ]);
    assert_same_octets(&desk.read("half"), &share.read("noise.bin"));
    run(&["ftpput", "-P", &port, "127.0.0.1", "sub/up.bin", "got"]);
    assert_same_octets(&share.read("sub/up.bin"), &share.read("noise.bin"));
    run(&["wget", "-q", "-O", "wgot", &url(&server, "noise.bin")]);
    assert_same_octets(&desk.read("wgot"), &share.read("noise.bin"));
}

// what devices and programs say that cannot be installed here

#[test]
fn filezilla_asks_for_tls_and_lives_without() {
    let share = furnished();
    let server = Server::start(&share, &[ANYWHERE]);
    let mut client = Client::connect(&server).by(Mode::Pasv);
    for line in ["AUTH TLS", "AUTH SSL"] {
        client.say(line).hear_one_of(&[500, 502, 504]);
    }
    client.say("USER anonymous").hear(331);
    client.say("PASS anonymous@example.com").hear(230);
    assert_eq!(client.say("SYST").hear(215).line(), "215 UNIX Type: L8");
    let features = client.say("FEAT").hear(211).inner();
    assert!(features.contains(&" UTF8".to_owned()), "{features:?}");
    client.say("CLNT FileZilla").hear(200);
    client.say("OPTS UTF8 ON").hear(200);
    assert_eq!(client.pwd(), "/");
    client.say("TYPE I").hear(200);
    let lines = client.mlsd("");
    assert_eq!(lines.len(), 4, "{lines:?}");
    client.say("CWD sub").hear(250);
    assert_eq!(client.pwd(), "/sub");
    client.say("TYPE A").hear(200);
    client.mlsd("");
    client.say("TYPE I").hear(200);
    client.put("upload.bin", &noise(70_000));
    client.say("MFMT 20240506070809 upload.bin").hear(213);
    assert_same_octets(&client.get("upload.bin"), &noise(70_000));
    client.say("NOOP").hear(200);
    client.say("QUIT").hear(221);
    client.hear_end();
}

#[test]
fn explorer_asks_for_utf8_in_small_letters() {
    let share = furnished();
    let server = Server::start(&share, &[]);
    let mut client = Client::connect(&server).by(Mode::Pasv);
    client.say("USER anonymous").hear(331);
    client.say("PASS IEUser@").hear(230);
    client.say("opts utf8 on").hear(200);
    client.say("syst").hear(215);
    client.say("site help").hear(214);
    assert_eq!(client.pwd(), "/");
    client.say("noop").hear(200);
    client.say("CWD /sub/").hear(250);
    client.say("TYPE A").hear(200);
    assert_eq!(client.list("").len(), 2);
    // a second connection beside the first, as Explorer and Internet Explorer open one
    let mut second = Client::login(&server).by(Mode::Pasv);
    assert_eq!(second.say("SIZE sub").hear(550).code, 550);
    assert_eq!(
        second.get("hello.txt"),
        b"hello\r\nworld\r\n",
        "TYPE A is where a session starts"
    );
}

#[test]
fn dot_net_logs_in_again_on_a_session_that_is_logged_in() {
    let share = furnished();
    let server = Server::start(&share, &[]);
    let mut client = Client::connect(&server).by(Mode::Pasv);
    for _ in 0..2 {
        client.say("USER anonymous").hear(331);
        client.say("PASS anonymous@").hear(230);
        client.say("OPTS utf8 on").hear(200);
        client.say("PWD").hear(257);
        client.say("TYPE I").hear(200);
        assert_eq!(client.get("hello.txt"), b"hello\nworld\n");
    }
}

#[test]
fn a_dahua_camera_wants_200_for_allo() {
    let share = Share::new();
    let server = Server::start(&share, &[ANYWHERE]);
    let mut client = Client::login(&server).by(Mode::Pasv);
    client.say("TYPE I").hear(200);
    client.say("CWD DVR/2024-05-06").hear(550);
    for directory in ["DVR", "2024-05-06"] {
        client.say(format!("MKD {directory}")).hear(257);
        client.say(format!("CWD {directory}")).hear(250);
    }
    client.say("ALLO 20000").hear(200);
    client.put("07.08.09.jpg", &noise(20_000));
    assert_same_octets(&share.read("DVR/2024-05-06/07.08.09.jpg"), &noise(20_000));
}

#[test]
fn a_reolink_camera_walks_makes_and_walks_again() {
    let share = Share::new();
    let server = Server::start(&share, &[ANYWHERE]);
    let mut client = Client::login(&server).by(Mode::Epsv);
    for (verb, directory) in [
        ("MKD", "/cam"),
        ("XMKD", "/cam/2024"),
        ("XMKD", "/cam/2024/05"),
    ] {
        client.say(format!("CWD {directory}")).hear(550);
        assert_eq!(
            client.say(format!("{verb} {directory}")).hear(257).quoted(),
            directory.as_bytes()
        );
        client.say(format!("CWD {directory}")).hear(250);
    }
    client.say("TYPE I").hear(200);
    client.put("a.mp4", &noise(100_000));
    client.say("CDUP").hear_one_of(&[200, 250]);
    assert_eq!(client.pwd(), "/cam/2024");
    assert_eq!(share.len("cam/2024/05/a.mp4"), 100_000);
}

#[test]
fn a_yi_camera_says_everything_at_once_and_greps_the_answer() {
    let share = Share::new();
    let server = Server::start(&share, &[ANYWHERE]);
    let mut client = Client::connect(&server);
    client.raw(b"USER cam\r\nPASS secret\r\nmkd 2024Y05M06D07H\r\nquit\r\n");
    client.expect(&["USER", "PASS", "MKD", "QUIT"]).hang_up();
    client.hear(331);
    client.hear(230);
    assert_eq!(client.hear(257).quoted(), b"/2024Y05M06D07H");
    client.hear(221);
    client.hear_end();
    assert!(share.holds("2024Y05M06D07H"));
}

#[test]
fn gvfs_lists_with_an_option_because_the_server_is_unix() {
    let share = furnished();
    share.write(".hidden", "");
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server).by(Mode::Epsv);
    client.say("SYST").hear(215);
    client.say("FEAT").hear(211);
    client.say("TYPE I").hear(200);
    client.say("CWD /").hear(250);
    let lines = client.list("-a");
    assert_eq!(lines.len(), 5, "{lines:?}");
    client.say("CWD /sub").hear(250);
    assert_eq!(client.list("-a").len(), 2);
}

#[test]
fn an_efi_scanner_wants_an_absent_name_refused() {
    let share = furnished();
    let server = Server::start(&share, &[ANYWHERE]);
    let mut client = Client::login(&server).by(Mode::Pasv);
    client.say("TYPE A").hear(200);
    let data = client.data();
    client.say("NLST surely_not_here.tmp").hear(550);
    drop(data);
    client.say("TYPE I").hear(200);
    let opening = client.give("STOU", b"scan");
    let name = opening
        .line()
        .strip_prefix("150 FILE: ")
        .unwrap()
        .to_owned();
    assert_eq!(share.read(&name), b"scan");
    client.say(format!("DELE {name}")).hear(250);
}

#[test]
fn a_phone_asks_for_facts_and_seeks_in_a_film() {
    let share = furnished();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server).by(Mode::Epsv);
    client.say("OPTS UTF8 ON").hear(200);
    client.say("TYPE I").hear(200);
    let facts = client.say("MLST /noise.bin").hear(250).inner();
    assert_eq!(facts.len(), 1);
    assert_eq!(common::client::fact(&facts[0], "size"), Some("300000"));
    assert_eq!(client.mlsd("/sub").len(), 2);
    for at in [250_000, 0, 299_999, 100] {
        let data = client.data();
        client.say(format!("REST {at}")).hear(350);
        client.say("RETR /noise.bin").hear(150);
        assert_same_octets(
            &common::client::drain(&mut data.stream()),
            &share.read("noise.bin")[at..],
        );
        client.hear(226);
    }
}
