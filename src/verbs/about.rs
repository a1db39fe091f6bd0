//! SYST HELP NOOP (RFC 959 4.1.3), FEAT OPTS (RFC 2389), LANG (RFC 2640 4), CLNT.

use crate::session::Session;
use crate::verbs::Answer::Say;
use crate::verbs::{FURTHER_FEATURES, Outcome, VERBS, find};
use crate::wire::command::{self, Line};
use crate::wire::listing::Facts;
use crate::wire::octets::Cursor;
use crate::wire::reply;

/// How many verbs stand in a line of HELP.
const IN_A_LINE: usize = 8;

/// `SYST`.
pub fn syst<'s, 'm>(_: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    Ok(Say(reply::SYSTEM))
}

/// `NOOP`.
pub fn noop<'s, 'm>(_: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    Ok(Say(reply::OKAY))
}

/// `CLNT <SP> name`: who says it, hears 200.
pub fn clnt<'s, 'm>(_: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    Ok(Say(reply::OKAY))
}

/// A verb that is known and never offered: AUTH, so that clients which try TLS first go on without; SMNT.
pub fn never<'s, 'm>(_: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    Err(reply::NOT_OFFERED)
}

/// `HELP [<SP> verb]`: what is true under the present settings.
pub fn help<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let Session { house, text, .. } = session;
    let mut out = Cursor::new(text);
    let argument = argument.trim_ascii();
    if !argument.is_empty() {
        let verb = match command::split(argument) {
            Line::Command(name, b"") => find(name).filter(|verb| verb.offer.holds(&house.policy)),
            _ => None,
        };
        let verb = verb.ok_or(reply::NOT_OFFERED)?;
        out.push(b"Syntax: ");
        out.push(verb.name.as_bytes());
        if !verb.syntax.is_empty() {
            out.octet(b' ');
            out.push(verb.syntax.as_bytes());
        }
        out.octet(b'\n');
        let length = out.len();
        return Ok(Say(reply::lines(
            214,
            "Help:",
            text.get(..length).unwrap_or_default(),
            "End",
        )));
    }
    for (index, verb) in VERBS
        .iter()
        .filter(|verb| verb.offer.holds(&house.policy))
        .enumerate()
    {
        if index > 0 {
            out.octet(if index % IN_A_LINE == 0 { b'\n' } else { b' ' });
        }
        out.push(verb.name.as_bytes());
    }
    out.octet(b'\n');
    let length = out.len();
    let body = text.get(..length).unwrap_or_default();
    Ok(Say(reply::lines(
        214,
        "These commands are understood:",
        body,
        "HELP <verb> tells more.",
    )))
}

/// `FEAT`: what is true under the present settings, and the facts that MLST tells now (RFC 3659 7.8).
pub fn feat<'s, 'm>(session: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    let Session {
        house, text, facts, ..
    } = session;
    let mut out = Cursor::new(text);
    for verb in VERBS
        .iter()
        .filter(|verb| !verb.feature.is_empty() && verb.offer.holds(&house.policy))
    {
        out.push(verb.feature.as_bytes());
        if verb.name == "MLST" {
            facts.feature(&mut out);
        }
        out.octet(b'\n');
    }
    for feature in FURTHER_FEATURES {
        out.push(feature.as_bytes());
        out.octet(b'\n');
    }
    let length = out.len();
    Ok(Say(reply::lines(
        211,
        "Features:",
        text.get(..length).unwrap_or_default(),
        "End",
    )))
}

/// `OPTS <SP> UTF8 [ON]` and `OPTS <SP> MLST [facts]`.
///
/// Explorer sends the first before it logs in, and decodes names wrongly unless it hears 200.
pub fn opts<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let argument = argument.trim_ascii();
    let end = argument
        .iter()
        .position(|octet| *octet == b' ')
        .unwrap_or(argument.len());
    let (verb, option) = argument.split_at_checked(end).unwrap_or((argument, b""));
    let option = option.trim_ascii();
    if verb.eq_ignore_ascii_case(b"UTF8") || verb.eq_ignore_ascii_case(b"UTF-8") {
        return if option.is_empty() || option.eq_ignore_ascii_case(b"ON") {
            Ok(Say(reply::UTF8_ALWAYS))
        } else {
            Err(reply::NOT_IMPLEMENTED)
        };
    }
    if !verb.eq_ignore_ascii_case(b"MLST") {
        return Err(reply::BAD_ARGUMENT);
    }
    session.facts = Facts::parse(option);
    let mut out = Cursor::new(session.text);
    session.facts.names(&mut out);
    let length = out.len();
    Ok(Say(reply::facts_chosen(
        session.text.get(..length).unwrap_or_default(),
    )))
}

/// `LANG [<SP> EN]`.
pub fn lang<'s, 'm>(_: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    let tag = argument.trim_ascii();
    let language = tag.split(|octet| *octet == b'-').next().unwrap_or_default();
    if language.is_empty() || language.eq_ignore_ascii_case(b"EN") {
        Ok(Say(reply::LANGUAGE))
    } else {
        Err(reply::NOT_IMPLEMENTED)
    }
}
