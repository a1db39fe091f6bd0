//! USER PASS ACCT REIN QUIT, the users file, and who may say what (FIELD-NOTES 5.2; RFC 959 4.1.1, RFC 2577 5).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::server::run_to_end;
use common::share::NOBODY;
use common::{Client, Launch, Server, Share};
use nix::sys::signal::Signal;

/// `openssl passwd -6` of `secret`.
const SECRET: &str = "$6$pocketftpd$4ZNfGz/ABcmoC1jSk8dbkqrRnjRarxqM9UiG1u5jp3q1BdorkiKNWEpk1s6oM7iaW2ewUcAwrFGKDmKjygMOg0";
/// `openssl passwd -5` of `hidden`.
const HIDDEN: &str = "$5$pocketftpd$ZoveL4HoPULReMSoNj3Mo311p4BoMyO3QgXuA5Tgeg/";

/// A users file beside the share.
fn users(share: &Share, lines: &str) -> PathBuf {
    let path = share.outside("users");
    std::fs::write(&path, lines).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
}

fn named(share: &Share, lines: &str, flags: &[&str]) -> Server {
    let path = users(share, lines);
    Launch::new()
        .flags(&["--users", path.to_str().unwrap()])
        .flags(flags)
        .start(share)
}

#[test]
fn b14_anybody_is_let_in_by_any_name_and_any_password() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let long = "x".repeat(300);
    for password in [
        "PASS",
        "PASS ",
        "PASS guest@example.com",
        "PASS  with spaces ",
        &format!("PASS {long}"),
    ] {
        let mut client = Client::connect(&server);
        client.say("USER whoever").hear(331);
        client.say(password).hear(230);
        // again on the same session
        client.say("USER anonymous").hear(331);
        client.say(password).hear(230);
        client.say("PWD").hear(257);
    }
    let mut client = Client::connect(&server);
    client.say(format!("USER {long}")).hear(331);
    client.say("PASS").hear(230);
}

#[test]
fn b14_the_order_of_a_log_in_is_held() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::connect(&server);
    client.say("PASS early").hear(503);
    client.say("USER").hear(501);
    client.say("PASS early").hear(503);
    client.say("USER a").hear(331);
    client.say("NOOP").hear(200);
    client.say("PASS b").hear(230);
    client.say("PASS b").hear_one_of(&[202, 230, 503]);
    client.say("ACCT x").hear_one_of(&[202, 230]);
    // USER gives up what was granted until the password has come
    client.say("USER a").hear(331);
    client.say("PWD").hear(530);
    client.say("PASS b").hear(230);
}

#[test]
fn b14_wrong_passwords_cost_time_and_the_third_ends_the_session() {
    let share = Share::new();
    let server = named(&share, &format!("# users\nann:{SECRET}\n"), &[]);
    let mut client = Client::connect(&server);
    let mut texts = Vec::new();
    for (name, password) in [("ann", "wrong"), ("nobody-at-all", "secret")] {
        let start = Instant::now();
        client.say(format!("USER {name}")).hear(331);
        texts.push(client.say(format!("PASS {password}")).hear(530).line());
        assert!(
            start.elapsed() >= Duration::from_millis(300),
            "a wrong password costs no time"
        );
    }
    assert_eq!(
        texts[0], texts[1],
        "an unknown user and a wrong password get the same words"
    );
    client.say("USER ann").hear(331);
    client.say("PASS wrong again").hear(421);
    client.hear_end();
}

#[test]
fn b14_guessing_side_by_side_is_no_faster() {
    let share = Share::new();
    let server = named(&share, &format!("ann:{SECRET}\n"), &[]);
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&server)).collect();
    let start = Instant::now();
    for client in &mut clients {
        client.say("USER ann").hear(331);
        client.say("PASS wrong");
    }
    for client in &mut clients {
        client.hear(530);
    }
    // one alone would take as long as three in a row
    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "three guesses in {:?}",
        start.elapsed()
    );
}

