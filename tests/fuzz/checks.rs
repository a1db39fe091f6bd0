//! What must hold for any octets: one function for each parser that reads what a stranger sends.
//!
//! `tests/properties.rs` runs them in `cargo test`; the targets beside this file run them under cargo-fuzz.

use std::net::SocketAddr;

use pocketftpd::accounts::file;
use pocketftpd::wire::address;
use pocketftpd::wire::ascii::{FromNetwork, to_network};
use pocketftpd::wire::command::{self, Line};
use pocketftpd::wire::glob;
use pocketftpd::wire::listing::{self, Facts};
use pocketftpd::wire::octets::{Cursor, Octets};
use pocketftpd::wire::pathname::{PATH_MAX, Pathname};
use pocketftpd::wire::printable::Printable;
use pocketftpd::wire::proxy::{self, Header};
use pocketftpd::wire::telnet::Telnet;

/// Everything before and behind the first line end, for functions that take two pieces.
fn halves(octets: &[u8]) -> (&[u8], &[u8]) {
    let at = octets.iter().position(|octet| *octet == b'\n');
    let at = at.unwrap_or(octets.len());
    (&octets[..at], octets.get(at + 1..).unwrap_or_default())
}

/// The argument of a command is the end of its line, and what is shown of a line is one harmless line.
pub fn command_split_never_panics(line: &[u8]) {
    match command::split(line) {
        Line::Command(_, argument) => assert!(line.ends_with(argument)),
        Line::Blank => assert!(line.iter().all(|octet| *octet == b' ' || *octet >= 0xF0)),
        Line::Unknown | Line::Foreign => assert!(!line.is_empty()),
    }
    let shown = Printable(line).to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    let (_, rest) = listing::options(line);
    assert!(line.ends_with(rest));
}

/// The data and the answers for octets that arrive in pieces of these lengths, over and over.
pub fn filtered(octets: &[u8], pieces: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let mut room = vec![0; octets.len() * 3];
    let mut answer = Cursor::new(&mut room);
    let mut telnet = Telnet::default();
    let mut data = Vec::new();
    let mut lengths = pieces.iter().cycle();
    let mut rest = octets;
    while !rest.is_empty() {
        let length = lengths.next().copied().unwrap_or(usize::MAX);
        let (piece, after) = rest.split_at(length.clamp(1, rest.len()));
        rest = after;
        let mut buffer = [telnet.held(), piece].concat();
        let kept = telnet.filter(&mut buffer, &mut answer);
        data.extend_from_slice(&buffer[..kept]);
    }
    (data, answer.written().to_vec())
}

/// However octets are cut into pieces, the same is left of them and the same is answered; without IAC, all is left.
pub fn telnet_pieces_make_no_difference(octets: &[u8]) {
    let whole = filtered(octets, &[]);
    for pieces in [&[1][..], &[2], &[3, 1], &[1, 5, 2]] {
        assert_eq!(filtered(octets, pieces), whole, "{pieces:?}");
    }
    if !octets.contains(&0xFF) {
        assert_eq!(whole, (octets.to_vec(), Vec::new()));
    }
}

/// What `argument` means in `base`, by the book: a list of names.
fn resolved<'a>(base: &'a [u8], argument: &'a [u8]) -> Vec<&'a [u8]> {
    let base = if argument.starts_with(b"/") {
        b""
    } else {
        base
    };
    let mut names: Vec<&[u8]> = Vec::new();
    for name in [base, argument]
        .into_iter()
        .flat_map(|each| each.split(|octet| *octet == b'/'))
    {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            _ => names.push(name),
        }
    }
    names
}

