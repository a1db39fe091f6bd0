//! The lines of listings: LIST and NLST (RFC 959 4.1.3), MLSD and MLST (RFC 3659 7).
//!
//! LIST has no standard form; this one is what `ls -l` prints in English, which every client parses.
//! Nothing is looked up here: the caller says what is listed, who owns it, and what may be done with it.
//! A line that does not fit is cut, and the cursor says so; [`LINE_MAX`] octets are always enough.

use crate::wire::octets::Cursor;
use crate::wire::printable::{has_controls, pieces};
use crate::wire::time;

/// The longest name that a Linux file system stores, in octets.
const NAME_MAX: usize = 255;
/// The longest target that the kernel gives a link, in octets.
const TARGET_MAX: usize = 4095;
/// How much of a user's or group's name is shown; Linux allows them no more.
const OWNER_MAX: usize = 32;

/// The most octets that one line can take, if its name has at most 255 octets and the target of its
/// link (or, for NLST, the prefix) at most 4095.
///
/// The longest is the line of LIST: mode 10, links 20, owner and group 32 each, size 20, date 12, each
/// with a space after it; name 255; the arrow 4; the target 4095; CRLF 2.  The facts of MLST are
/// shorter: 170 octets with all of them as long as can be, then a space, the name and CRLF.
pub const LINE_MAX: usize = 11 + 21 + 2 * (OWNER_MAX + 1) + 21 + 13 + NAME_MAX + 4 + TARGET_MAX + 2;

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Neither; the letter is `ls`'s: `p` a pipe, `s` a socket, `c` and `b` devices.
    Other(u8),
}

/// One name of a directory and what is known about it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The name as stored, without its directory.
    pub name: &'a [u8],
    /// What it stands for.
    pub kind: Kind,
    /// The permission bits; those beyond 0o7777 are not looked at.
    pub mode: u32,
    /// How many names it has.
    pub links: u64,
    /// The user's number.
    pub owner: u32,
    /// The group's number.
    pub group: u32,
    /// In octets.
    pub size: u64,
    /// Last change of the content, in seconds since 1970.
    pub modified: i64,
    /// The number of its file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Where a link points.
    pub target: Option<&'a [u8]>,
}

/// Writes a line of LIST, such as `-rw-r--r--   1 ftp      ftp            1234 Jan 02 15:04 name`, and CRLF.
///
/// `owner` and `group` are shown, or else their numbers; `now` (in seconds since 1970) decides whether
/// the date shows the time of day or the year.  A control character in a name is shown as `?`, since it
/// would tear the line apart or steer a terminal: LIST is for reading, MLSD and NLST are for exact names.
pub fn long_line(
    entry: &Entry<'_>,
    owner: Option<&str>,
    group: Option<&str>,
    now: i64,
    out: &mut Cursor<'_>,
) {
    out.push(&mode_column(entry.kind, entry.mode));
    out.octet(b' ');
    out.decimal_wide(entry.links, 3, b' ');
    out.octet(b' ');
    owner_column(owner, entry.owner, out);
    owner_column(group, entry.group, out);
    out.decimal_wide(entry.size, 10, b' ');
    out.octet(b' ');
    time::list_date(entry.modified, now, out);
    out.octet(b' ');
    cleaned(entry.name, out);
    if let (Kind::Link, Some(target)) = (entry.kind, entry.target) {
        out.push(b" -> ");
        cleaned(target, out);
    }
    out.push(b"\r\n");
}

/// Writes a line of NLST: `prefix`, `name` and CRLF.
///
/// The prefix is what the client put before the last slash, the slash too: clients use the whole line
/// as the pathname of a RETR (RFC 1123 4.1.2.7).  Returns false and writes nothing if a control character
/// but a tab is in either: the line would name another file, or steer the terminal that shows it.
pub fn bare_line(name: &[u8], prefix: &[u8], out: &mut Cursor<'_>) -> bool {
    if !fits_a_line(name) || !fits_a_line(prefix) {
        return false;
    }
    out.push(prefix);
    out.push(name);
    out.push(b"\r\n");
    true
}

/// The facts that MLSD and MLST can tell, in the order in which they are told.
const FACTS: [&[u8]; 8] = [
    b"type",
    b"size",
    b"modify",
    b"perm",
    b"unique",
    b"UNIX.mode",
    b"UNIX.uid",
    b"UNIX.gid",
];

