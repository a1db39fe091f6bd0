//! Everything that the server can say, in the order of the codes (RFC 959 4.2 and 5.4).
//!
//! Nothing else formats a reply, so no octet of a client's or a file name's can end a line.  Texts are plain ASCII, one
//! short sentence, with the same words for "absent" and "forbidden", for "no such user" and "wrong password" (RFC 2577
//! 7).  Clients and NAT boxes read some of them: a text that may not be changed says so.

use std::net::SocketAddrV4;
use std::ops::RangeInclusive;

use crate::wire::address;
use crate::wire::octets::Cursor;
use crate::wire::printable::pieces;
use crate::wire::time;

/// One reply: its code, and a text that is put together when it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    code: u16,
    text: Text<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Text<'a> {
    Fixed(&'static str),
    Octets(&'a [u8]),
    Quoted(&'a [u8], &'static str),
    Number(&'static str, u64, &'static str),
    Umask(u16),
    Numbers(&'static str, u64, &'static str, u64, &'static str),
    NobodyCame(u16, u64, u16, u16),
    Passive(SocketAddrV4),
    Modified(i64),
    ModifiedOf(i64, &'a [u8]),
    Facts(&'a [u8], &'a [u8]),
    Opening {
        mode: &'static str,
        name: &'a [u8],
        size: Option<u64>,
    },
    Named(&'static str, &'a [u8]),
    Lines {
        first: &'static str,
        body: &'a [u8],
        last: &'static str,
    },
}

const fn say(code: u16, text: &'static str) -> Reply<'static> {
    Reply {
        code,
        text: Text::Fixed(text),
    }
}

// RFC 959 5.4 has 450 for some verbs, and 550 alone for others.
const DISK_FAILS_TEXT: &str = "The disk does not answer; try again later.";
const NO_MEDIUM_TEXT: &str = "The medium is not there; try again later.";

pub const OKAY: Reply = say(200, "Done.");
pub const TYPE_ASCII: Reply = say(200, "Type is ASCII.");
pub const TYPE_IMAGE: Reply = say(200, "Type is image.");
pub const PORT_TAKEN: Reply = say(200, "Address taken; the data connection will go there.");
pub const EPSV_ONLY: Reply = say(200, "EPSV only from now on.");
pub const UTF8_ALWAYS: Reply = say(200, "Names are UTF-8, always.");
pub const ALLOCATED: Reply = say(200, "No need to allocate.");
pub const LANGUAGE: Reply = say(200, "Messages are in English.");
pub const ALREADY_IN: Reply = say(202, "No account is needed.");
// wget looks for the word UNIX to decide how listings are read.
pub const SYSTEM: Reply = say(215, "UNIX Type: L8");
pub const READY_AGAIN: Reply = say(220, "Ready for a new user.");
pub const HOST_TAKEN: Reply = say(220, "One host here; its name makes no difference.");
pub const GOODBYE: Reply = say(221, "Goodbye.");
pub const NOTHING_TO_ABORT: Reply = say(225, "Nothing to abort.");
pub const MOVED: Reply = say(226, "Transfer complete.");
pub const LISTED: Reply = say(226, "Listing complete.");
pub const ABORTED: Reply = say(226, "Abort successful.");
pub const LOGGED_IN: Reply = say(230, "Logged in.");
pub const DONE: Reply = say(250, "Done.");
pub const RENAMED: Reply = say(250, "Renamed.");
pub const DELETED: Reply = say(250, "Deleted.");
pub const PASSWORD: Reply = say(331, "Password, please.");
pub const RENAME_TO_WHAT: Reply = say(350, "And the new name (RNTO)?");

// lftp lowers its number of connections when it reads `Too many connections`, and retries.
pub const FULL: Reply = say(421, "Too many connections; try again later.");
pub const FULL_FOR_YOU: Reply = say(421, "Too many connections from your address.");
pub const EXHAUSTED: Reply = say(
    421,
    "This box has run out of memory or open files; try again later.",
);
pub const IDLE: Reply = say(421, "Timeout: nothing said for too long.");
pub const LOGIN_TOO_SLOW: Reply = say(421, "Timeout: no log-in in time.");
pub const TOO_MANY_FAILURES: Reply = say(421, "Too many failed log-ins.");
pub const CLOSING_DOWN: Reply = say(421, "The server is stopping.");
pub const OUT_OF_ORDER: Reply = say(421, "Something broke here; please connect again.");
pub const USE_ANOTHER_PROTOCOL: Reply = say(421, "This is FTP, not the protocol that you speak.");
pub const NO_ENDPOINT: Reply = say(425, "Use PASV, EPSV, PORT or EPRT first.");
pub const NOT_REACHED: Reply = say(
    425,
    "Cannot connect to you: a NAT or firewall on your side may be in the way; use passive mode.",
);
pub const REFUSED: Reply = say(
    425,
    "Your address refuses the data connection: nothing listens there, or a NAT is in the way; use passive mode.",
);
pub const NO_PORT: Reply = say(425, "No port free for a data connection; try again.");
pub const CONNECTION_LOST: Reply = say(426, "Data connection lost; transfer aborted.");
pub const STALLED: Reply = say(426, "Nothing moved for too long; transfer aborted.");
pub const TRANSFER_ABORTED: Reply = say(426, "Transfer aborted.");
pub const BUSY: Reply = say(450, "Another upload holds this file.");
pub const TRY_LATER: Reply = say(450, "Not available now.");
pub const DISK_FAILS: Reply = say(450, DISK_FAILS_TEXT);
pub const NO_MEDIUM: Reply = say(450, NO_MEDIUM_TEXT);
pub const READ_ERROR: Reply = say(451, "Cannot read the file to its end.");
pub const WRITE_ERROR: Reply = say(451, "Cannot write the file.");
pub const SHRUNK: Reply = say(451, "The file became shorter while it was sent.");
pub const NO_SPACE: Reply = say(452, "No space left.");

pub const UNKNOWN: Reply = say(500, "Unknown command.");
pub const LINE_TOO_LONG: Reply = say(500, "Command line too long.");
pub const NO_PASV_ON_IPV6: Reply = say(500, "PASV cannot name an IPv6 address; use EPSV.");
pub const NEEDS_ARGUMENT: Reply = say(501, "An argument is missing.");
pub const NO_ARGUMENT: Reply = say(501, "This command takes no argument.");
pub const BAD_ARGUMENT: Reply = say(501, "Cannot read that argument.");
pub const BAD_PATHNAME: Reply = say(501, "That is no pathname.");
pub const FOREIGN_ADDRESS: Reply = say(
    501,
    "That is not the address you come from; behind a NAT, use passive mode (PASV or EPSV).",
);
pub const LOW_PORT: Reply = say(501, "Data connections go to ports from 1024 up only.");
pub const EPSV_WAS_ALL: Reply = say(501, "EPSV ALL was said: only EPSV now.");
pub const NOT_A_DIRECTORY: Reply = say(501, "That is not a directory.");
pub const NOT_OFFERED: Reply = say(502, "Not offered here.");
pub const USER_FIRST: Reply = say(503, "USER comes first.");
pub const RENAME_FROM_WHAT: Reply = say(503, "RNFR comes first.");
pub const HOST_TOO_LATE: Reply = say(503, "HOST comes before USER.");
pub const NOT_IMPLEMENTED: Reply = say(504, "Not implemented for that argument.");
pub const NO_REST_IN_ASCII: Reply = say(504, "Restarting needs TYPE I.");
// FileZilla and RFC 2428 expect the list of protocols in this form.
pub const WRONG_PROTOCOL_IPV4: Reply = say(522, "Network protocol not supported, use (1)");
pub const WRONG_PROTOCOL_IPV6: Reply = say(522, "Network protocol not supported, use (2)");
pub const NOT_LOGGED_IN: Reply = say(530, "Log in with USER and PASS first.");
/// One text for "no such user" and "wrong password": a refusal must not list the users.
pub const LOGIN_INCORRECT: Reply = say(530, "Log-in incorrect.");
/// One text for "absent" and "forbidden": a refusal must not map the tree.
pub const NOT_THERE: Reply = say(550, "No such file, or no permission.");
pub const READ_ONLY: Reply = say(550, "Read-only: nothing may be changed here.");
pub const DISK_FAILS_HERE: Reply = say(550, DISK_FAILS_TEXT);
pub const NO_MEDIUM_HERE: Reply = say(550, NO_MEDIUM_TEXT);
pub const READ_ONLY_DISK: Reply = say(550, "The disk is read-only.");
pub const EXISTS: Reply = say(550, "That name is taken.");
pub const NOT_EMPTY: Reply = say(550, "The directory is not empty.");
pub const NOT_A_FILE: Reply = say(550, "Not a regular file.");
pub const NO_SIZE_IN_ASCII: Reply = say(550, "SIZE needs TYPE I.");
pub const OTHER_DISK: Reply = say(550, "The new name lies on another file system.");
pub const CANNOT_CHANGE: Reply = say(550, "Cannot change that.");
pub const TOO_LARGE: Reply = say(552, "Beyond the size that is allowed.");
pub const CANNOT_NAME: Reply = say(553, "Cannot use that name.");
pub const BEYOND_THE_END: Reply = say(554, "The restart marker lies behind the end of the file.");
pub const RESTART_IN_ASCII: Reply = say(554, "Cannot restart in TYPE A; use TYPE I.");

/// 150, before octets flow.  `size` is known for downloads of type image only; lftp and Python's ftplib read
/// `(N bytes)`, so the words stay as they are.
pub fn opening<'a>(ascii: bool, name: &'a [u8], size: Option<u64>) -> Reply<'a> {
    Reply {
        code: 150,
        text: Text::Opening {
            mode: if ascii { "ASCII" } else { "BINARY" },
            name,
            size,
        },
    }
}

/// 150 of STOU, in the form of RFC 1123 4.1.2.9.
pub fn opening_unique(name: &[u8]) -> Reply<'_> {
    Reply {
        code: 150,
        text: Text::Named("FILE: ", name),
    }
}

/// 200 with the facts that OPTS MLST has chosen (RFC 3659 7.9).
pub fn facts_chosen(names: &[u8]) -> Reply<'_> {
    Reply {
        code: 200,
        text: Text::Named("MLST OPTS ", names),
    }
}