/// A pathname begins with `/`, holds no `.`, `..` or empty component, and is what a list of names makes of it.
pub fn pathname_stays_below_root(octets: &[u8]) {
    let (base, argument) = halves(octets);
    let (mut room, mut other) = (vec![0; PATH_MAX], vec![0; PATH_MAX]);
    let mut directory = Pathname::root(&mut room);
    if directory.enter(base).is_err() {
        directory.clear();
    }
    let base = directory.octets().to_vec();
    let mut pathname = Pathname::root(&mut other);
    let result = pathname.resolve(&directory, argument);
    let found = pathname.octets();
    assert!(found.starts_with(b"/"));
    assert!(
        pathname.is_root()
            || found[1..]
                .split(|octet| *octet == b'/')
                .all(|name| !matches!(name, b"" | b"." | b".."))
    );
    assert!(!pathname.below().to_bytes().starts_with(b"/"));
    assert_eq!(pathname.name_for_kernel().to_bytes(), pathname.name());
    let names = resolved(&base, argument);
    let wanted = [b"/", names.join(&b'/').as_slice()].concat();
    match result {
        Ok(()) => assert_eq!(
            found.escape_ascii().to_string(),
            wanted.escape_ascii().to_string()
        ),
        Err(_) => {
            assert!(pathname.is_root());
            let odd = argument.iter().any(|octet| b"\0\r\n".contains(octet));
            assert!(odd || base.len() + argument.len() >= PATH_MAX - 2);
        }
    }
    pathname.leave();
    assert!(pathname.octets().starts_with(b"/"));
}

/// An address that PORT and EPRT read is written and read again as the same.
pub fn addresses_survive_a_round_trip(argument: &[u8]) {
    if let Some(address) = address::parse_port(argument) {
        let mut room = [0; 25];
        let mut out = Cursor::new(&mut room);
        address::passive_text(address, &mut out);
        assert!(!out.is_full());
        let inner = &out.written()[1..out.len() - 1];
        assert_eq!(address::parse_port(inner), Some(address));
    }
    if let Ok(address) = address::parse_eprt(argument) {
        assert!(address.port() > 0);
        let family = if address.is_ipv4() { 1 } else { 2 };
        let line = format!("|{family}|{}|{}|", address.ip(), address.port());
        assert_eq!(address::parse_eprt(line.as_bytes()), Ok(address));
    }
    let _ = address::parse_epsv(argument);
}

/// The facts that are chosen, said again, choose the same; FEAT tells them all.
pub fn facts_are_chosen_by_their_own_names(argument: &[u8]) {
    let chosen = Facts::parse(argument);
    let mut room = [0; 128];
    let mut out = Cursor::new(&mut room);
    chosen.names(&mut out);
    assert!(!out.is_full());
    assert_eq!(Facts::parse(out.written()), chosen);
    out.truncate(0);
    chosen.feature(&mut out);
    assert!(!out.is_full());
    let stars = out.written().iter().filter(|octet| **octet == b'*');
    let stars = stars.count();
    out.truncate(0);
    chosen.names(&mut out);
    let names = out.written().iter().filter(|octet| **octet == b';');
    assert_eq!(stars, names.count());
}

/// The member of a set, or the plain octet, that begins a pattern: its value and what follows.
fn literal(pattern: &[u8]) -> (u8, &[u8]) {
    match pattern {
        [b'\\', octet, rest @ ..] => (*octet, rest),
        [octet, rest @ ..] => (*octet, rest),
        [] => (0, pattern),
    }
}

/// A set behind its `[`: whether it holds the octet, and what follows it; `None` if it is not closed.
fn set(pattern: &[u8], octet: u8) -> Option<(bool, &[u8])> {
    let (inverted, mut rest) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let (mut found, mut first) = (false, true);
    loop {
        rest = match rest {
            [] => return None,
            [b']', after @ ..] if !first => return Some((found != inverted, after)),
            _ => {
                let (low, after) = literal(rest);
                match after {
                    [b'-', end, ..] if *end != b']' => {
                        let (high, after) = literal(&after[1..]);
                        found |= low <= octet && octet <= high;
                        after
                    }
                    _ => {
                        found |= low == octet;
                        after
                    }
                }
            }
        };
        first = false;
    }
}

/// A pattern matched by trying everything.
fn matches_naively(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], _) => name.is_empty(),
        ([b'*', rest @ ..], _) => {
            (0..=name.len()).any(|taken| matches_naively(rest, &name[taken..]))
        }
        (_, []) => false,
        ([b'?', rest @ ..], [_, after @ ..]) => matches_naively(rest, after),
        ([b'[', rest @ ..], [octet, after @ ..]) => match set(rest, *octet) {
            Some((fits, rest)) => fits && matches_naively(rest, after),
            None => *octet == b'[' && matches_naively(rest, after),
        },
        (_, [octet, after @ ..]) => {
            let (wanted, rest) = literal(pattern);
            wanted == *octet && matches_naively(rest, after)
        }
    }
}

