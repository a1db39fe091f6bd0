#![allow(clippy::unwrap_used, reason = "a test may panic")]
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
        ("ann:H6:wr".into(), "rights (the third field) are ro or rw"),
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
