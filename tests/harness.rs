//! The test client itself: a check that cannot fail proves nothing, so each is shown a reply that it must refuse.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Client, Desk, Reply, Share, replies};

/// A client whose server has already said all that it will ever say.
fn client_hearing(words: &'static [u8]) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let control = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(words).unwrap();
    let mut client = Client::over(control);
    client.hear(220);
    std::thread::spawn(move || server.read_to_end(&mut Vec::new()));
    client
}

/// What the client says to `words` as the answer to `line`: the reply, or why it is refused.
fn heard(line: &str, words: &'static [u8]) -> Result<Reply, String> {
    let mut client = client_hearing(words);
    client.patience(std::time::Duration::from_millis(100));
    let hook = AssertUnwindSafe(|| client.say(line).hear_any());
    catch_unwind(hook).map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn a_whole_reply_of_many_lines_is_heard() {
    let reply = heard(
        "FEAT",
        b"220 a\r\n211-Features:\r\n UTF8\r\n 211 no end\r\n211 End\r\n",
    )
    .unwrap();
    assert_eq!(reply.code, 211);
    assert_eq!(reply.inner(), [" UTF8", " 211 no end"]);
    assert_eq!(reply.text(), "End");
}

#[test]
fn a_quoted_path_is_undone() {
    let reply = heard("PWD", b"220 a\r\n257 \"/a\"\"b\" is here.\r\n").unwrap();
    assert_eq!(reply.quoted(), b"/a\"b");
}

#[test]
fn what_no_server_may_say_is_refused() {
    let cases: [(&str, &[u8], &str); 9] = [
        ("NOOP", b"220 a\r\n200 ok\n", "CRLF"),
        ("NOOP", b"220 a\r\n200 o\rk\r\n", "CRLF"),
        ("NOOP", b"220 a\r\n200\r\n", "no reply"),
        ("NOOP", b"220 a\r\nhello\r\n", "no reply"),
        ("NOOP", b"220 a\r\n", "no reply"),
        ("DELE f", b"220 a\r\n200 gone\r\n", "no legal reply to DELE"),
        ("QUIT", b"220 a\r\n227 Logout\r\n", "no legal reply to QUIT"),
        (
            "FEAT",
            b"220 a\r\n211-Features:\r\n211-UTF8\r\n211 End\r\n",
            "inner line",
        ),
        ("SYST", b"220 a\r\n215 \xb0\r\n", "ASCII"),
    ];
    for (line, words, why) in cases {
        let refusal = heard(line, words).unwrap_err();
        assert!(
            refusal.contains(why),
            "{line} answered {:?}: {refusal}",
            words.escape_ascii().to_string()
        );
    }
}

#[test]
fn a_reply_to_nothing_is_refused() {
    let mut client = client_hearing(b"220 a\r\n226 done\r\n");
    let refusal = catch_unwind(AssertUnwindSafe(|| client.hear_any())).unwrap_err();
    assert!(
        refusal
            .downcast_ref::<String>()
            .unwrap()
            .contains("a reply to nothing")
    );
}

#[test]
fn every_row_of_the_legal_replies_reads_as_numbers() {
    for (names, _) in replies::ROWS {
        for name in names.split(' ') {
            assert!(replies::legal(name).len() > 2, "{name}");
        }
    }
    assert!(
        !replies::legal("DELE").contains(&200),
        "RFC 959 gives DELE 250, not 200"
    );
    assert!(replies::legal("XYZZY").contains(&500));
}

#[test]
fn the_desk_of_a_test_is_cleared_away() {
    let (share, desk) = (Share::new(), Desk::new());
    let (one, two) = (share.top().to_owned(), desk.top().to_owned());
    drop((share, desk));
    assert!(!one.exists() && !two.exists());
}