/// A pattern means what trying everything finds; a long one costs no more than its length times the name's.
pub fn glob_is_the_naive_one(octets: &[u8]) {
    let (pattern, name) = halves(octets);
    let found = glob::matches(pattern, name);
    if pattern.len() <= 12 && name.len() <= 12 {
        assert_eq!(
            found,
            matches_naively(pattern, name),
            "{} {}",
            pattern.escape_ascii(),
            name.escape_ascii()
        );
    }
    if !glob::is_pattern(pattern) && !pattern.contains(&b'\\') {
        assert_eq!(found, pattern == name);
    }
}

fn sent(file: &[u8], room: usize) -> Vec<u8> {
    let (mut all, mut rest) = (Vec::new(), file);
    while !rest.is_empty() {
        let mut memory = vec![0; room];
        let mut out = Cursor::new(&mut memory);
        let used = to_network(rest, &mut out);
        assert!(used > 0 && !out.is_full());
        all.extend_from_slice(out.written());
        rest = &rest[used..];
    }
    all
}

fn received(octets: &[u8], piece: usize, room: usize) -> Vec<u8> {
    let (mut all, mut memory) = (Vec::new(), vec![0; room]);
    let mut state = FromNetwork::default();
    for mut rest in octets.chunks(piece) {
        let mut idle = 0;
        while !rest.is_empty() {
            let mut out = Cursor::new(&mut memory);
            let used = state.convert(rest, &mut out);
            idle = if used == 0 { idle + 1 } else { 0 };
            assert!(!out.is_full() && idle < 2, "no progress");
            all.extend_from_slice(out.written());
            rest = &rest[used..];
        }
    }
    let mut out = Cursor::new(&mut memory);
    state.finish(&mut out);
    assert!(!out.is_full());
    all.extend_from_slice(out.written());
    all
}

/// A file comes back as it went, whatever it holds; how it is cut into pieces makes no difference either way.
pub fn ascii_survives_a_round_trip(file: &[u8]) {
    let network = sent(file, file.len() * 2 + 2);
    assert!(
        network
            .split(|octet| *octet == b'\n')
            .rev()
            .skip(1)
            .all(|line| line.ends_with(b"\r"))
    );
    assert_eq!(sent(file, 2), network);
    assert_eq!(sent(file, 7), network);
    for (piece, room) in [(usize::MAX, network.len() + 1), (1, 1), (3, 2), (2, 64)] {
        assert_eq!(received(&network, piece.min(network.len() + 1), room), file);
        // The same for octets that no file was turned into.
        assert_eq!(
            received(file, piece.min(file.len() + 1), room),
            received(file, file.len() + 1, file.len() + 1)
        );
    }
}

/// What is a whole header is a partial one up to its last octet, whatever follows it; what is bad stays bad.
pub fn proxy_header_waits_for_its_end(octets: &[u8]) {
    for (signed, octets) in [
        (false, octets.to_vec()),
        (true, [b"\r\n\r\n\0\r\nQUIT\n", octets].concat()),
        (true, [b"PROXY TCP", octets].concat()),
    ] {
        match proxy::parse(&octets) {
            Header::Whole(length, client) => {
                assert!(length <= octets.len() && length <= proxy::HEADER_MAX);
                let whole = Header::Whole(length, client);
                assert_eq!(proxy::parse(&octets[..length]), whole);
                for end in 0..length {
                    assert_eq!(proxy::parse(&octets[..end]), Header::Partial, "{end}");
                }
            }
            Header::Partial => {
                assert!(octets.len() < proxy::HEADER_MAX);
                for end in 0..octets.len() {
                    assert_eq!(proxy::parse(&octets[..end]), Header::Partial, "{end}");
                }
            }
            Header::Bad => {
                assert!(signed || !octets.is_empty());
                assert_eq!(proxy::parse(&[&octets[..], b"\r\n"].concat()), Header::Bad);
            }
        }
    }
}