/// A set of facts: those that a session wants to be told (RFC 3659 7.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts(u16);

impl Facts {
    /// Every fact there is.
    pub const ALL: Self = Self((1 << FACTS.len()) - 1);
    /// No fact.
    pub const NONE: Self = Self(0);

    const TYPE: Self = Self(1);
    const SIZE: Self = Self(1 << 1);
    const MODIFY: Self = Self(1 << 2);
    const PERM: Self = Self(1 << 3);
    const UNIQUE: Self = Self(1 << 4);
    const UNIX_MODE: Self = Self(1 << 5);
    const UNIX_UID: Self = Self(1 << 6);
    const UNIX_GID: Self = Self(1 << 7);

    /// Reads what follows `OPTS MLST`: names of facts, each ended by a semicolon, in any case (RFC 3659 7.9).
    ///
    /// What is not known here is skipped, as it demands; the last semicolon may be missing.
    pub fn parse(argument: &[u8]) -> Self {
        let mut chosen = Self::NONE;
        for word in argument.split(|&octet| octet == b';') {
            let word = word.trim_ascii();
            let known = Self::each().find(|(_, name)| name.eq_ignore_ascii_case(word));
            chosen.0 |= known.map_or(0, |(fact, _)| fact.0);
        }
        chosen
    }

    /// Writes what follows `MLST` in FEAT: every fact, those in this set marked by `*` (RFC 3659 7.8).
    pub fn feature(self, out: &mut Cursor<'_>) {
        for (fact, name) in Self::each() {
            out.push(name);
            out.push(if self.has(fact) { b"*;" } else { b";" });
        }
    }

    /// Writes the facts of this set, a semicolon after each, as the reply to OPTS MLST has them.
    pub fn names(self, out: &mut Cursor<'_>) {
        for (_, name) in Self::each().filter(|&(fact, _)| self.has(fact)) {
            out.push(name);
            out.octet(b';');
        }
    }

    fn each() -> impl Iterator<Item = (Self, &'static [u8])> {
        (0..)
            .zip(FACTS)
            .map(|(place, name)| (Self(1 << place), name))
    }

    fn has(self, fact: Self) -> bool {
        self.0 & fact.0 != 0
    }
}

/// What the session may do with an entry (RFC 3659 7.5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Perm {
    /// `a`: APPE to the file.
    pub append: bool,
    /// `c`: STOR, STOU and APPE of a new file in the directory.
    pub create: bool,
    /// `d`: DELE or RMD.
    pub delete: bool,
    /// `e`: CWD and the like.
    pub enter: bool,
    /// `f`: RNFR.
    pub rename: bool,
    /// `l`: LIST, NLST and MLSD.
    pub list: bool,
    /// `m`: MKD in the directory.
    pub make: bool,
    /// `p`: deletion of what the directory holds.
    pub purge: bool,
    /// `r`: RETR.
    pub read: bool,
    /// `w`: STOR over the file.
    pub write: bool,
}

impl Perm {
    fn letters(self) -> impl Iterator<Item = u8> {
        let held = [
            (self.append, b'a'),
            (self.create, b'c'),
            (self.delete, b'd'),
            (self.enter, b'e'),
            (self.rename, b'f'),
            (self.list, b'l'),
            (self.make, b'm'),
            (self.purge, b'p'),
            (self.read, b'r'),
            (self.write, b'w'),
        ];
        held.into_iter()
            .filter(|&(held, _)| held)
            .map(|(_, letter)| letter)
    }
}

