//! Addresses as PORT, PASV (RFC 959 4.1.2), EPRT and EPSV (RFC 2428) write them, and what kind they are.
//!
//! Only the writing is judged here; whether the server may connect there is the data connection's
//! business (RFC 2577 3).

use crate::wire::octets::Cursor;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

/// Reads the argument of PORT, `h1,h2,h3,h4,p1,p2`, each a decimal number up to 255.
///
/// Spaces around the whole are let pass, nothing else is.  The port may be 0.
pub fn parse_port(argument: &[u8]) -> Option<SocketAddrV4> {
    let mut fields = argument.trim_ascii().split(|&octet| octet == b',');
    let mut octets = [0u8; 6];
    for octet in &mut octets {
        *octet = u8::try_from(number(fields.next()?, 3)?).ok()?;
    }
    if fields.next().is_some() {
        return None;
    }
    let [a, b, c, d, high, low] = octets;
    Some(SocketAddrV4::new(
        Ipv4Addr::new(a, b, c, d),
        u16::from_be_bytes([high, low]),
    ))
}

/// Why an argument of EPRT is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedError {
    /// It is not written as RFC 2428 2 says: 501.
    Syntax,
    /// It names a network protocol other than IPv4 and IPv6: 522.
    Protocol,
}

/// Reads the argument of EPRT, such as `|1|192.0.2.1|6275|` or `|2|2001:db8::1|6275|` (RFC 2428 2).
///
/// The delimiter is whatever stands first, out of the printable characters.  Spaces around the whole
/// are let pass.  A scope (`%eth0`) is refused: it means something on the client's side only.
///
/// # Errors
/// [`ExtendedError::Protocol`] if the protocol is a number, but neither 1 nor 2, else
/// [`ExtendedError::Syntax`]; also for port 0.
pub fn parse_eprt(argument: &[u8]) -> Result<SocketAddr, ExtendedError> {
    let argument = argument.trim_ascii();
    let delimiter = argument.first().copied().ok_or(ExtendedError::Syntax)?;
    if !delimiter.is_ascii_graphic() {
        return Err(ExtendedError::Syntax);
    }
    let mut fields = argument.split(|&octet| octet == delimiter);
    let mut field = || fields.next().ok_or(ExtendedError::Syntax);
    let (before, protocol, address, port, after) =
        (field()?, field()?, field()?, field()?, field()?);
    if !before.is_empty() || !after.is_empty() || fields.next().is_some() {
        return Err(ExtendedError::Syntax);
    }
    let protocol = number(protocol, usize::MAX).ok_or(ExtendedError::Syntax)?;
    let address = str::from_utf8(address).map_err(|_| ExtendedError::Syntax)?;
    let address: Option<IpAddr> = match protocol {
        1 => address.parse::<Ipv4Addr>().map(IpAddr::V4).ok(),
        2 => address.parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
        _ => return Err(ExtendedError::Protocol),
    };
    let port = number(port, 5)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|&port| port > 0);
    match (address, port) {
        (Some(address), Some(port)) => Ok(SocketAddr::new(address, port)),
        _ => Err(ExtendedError::Syntax),
    }
}

/// What EPSV asks for (RFC 2428 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epsv {
    /// No argument: the network protocol of the control connection.
    Any,
    /// `1`.
    Ipv4,
    /// `2`.
    Ipv6,
    /// `ALL`: from now on no data connection but by EPSV (RFC 2428 4).
    All,
    /// Another number: 522.
    Unknown,
}

/// Reads the argument of EPSV; `None` if it is none (501).
pub fn parse_epsv(argument: &[u8]) -> Option<Epsv> {
    let argument = argument.trim_ascii();
    if argument.is_empty() {
        return Some(Epsv::Any);
    }
    if argument.eq_ignore_ascii_case(b"ALL") {
        return Some(Epsv::All);
    }
    match number(argument, usize::MAX)? {
        1 => Some(Epsv::Ipv4),
        2 => Some(Epsv::Ipv6),
        _ => Some(Epsv::Unknown),
    }
}

/// Writes `(h1,h2,h3,h4,p1,p2)`, the end of a 227 reply: at most 25 octets.
pub fn passive_text(address: SocketAddrV4, out: &mut Cursor<'_>) {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    let mut before = b'(';
    for octet in [a, b, c, d, high, low] {
        out.octet(before);
        out.decimal(octet.into());
        before = b',';
    }
    out.octet(b')');
}

/// The IPv4 address within `::ffff:a.b.c.d`, as a socket for both protocols shows its IPv4 peers; any
/// other address as it is.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Whether an address means something near its host only, so that a client from elsewhere cannot reach it.
///
/// These are the loopback, unspecified, link-local, private (RFC 1918, RFC 4193) and shared (RFC 6598)
/// addresses.
pub fn is_local_scope(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(v4) => {
            let shared = matches!(v4.octets(), [100, 64..=127, _, _]);
            v4.is_loopback()
                || v4.is_unspecified()
                || v4.is_link_local()
                || v4.is_private()
                || shared
        }
        IpAddr::V6(v6) => {
            let near = v6.is_unicast_link_local() || v6.is_unique_local();
            v6.is_loopback() || v6.is_unspecified() || near
        }
    }
}

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address of the network; the bits after the prefix do not matter.
    pub address: IpAddr,
    /// How many bits count: up to 32 or 128, and more means all of them.
    pub prefix: u8,
}