/// The header that a balancer writes for these two, in both versions, names the first.
pub fn proxy_header_names(client: SocketAddr, server: SocketAddr) {
    let (family, length) = if client.is_ipv4() {
        (4, 12u16)
    } else {
        (6, 36)
    };
    let text = format!(
        "PROXY TCP{family} {} {} {} {}\r\n",
        client.ip(),
        server.ip(),
        client.port(),
        server.port()
    );
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    binary.push(if client.is_ipv4() { 0x11 } else { 0x21 });
    binary.extend(length.to_be_bytes());
    for each in [client, server] {
        match each.ip() {
            std::net::IpAddr::V4(ip) => binary.extend(ip.octets()),
            std::net::IpAddr::V6(ip) => binary.extend(ip.octets()),
        }
    }
    binary.extend(client.port().to_be_bytes());
    binary.extend(server.port().to_be_bytes());
    for header in [text.as_bytes(), &binary] {
        assert_eq!(
            proxy::parse(header),
            Header::Whole(header.len(), Some(client))
        );
        proxy_header_waits_for_its_end(&[header, b"USER x\r\n"].concat());
    }
}

/// A users file is read or refused by a line that exists; a refusal is one line, and never shows a hash.
pub fn users_file_is_read_or_refused(text: &[u8]) {
    match file::users(text) {
        Ok(users) => {
            for user in users {
                assert!((1..=32).contains(&user.name.len()));
                assert!(!user.name.iter().any(u8::is_ascii_control));
                assert!(user.hash.starts_with("$5$") || user.hash.starts_with("$6$"));
                assert!((1000..=2_000_000).contains(&user.cost));
                for rate in [user.up, user.down].into_iter().flatten().flatten() {
                    assert!((1000..=1_000_000_000).contains(&rate.get()));
                }
                assert!(user.directory.starts_with(b"/"));
                let mut components = user.directory[1..].split(|octet| *octet == b'/');
                assert!(components.all(|name| !matches!(name, b"." | b"..")));
            }
        }
        Err((line, why)) => {
            assert!((1..=text.iter().filter(|octet| **octet == b'\n').count() + 1).contains(&line));
            assert!(!why.contains(['\n', '\r']));
        }
    }
}

/// A bounded string does what a `Vec` does, as long as it fits, and nothing where it does not.
pub fn bounded_strings_are_vectors(operations: &[u8]) {
    const ROOM: usize = 300;
    let (mut memory, mut long) = (vec![0; ROOM], vec![0; ROOM]);
    let (mut cursor, mut octets) = (Cursor::new(&mut memory), Octets::new(&mut long));
    let (mut first, mut second): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    for operation in operations.chunks(2) {
        let value = operation.get(1).copied().unwrap_or(7);
        let length = usize::from(value);
        let piece = vec![value; length];
        match operation[0] % 6 {
            0 => {
                cursor.push(&piece);
                if first.len() + length <= ROOM {
                    first.extend_from_slice(&piece);
                } else {
                    assert!(cursor.is_full());
                }
                let fits = second.len() + length <= ROOM;
                assert_eq!(octets.push(&piece).is_ok(), fits);
                if fits {
                    second.extend_from_slice(&piece);
                }
            }
            1 => {
                cursor.truncate(length);
                first.truncate(length);
                octets.truncate(length);
                second.truncate(length);
            }
            2 => {
                octets.clear();
                second.clear();
            }
            3 => {
                assert_eq!(octets.set(&piece), Ok(()));
                second = piece;
            }
            4 => {
                cursor.octet(value);
                if first.len() < ROOM {
                    first.push(value);
                }
            }
            _ => {
                let number = u64::from(value) << (operation[0] % 57);
                let text = format!("{number} {number:04o} {number:x} {number:>9}");
                if first.len() + text.len() <= ROOM {
                    cursor.decimal(number);
                    cursor.octet(b' ');
                    cursor.octal(number, 4);
                    cursor.octet(b' ');
                    cursor.hex(number);
                    cursor.octet(b' ');
                    cursor.decimal_wide(number, 9, b' ');
                    first.extend_from_slice(text.as_bytes());
                }
            }
        }
        assert_eq!(cursor.written(), first);
        assert_eq!(
            (cursor.len(), cursor.left()),
            (first.len(), ROOM - first.len())
        );
        assert_eq!(octets.get(), second);
        assert_eq!(octets.is_empty(), second.is_empty());
    }
}