/// Writes the `chosen` facts of an entry, a semicolon after each, without a space and a name (RFC 3659 7.2).
///
/// Only files have a size: what the kernel says of a directory is not what a client would get.  A link
/// should be told only if it leads nowhere; for others the caller tells what they lead to.
pub fn facts(entry: &Entry<'_>, perm: Perm, chosen: Facts, out: &mut Cursor<'_>) {
    if chosen.has(Facts::TYPE) {
        out.push(match entry.kind {
            Kind::File => b"type=file;",
            Kind::Directory => b"type=dir;",
            Kind::Link => b"type=OS.unix=slink;",
            Kind::Other(b'p') => b"type=OS.unix=fifo;",
            Kind::Other(b's') => b"type=OS.unix=socket;",
            Kind::Other(b'c') => b"type=OS.unix=chr;",
            Kind::Other(b'b') => b"type=OS.unix=blk;",
            Kind::Other(_) => b"type=OS.unix=other;",
        });
    }
    if chosen.has(Facts::SIZE) && entry.kind == Kind::File {
        out.push(b"size=");
        out.decimal(entry.size);
        out.octet(b';');
    }
    if chosen.has(Facts::MODIFY) {
        out.push(b"modify=");
        time::time_val(entry.modified, out);
        out.octet(b';');
    }
    if chosen.has(Facts::PERM) {
        out.push(b"perm=");
        perm.letters().for_each(|letter| out.octet(letter));
        out.octet(b';');
    }
    if chosen.has(Facts::UNIQUE) {
        out.push(b"unique=");
        out.hex(entry.device);
        out.octet(b'g');
        out.hex(entry.inode);
        out.octet(b';');
    }
    if chosen.has(Facts::UNIX_MODE) {
        out.push(b"UNIX.mode=");
        out.octal(u64::from(entry.mode & 0o7777), 4);
        out.octet(b';');
    }
    if chosen.has(Facts::UNIX_UID) {
        out.push(b"UNIX.uid=");
        out.decimal(entry.owner.into());
        out.octet(b';');
    }
    if chosen.has(Facts::UNIX_GID) {
        out.push(b"UNIX.gid=");
        out.decimal(entry.group.into());
        out.octet(b';');
    }
}

/// Writes a line of MLSD: the [`facts`], exactly one space, the name as it is, and CRLF.
///
/// Returns false and writes nothing if a control character but a tab is in the name, as [`bare_line`] does.
pub fn fact_line(entry: &Entry<'_>, perm: Perm, chosen: Facts, out: &mut Cursor<'_>) -> bool {
    if !fits_a_line(entry.name) {
        return false;
    }
    facts(entry, perm, chosen, out);
    out.octet(b' ');
    out.push(entry.name);
    out.push(b"\r\n");
    true
}

/// What the options before the pathname of LIST and NLST ask for.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Options {
    /// `-l`: lines as of LIST, also for NLST.
    pub long: bool,
    /// `-1`: one name a line.
    pub one: bool,
    /// `-R`: what lies below, too.
    pub recursive: bool,
    /// `-d`: the directory itself, not what it holds.
    pub itself: bool,
}

/// Takes the options off the argument of LIST or NLST; what is left is the pathname.
///
/// RFC 959 knows no options, but FileZilla and wget send `LIST -a` and many others `LIST -la`.  Only
/// words of a minus and letters or digits are taken, up to the first other word; letters without a
/// meaning here are dropped, and `--` ends the options.  A file may be named `-la` all the same: the
/// caller looks for the whole argument as a pathname first, and asks here if there is none.
pub fn options(argument: &[u8]) -> (Options, &[u8]) {
    let mut options = Options::default();
    let mut rest = argument;
    loop {
        let words = without_spaces(rest);
        let end = words
            .iter()
            .position(|&octet| octet == b' ')
            .unwrap_or(words.len());
        let (word, after) = words.split_at_checked(end).unwrap_or((words, &[]));
        match word {
            b"--" => return (options, without_spaces(after)),
            [b'-', letters @ ..] if is_option(letters) => {
                options.long |= letters.contains(&b'l');
                options.one |= letters.contains(&b'1');
                options.recursive |= letters.contains(&b'R');
                options.itself |= letters.contains(&b'd');
                rest = without_spaces(after);
            }
            _ => return (options, rest),
        }
    }
}

fn is_option(letters: &[u8]) -> bool {
    !letters.is_empty() && letters.iter().all(u8::is_ascii_alphanumeric)
}

/// Spaces at the end stay: they may belong to the name.
fn without_spaces(octets: &[u8]) -> &[u8] {
    let start = octets.iter().position(|&octet| octet != b' ');
    octets
        .get(start.unwrap_or(octets.len())..)
        .unwrap_or_default()
}