#[test]
fn b15_a_stranger_gets_one_530_for_each_verb_that_needs_a_log_in() {
    let share = Share::new();
    share.write("f", "data");
    let server = Server::start(&share, &["--writable"]);
    let before = share.fingerprint();
    let mut client = Client::connect(&server);
    for line in [
        "CWD /",
        "XCWD /",
        "CDUP",
        "XCUP",
        "PWD",
        "XPWD",
        "MKD d",
        "XMKD d",
        "RMD d",
        "XRMD d",
        "DELE f",
        "RNFR f",
        "RNTO g",
        "TYPE I",
        "STRU F",
        "MODE S",
        "PORT 127,0,0,1,200,200",
        "PASV",
        "EPRT |1|127.0.0.1|51400|",
        "EPSV",
        "RETR f",
        "STOR g",
        "APPE g",
        "STOU",
        "ALLO 1",
        "REST 0",
        "LIST",
        "NLST",
        "MLSD",
        "MLST f",
        "STAT f",
        "SIZE f",
        "MDTM f",
        "MDTM 20200101000000 f",
        "MFMT 20200101000000 f",
        "MFF UNIX.mode=0600; f",
        "AVBL",
        "SITE CHMOD 600 f",
        "SITE UMASK 000",
        "SITE UTIME 20200101000000 f",
    ] {
        client.say(line).hear(530);
        client.hear_nothing();
    }
    assert_eq!(share.fingerprint(), before);
    // also between USER and PASS
    client.say("USER a").hear(331);
    client.say("RETR f").hear(530);
    client.say("STOR g").hear(530);
}

#[test]
fn b15_a_stranger_may_ask_what_the_server_is() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::connect(&server);
    client.say("FEAT").hear(211);
    client.say("OPTS UTF8 ON").hear(200);
    client.say("opts utf8 on").hear(200);
    client.say("OPTS UTF8").hear(200);
    client.say("OPTS UTF-8 ON").hear(200);
    assert_eq!(client.say("SYST").hear(215).line(), "215 UNIX Type: L8");
    client.say("HELP").hear_one_of(&[211, 214]);
    client.say("NOOP").hear(200);
    for line in ["AUTH TLS", "AUTH SSL", "PBSZ 0", "PROT P"] {
        client.say(line).hear_one_of(&[500, 502, 504]);
    }
    client.say("CLNT lftp/4.9").hear(200);
    client.say("LANG").hear(200);
    client.say("REIN").hear(220);
    client.say("XYZZY").hear(500);
    client.say("QUIT").hear(221);
    client.hear_end();
}

#[test]
fn rein_forgets_everything() {
    let share = Share::new();
    share.mkdir("d");
    share.write("d/f", "a\nb");
    let server = Server::start(&share, &["--writable"]);
    let mut client = Client::login(&server);
    client.say("CWD d").hear(250);
    client.say("TYPE I").hear(200);
    client.say("EPSV ALL").hear(200);
    client.say("REST 2").hear(350);
    client.epsv();
    client.say("RNFR f").hear(350);
    client.say("REIN").hear(220);
    client.say("PWD").hear(530);
    client.say("USER a").hear(331);
    client.say("PASS b").hear(230);
    assert_eq!(client.pwd(), "/");
    client.say("RNTO g").hear(503);
    client.say("NLST").hear(425);
    client.mode = common::Mode::Pasv;
    assert_eq!(
        client.get("/d/f"),
        b"a\r\nb",
        "TYPE A, from the start, and PASV is allowed again"
    );
}

#[test]
fn quit_ends_with_221_and_an_orderly_close() {
    let share = Share::new();
    let server = Server::start(&share, &[]);
    let mut client = Client::login(&server);
    let line = client.say("QUIT").hear(221).line();
    assert!(!line.starts_with("227"), "{line}");
    client.hear_end();
}

#[test]
fn a_users_file_lets_in_whom_it_names_and_nobody_else() {
    let share = Share::new();
    share.write("f", "data");
    let lines = format!("# who may come\n\nann:{SECRET}\nben:{HIDDEN}:ro\ncat:{SECRET}:rw:/sub\n");
    share.write("sub/inner", "inner");
    let server = named(&share, &lines, &[]);
    let mut ann = Client::login_as(&server, "ann", "secret");
    ann.put("new", b"x");
    let mut ben = Client::login_as(&server, "ben", "hidden");
    ben.get("f");
    ben.data();
    ben.say("STOR other").hear(550);
    let mut cat = Client::login_as(&server, "cat", "secret");
    assert_eq!(cat.pwd(), "/");
    assert_eq!(cat.nlst(""), ["inner"]);
    cat.put("mine", b"y");
    assert_eq!(share.read("sub/mine"), b"y");
    let mut stranger = Client::connect(&server);
    stranger.say("USER anonymous").hear(331);
    stranger.say("PASS guest@").hear(530);
}

#[test]
fn a_users_file_and_anonymous_live_together() {
    let share = Share::new();
    share.write("f", "data");
    let server = named(&share, &format!("ann:{SECRET}\n"), &["--anonymous"]);
    let mut stranger = Client::login(&server);
    stranger.get("f");
    stranger.data();
    stranger.say("STOR other").hear(550);
    Client::login_as(&server, "ann", "secret").put("other", b"x");
    let mut forger = Client::connect(&server);
    forger.say("USER ann").hear(331);
    forger.say("PASS guest@").hear(530);
}

