//! TYPE STRU MODE (RFC 959 4.1.2), PORT PASV (there), EPRT EPSV (RFC 2428).

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use crate::data::Endpoint;
use crate::logging::Cause;
use crate::logging::trouble::Trouble;
use crate::session::{RepresentationType, Session};
use crate::transfer;
use crate::verbs::Answer::Say;
use crate::verbs::Outcome;
use crate::wire::address::{self, Epsv, ExtendedError};
use crate::wire::reply::{self, Reply};

/// `TYPE <SP> A | A N | I | L 8`.
pub fn r#type<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let mut letters = [0; 4];
    let mut count = 0;
    // Some clients leave the space before the second letter out.
    for octet in argument.iter().filter(|octet| **octet != b' ') {
        *letters.get_mut(count).ok_or(reply::NOT_IMPLEMENTED)? = octet.to_ascii_uppercase();
        count += 1;
    }
    session.representation = match letters.get(..count).unwrap_or_default() {
        b"A" | b"AN" => RepresentationType::Ascii,
        b"I" | b"L8" => RepresentationType::Image,
        b"" => return Err(reply::NEEDS_ARGUMENT),
        _ => return Err(reply::NOT_IMPLEMENTED),
    };
    Ok(Say(if session.is_ascii() {
        reply::TYPE_ASCII
    } else {
        reply::TYPE_IMAGE
    }))
}

/// `STRU <SP> F`.
pub fn stru<'s, 'm>(_: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    only(argument, b"F")
}

/// `MODE <SP> S`.
pub fn mode<'s, 'm>(_: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    only(argument, b"S")
}

fn only<'s, 'm>(argument: &[u8], letter: &[u8]) -> Outcome<'s, 'm> {
    if argument.trim_ascii().eq_ignore_ascii_case(letter) {
        Ok(Say(reply::OKAY))
    } else {
        Err(reply::NOT_IMPLEMENTED)
    }
}

/// `PORT <SP> h1,h2,h3,h4,p1,p2`.
pub fn port<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    forget(session)?;
    present(argument)?;
    let address = address::parse_port(argument).ok_or(reply::BAD_ARGUMENT)?;
    active(session, SocketAddr::V4(address))
}

/// `EPRT <SP> |family|address|port|`.
pub fn eprt<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    forget(session)?;
    present(argument)?;
    let address = address::parse_eprt(argument).map_err(|error| match error {
        ExtendedError::Syntax => reply::BAD_ARGUMENT,
        ExtendedError::Protocol => wrong_protocol(session),
    })?;
    if address::canonical(address.ip()).is_ipv4() != session.peer.is_ipv4() {
        return Err(wrong_protocol(session));
    }
    active(session, address)
}

/// A command for a data connection replaces the one before, also when it fails (FIELD-NOTES B25).
fn forget(session: &mut Session<'_>) -> Result<(), Reply<'static>> {
    transfer::give_up(session);
    if session.epsv_only {
        Err(reply::EPSV_WAS_ALL)
    } else {
        Ok(())
    }
}

fn present(argument: &[u8]) -> Result<(), Reply<'static>> {
    if argument.trim_ascii().is_empty() {
        Err(reply::NEEDS_ARGUMENT)
    } else {
        Ok(())
    }
}

/// Connections go to the client itself and to no privileged port: this server bounces nothing (RFC 2577 3).
fn active<'s, 'm>(session: &mut Session<'m>, address: SocketAddr) -> Outcome<'s, 'm> {
    if address::canonical(address.ip()) != session.peer.ip() {
        log::warn!(
            "[{}] {} asked for a data connection to {address}, which is not its own address: refused; behind a NAT \
             the client should use passive mode",
            session.number,
            session.peer
        );
        return Err(reply::FOREIGN_ADDRESS);
    }
    if address.port() < 1024 {
        return Err(reply::LOW_PORT);
    }
    // The control connection's address knows the link that a link-local address belongs to.
    let mut endpoint = session.peer;
    endpoint.set_port(address.port());
    session.endpoint = Endpoint::Active(endpoint);
    Ok(Say(reply::PORT_TAKEN))
}

/// `PASV`.
pub fn pasv<'s, 'm>(session: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    forget(session)?;
    let house = session.house.clone();
    let IpAddr::V4(shown) = transfer::advertised(
        session.peer.ip(),
        session.local,
        &house.policy,
        &house.networks,
    ) else {
        return Err(reply::NO_PASV_ON_IPV6);
    };
    if !session.local.is_ipv4() {
        return Err(reply::NO_PASV_ON_IPV6);
    }
    let address = SocketAddrV4::new(shown, listen(session)?);
    log::debug!(
        "[{}] {} passive port {} as {address}",
        session.number,
        session.peer,
        address.port()
    );
    Ok(Say(reply::passive(address)))
}

/// `EPSV [<SP> 1 | 2 | ALL]`.
pub fn epsv<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    transfer::give_up(session);
    let wanted = address::parse_epsv(argument).ok_or(reply::BAD_ARGUMENT)?;
    match wanted {
        Epsv::All => {
            session.epsv_only = true;
            return Ok(Say(reply::EPSV_ONLY));
        }
        Epsv::Any => {}
        Epsv::Ipv4 if session.local.is_ipv4() => {}
        Epsv::Ipv6 if session.local.is_ipv6() => {}
        Epsv::Ipv4 | Epsv::Ipv6 | Epsv::Unknown => return Err(wrong_protocol(session)),
    }
    let port = listen(session)?;
    log::debug!(
        "[{}] {} extended passive port {port}",
        session.number,
        session.peer
    );
    Ok(Say(reply::extended_passive(port)))
}

/// A client that asks again and again must not fill the log.
static NO_PORT: Trouble = Trouble::new();

/// Finds a port for a passive data connection, unless all of the range are busy; the one before is given back first.
///
/// # Errors
/// 425 if there is none to be had.
pub fn reserve(session: &mut Session<'_>) -> Result<bool, Reply<'static>> {
    session.endpoint = Endpoint::None;
    let up = session.account()?.rates.up;
    match session.house.ports.listen(session.local, up) {
        Ok(reserved) => session.reserved = Some(reserved),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(false),
        Err(error) => {
            let (number, peer) = (session.number, session.peer);
            NO_PORT.tell(|| {
                log::error!(
                    "[{number}] {peer} no passive port to be had: {}",
                    Cause(&error)
                )
            });
            return Err(reply::NO_PORT);
        }
    }
    Ok(true)
}

fn listen(session: &mut Session<'_>) -> Result<u16, Reply<'static>> {
    let (listener, port) = session.reserved.take().ok_or(reply::NO_PORT)?;
    session.endpoint = Endpoint::Passive(listener);
    Ok(port)
}

fn wrong_protocol(session: &Session<'_>) -> Reply<'static> {
    if session.peer.is_ipv4() {
        reply::WRONG_PROTOCOL_IPV4
    } else {
        reply::WRONG_PROTOCOL_IPV6
    }
}
