//! SIZE MDTM (RFC 3659 3 and 4), MFMT MFF (draft-somers-ftp-mfxx), AVBL (draft-peterson-streamlined-ftp).

use crate::session::Session;
use crate::tree;
use crate::verbs::Answer::Say;
use crate::verbs::{Outcome, refusal};
use crate::wire::listing::Kind;
use crate::wire::reply::{self, Reply};
use crate::wire::time;

/// `SIZE <SP> pathname`: what RETR would send; in TYPE A nobody knows that without reading the file.
pub fn size<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    if session.is_ascii() {
        return Err(reply::NO_SIZE_IN_ASCII);
    }
    let stat = regular(session, argument)?;
    Ok(Say(reply::number(tree::size(&stat))))
}

/// `MDTM [<SP> time] <SP> pathname`: tells the time, or sets it where no file bears the whole argument as its name.
pub fn mdtm<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let refusal = match regular(session, argument) {
        Ok(stat) => return Ok(Say(reply::modified(stat.st_mtime))),
        Err(refusal) => refusal,
    };
    let Some((seconds, nanoseconds, pathname)) = time_and_pathname(argument) else {
        return Err(refusal);
    };
    session.name(pathname)?;
    set_time(session, seconds, nanoseconds)?;
    Ok(Say(reply::modified(seconds)))
}

/// `MFMT <SP> time <SP> pathname`.
pub fn mfmt<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let (seconds, nanoseconds, pathname) =
        time_and_pathname(argument).ok_or(reply::BAD_ARGUMENT)?;
    session.name(pathname)?;
    keep(session, pathname)?;
    set_time(session, seconds, nanoseconds)?;
    Ok(Say(reply::modified_of(seconds, session.echo.get())))
}

/// `MFF <SP> fact=value;... <SP> pathname`: Modify and UNIX.mode can be set.
pub fn mff<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let space = argument
        .iter()
        .position(|octet| *octet == b' ')
        .ok_or(reply::BAD_ARGUMENT)?;
    let (facts, pathname) = argument
        .split_at_checked(space)
        .ok_or(reply::BAD_ARGUMENT)?;
    let pathname = pathname
        .get(1..)
        .filter(|pathname| !pathname.is_empty())
        .ok_or(reply::NEEDS_ARGUMENT)?;
    // All facts are read before one is set: a command that is refused changes nothing.
    let (mut modified, mut mode) = (None, None);
    for fact in facts
        .split(|octet| *octet == b';')
        .filter(|fact| !fact.is_empty())
    {
        let equals = fact
            .iter()
            .position(|octet| *octet == b'=')
            .ok_or(reply::BAD_ARGUMENT)?;
        let (name, value) = fact.split_at_checked(equals).ok_or(reply::BAD_ARGUMENT)?;
        let value = value.get(1..).unwrap_or_default();
        if name.eq_ignore_ascii_case(b"Modify") {
            modified = Some(time::parse_time_val(value).ok_or(reply::BAD_ARGUMENT)?);
        } else if name.eq_ignore_ascii_case(b"UNIX.mode") {
            mode = Some(octal(value).ok_or(reply::BAD_ARGUMENT)?);
        } else {
            return Err(reply::NOT_IMPLEMENTED);
        }
    }
    session.name(pathname)?;
    keep(session, argument)?;
    let tree = &session.writer()?.tree;
    if let Some(mode) = mode {
        tree.change_mode(&session.subject, mode)
            .map_err(refusal::of_name)?;
    }
    if let Some((seconds, nanoseconds)) = modified {
        set_time(session, seconds, nanoseconds)?;
    }
    Ok(Say(reply::facts_set(session.echo.get())))
}

/// Keeps octets of the command for its reply, which is put together when the command line may be gone.
fn keep(session: &mut Session<'_>, octets: &[u8]) -> Result<(), Reply<'static>> {
    session.echo.set(octets).map_err(|_| reply::BAD_ARGUMENT)
}

/// `AVBL [<SP> pathname]`: octets that can still be stored there.
pub fn avbl<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.name(argument)?;
    let space = session
        .account()?
        .tree
        .space(&session.subject)
        .map_err(refusal::of_name)?;
    Ok(Say(reply::number(space)))
}

/// What is known of a regular file; 550 for all else.
fn regular(session: &mut Session<'_>, argument: &[u8]) -> Result<rustix::fs::Stat, Reply<'static>> {
    session.name(argument)?;
    let stat = session
        .account()?
        .tree
        .stat(&session.subject)
        .map_err(refusal::of_name)?;
    match tree::entry(b"", &stat).kind {
        Kind::File => Ok(stat),
        _ => Err(reply::NOT_A_FILE),
    }
}

/// Sets the time of the session's subject.
pub fn set_time(
    session: &Session<'_>,
    seconds: i64,
    nanoseconds: u32,
) -> Result<(), Reply<'static>> {
    let tree = &session.writer()?.tree;
    tree.change_time(&session.subject, seconds, nanoseconds)
        .map_err(refusal::of_name)
}

/// A time, one space, and a pathname.
fn time_and_pathname(argument: &[u8]) -> Option<(i64, u32, &[u8])> {
    let space = argument.iter().position(|octet| *octet == b' ')?;
    let (time, pathname) = argument.split_at_checked(space)?;
    let (seconds, nanoseconds) = time::parse_time_val(time)?;
    let pathname = pathname.get(1..).filter(|pathname| !pathname.is_empty())?;
    Some((seconds, nanoseconds, pathname))
}

/// Permission bits in octal, at most 0777.
pub fn octal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 5 {
        return None;
    }
    let bits = digits.iter().try_fold(0u32, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        Some(value * 8 + u32::from(digit))
    })?;
    (bits <= 0o777).then_some(bits)
}