/// 200 of SITE IDLE.
pub fn setting(before: &'static str, value: u64, after: &'static str) -> Reply<'static> {
    Reply {
        code: 200,
        text: Text::Number(before, value, after),
    }
}

/// 200 of SITE UMASK, in octal.
pub fn umask(mask: u16) -> Reply<'static> {
    Reply {
        code: 200,
        text: Text::Umask(mask),
    }
}

/// 213 with a number alone: SIZE and AVBL.
pub fn number(value: u64) -> Reply<'static> {
    Reply {
        code: 213,
        text: Text::Number("", value, ""),
    }
}

/// 213 with a time alone: MDTM (RFC 3659 3.1).
pub fn modified(unix: i64) -> Reply<'static> {
    Reply {
        code: 213,
        text: Text::Modified(unix),
    }
}

/// 213 of MFMT and MFF, `Modify=time; pathname`.
pub fn modified_of(unix: i64, pathname: &[u8]) -> Reply<'_> {
    Reply {
        code: 213,
        text: Text::ModifiedOf(unix, pathname),
    }
}

/// 213 of MFF, `fact=value; pathname` as the client put it.
pub fn facts_set(facts: &[u8]) -> Reply<'_> {
    Reply {
        code: 213,
        text: Text::Octets(facts),
    }
}

