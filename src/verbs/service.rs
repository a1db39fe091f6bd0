//! RETR STOR STOU APPE ALLO REST ABOR (RFC 959 4.1.3, RFC 3659 5).

use crate::data::Endpoint;
use crate::session::Session;
use crate::transfer::{Cargo, Transfer};
use crate::tree::{Beginning, Upload};
use crate::verbs::Answer::{Move, Say};
use crate::verbs::{Outcome, refusal};
use crate::wire::octets::Cursor;
use crate::wire::reply::{self, Reply};

/// How many names STOU tries.
const UNIQUE_NAMES: u64 = 1000;

/// `RETR <SP> pathname`.
pub fn retr<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let from = restart(session)?;
    session.name(argument)?;
    let (file, size) = session
        .account()?
        .tree
        .read(&session.subject)
        .map_err(refusal::of_file)?;
    if from > size {
        return Err(reply::BEYOND_THE_END);
    }
    let (endpoint, ascii) = (endpoint(session)?, session.is_ascii());
    let cargo = Cargo::Retrieve {
        name: session.subject.octets(),
        file,
        from,
        size,
    };
    Ok(Move(Transfer {
        endpoint,
        ascii,
        verb: "RETR",
        cargo,
    }))
}

/// `STOR <SP> pathname`: after REST it writes from there on, and cuts nothing off (RFC 3659 5).
pub fn stor<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let beginning = match restart(session)? {
        0 => Beginning::Replace,
        from => Beginning::At(from),
    };
    store(session, argument, beginning, "STOR")
}

/// `APPE <SP> pathname`.
pub fn appe<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.restart_at = 0;
    store(session, argument, Beginning::Append, "APPE")
}

fn store<'s, 'm>(
    session: &'s mut Session<'m>,
    argument: &[u8],
    beginning: Beginning,
    verb: &'static str,
) -> Outcome<'s, 'm> {
    session.name(argument)?;
    has_endpoint(session)?;
    let upload = session
        .writer()?
        .tree
        .write(&session.subject, beginning, session.umask)
        .map_err(refusal::of_upload)?;
    let (endpoint, ascii) = (endpoint(session)?, session.is_ascii());
    let cargo = Cargo::Store {
        name: session.subject.octets(),
        upload,
        unique: false,
    };
    Ok(Move(Transfer {
        endpoint,
        ascii,
        verb,
        cargo,
    }))
}

/// `STOU [<SP> pathname]`: stores under a name that nothing has; 150 tells it (RFC 1123 4.1.2.9).
pub fn stou<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.restart_at = 0;
    has_endpoint(session)?;
    let wish = if argument.is_empty() {
        b"upload"
    } else {
        argument
    };
    session.name(wish)?;
    if session.subject.is_root() {
        return Err(reply::CANNOT_NAME);
    }
    let upload = unique(session, wish)?;
    let (endpoint, ascii) = (endpoint(session)?, session.is_ascii());
    let cargo = Cargo::Store {
        name: session.subject.octets(),
        upload,
        unique: true,
    };
    Ok(Move(Transfer {
        endpoint,
        ascii,
        verb: "STOU",
        cargo,
    }))
}

/// Makes a file under the wished name, or that name and a number; the name becomes the session's subject.
fn unique(session: &mut Session<'_>, wish: &[u8]) -> Result<Upload, Reply<'static>> {
    // The longest name and a number.
    let mut room = [0; 300];
    for attempt in 1..UNIQUE_NAMES {
        match session
            .writer()?
            .tree
            .write_new(&session.subject, session.umask)
        {
            Err(rustix::io::Errno::EXIST) => {}
            result => return result.map_err(refusal::of_upload),
        }
        session.name(wish)?;
        let mut name = Cursor::new(&mut room);
        name.push(session.subject.name());
        name.octet(b'.');
        name.decimal(attempt);
        session.subject.leave();
        session
            .subject
            .enter(name.written())
            .map_err(|_| reply::CANNOT_NAME)?;
    }
    Err(reply::CANNOT_NAME)
}

/// Where the transfer begins; the marker is spent, also where the transfer fails (RFC 3659 5.3).
fn restart(session: &mut Session<'_>) -> Result<u64, Reply<'static>> {
    let from = std::mem::take(&mut session.restart_at);
    if from > 0 && session.is_ascii() {
        return Err(reply::RESTART_IN_ASCII);
    }
    Ok(from)
}

/// An upload without a data connection must not even touch the file.
fn has_endpoint(session: &Session<'_>) -> Result<(), Reply<'static>> {
    match session.endpoint {
        Endpoint::None => Err(reply::NO_ENDPOINT),
        _ => Ok(()),
    }
}

/// Takes the endpoint for the one connection that it buys.  Called last, so that a refusal leaves it for the next try.
///
/// # Errors
/// 425 if there is none.
pub fn endpoint(session: &mut Session<'_>) -> Result<Endpoint, Reply<'static>> {
    has_endpoint(session)?;
    Ok(std::mem::take(&mut session.endpoint))
}

/// `ALLO <SP> octets [<SP> R <SP> octets]`: 200, since cameras take 202 for a failure (Dahua).
pub fn allo<'s, 'm>(_: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let mut words = argument
        .split(|octet| *octet == b' ')
        .filter(|word| !word.is_empty());
    let is_number = |word: Option<&[u8]>| word.is_some_and(|word| number(word).is_some());
    let first = is_number(words.next());
    let record = match words.next() {
        None => true,
        Some(letter) => {
            letter.eq_ignore_ascii_case(b"R") && is_number(words.next()) && words.next().is_none()
        }
    };
    if first && record {
        Ok(Say(reply::ALLOCATED))
    } else {
        Err(reply::BAD_ARGUMENT)
    }
}

/// `REST <SP> octets`: where the next transfer begins (RFC 3659 5); refused in TYPE A, where octets have no place.
pub fn rest<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let at = number(argument.trim_ascii())
        .filter(|at| i64::try_from(*at).is_ok())
        .ok_or(reply::BAD_ARGUMENT)?;
    if session.is_ascii() {
        return Err(reply::NO_REST_IN_ASCII);
    }
    session.restart_at = at;
    Ok(Say(reply::restarting(at)))
}

/// Digits and nothing else; `None` beyond 64 bits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// `ABOR` while nothing runs: closes the passive port, if one is open.
pub fn abor<'s, 'm>(session: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    session.endpoint = Endpoint::None;
    Ok(Say(reply::NOTHING_TO_ABORT))
}
