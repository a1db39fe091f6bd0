#![allow(clippy::unwrap_used, reason = "a test may panic")]
use std::num::NonZeroU32;

use super::*;
use std::path::PathBuf;

// openssl passwd -5 and -6, of "Hello world!"
const H5: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
const H6: &str = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
const RIGHT: &[u8] = b"Hello world!";

/// A users file that goes when the test ends.
struct Users(PathBuf);

impl Users {
    fn new(name: &str, text: &str) -> Self {
        let users = Self(
            std::env::temp_dir().join(format!("pocketftpd-users-{name}-{}", std::process::id())),
        );
        users.write(text);
        users
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text.replace("H5", H5).replace("H6", H6)).unwrap();
    }

    fn open(&self, anonymous: Option<Rights>) -> Result<Accounts, String> {
        Accounts::open(Some(&self.0), anonymous)
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn name_of(grant: Option<Grant>) -> Option<String> {
    grant.map(|grant| grant.name)
}

#[test]
fn without_a_users_file_everybody_is_let_in_as_anonymous() {
    let accounts = Accounts::open(None, Some(Rights::ReadOnly)).unwrap();
    let table: [(&[u8], &str); 5] = [
        (b"anonymous", "anonymous"),
        (b"FTP", "anonymous"),
        (b"", "anonymous"),
        (b"ann\r\n\xff", r"ann\r\n\xff"),
        (&[b'x'; 100], "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ];
    for (name, shown) in table {
        let grant = accounts.check(name, b"").unwrap();
        assert_eq!(
            (grant.rights, grant.directory.as_slice(), grant.anonymous),
            (Rights::ReadOnly, &b"/"[..], true)
        );
        assert_eq!(grant.name, shown);
    }
    assert!(!accounts.anyone_may_write() && accounts.directories().is_empty());
    assert!(
        Accounts::open(None, Some(Rights::ReadWrite))
            .unwrap()
            .anyone_may_write()
    );
}

#[test]
fn a_named_user_needs_the_password() {
    let users = Users::new("named", "ann:H5:ro,up=1k,down=0:photos\nbob:H6\n");
    let accounts = users.open(None).unwrap();
    let grant = accounts.check(b"ann", RIGHT).unwrap();
    let expected = Grant {
        rights: Rights::ReadOnly,
        up: Some(NonZeroU32::new(1000)),
        down: Some(None),
        directory: b"/photos".to_vec(),
        name: "ann".to_owned(),
        anonymous: false,
    };
    assert_eq!(grant, expected);
    assert_eq!(
        accounts.check(b"bob", RIGHT).unwrap().rights,
        Rights::ReadWrite
    );
    let wrong: [(&[u8], &[u8]); 7] = [
        (b"ann", b"Hello world"),
        (b"ann", b""),
        (b"Ann", RIGHT),
        (b"eve", RIGHT),
        (b"", RIGHT),
        (b"anonymous", b"me@example.org"),
        (b"ann", &[b'x'; 5000]),
    ];
    for (name, password) in wrong {
        assert_eq!(accounts.check(name, password), None);
    }
    assert!(accounts.anyone_may_write());
    assert_eq!(accounts.directories(), [b"/photos"]);
}

#[test]
fn an_account_beside_anonymous_ones_keeps_its_password() {
    let users = Users::new("beside", "ann:H5\nftp:H5\n");
    let accounts = users.open(Some(Rights::ReadOnly)).unwrap();
    assert!(accounts.check(b"Anonymous", b"x").unwrap().anonymous);
    assert_eq!(accounts.check(b"ftp", b"x"), None);
    assert_eq!(
        name_of(accounts.check(b"ftp", RIGHT)),
        Some("ftp".to_owned())
    );
    assert!(accounts.check(b"FTP", b"x").unwrap().anonymous);
    assert_eq!(accounts.check(b"eve", b"x"), None);
}

#[test]
fn an_unknown_user_costs_as_much_as_a_wrong_password() {
    let costly = H6.replace("$6$", "$6$rounds=100000$");
    let users = Users::new("cost", &format!("ann:{costly}\n"));
    let accounts = users.open(None).unwrap();
    let time = |name: &[u8], password: &[u8]| {
        let began = std::time::Instant::now();
        assert_eq!(accounts.check(name, password), None);
        began.elapsed()
    };
    let (known, unknown) = (time(b"ann", b"wrong"), time(b"eve", b"wrong"));
    assert!(
        unknown > known / 4 && known > unknown / 4,
        "{known:?} {unknown:?}"
    );
}

#[test]
fn a_file_read_again_replaces_the_users_unless_a_line_is_bad() {
    let users = Users::new("reload", "ann:H5\n");
    let accounts = users.open(None).unwrap();
    users.write("# a comment that makes it longer\nbob:H5\n");
    accounts.reload();
    assert_eq!(accounts.check(b"ann", RIGHT), None);
    assert!(accounts.check(b"bob", RIGHT).is_some());
    for bad in ["eve:H5\nbob:secret\n", "# nobody\n", ""] {
        users.write(bad);
        accounts.reload();
        assert_eq!(accounts.check(b"eve", RIGHT), None, "{bad}");
        assert!(accounts.check(b"bob", RIGHT).is_some(), "{bad}");
    }
    Accounts::open(None, None).unwrap().reload();
}

#[test]
fn a_file_that_was_replaced_or_renamed_is_noticed() {
    let users = Users::new("moved", "ann:H5\n");
    let mut source = Source::open(&users.0).unwrap();
    assert_eq!(source.moved(), None);
    users.write("ann:H6\n");
    assert_eq!(source.moved(), None);
    let other = users.0.with_extension("old");
    // The kernel's clock for files advances in ticks.
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::rename(&users.0, &other).unwrap();
    assert!(source.moved().unwrap().ends_with("if so, restart"));
    assert_eq!(source.moved(), None);
    users.write("bob:H6\n");
    std::fs::remove_file(&other).unwrap();
    assert!(
        source
            .moved()
            .unwrap()
            .ends_with("cannot be seen from here: restart")
    );
    assert_eq!(source.read().unwrap().len(), 1);
}

#[test]
fn a_file_that_cannot_be_used_ends_the_start_with_one_line() {
    let users = Users::new("bad", "ann:H5\nbob:secret\n");
    let path = users.0.display();
    let expected = format!("{path}:2: the hash is not $5$ or $6$: make one with --hash-password");
    assert_eq!(users.open(None).unwrap_err(), expected);
    users.write("# nobody\n");
    assert!(
        users
            .open(None)
            .unwrap_err()
            .contains("nobody could log in; add a line name:hash")
    );
    assert!(
        users
            .open(Some(Rights::ReadOnly))
            .unwrap()
            .check(b"eve", b"")
            .is_none()
    );
    users.write(&"#\n".repeat(40_000));
    assert_eq!(
        users.open(None).unwrap_err(),
        format!("{path}: larger than 64 KiB; is it a users file?")
    );
    assert!(
        Accounts::open(Some(Path::new("/dev/null")), None)
            .unwrap_err()
            .contains("not a plain file")
    );
    assert!(
        Accounts::open(Some(Path::new("/nonexistent")), None)
            .unwrap_err()
            .starts_with("cannot read the users")
    );
}