/// 213 of STAT during a transfer; lftp reads the two numbers.
pub fn progress(octets: u64, of: Option<u64>) -> Reply<'static> {
    let text = match of {
        Some(of) => Text::Numbers("Status: ", octets, " of ", of, " bytes transferred"),
        None => Text::Number("Status: ", octets, " bytes transferred"),
    };
    Reply { code: 213, text }
}

/// 220, the greeting.
pub fn greeting(banner: &str) -> Reply<'_> {
    Reply {
        code: 220,
        text: Text::Octets(banner.as_bytes()),
    }
}

/// 227.  Connection trackers and clients match this text to the letter; nothing else may begin with `227 `.
pub fn passive(address: SocketAddrV4) -> Reply<'static> {
    Reply {
        code: 227,
        text: Text::Passive(address),
    }
}

/// 229 (RFC 2428 3).  Clients and connection trackers match this text as well.
pub fn extended_passive(port: u16) -> Reply<'static> {
    Reply {
        code: 229,
        text: Text::Number("Entering Extended Passive Mode (|||", u64::from(port), "|)"),
    }
}

/// 257 of PWD: nothing quoted may stand behind the pathname (lftp takes the last quote of the line).
pub fn here(pathname: &[u8]) -> Reply<'_> {
    Reply {
        code: 257,
        text: Text::Quoted(pathname, " is the current directory."),
    }
}