/// `drwxr-xr-x`, with `s` and `t` where `ls` puts them: small if the right to execute is there as well.
fn mode_column(kind: Kind, mode: u32) -> [u8; 10] {
    let bit = |bit: u32, letter: u8| if mode & bit == 0 { b'-' } else { letter };
    let execute = |bit: u32, special: u32, letter: u8| match (mode & bit, mode & special) {
        (0, 0) => b'-',
        (_, 0) => b'x',
        (0, _) => letter.to_ascii_uppercase(),
        _ => letter,
    };
    let kind = match kind {
        Kind::File => b'-',
        Kind::Directory => b'd',
        Kind::Link => b'l',
        Kind::Other(letter) if letter.is_ascii_graphic() => letter,
        Kind::Other(_) => b'?',
    };
    [
        kind,
        bit(0o400, b'r'),
        bit(0o200, b'w'),
        execute(0o100, 0o4000, b's'),
        bit(0o040, b'r'),
        bit(0o020, b'w'),
        execute(0o010, 0o2000, b's'),
        bit(0o004, b'r'),
        bit(0o002, b'w'),
        execute(0o001, 0o1000, b't'),
    ]
}

/// Writes a name, or else the number, in at least 8 columns, and a space.
///
/// Clients count the words of a line, so there is one word whatever the name holds, and never none.
fn owner_column(name: Option<&str>, number: u32, out: &mut Cursor<'_>) {
    let before = out.len();
    for character in name.unwrap_or_default().chars() {
        let odd = character.is_whitespace() || character.is_control();
        let character = if odd { '_' } else { character };
        if out.len() - before + character.len_utf8() > OWNER_MAX {
            break;
        }
        out.push(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    if out.len() == before {
        out.decimal(number.into());
    }
    for _ in out.len() - before..8 {
        out.octet(b' ');
    }
    out.octet(b' ');
}

/// Writes a name with `?` for each control character.
fn cleaned(name: &[u8], out: &mut Cursor<'_>) {
    pieces(name, |piece, control| {
        if control {
            out.octet(b'?');
        } else {
            out.push(piece);
        }
    });
}

/// Whether a name can be told in a line as it is: nothing in it ends the line or steers a terminal.
fn fits_a_line(name: &[u8]) -> bool {
    !has_controls(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    /// 2024-01-02 15:04:00
    const NOW: i64 = 1_704_207_840;

    const FILE: Entry<'static> = Entry {
        name: b"name",
        kind: Kind::File,
        mode: 0o644,
        links: 1,
        owner: 0,
        group: 1000,
        size: 1234,
        modified: NOW,
        device: 0xfd01,
        inode: 0xbeef,
        target: None,
    };

    fn text(write: impl FnOnce(&mut Cursor<'_>)) -> String {
        let mut room = [0; LINE_MAX];
        let mut cursor = Cursor::new(&mut room);
        write(&mut cursor);
        assert!(!cursor.is_full());
        String::from_utf8(cursor.written().to_vec()).unwrap()
    }

    fn long(entry: &Entry<'_>) -> String {
        text(|out| long_line(entry, Some("ftp"), Some("ftp"), NOW, out))
    }

    fn told(entry: &Entry<'_>, chosen: &[u8]) -> String {
        text(|out| facts(entry, Perm::default(), Facts::parse(chosen), out))
    }

    #[test]
    fn a_line_of_list_has_the_columns_of_ls() {
        let line = "-rw-r--r--   1 ftp      ftp            1234 Jan 02 15:04 name\r\n";
        assert_eq!(long(&FILE), line);
        let old = Entry {
            modified: NOW - 400 * 86_400,
            size: 12_345_678_901,
            links: 1234,
            ..FILE
        };
        let line = "-rw-r--r-- 1234 ftp      ftp      12345678901 Nov 28  2022 name\r\n";
        assert_eq!(long(&old), line);
    }

    #[test]
    fn an_owner_without_a_name_is_shown_by_number() {
        let line = text(|out| long_line(&FILE, None, None, NOW, out));
        assert!(
            line.starts_with("-rw-r--r--   1 0        1000           1234 Jan"),
            "{line}"
        );
        let line = text(|out| long_line(&FILE, Some(""), Some("a b\n"), NOW, out));
        assert!(
            line.starts_with("-rw-r--r--   1 0        a_b_           1234 Jan"),
            "{line}"
        );
    }

    #[test]
    fn every_kind_and_right_has_its_letter() {
        let column = |kind, mode| String::from_utf8(mode_column(kind, mode).to_vec()).unwrap();
        assert_eq!(column(Kind::File, 0), "----------");
        assert_eq!(column(Kind::File, 0o777), "-rwxrwxrwx");
        assert_eq!(column(Kind::Directory, 0o40_755), "drwxr-xr-x");
        assert_eq!(column(Kind::Link, 0o421), "lr---w---x");
        assert_eq!(column(Kind::Other(b'p'), 0o7777), "prwsrwsrwt");
        assert_eq!(column(Kind::Other(b's'), 0o7000), "s--S--S--T");
        assert_eq!(column(Kind::Other(b'\n'), 0), "?---------");
    }

    #[test]
    fn a_link_shows_where_it_points() {
        let link = Entry {
            kind: Kind::Link,
            target: Some(b"../a\nb"),
            ..FILE
        };
        assert!(long(&link).ends_with(" name -> ../a?b\r\n"));
        assert!(
            long(&Entry {
                target: None,
                ..link
            })
            .ends_with(" name\r\n")
        );
        assert!(
            long(&Entry {
                kind: Kind::File,
                ..link
            })
            .ends_with(" name\r\n")
        );
    }

    #[test]
    fn a_name_cannot_forge_a_line_of_list() {
        let entry = Entry {
            name: b"a\r\n\x1b[2J\x7f\0b \xc3\xa4\xc2\x9b\x9b",
            ..FILE
        };
        assert!(long(&entry).ends_with(" a???[2J??b \u{e4}??\r\n"));
    }

    #[test]
    fn nlst_has_the_name_behind_what_the_client_wrote() {
        assert_eq!(text(|out| assert!(bare_line(b"b c", b"", out))), "b c\r\n");
        assert_eq!(
            text(|out| assert!(bare_line(b"b\t", b"/a/", out))),
            "/a/b\t\r\n"
        );
        for (name, prefix) in [
            (&b"a\rb"[..], &b""[..]),
            (b"a\n", b""),
            (b"\0", b""),
            (b"a", b"\n"),
            (b"\x1b[2J", b""),
            (b"\xc2\x9b2J", b""),
            (b"\x9b2J", b""),
            (b"a", b"\x07"),
        ] {
            assert_eq!(text(|out| assert!(!bare_line(name, prefix, out))), "");
        }
    }

    #[test]
    fn feat_marks_the_facts_that_are_told() {
        let all = "type*;size*;modify*;perm*;unique*;UNIX.mode*;UNIX.uid*;UNIX.gid*;";
        assert_eq!(text(|out| Facts::ALL.feature(out)), all);
        assert_eq!(text(|out| Facts::NONE.feature(out)), all.replace('*', ""));
        let some = Facts::parse(b"Size;");
        assert!(text(|out| some.feature(out)).starts_with("type;size*;modify;"));
    }

    #[test]
    fn a_client_chooses_its_facts_in_any_case_and_order() {
        let chosen = |argument: &[u8]| text(|out| Facts::parse(argument).names(out));
        assert_eq!(chosen(b"modify;TYPE;unix.MODE;"), "type;modify;UNIX.mode;");
        assert_eq!(chosen(b"size"), "size;");
        assert_eq!(chosen(b"size;lang;siz;;sizes;x*;"), "size;");
        assert_eq!(chosen(b""), "");
        let all = text(|out| Facts::ALL.names(out));
        assert_eq!(Facts::parse(all.as_bytes()), Facts::ALL);
        assert_eq!(all.matches(';').count(), FACTS.len());
    }

    #[test]
    fn the_facts_of_a_file_come_in_their_order() {
        let perm = Perm {
            append: true,
            delete: true,
            rename: true,
            ..Perm::default()
        };
        let perm = Perm {
            read: true,
            write: true,
            ..perm
        };
        assert_eq!(
            text(|out| assert!(fact_line(&FILE, perm, Facts::ALL, out))),
            "type=file;size=1234;modify=20240102150400;perm=adfrw;unique=fd01gbeef;\
             UNIX.mode=0644;UNIX.uid=0;UNIX.gid=1000; name\r\n"
        );
        assert_eq!(
            text(|out| assert!(fact_line(&FILE, perm, Facts::NONE, out))),
            " name\r\n"
        );
    }

    #[test]
    fn each_fact_is_told_only_if_chosen() {
        let all = text(|out| facts(&FILE, Perm::default(), Facts::ALL, out));
        let single: String = FACTS.iter().map(|name| told(&FILE, name)).collect();
        assert_eq!(single, all);
        assert_eq!(told(&FILE, b"perm"), "perm=;");
    }

    #[test]
    fn what_is_no_file_has_no_size() {
        for (kind, expected) in [
            (Kind::Directory, "type=dir;"),
            (Kind::Link, "type=OS.unix=slink;"),
            (Kind::Other(b'p'), "type=OS.unix=fifo;"),
            (Kind::Other(b's'), "type=OS.unix=socket;"),
            (Kind::Other(b'c'), "type=OS.unix=chr;"),
            (Kind::Other(b'b'), "type=OS.unix=blk;"),
            (Kind::Other(b'?'), "type=OS.unix=other;"),
        ] {
            assert_eq!(told(&Entry { kind, ..FILE }, b"type;size;"), expected);
        }
    }

    #[test]
    fn every_right_has_its_letter_in_the_order_of_the_rfc() {
        let perm = Perm {
            append: true,
            create: true,
            delete: true,
            enter: true,
            rename: true,
            list: true,
            make: true,
            purge: true,
            read: true,
            write: true,
        };
        assert_eq!(perm.letters().collect::<Vec<_>>(), b"acdeflmprw");
    }

    #[test]
    fn a_name_that_tears_lines_has_no_line_of_facts() {
        for name in [&b"a\r\nb"[..], b"\n", b"a\0"] {
            let entry = Entry { name, ..FILE };
            let line = text(|out| assert!(!fact_line(&entry, Perm::default(), Facts::ALL, out)));
            assert_eq!(line, "");
        }
    }

    #[test]
    fn options_are_taken_off_up_to_the_pathname() {
        let none = Options::default();
        let cases: [(&[u8], Options, &[u8]); 16] = [
            (b"", none, b""),
            (b"a b", none, b"a b"),
            (b" a", none, b" a"),
            (b"-a", none, b""),
            (b"-la", Options { long: true, ..none }, b""),
            (b"-la ", Options { long: true, ..none }, b""),
            (b" -1  a b ", Options { one: true, ..none }, b"a b "),
            (
                b"-aR -d /x -l",
                Options {
                    recursive: true,
                    itself: true,
                    ..none
                },
                b"/x -l",
            ),
            (b"-l -- -1", Options { long: true, ..none }, b"-1"),
            (b"--  a", none, b"a"),
            (b"--", none, b""),
            (b"-", none, b"-"),
            (b"-l -", Options { long: true, ..none }, b"-"),
            (b"-l.txt", none, b"-l.txt"),
            (b"--long", none, b"--long"),
            (b"-l\ta", none, b"-l\ta"),
        ];
        for (argument, expected, path) in cases {
            assert_eq!(
                options(argument),
                (expected, path),
                "{}",
                argument.escape_ascii()
            );
        }
    }

    #[test]
    fn the_longest_lines_fit_the_room_promised() {
        let longest = Entry {
            name: &[b'n'; NAME_MAX],
            kind: Kind::Link,
            mode: u32::MAX,
            links: u64::MAX,
            owner: u32::MAX,
            group: u32::MAX,
            size: u64::MAX,
            modified: i64::MAX,
            device: u64::MAX,
            inode: u64::MAX,
            target: Some(&[b't'; TARGET_MAX]),
        };
        let owner = "o".repeat(100);
        let line = text(|out| long_line(&longest, Some(&owner), Some(&owner), 0, out));
        assert_eq!(line.len(), LINE_MAX);
        let perm = Perm {
            append: true,
            create: true,
            delete: true,
            enter: true,
            ..Perm::default()
        };
        let perm = Perm {
            rename: true,
            list: true,
            make: true,
            purge: true,
            ..perm
        };
        let perm = Perm {
            read: true,
            write: true,
            ..perm
        };
        let file = Entry {
            kind: Kind::File,
            ..longest
        };
        assert_eq!(text(|out| facts(&file, perm, Facts::ALL, out)).len(), 170);
        text(|out| assert!(bare_line(longest.name, &[b'/'; TARGET_MAX], out)));
    }
}
