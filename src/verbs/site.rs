//! SITE: what belongs to this server alone (RFC 959 4.1.3).

use std::time::Duration;

use crate::session::Session;
use crate::verbs::Answer::Say;
use crate::verbs::{Outcome, facts, refusal};
use crate::wire::reply;
use crate::wire::time;

const HELP: &[u8] =
    b"CHMOD <SP> octal <SP> pathname\nHELP\nIDLE [<SP> seconds]\nUMASK [<SP> octal]\nUTIME <SP> \
                      YYYYMMDDHHMMSS <SP> pathname\n";

/// The shortest idle time that a client may wish for.
const SHORTEST_IDLE: u64 = 10;

/// `SITE <SP> word [arguments]`.
pub fn site<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let end = argument
        .iter()
        .position(|octet| *octet == b' ')
        .unwrap_or(argument.len());
    let (word, rest) = argument.split_at_checked(end).unwrap_or((argument, b""));
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
    if is(b"HELP") {
        Ok(Say(reply::lines(214, "SITE commands:", HELP, "End")))
    } else if is(b"CHMOD") {
        chmod(session, rest)
    } else if is(b"UTIME") {
        utime(session, rest)
    } else if is(b"UMASK") {
        umask(session, rest)
    } else if is(b"IDLE") {
        idle(session, rest)
    } else {
        Err(reply::UNKNOWN)
    }
}

fn chmod<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.writer()?;
    let space = argument
        .iter()
        .position(|octet| *octet == b' ')
        .ok_or(reply::NEEDS_ARGUMENT)?;
    let (mode, pathname) = argument
        .split_at_checked(space)
        .ok_or(reply::NEEDS_ARGUMENT)?;
    let mode = facts::octal(mode).ok_or(reply::BAD_ARGUMENT)?;
    session.name(pathname.get(1..).unwrap_or_default())?;
    session
        .writer()?
        .tree
        .change_mode(&session.subject, mode)
        .map_err(refusal::of_name)?;
    Ok(Say(reply::OKAY))
}

/// Both forms that clients send: `time pathname`, and `pathname access-time modify-time create-time UTC`.
fn utime<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.writer()?;
    let space = argument
        .iter()
        .position(|octet| *octet == b' ')
        .ok_or(reply::NEEDS_ARGUMENT)?;
    let (first, rest) = argument
        .split_at_checked(space)
        .ok_or(reply::NEEDS_ARGUMENT)?;
    let short = time::parse_time_val(first).map(|time| (time, rest.get(1..).unwrap_or_default()));
    let ((seconds, nanoseconds), pathname) = short
        .or_else(|| long_utime(argument))
        .ok_or(reply::BAD_ARGUMENT)?;
    session.name(pathname)?;
    facts::set_time(session, seconds, nanoseconds)?;
    Ok(Say(reply::OKAY))
}

fn long_utime(argument: &[u8]) -> Option<((i64, u32), &[u8])> {
    let mut words = argument.rsplitn(5, |octet| *octet == b' ');
    let zone = words.next()?;
    let _created = words.next()?;
    let modified = time::parse_time_val(words.next()?)?;
    let _accessed = words.next()?;
    zone.eq_ignore_ascii_case(b"UTC")
        .then_some((modified, words.next()?))
}

fn umask<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.account()?;
    if !argument.trim_ascii().is_empty() {
        let mask = facts::octal(argument.trim_ascii()).ok_or(reply::BAD_ARGUMENT)?;
        session.writer()?;
        session.umask = u16::try_from(mask).map_err(|_| reply::BAD_ARGUMENT)?;
    }
    Ok(Say(reply::umask(session.umask)))
}

/// `SITE IDLE`: shorter than the server's own limit as the client likes, never longer.
fn idle<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.account()?;
    let argument = argument.trim_ascii();
    if !argument.is_empty() {
        let text = std::str::from_utf8(argument).map_err(|_| reply::BAD_ARGUMENT)?;
        let wish: u64 = text.parse().map_err(|_| reply::BAD_ARGUMENT)?;
        let most = session.house.policy.idle_timeout.as_secs();
        session.idle_timeout = Duration::from_secs(wish.clamp(SHORTEST_IDLE.min(most), most));
    }
    Ok(Say(reply::setting(
        "The idle time is ",
        session.idle_timeout.as_secs(),
        " seconds.",
    )))
}