/// 257 of MKD, with the absolute pathname: cameras search it in the reply.
pub fn made(pathname: &[u8]) -> Reply<'_> {
    Reply {
        code: 257,
        text: Text::Quoted(pathname, " created."),
    }
}

/// 350 of REST.
pub fn restarting(at: u64) -> Reply<'static> {
    Reply {
        code: 350,
        text: Text::Number("Restarting at ", at, ". Send STOR or RETR."),
    }
}

/// 425 where no client came to the passive port in time; with the range to open, if there is one.
pub fn nobody_came(port: u16, seconds: u64, range: Option<&RangeInclusive<u16>>) -> Reply<'static> {
    let text = match range {
        Some(range) => Text::NobodyCame(port, seconds, *range.start(), *range.end()),
        None => Text::Numbers(
            "No data connection came to port ",
            u64::from(port),
            " within ",
            seconds,
            " seconds: a firewall or NAT before the server may not let it through.",
        ),
    };
    Reply { code: 425, text }
}

/// 250 of MLST: the facts, ended by `;`, and the pathname (RFC 3659 7.2).
pub fn facts_of<'a>(facts: &'a [u8], pathname: &'a [u8]) -> Reply<'a> {
    Reply {
        code: 250,
        text: Text::Facts(facts, pathname),
    }
}

/// The first line of a reply whose inner lines are sent apart from it: STAT with a pathname.
pub fn begin_lines(code: u16, out: &mut Cursor<'_>) {
    out.decimal(u64::from(code));
    out.push(b"-Status follows.\r\n");
}

/// Its last line.
pub fn end_lines(code: u16) -> Reply<'static> {
    say(code, "End")
}

/// A reply of several lines: `body` holds the inner ones, each ended by LF, and is sent with a space before each.
pub fn lines<'a>(code: u16, first: &'static str, body: &'a [u8], last: &'static str) -> Reply<'a> {
    Reply {
        code,
        text: Text::Lines { first, body, last },
    }
}

impl Reply<'_> {
    /// The reply code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Writes the whole reply with its line ends.
    pub fn write(&self, out: &mut Cursor<'_>) {
        if let Text::Facts(facts, pathname) = self.text {
            self.code_and(b'-', out);
            out.push(b"Facts:\r\n ");
            out.push(facts);
            out.octet(b' ');
            escape(pathname, out);
            out.push(b"\r\n");
            self.code_and(b' ', out);
            out.push(b"End");
        } else if let Text::Lines { first, body, last } = self.text {
            self.code_and(b'-', out);
            out.push(first.as_bytes());
            out.push(b"\r\n");
            for line in body
                .split(|octet| *octet == b'\n')
                .filter(|line| !line.is_empty())
            {
                out.octet(b' ');
                escape(line, out);
                out.push(b"\r\n");
            }
            self.code_and(b' ', out);
            out.push(last.as_bytes());
        } else {
            self.code_and(b' ', out);
            self.line(out);
        }
        out.push(b"\r\n");
    }

    fn code_and(&self, separator: u8, out: &mut Cursor<'_>) {
        out.decimal_wide(u64::from(self.code), 3, b'0');
        out.octet(separator);
    }

    fn line(&self, out: &mut Cursor<'_>) {
        match self.text {
            Text::Fixed(text) => out.push(text.as_bytes()),
            Text::Octets(octets) => escape(octets, out),
            Text::Quoted(pathname, after) => {
                out.octet(b'"');
                for (index, part) in pathname.split(|octet| *octet == b'"').enumerate() {
                    if index > 0 {
                        out.push(b"\"\"");
                    }
                    escape(part, out);
                }
                out.octet(b'"');
                out.push(after.as_bytes());
            }
            Text::Number(before, value, after) => {
                out.push(before.as_bytes());
                out.decimal(value);
                out.push(after.as_bytes());
            }
            Text::Umask(mask) => {
                out.push(b"The umask is ");
                out.octal(u64::from(mask), 3);
                out.octet(b'.');
            }
            Text::Numbers(before, first, between, second, after) => {
                out.push(before.as_bytes());
                out.decimal(first);
                out.push(between.as_bytes());
                out.decimal(second);
                out.push(after.as_bytes());
            }
            Text::NobodyCame(port, seconds, low, high) => {
                out.push(b"No data connection came to port ");
                out.decimal(u64::from(port));
                out.push(b" within ");
                out.decimal(seconds);
                out.push(b" seconds: a firewall or NAT before the server must let TCP ports ");
                out.decimal(u64::from(low));
                out.push(b"-");
                out.decimal(u64::from(high));
                out.push(b" through.");
            }
            Text::Passive(address) => {
                out.push(b"Entering Passive Mode ");
                address::passive_text(address, out);
            }
            Text::Modified(unix) => time::time_val(unix, out),
            Text::ModifiedOf(unix, pathname) => {
                out.push(b"Modify=");
                time::time_val(unix, out);
                out.push(b"; ");
                escape(pathname, out);
            }
            Text::Opening { mode, name, size } => {
                out.push(b"Opening ");
                out.push(mode.as_bytes());
                out.push(b" mode data connection for ");
                escape(name, out);
                if let Some(size) = size {
                    out.push(b" (");
                    out.decimal(size);
                    out.push(b" bytes)");
                }
                out.octet(b'.');
            }
            Text::Named(before, name) => {
                out.push(before.as_bytes());
                escape(name, out);
            }
            Text::Lines { .. } | Text::Facts(..) => {}
        }
    }
}

