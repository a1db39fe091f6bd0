//! CWD CDUP PWD MKD RMD DELE RNFR RNTO (RFC 959 4.1.1, 4.1.3), and their forms with X (RFC 1123 4.1.3.1).

use crate::session::Session;
use crate::verbs::Answer::Say;
use crate::verbs::{Outcome, refusal};
use crate::wire::reply;

/// `CWD <SP> pathname`; without one, to the root, as clients mean it that send their user's empty `cd`.
pub fn cwd<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.name(if argument.is_empty() { b"/" } else { argument })?;
    enter(session)?;
    Ok(Say(reply::DONE))
}

/// `CDUP`: the root is its own parent.
pub fn cdup<'s, 'm>(session: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    session.name(b"..")?;
    enter(session)?;
    // RFC 959 5.4 lists 200 for CDUP, and 250 for CWD.
    Ok(Say(reply::OKAY))
}

/// Makes the subject the current directory, if it is one that this user may stand in.
fn enter(session: &mut Session<'_>) -> Result<(), reply::Reply<'static>> {
    let tree = &session.account()?.tree;
    tree.may_enter(&session.subject).map_err(refusal::of_name)?;
    session.here.copy(&session.subject);
    Ok(())
}

/// `PWD`.
pub fn pwd<'s, 'm>(session: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    Ok(Say(reply::here(session.here.octets())))
}

/// `MKD <SP> pathname`: 257 with the absolute pathname.
pub fn mkd<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.name(argument)?;
    let tree = &session.writer()?.tree;
    tree.make_directory(&session.subject, session.umask)
        .map_err(refusal::of_name)?;
    Ok(Say(reply::made(session.subject.octets())))
}

/// `RMD <SP> pathname`.
pub fn rmd<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.name(argument)?;
    session
        .writer()?
        .tree
        .remove_directory(&session.subject)
        .map_err(refusal::of_name)?;
    Ok(Say(reply::DELETED))
}

/// `DELE <SP> pathname`.
pub fn dele<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.name(argument)?;
    session
        .writer()?
        .tree
        .remove_file(&session.subject)
        .map_err(refusal::of_file)?;
    Ok(Say(reply::DELETED))
}

/// `RNFR <SP> pathname`: 350 if there is such a name; a dangling link is one.
pub fn rnfr<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.name(argument)?;
    session
        .writer()?
        .tree
        .stat_link(&session.subject)
        .map_err(refusal::of_file)?;
    session.rename_from.copy(&session.subject);
    session.renaming = true;
    Ok(Say(reply::RENAME_TO_WHAT))
}

/// `RNTO <SP> pathname`: the second half of a rename; 503 without the first.
pub fn rnto<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    if !std::mem::take(&mut session.renaming) {
        return Err(reply::RENAME_FROM_WHAT);
    }
    session.name(argument)?;
    session
        .writer()?
        .tree
        .rename(&session.rename_from, &session.subject)
        .map_err(refusal::of_new_name)?;
    Ok(Say(reply::RENAMED))
}
