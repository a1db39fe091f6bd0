//! SIZE MDTM MFMT MFF AVBL, and SITE's ways to the same ends (FIELD-NOTES B36, B37; RFC 3659 3 and 4).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use common::client::fact;
use common::{Client, Launch, Server, Share};

fn binary(server: &Server) -> Client {
    let mut client = Client::login(server);
    client.say("TYPE I").hear(200);
    client
}

#[test]
fn b36_size_is_digits_and_nothing_else() {
    let share = Share::new();
    share.write("f", "12345");
    share.write("empty", "");
    share.write_sparse("huge", (1 << 33) + 1);
    share.mkdir("d");
    let server = Server::start(&share, &[]);
    let mut client = binary(&server);
    for (name, size) in [
        ("f", "213 5"),
        ("empty", "213 0"),
        ("huge", "213 8589934593"),
        ("/f", "213 5"),
        ("d/../f", "213 5"),
    ] {
        assert_eq!(client.say(format!("SIZE {name}")).hear(213).line(), size);
    }
    for name in ["d", "/", "absent", "d/absent"] {
        client.say(format!("SIZE {name}")).hear(550);
    }
    client.say("SIZE").hear(501);
    client.say("MDTM").hear(501);
    client.say("TYPE A").hear(200);
    client.say("SIZE f").hear(550);
}

#[test]
fn b36_mdtm_is_utc_to_the_second() {
    let share = Share::new();
    share.write("f", "");
    share.mkdir("d");
    for zone in ["UTC", "America/New_York"] {
        let server = Launch::new().variable("TZ", zone).start(&share);
        let mut client = binary(&server);
        for (seconds, stamp) in [
            (949_276_800, "213 20000131000000"),
            (951_782_400, "213 20000229000000"),
            (981_173_106, "213 20010203040506"),
            (1_709_251_199, "213 20240229235959"),
            (2_147_483_647, "213 20380119031407"),
            (0, "213 19700101000000"),
        ] {
            share.set_modified("f", seconds);
            assert_eq!(client.say("MDTM f").hear(213).line(), stamp, "{zone}");
        }
        if cfg!(target_pointer_width = "64") {
            share.set_modified("f", 4_102_444_799);
            assert_eq!(client.say("MDTM f").hear(213).line(), "213 20991231235959");
        }
        share.set_modified("f", -1);
        let before_the_epoch = client.say("MDTM f").hear_one_of(&[213, 550]);
        assert!(before_the_epoch.code == 550 || before_the_epoch.line() == "213 19691231235959");
        client.say("MDTM d").hear(550);
        client.say("MDTM absent").hear(550);
        client.hear_nothing();
    }
}

#[test]
fn b37_the_time_of_a_file_can_be_set() {
    let share = Share::new();
    share.write("f", "x");
    share.write("with space", "x");
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    let line = client.say("MFMT 20200102030405 f").hear(213).line();
    assert!(
        [
            "213 Modify=20200102030405; f",
            "213 Modify=20200102030405; /f"
        ]
        .contains(&line.as_str()),
        "{line}"
    );
    assert_eq!(share.modified("f"), 1_577_934_245);
    client.say("MFMT 20200102030406 with space").hear(213);
    assert_eq!(share.modified("with space"), 1_577_934_246);
    client.say("MFMT 20200102030405.123 f").hear(213);
    client.say("MDTM 20210102030405 f").hear(213);
    assert_eq!(share.modified("f"), 1_609_556_645);
    assert_eq!(client.say("MDTM f").hear(213).line(), "213 20210102030405");
    // a file really called so is asked about, not changed
    let name = "20200102030405 f";
    share.write(name, "x");
    share.set_modified(name, 981_173_106);
    assert_eq!(
        client.say(format!("MDTM {name}")).hear(213).line(),
        "213 20010203040506"
    );
    assert_eq!(share.modified("f"), 1_609_556_645);
    let facts = client
        .say("MFF modify=20220102030405;UNIX.mode=0640; f")
        .hear(213)
        .line();
    assert!(facts.ends_with(" f"), "{facts}");
    assert_eq!(share.modified("f"), 1_641_092_645);
    assert_eq!(share.mode("f"), 0o640);
    client.say("MFMT 20200102030405 absent").hear(550);
    for line in [
        "MFMT",
        "MFMT 20200102030405",
        "MFMT 2020 f",
        "MFMT 20201302030405 f",
        "MFMT 20200230030405 f",
        "MFMT 20200102250405 f",
        "MFMT notatimenotati f",
        "MFF",
        "MFF modify=x; f",
        "MFF UNIX.mode=9; f",
    ] {
        client.say(line).hear_one_of(&[501, 504, 550]);
    }
    client.say("MFF nonsense=1; f").hear_one_of(&[501, 504]);
    assert_eq!(share.modified("f"), 1_641_092_645);
}

