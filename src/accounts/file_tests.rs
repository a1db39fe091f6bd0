#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::num::NonZeroU32;

use super::*;

const H5: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
const H6: &str = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";

fn parsed(text: &str) -> Result<Vec<User>, (usize, String)> {
    users(text.replace("H5", H5).replace("H6", H6).as_bytes())
}

#[test]
fn every_form_of_a_line_is_read() {
    let text = "\u{feff}# people\r\n\n  # more\nann:H5\nbob:H6:ro\r\ncy d:H6::\njörg:H5:rw:photos//./2026/:a\neve:H6:ro:/";
    let all = parsed(text).unwrap();
    let seen: Vec<(&[u8], Rights, &[u8])> = all
        .iter()
        .map(|user| (user.name.as_slice(), user.rights, user.directory.as_slice()))
        .collect();
    let expected: [(&[u8], Rights, &[u8]); 5] = [
        (b"ann", Rights::ReadWrite, b"/"),
        (b"bob", Rights::ReadOnly, b"/"),
        (b"cy d", Rights::ReadWrite, b"/"),
        ("jörg".as_bytes(), Rights::ReadWrite, b"/photos/2026/:a"),
        (b"eve", Rights::ReadOnly, b"/"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(parsed("").unwrap(), []);
}

#[test]
fn every_refusal_names_the_line_and_the_remedy_and_never_the_hash() {
    let long = "x".repeat(33);
    let other = "the hash is not $5$ or $6$: make one with --hash-password";
    let damaged = "the hash is cut off or damaged: make it again with --hash-password";
    let name = "a name has 1 to 32 octets and no control characters";
    let rounds = "rounds= of the hash is not from 1000 to 1000000, more would block a small machine: make it again";
    let rights = "rights (the third field) are ro or rw; limits follow as ,up=RATE and ,down=RATE";
    let digest = H6.rsplit_once('$').unwrap().1;
    let table = [
        (
            "ann".into(),
            "no colon; a line is name:hash, name:hash:rights or name:hash:rights:directory",
        ),
        (":H6".into(), name),
        (format!("{long}:H6"), name),
        ("a\tb:H6".into(), name),
        ("ann:".into(), other),
        ("ann:SECRET".into(), other),
        ("ann:$1$SECRET$x".into(), other),
        ("ann:$2b$12$SECRET".into(), other),
        ("ann:$y$j9T$SECRET".into(), other),
        ("ann:$6$SECRET".into(), damaged),
        ("ann:$6$rounds=5000".into(), damaged),
        ("ann:$6$SECRET$short".into(), damaged),
        (format!("ann:$6$SECRETSECRETSECRET${digest}"), damaged),
        (format!("ann:$6$${digest}"), damaged),
        (format!("ann:$6$SEC RET${digest}"), damaged),
        (format!("ann:$6$SECRET${digest}1"), damaged),
        (format!("ann:$6$SECRET$z${digest}"), damaged),
        ("ann:H62".into(), damaged),
        (format!("ann:{}2", H6.get(..H6.len() - 1).unwrap()), damaged),
        (format!("ann:{}E", H5.get(..H5.len() - 1).unwrap()), damaged),
        (format!("ann:$6$rounds=1000001$SECRET${digest}"), rounds),
        (format!("ann:$6$rounds=999$SECRET${digest}"), rounds),
        (format!("ann:$6$rounds=x$SECRET${digest}"), rounds),
        ("ann:H6:wr".into(), rights),
        ("ann:H6:rw,".into(), rights),
        ("ann:H6:rw up=1k".into(), rights),
        ("ann:H6:rw,UP=1k".into(), rights),
        ("ann:H6:rw,rate=1k".into(), rights),
        (
            "ann:H6:ro,rw".into(),
            "rights (the third field): rw: the line has said ro or rw before; keep one",
        ),
        (
            "ann:H6:up=1k,rw,up=2k".into(),
            "rights (the third field): up=2k: the line has said up= before; keep one",
        ),
        (
            "ann:H6:down=,down=".into(),
            "rights (the third field): down=: the line has said down= before; keep one",
        ),
        (
            "ann:H6:rw,up=999".into(),
            "rights (the third field): up=999: a rate is 0 for no limit, or octets a second from 1k to 1000M, where k is 1000 and M is 1000000",
        ),
        (
            "ann:H6:down=2G:/d".into(),
            "rights (the third field): down=2G: a rate is 0 for no limit, or octets a second from 1k to 1000M, where k is 1000 and M is 1000000",
        ),
        (
            "ann:H6:rw:a/../b".into(),
            "the directory (the fourth field) has .. in it: give it as seen from the share",
        ),
        (
            "ann:H6:rw:a\u{7f}".into(),
            "the directory (the fourth field) has control characters in it",
        ),
        (
            "bob:H5".into(),
            "user bob stands in the file twice; remove one",
        ),
    ];
    for (line, why) in table {
        assert_eq!(
            parsed(&format!("# one\nbob:H6\n{line}\n")),
            Err((3, why.to_owned())),
            "{line}"
        );
    }
}

#[test]
fn limits_stand_with_the_rights_and_a_directory_keeps_its_colons() {
    let text = "ann:H5:rw,up=500k,down=2M\nbob:H6:down=0,ro:/d:up=1k\ncy:H5:up=:a,b:ro,up=1k\ndan:H5:,up=1k";
    assert_eq!(
        parsed(text),
        Err((
            4,
            "rights (the third field) are ro or rw; limits follow as ,up=RATE and ,down=RATE"
                .to_owned()
        ))
    );
    let text = text.replace(":,up", ":up");
    let all = parsed(&text).unwrap();
    let seen: Vec<_> = all
        .iter()
        .map(|user| (user.rights, user.up, user.down, user.directory.as_slice()))
        .collect();
    let rate = |rate| Some(NonZeroU32::new(rate));
    let expected: [(_, _, _, &[u8]); 4] = [
        (Rights::ReadWrite, rate(500_000), rate(2_000_000), b"/"),
        (Rights::ReadOnly, None, rate(0), b"/d:up=1k"),
        (Rights::ReadWrite, rate(0), None, b"/a,b:ro,up=1k"),
        (Rights::ReadWrite, rate(1000), None, b"/"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_passes_here_is_only_ever_refused_for_the_password() {
    use sha_crypt::PasswordVerifier as _;
    use sha_crypt::password_hash::Error;
    // Every last character of a digest that passes must be one that the verifier can decode.
    for hash in [H5, H6] {
        for last in b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" {
            let tried = format!(
                "{}{}",
                hash.get(..hash.len() - 1).unwrap(),
                char::from(*last)
            );
            let verdict = sha_crypt::ShaCrypt::default().verify_password(b"wrong", tried.as_str());
            let well_formed = hash_and_cost(tried.as_bytes()).is_ok();
            assert_eq!(
                well_formed,
                verdict == Err(Error::PasswordInvalid),
                "{tried}: {verdict:?}"
            );
        }
    }
}

#[test]
fn a_costlier_hash_counts_as_costlier() {
    let cost = |hash: &str| hash_and_cost(hash.as_bytes()).unwrap().1;
    assert!(cost(H6) > cost(H5));
    assert!(cost(&H5.replace("$5$", "$5$rounds=100000$")) > cost(H6));
}

#[test]
fn too_many_users_are_refused() {
    let text: String = (0..1001)
        .map(|number| format!("u{number}:{H5}\n"))
        .collect();
    assert_eq!(
        users(text.as_bytes()),
        Err((1001, "more than 1000 users; remove some".to_owned()))
    );
}

#[test]
fn a_user_is_shown_without_the_hash() {
    assert_eq!(format!("{:?}", parsed("ann:H6").unwrap()), "[User(ann)]");
}
