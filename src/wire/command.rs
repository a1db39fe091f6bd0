//! A command line, taken apart: the verb and what follows it (RFC 959 5.3).

/// A verb as one number: its up to four letters, in upper case.
///
/// Every verb that this server knows has three or four letters, so comparing verbs is comparing numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerbName(u32);

impl VerbName {
    /// The name of a verb of the table, written in upper case.
    pub const fn of(name: &str) -> Self {
        match Self::from_octets(name.as_bytes()) {
            Some(name) => name,
            None => Self(0),
        }
    }

    const fn from_octets(mut octets: &[u8]) -> Option<Self> {
        if octets.is_empty() || octets.len() > 4 {
            return None;
        }
        let mut number = 0u32;
        while let [first, rest @ ..] = octets {
            number = (number << 8) | first.to_ascii_uppercase() as u32;
            octets = rest;
        }
        Some(Self(number))
    }
}

/// What a line turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// Nothing: NAT boxes send such lines to keep a connection alive, and no reply is due.
    Blank,
    /// A verb of at most four letters and its argument, without the one space between them.
    Command(VerbName, &'a [u8]),
    /// A verb that is too long to be one of FTP.
    Unknown,
    /// Another protocol: somebody made a browser or a mail program talk to this port.
    Foreign,
}

/// Takes a line apart; it comes without its line end.
///
/// Everything behind the first space is the argument, spaces at either end included: names may begin and end with
/// them.
pub fn split(line: &[u8]) -> Line<'_> {
    // What is left of a Telnet sequence whose urgent octet got lost stands before the verb (lftp, ABOR).
    let line = match line.iter().position(|octet| *octet < 0xF0) {
        Some(start) => line.get(start..).unwrap_or_default(),
        None => b"",
    };
    if line.iter().all(|octet| *octet == b' ') {
        return Line::Blank;
    }
    let end = line
        .iter()
        .position(|octet| *octet == b' ')
        .unwrap_or(line.len());
    let (verb, rest) = line.split_at_checked(end).unwrap_or((line, b""));
    if is_foreign(verb, rest) {
        return Line::Foreign;
    }
    let argument = rest.strip_prefix(b" ").unwrap_or(rest);
    match VerbName::from_octets(verb) {
        // Routers that rewrite PASV without understanding it leave this behind (SMC Barricade).
        Some(name) if name == VerbName::of("P@SW") => Line::Command(VerbName::of("PASV"), argument),
        Some(name) => Line::Command(name, argument),
        None => Line::Unknown,
    }
}

/// Whether a line is HTTP, SMTP or TLS, which no FTP client ever sends.
///
/// A page in a browser can make it send lines of an attacker's choice to this port; the first line of the request
/// gives it away, and the connection is closed before the body is read as commands.
fn is_foreign(verb: &[u8], rest: &[u8]) -> bool {
    const STRANGERS: [&[u8]; 12] = [
        b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH",
        b"PRI", b"EHLO", b"HELO",
    ];
    STRANGERS
        .iter()
        .any(|stranger| verb.eq_ignore_ascii_case(stranger))
        || verb.starts_with(b"\x16\x03")
        || verb.starts_with(b"SSH-")
        || rest.ends_with(b" HTTP/1.1")
        || rest.ends_with(b" HTTP/1.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_found_in_any_case_and_arguments_kept_whole() {
        let noop = VerbName::of("NOOP");
        assert_eq!(split(b"NoOp"), Line::Command(noop, b""));
        assert_eq!(split(b"noop "), Line::Command(noop, b""));
        assert_eq!(
            split(b"RETR  a b "),
            Line::Command(VerbName::of("RETR"), b" a b ")
        );
        assert_eq!(split(b"P@SW"), Line::Command(VerbName::of("PASV"), b""));
        assert_eq!(split(b"\xF2ABOR"), Line::Command(VerbName::of("ABOR"), b""));
    }

    #[test]
    fn what_is_no_verb_is_said_to_be_none() {
        assert_eq!(split(b""), Line::Blank);
        assert_eq!(split(b"  "), Line::Blank);
        assert_eq!(split(b"\xFF\xFF"), Line::Blank);
        assert_eq!(split(b"HELLO you"), Line::Unknown);
        assert_eq!(split(b"N\x80OP!"), Line::Unknown);
    }

    #[test]
    fn another_protocol_is_recognised() {
        for line in [
            &b"GET / HTTP/1.1"[..],
            b"post /x HTTP/1.0",
            b"EHLO me",
            b"\x16\x03\x01\x02\x00\x01",
            b"SSH-2.0-x",
            b"PROPFIND / HTTP/1.1",
        ] {
            assert_eq!(split(line), Line::Foreign);
        }
        assert_eq!(
            split(b"HOST ftp.example"),
            Line::Command(VerbName::of("HOST"), b"ftp.example")
        );
    }
}