impl Network {
    /// Whether `other` is one of these addresses.  `::ffff:a.b.c.d` is the same as `a.b.c.d` on both
    /// sides; where this network is written so, its prefix counts the 96 bits before.
    pub fn contains(&self, other: IpAddr) -> bool {
        let own = canonical(self.address);
        let mapped = own != self.address;
        let prefix = u32::from(if mapped {
            self.prefix.saturating_sub(96)
        } else {
            self.prefix
        });
        match (own, canonical(other)) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= prefix.min(u32::BITS)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= prefix.min(u128::BITS)
            }
            _ => false,
        }
    }
}

/// The value of `text`, 1 to `most` decimal digits and nothing else; what is too large is `u32::MAX`.
fn number(text: &[u8], most: usize) -> Option<u32> {
    if text.is_empty() || text.len() > most {
        return None;
    }
    text.iter().try_fold(0u32, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(value.saturating_mul(10).saturating_add(digit.into()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn port_takes_six_numbers() {
        let expected = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 6275);
        assert_eq!(parse_port(b"192,0,2,1,24,131"), Some(expected));
        assert_eq!(parse_port(b" 192,000,002,001,024,131 "), Some(expected));
        assert_eq!(parse_port(b"0,0,0,0,0,0").unwrap().port(), 0);
        assert_eq!(
            parse_port(b"255,255,255,255,255,255").unwrap().port(),
            65535
        );
    }

    #[test]
    fn port_takes_nothing_else() {
        for text in [
            "",
            ",",
            "1,2,3,4,5",
            "1,2,3,4,5,6,7",
            "1,2,3,4,5,6,",
            ",1,2,3,4,5,6",
            "1,2,3,4,5,256",
            "1,2,3,4,5,0006",
            "1,2,3,4,5,-6",
            "1,2,3,4,5,+6",
            "1, 2,3,4,5,6",
            "1,2,3,4,,6",
            "1.2.3.4.5.6",
            "(1,2,3,4,5,6)",
            "1,2,3,4,5,6 x",
            "a,2,3,4,5,6",
            "1,2,3,4,5,6\0",
        ] {
            assert_eq!(parse_port(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn eprt_takes_both_protocols_and_any_delimiter() {
        let v4 = "192.0.2.1:6275".parse().unwrap();
        assert_eq!(parse_eprt(b"|1|192.0.2.1|6275|"), Ok(v4));
        assert_eq!(parse_eprt(b" !1!192.0.2.1!6275! "), Ok(v4));
        assert_eq!(parse_eprt(b"|01|192.0.2.1|06275|"), Ok(v4));
        let v6 = "[2001:db8::1]:65535".parse().unwrap();
        assert_eq!(parse_eprt(b"|2|2001:db8::1|65535|"), Ok(v6));
        assert_eq!(parse_eprt(b"~2~2001:DB8:0:0:0:0:0:1~65535~"), Ok(v6));
        assert!(parse_eprt(b"|2|::ffff:192.0.2.1|21|").is_ok());
    }

    #[test]
    fn eprt_tells_an_unknown_protocol_from_a_wrong_argument() {
        for text in [
            "|0|x|1|",
            "|3|192.0.2.1|6275|",
            "|4294967297|192.0.2.1|6275|",
        ] {
            assert_eq!(
                parse_eprt(text.as_bytes()),
                Err(ExtendedError::Protocol),
                "{text}"
            );
        }
        for text in [
            "",
            "|",
            "||||",
            "|||||",
            "|1|192.0.2.1|6275",
            "1|192.0.2.1|6275|",
            "|1|192.0.2.1|6275|x",
            "|1|192.0.2.1|6275||",
            "||1|192.0.2.1|6275|",
            "|1|192.0.2.1|0|",
            "|1|192.0.2.1|65536|",
            "|1|192.0.2.1||",
            "|1||6275|",
            "|1|2001:db8::1|6275|",
            "|2|192.0.2.1|6275|",
            "|2|fe80::1%eth0|6275|",
            "|2|[::1]|6275|",
            "|x|192.0.2.1|6275|",
            "|1|192.0.2|6275|",
            "|1|192.0.2.01|6275|",
            "|1| 192.0.2.1|6275|",
            "|1|192.0.2.1|+21|",
            ":2:::1:21:",
            "111192.0.2.1162751",
            "|3|x",
            "\u{e4}1\u{e4}192.0.2.1\u{e4}1\u{e4}",
        ] {
            assert_eq!(
                parse_eprt(text.as_bytes()),
                Err(ExtendedError::Syntax),
                "{text}"
            );
        }
        assert_eq!(parse_eprt(b"|1|\xff|21|"), Err(ExtendedError::Syntax));
        assert_eq!(
            parse_eprt(b"\x011\x01192.0.2.1\x0121\x01"),
            Err(ExtendedError::Syntax)
        );
    }

    #[test]
    fn epsv_takes_a_protocol_all_or_nothing() {
        assert_eq!(parse_epsv(b""), Some(Epsv::Any));
        assert_eq!(parse_epsv(b" "), Some(Epsv::Any));
        assert_eq!(parse_epsv(b"1"), Some(Epsv::Ipv4));
        assert_eq!(parse_epsv(b" 2 "), Some(Epsv::Ipv6));
        assert_eq!(parse_epsv(b"aLl"), Some(Epsv::All));
        assert_eq!(parse_epsv(b"3"), Some(Epsv::Unknown));
        assert_eq!(parse_epsv(b"0"), Some(Epsv::Unknown));
        assert_eq!(parse_epsv(b"99999999999999999999"), Some(Epsv::Unknown));
        for text in ["ALLL", "1 2", "-1", "|1|", "x"] {
            assert_eq!(parse_epsv(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_passive_says_port_understands() {
        let mut room = [0; 25];
        for (address, port) in [([127, 0, 0, 1], 40_000), ([255; 4], 65_535), ([0; 4], 1)] {
            let address = SocketAddrV4::new(Ipv4Addr::from(address), port);
            let mut out = Cursor::new(&mut room);
            passive_text(address, &mut out);
            assert!(!out.is_full());
            let inner = out
                .written()
                .strip_prefix(b"(")
                .unwrap()
                .strip_suffix(b")")
                .unwrap();
            assert_eq!(parse_port(inner), Some(address));
        }
        let mut out = Cursor::new(&mut room);
        passive_text(
            SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 6275),
            &mut out,
        );
        assert_eq!(out.written(), b"(192,0,2,1,24,131)");
    }

    #[test]
    fn an_address_of_both_protocols_is_an_ipv4_address() {
        assert_eq!(canonical(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        for other in ["192.0.2.1", "::192.0.2.1", "::1", "2001:db8::1"] {
            assert_eq!(canonical(ip(other)), ip(other));
        }
    }

    #[test]
    fn addresses_that_only_neighbours_reach_are_local() {
        for text in [
            "0.0.0.0",
            "127.0.0.1",
            "127.255.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fdff::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
        ] {
            assert!(is_local_scope(ip(text)), "{text}");
        }
        for text in [
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "192.169.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "11.0.0.1",
            "2001:db8::1",
            "fe00::1",
            "::ffff:8.8.8.8",
            "::2",
        ] {
            assert!(!is_local_scope(ip(text)), "{text}");
        }
    }

    #[test]
    fn a_network_holds_what_shares_its_prefix() {
        let holds = |address: &str, prefix: u8, other: &str| {
            Network {
                address: ip(address),
                prefix,
            }
            .contains(ip(other))
        };
        assert!(holds("192.168.1.77", 24, "192.168.1.1"));
        assert!(!holds("192.168.1.77", 24, "192.168.2.1"));
        assert!(holds("10.0.0.0", 8, "::ffff:10.9.9.9"));
        assert!(holds("::ffff:10.0.0.0", 104, "10.9.9.9"));
        assert!(!holds("::ffff:10.0.0.0", 104, "11.9.9.9"));
        assert!(holds("0.0.0.0", 0, "8.8.8.8"));
        assert!(!holds("0.0.0.0", 0, "::1"));
        assert!(holds("::", 0, "2001:db8::1"));
        assert!(!holds("::", 0, "8.8.8.8"));
        assert!(holds("2001:db8::", 33, "2001:db8:7fff::1"));
        assert!(!holds("2001:db8::", 33, "2001:db8:8000::1"));
    }

    #[test]
    fn a_prefix_beyond_the_width_is_the_whole_address() {
        let single = Network {
            address: ip("10.0.0.1"),
            prefix: 255,
        };
        assert!(single.contains(ip("10.0.0.1")));
        assert!(!single.contains(ip("10.0.0.0")));
        let single = Network {
            address: ip("::1"),
            prefix: 255,
        };
        assert!(single.contains(ip("::1")));
        assert!(!single.contains(ip("::")));
    }
}