#[test]
fn b37_a_reader_sets_nothing() {
    let share = Share::new();
    share.write("f", "x");
    share.set_modified("f", 981_173_106);
    let server = Server::start(&share, &[]);
    let mut client = binary(&server);
    for line in [
        "MFMT 20200102030405 f",
        "MDTM 20200102030405 f",
        "MFF modify=20200102030405; f",
        "SITE UTIME 20200102030405 f",
    ] {
        client.say(line).hear(550);
    }
    assert_eq!(share.modified("f"), 981_173_106);
}

#[test]
fn site_changes_modes_and_times() {
    let share = Share::new();
    share.write("f", "x");
    share.mkdir("d");
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    client.say("SITE CHMOD 600 f").hear(200);
    assert_eq!(share.mode("f"), 0o600);
    client.say("site chmod 0755 d").hear(200);
    assert_eq!(share.mode("d"), 0o755);
    client.say("SITE UTIME 20200102030405 f").hear(200);
    assert_eq!(share.modified("f"), 1_577_934_245);
    client
        .say("SITE UTIME f 20210102030405 20210102030405 20210102030405 UTC")
        .hear(200);
    assert_eq!(share.modified("f"), 1_609_556_645);
    client.say("SITE CHMOD 600 absent").hear(550);
    for line in [
        "SITE CHMOD",
        "SITE CHMOD 600",
        "SITE CHMOD 9 f",
        "SITE CHMOD 77777 f",
        "SITE CHMOD u+x f",
        "SITE UMASK 999",
        "SITE",
    ] {
        client.say(line).hear_one_of(&[500, 501, 504]);
    }
    assert_eq!(share.mode("f"), 0o600);
    client.say("SITE IDLE").hear(200);
    client.say("SITE IDLE 60").hear(200);
    client.say("SITE IDLE x").hear_one_of(&[501]);
    client.say("SITE UMASK").hear(200);
    client
        .say("SITE NONSENSE")
        .hear_one_of(&[500, 501, 502, 504]);
    client.say("SITE HELP").hear(214);
}

#[test]
fn site_idle_allows_no_more_than_the_owner_does() {
    let share = Share::new();
    let server = Server::start(&share, &["--idle-timeout", "100"]);
    let mut client = binary(&server);
    assert!(client.say("SITE IDLE").hear(200).line().contains("100"));
    assert!(client.say("SITE IDLE 50").hear(200).line().contains("50"));
    let line = client
        .say("SITE IDLE 100000")
        .hear_one_of(&[200, 501, 504])
        .line();
    assert!(!line.contains("100000"), "{line}");
    let server = Server::start(&share, &["--idle-timeout", "1"]);
    let mut client = binary(&server);
    client.say("SITE IDLE 50").hear_one_of(&[200, 501, 504]);
    client.hear(421);
    client.hear_end();
}

#[test]
fn the_room_that_is_left_is_told() {
    let share = Share::new();
    share.write("f", "x");
    share.mkdir("d");
    let server = Server::start(&share, &["--writable"]);
    let mut client = binary(&server);
    for line in ["AVBL", "AVBL d", "AVBL /"] {
        let text = client.say(line).hear(213).text();
        assert!(
            text.bytes().all(|it| it.is_ascii_digit()) && !text.is_empty(),
            "{text}"
        );
    }
    client.say("AVBL absent").hear(550);
}

#[test]
fn mlst_and_its_single_answers_agree() {
    let share = Share::new();
    share.write("f", "12345");
    share.set_modified("f", 1_709_251_199);
    let server = Server::start(&share, &[]);
    let mut client = binary(&server);
    let facts = client.say("MLST f").hear(250).inner().remove(0);
    assert_eq!(
        client.say("SIZE f").hear(213).text(),
        fact(&facts, "size").unwrap()
    );
    assert_eq!(
        client.say("MDTM f").hear(213).text(),
        fact(&facts, "modify").unwrap()
    );
}
