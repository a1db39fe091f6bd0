//! The PROXY protocol, versions 1 and 2: what a load balancer says of the client before the client speaks.
//!
//! After HAProxy's specification (`proxy-protocol.txt`).  Only the addresses are taken; extensions are skipped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, in octets, its line end included.
const TEXT_MAX: usize = 107;

/// What a header of version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 2 that is accepted: addresses and some extensions.
pub const HEADER_MAX: usize = 512;

/// What the octets read so far amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// More octets must come.
    Partial,
    /// A whole header of that many octets, and the client it names; `None` for the balancer's own connections.
    Whole(usize, Option<SocketAddr>),
    /// No header, or one that cannot be read.
    Bad,
}

/// Looks for a header at the beginning of `octets`.
pub fn parse(octets: &[u8]) -> Header {
    let compared = octets.len().min(SIGNATURE.len());
    if octets.get(..compared) == SIGNATURE.get(..compared) {
        return if compared < SIGNATURE.len() {
            Header::Partial
        } else {
            binary(octets)
        };
    }
    let begins = octets.len().min(6);
    if octets.get(..begins) == b"PROXY ".get(..begins) {
        return text(octets);
    }
    Header::Bad
}

/// Version 1: `PROXY TCP4 source destination port port` and CR LF.
fn text(octets: &[u8]) -> Header {
    let Some(end) = octets
        .iter()
        .take(TEXT_MAX)
        .position(|octet| *octet == b'\n')
    else {
        return if octets.len() < TEXT_MAX {
            Header::Partial
        } else {
            Header::Bad
        };
    };
    let line = octets.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let Some(Ok(line)) = line.map(std::str::from_utf8) else {
        return Header::Bad;
    };
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Header::Whole(end + 1, None);
    }
    let (Some(source), Some(destination), Some(port), Some(to), None) = (
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
    ) else {
        return Header::Bad;
    };
    let addresses: Option<(IpAddr, IpAddr)> = match family {
        Some("TCP4") => both::<Ipv4Addr>(source, destination),
        Some("TCP6") => both::<Ipv6Addr>(source, destination),
        _ => None,
    };
    match (addresses, number(port), number(to)) {
        (Some((source, _)), Some(port), Some(_)) => {
            Header::Whole(end + 1, Some(SocketAddr::new(source, port)))
        }
        _ => Header::Bad,
    }
}

fn both<T: std::str::FromStr + Into<IpAddr>>(
    source: &str,
    destination: &str,
) -> Option<(IpAddr, IpAddr)> {
    Some((
        source.parse::<T>().ok()?.into(),
        destination.parse::<T>().ok()?.into(),
    ))
}

fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Version 2: the signature, version and command, family, length, addresses.
fn binary(octets: &[u8]) -> Header {
    let Some(([command, family, high, low], rest)) = octets
        .get(SIGNATURE.len()..)
        .and_then(<[u8]>::split_first_chunk::<4>)
    else {
        return Header::Partial;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let whole = SIGNATURE.len() + 4 + length;
    if whole > HEADER_MAX {
        return Header::Bad;
    }
    let Some(body) = rest.get(..length) else {
        return Header::Partial;
    };
    match (command, family) {
        // LOCAL: the balancer asks for itself whether this server lives.
        (0x20, _) => Header::Whole(whole, None),
        (0x21, 0x11) => match body {
            [a, b, c, d, _, _, _, _, high, low, _, _, ..] => {
                let port = u16::from_be_bytes([*high, *low]);
                Header::Whole(
                    whole,
                    Some(SocketAddr::new(Ipv4Addr::new(*a, *b, *c, *d).into(), port)),
                )
            }
            _ => Header::Bad,
        },
        (0x21, 0x21) => {
            let source = body.first_chunk::<16>();
            let port = body.get(32..34).and_then(<[u8]>::first_chunk::<2>);
            match (source, port, body.len() >= 36) {
                (Some(source), Some(port), true) => {
                    let ip = Ipv6Addr::from(*source);
                    Header::Whole(
                        whole,
                        Some(SocketAddr::new(ip.into(), u16::from_be_bytes(*port))),
                    )
                }
                _ => Header::Bad,
            }
        }
        _ => Header::Bad,
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may panic"
    )]
    use super::*;

    fn client(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn version_one_names_the_client() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 21\r\n";
        assert_eq!(
            parse(line),
            Header::Whole(line.len(), client("192.0.2.1:56324"))
        );
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 21\r\nUSER";
        assert_eq!(
            parse(line),
            Header::Whole(line.len() - 4, client("[2001:db8::1]:1"))
        );
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Header::Whole(15, None));
    }

    #[test]
    fn version_two_names_the_client() {
        let mut header = SIGNATURE.to_vec();
        header.extend([
            0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0, 21,
        ]);
        assert_eq!(parse(&header), Header::Whole(28, client("192.0.2.1:56324")));
        header[12] = 0x20;
        assert_eq!(parse(&header), Header::Whole(28, None));
        let mut header = SIGNATURE.to_vec();
        header.extend([0x21, 0x21, 0, 39]);
        header.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        header.extend([0; 16]);
        header.extend([0, 7, 0, 21, 3, 0, 0]);
        assert_eq!(parse(&header), Header::Whole(55, client("[2001:db8::1]:7")));
    }

    #[test]
    fn every_beginning_of_a_header_waits_for_the_rest() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 21\r\n";
        let mut binary = SIGNATURE.to_vec();
        binary.extend([
            0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0, 21,
        ]);
        for header in [&line[..], &binary] {
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]), Header::Partial, "{end}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_said_to_be_none() {
        for bad in [
            &b"USER anonymous\r\n"[..],
            b"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 21 9\r\n",
            b"PROXY TCP4 192.0.2.1 2001:db8::1 56324 21\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 +1 21\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 21\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 21\n",
            b"PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
            &[b"PROXY ".to_vec(), vec![b'x'; 200]].concat(),
            &[SIGNATURE.to_vec(), vec![0x31, 0x11, 0, 0]].concat(),
            &[SIGNATURE.to_vec(), vec![0x21, 0x11, 0, 4, 1, 2, 3, 4]].concat(),
            &[SIGNATURE.to_vec(), vec![0x21, 0x11, 0xff, 0xff]].concat(),
        ] {
            assert_eq!(parse(bad), Header::Bad, "{}", bad.escape_ascii());
        }
    }
}
