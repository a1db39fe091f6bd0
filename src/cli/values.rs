//! One value of a flag at a time.
//!
//! Every function here answers with the value, or with what is allowed instead, in words that follow
//! `--flag value: `.  None of the words holds `': `, where `cli` takes argh's message apart.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use log::LevelFilter;

use crate::config::Listen;
use crate::config::Rates;
use crate::config::RunAs;
use crate::wire::rate;

/// A number of digits alone: `FromStr` would take `+5` too.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    let plain = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// A number within `allowed`; `what` names it in the refusal.
fn within<T>(text: &str, allowed: RangeInclusive<T>, what: &str) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    digits(text)
        .filter(|number| allowed.contains(number))
        .ok_or_else(|| {
            format!(
                "expected {what} from {} to {}",
                allowed.start(),
                allowed.end()
            )
        })
}

pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("expected a path, not nothing".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// An address, or a network as address and length of its prefix.
pub fn network(text: &str) -> Result<(IpAddr, u8), String> {
    const WANTED: &str = "expected an address, or a network such as 192.0.2.0/24";
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| WANTED.to_owned())?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => within(prefix, 0..=whole, "a length of the prefix")?,
        None => whole,
    };
    Ok((address, prefix))
}

pub fn listen(text: &str) -> Result<Listen, String> {
    if let Some(port) = digits(text) {
        return Ok(Listen {
            address: None,
            port,
        });
    }
    match text.parse::<SocketAddr>() {
        Ok(SocketAddr::V6(place)) if place.scope_id() != 0 => {
            Err("an address with a zone cannot be listened at; use [::] instead".to_owned())
        }
        // `::ffff:192.0.2.1` is an IPv4 address in disguise.
        Ok(place) => Ok(Listen {
            address: Some(place.ip().to_canonical()),
            port: place.port(),
        }),
        Err(_) => Err(
            "expected PORT, IPV4:PORT or [IPV6]:PORT, in numbers, the port up to 65535".to_owned(),
        ),
    }
}

/// The form in which a place to listen at is typed.
pub fn shown(place: Listen) -> String {
    match place.address {
        None => place.port.to_string(),
        Some(address) => SocketAddr::new(address, place.port).to_string(),
    }
}

pub fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (digits::<u16>(low), digits::<u16>(high)) {
        (Some(low), Some(high)) if low == 0 || low > high => {
            Err("expected LO-HI with LO at least 1 and not above HI".to_owned())
        }
        (Some(low), Some(high)) => Ok(low..=high),
        _ => Err("expected LO-HI or one port, from 1 to 65535".to_owned()),
    }
}

pub fn ipv4(text: &str) -> Result<Ipv4Addr, String> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address))
            if !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast() =>
        {
            Ok(address)
        }
        Ok(IpAddr::V4(_)) => {
            Err("no client can connect to this address; give the router's outer one".to_owned())
        }
        Ok(IpAddr::V6(_)) => {
            Err("expected an IPv4 address; IPv6 clients need none, they use EPSV".to_owned())
        }
        Err(_) => Err(
            "expected an IPv4 address in numbers, such as 203.0.113.7; names are not looked up"
                .to_owned(),
        ),
    }
}

pub fn run_as(text: &str) -> Result<RunAs, String> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    if user.is_empty() || group == Some("") {
        return Err("expected USER or USER:GROUP, names or numbers".to_owned());
    }
    if user == "root" || digits::<u64>(user) == Some(0) {
        return Err(
            "the server never serves as root; name another user, such as nobody".to_owned(),
        );
    }
    Ok(RunAs {
        user: user.to_owned(),
        group: group.map(str::to_owned),
    })
}

pub fn clients(text: &str) -> Result<usize, String> {
    within(text, 1..=10_000, "a number")
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    within(text, 1..=86_400, "whole seconds").map(Duration::from_secs)
}

pub fn rates(text: &str) -> Result<Rates, String> {
    rate::pair(text.as_bytes()).map(|(up, down)| Rates { up, down })
}

pub fn umask(text: &str) -> Result<u16, String> {
    let octal = !text.is_empty() && text.bytes().all(|octet| (b'0'..=b'7').contains(&octet));
    match u16::from_str_radix(text, 8) {
        Ok(bits) if octal && bits <= 0o777 => Ok(bits),
        _ => Err("expected octal digits from 0 to 777, such as 022".to_owned()),
    }
}

pub fn banner(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|octet| (b' '..=b'~').contains(&octet));
    if text.is_empty() || text.len() > 200 || !printable {
        return Err("expected one line of 1 to 200 printable ASCII characters".to_owned());
    }
    Ok(text.to_owned())
}

pub fn level(text: &str) -> Result<LevelFilter, String> {
    match text {
        "off" => Ok(LevelFilter::Off),
        "error" => Ok(LevelFilter::Error),
        "warn" => Ok(LevelFilter::Warn),
        "info" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        "trace" => Ok(LevelFilter::Trace),
        _ => Err("expected off, error, warn, info, debug or trace".to_owned()),
    }
}