/// Writes octets of a client's or a file's, so that they stay inside their line and steer no terminal: control characters
/// but tabs become `?`, and 0xFF is doubled, since alone it is Telnet's escape (RFC 854).
pub fn escape(octets: &[u8], out: &mut Cursor<'_>) {
    pieces(octets, |piece, control| {
        if control && piece != b"\t" {
            return out.octet(b'?');
        }
        for run in piece.split_inclusive(|octet| *octet == 0xFF) {
            out.push(run);
            if run.ends_with(b"\xFF") {
                out.octet(0xFF);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn written(reply: Reply<'_>) -> Vec<u8> {
        let mut room = [0; 600];
        let mut out = Cursor::new(&mut room);
        reply.write(&mut out);
        assert!(!out.is_full());
        out.written().to_vec()
    }

    #[test]
    fn the_texts_that_machines_match_are_exact() {
        let address = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 20), 50000);
        assert_eq!(
            written(passive(address)),
            b"227 Entering Passive Mode (192,168,1,20,195,80)\r\n"
        );
        assert_eq!(
            written(extended_passive(50000)),
            b"229 Entering Extended Passive Mode (|||50000|)\r\n"
        );
        assert_eq!(written(SYSTEM), b"215 UNIX Type: L8\r\n");
        assert_eq!(
            written(here(b"/a\"b")),
            b"257 \"/a\"\"b\" is the current directory.\r\n"
        );
        assert_eq!(
            written(opening(false, b"x", Some(7))),
            b"150 Opening BINARY mode data connection for x (7 bytes).\r\n"
        );
        assert_eq!(written(opening_unique(b"x.1")), b"150 FILE: x.1\r\n");
        assert_eq!(
            written(progress(1, Some(2))),
            b"213 Status: 1 of 2 bytes transferred\r\n"
        );
        assert_eq!(written(modified(0)), b"213 19700101000000\r\n");
        assert_eq!(
            written(FULL),
            b"421 Too many connections; try again later.\r\n"
        );
    }

    #[test]
    fn a_passive_port_that_nobody_reached_names_the_range_to_open() {
        assert_eq!(
            written(nobody_came(50003, 60, Some(&(50000..=50009)))),
            b"425 No data connection came to port 50003 within 60 seconds: a firewall or NAT before the server must \
              let TCP ports 50000-50009 through.\r\n"
        );
    }

    #[test]
    fn nothing_that_a_client_chose_ends_a_line() {
        assert_eq!(
            written(made(b"/a\r\n250 x\x1b")),
            b"257 \"/a??250 x?\" created.\r\n"
        );
        assert_eq!(written(made(b"/\xFF")), b"257 \"/\xFF\xFF\" created.\r\n");
    }

    #[test]
    fn several_lines_begin_with_a_space_inside() {
        let reply = lines(211, "Features:", b"SIZE\nUTF8\n", "End");
        assert_eq!(
            written(reply),
            b"211-Features:\r\n SIZE\r\n UTF8\r\n211 End\r\n"
        );
    }
}