#[test]
fn a_malformed_users_file_ends_the_start_with_its_line() {
    let share = Share::new();
    for (lines, place) in [
        ("ann\n", ":1"),
        ("# fine\nann:plain-text-password\n", ":2"),
        (&format!("ann:{SECRET}:maybe\n") as &str, ":1"),
        (&format!("ann:{SECRET}\nann:{SECRET}\n"), ":2"),
    ] {
        let path = users(&share, lines);
        let output = run_to_end(&[
            "--share",
            share.top().to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--users",
            path.to_str().unwrap(),
        ]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            matches!(output.status.code(), Some(1 | 2)),
            "{lines}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains("users") && said.contains(place.trim_start_matches(':')),
            "{said}"
        );
        assert!(
            !said.contains("plain-text-password"),
            "a password in the log: {said}"
        );
    }
}

#[test]
fn sighup_reads_the_users_again_and_a_bad_line_leaves_the_old_in_force() {
    let share = Share::new();
    let server = named(&share, &format!("ann:{SECRET}\n"), &[]);
    users(&share, &format!("ben:{HIDDEN}\n"));
    server.signal(Signal::SIGHUP);
    server.wait_for_log("users read");
    Client::login_as(&server, "ben", "hidden");
    users(&share, "this is no line\n");
    server.signal(Signal::SIGHUP);
    server.wait_for_log("stay in force");
    Client::login_as(&server, "ben", "hidden");
}

#[test]
fn a_users_file_that_was_replaced_is_noticed() {
    let share = Share::new();
    let server = named(&share, &format!("ann:{SECRET}\n"), &[]);
    let fresh = share.outside("users.new");
    std::fs::write(&fresh, format!("ben:{HIDDEN}\n")).unwrap();
    std::fs::rename(&fresh, share.outside("users")).unwrap();
    server.signal(Signal::SIGHUP);
    server.wait_for_log("restart");
    Client::login_as(&server, "ann", "secret");
}

#[test]
fn a_hash_that_the_program_made_opens_the_door() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new(common::server::PROGRAM)
        .arg("--hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"correct horse\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let hash = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(hash.starts_with("$6$") || hash.starts_with("$5$"), "{hash}");
    let share = Share::new();
    let server = named(&share, &format!("ann:{hash}\n"), &[]);
    Client::login_as(&server, "ann", "correct horse");
}

#[test]
fn passwords_are_not_logged() {
    let share = Share::new();
    let server = named(
        &share,
        &format!("ann:{SECRET}\n"),
        &["--log-level", "trace"],
    );
    Client::login_as(&server, "ann", "secret")
        .say("QUIT")
        .hear(221);
    server.wait_for_log("QUIT");
    let log = server.log();
    assert!(!log.iter().any(|line| line.contains("secret")), "{log:#?}");
}

#[test]
fn a_user_whose_directory_is_absent_comes_in_when_it_is_there() {
    let share = Share::new();
    share.write("f", "data");
    let server = named(
        &share,
        &format!("ann:{SECRET}:rw:/late\nben:{SECRET}:rw:/f\n"),
        &[],
    );
    server.wait_for_log("/late");
    server.wait_for_log("/f");
    for name in ["ann", "ben"] {
        let mut client = Client::connect(&server);
        client.say(format!("USER {name}")).hear(331);
        client.say("PASS secret").hear(530);
        client.say("PWD").hear(530);
    }
    share.mkdir("late");
    Client::login_as(&server, "ann", "secret").put("f", b"mine");
    assert_eq!(share.read("late/f"), b"mine");
    assert_eq!(share.read("f"), b"data");
}

#[test]
fn a_share_that_the_user_cannot_use_is_a_named_failure_to_start() {
    if !common::is_root() {
        return common::skip("needs root to run as somebody else");
    }
    let share = Share::new();
    share.set_mode("", 0o700);
    let top = share.top().to_str().unwrap();
    let output = run_to_end(&[
        "--share",
        top,
        "--listen",
        "127.0.0.1:0",
        "--run-as",
        &(NOBODY - 1).to_string(),
    ]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot read") && said.contains(top), "{said}");
    share.set_mode("", 0o755);
    let output = run_to_end(&[
        "--share",
        top,
        "--listen",
        "127.0.0.1:0",
        "--run-as",
        &(NOBODY - 1).to_string(),
        "--writable",
    ]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot write") && said.contains(top),
        "{said}"
    );
    let output = run_to_end(&[
        "--share",
        top,
        "--listen",
        "127.0.0.1:0",
        "--run-as",
        "root",
    ]);
    assert!(!output.status.success(), "running as root must be refused");
}
