//! LIST NLST (RFC 959 4.1.3), MLSD MLST (RFC 3659 7), STAT.

use std::fmt::Write as _;

use crate::session::{Login, Session};
use crate::transfer::listing::{Listing, Style, Subject};
use crate::transfer::{Cargo, Transfer};
use crate::tree;
use crate::verbs::Answer::{Move, Recite, Say};
use crate::verbs::{Outcome, refusal, service};
use crate::wire::glob;
use crate::wire::listing::{self, Kind, Options};
use crate::wire::octets::Cursor;
use crate::wire::printable::Printable;
use crate::wire::reply::{self, Reply};

/// `LIST [<SP> [options] pathname]`.
pub fn list<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.restart_at = 0;
    let (options, pathname) = options(session, argument)?;
    let subject = subject(session, options, pathname)?;
    move_listing(session, "LIST", subject, Kinds::Long, options.recursive)
}

/// `NLST [<SP> [options] pathname]`: the names, with what the client put before them, so that each can be asked for.
pub fn nlst<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.restart_at = 0;
    let (options, pathname) = options(session, argument)?;
    let subject = subject(session, options, pathname)?;
    // `NLST name/` means the name; only a directory's is said with its slash.
    let end = pathname
        .iter()
        .rposition(|octet| *octet != b'/')
        .map_or(0, |last| last + 1);
    let bare = pathname.get(..end).unwrap_or_default();
    let before = match subject {
        Subject::Inside(_) if matches!(pathname, b"" | b"." | b"./") => 0,
        Subject::Inside(_) => pathname.len(),
        Subject::Matching(_) | Subject::Itself => bare
            .iter()
            .rposition(|octet| *octet == b'/')
            .map_or(0, |slash| slash + 1),
    };
    let prefix = pathname.get(..before).unwrap_or_default();
    let slash: &[u8] = if before > 0 && !prefix.ends_with(b"/") {
        b"/"
    } else {
        b""
    };
    let kept = session
        .echo
        .set(prefix)
        .and_then(|()| session.echo.push(slash));
    kept.map_err(|_| reply::BAD_PATHNAME)?;
    let kinds = if options.long {
        Kinds::Long
    } else {
        Kinds::Names
    };
    // Names from deeper down could not be asked for.
    move_listing(session, "NLST", subject, kinds, false)
}

/// `MLSD [<SP> pathname]`: 501 for what is no directory (RFC 3659 7.2.1).
pub fn mlsd<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.restart_at = 0;
    session.name(argument)?;
    let tree = &session.account()?.tree;
    let directory = match tree.directory(&session.subject) {
        Err(rustix::io::Errno::NOTDIR) if tree.stat(&session.subject).is_ok() => {
            return Err(reply::NOT_A_DIRECTORY);
        }
        result => result.map_err(refusal::of_file)?,
    };
    move_listing(
        session,
        "MLSD",
        Subject::Inside(directory),
        Kinds::Facts,
        false,
    )
}

/// `MLST [<SP> pathname]`: the facts of one thing, over the control connection.
pub fn mlst<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.name(argument)?;
    let Session {
        login: Login::Done(account),
        subject,
        rename_from: parent,
        text,
        facts,
        ..
    } = session
    else {
        return Err(reply::NOT_LOGGED_IN);
    };
    let tree = &account.tree;
    let stat = tree
        .stat(subject)
        .or_else(|_| tree.stat_link(subject))
        .map_err(refusal::of_name)?;
    let entry = tree::entry(subject.name(), &stat);
    parent.copy(subject);
    parent.leave();
    let writable = !subject.is_root()
        && account.may_write
        && tree
            .directory(parent)
            .is_ok_and(|directory| directory.is_writable());
    let mut out = Cursor::new(text);
    listing::facts(
        &entry,
        tree.perm(&entry, account.may_write, writable),
        *facts,
        &mut out,
    );
    let length = out.len();
    Ok(Say(reply::facts_of(
        text.get(..length).unwrap_or_default(),
        subject.octets(),
    )))
}

/// `STAT [<SP> pathname]`: the session, or a listing inside a reply.
pub fn stat<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    if argument.trim_ascii().is_empty() {
        return Ok(Say(status(session)));
    }
    let (options, pathname) = options(session, argument)?;
    let subject = subject(session, options, pathname)?;
    // RFC 959 4.2.1: 212 for a directory, 213 for a file.
    let code = if matches!(subject, Subject::Itself) {
        213
    } else {
        212
    };
    let listing = prepare(session, subject, Kinds::Long, options.recursive)?;
    Ok(Recite(Listing {
        inside: Some(code),
        ..listing
    }))
}

fn status<'s>(session: &'s mut Session<'_>) -> Reply<'s> {
    let ascii = session.is_ascii();
    let Session {
        peer,
        local,
        user,
        login,
        text,
        idle_timeout,
        ..
    } = session;
    let mut out = Cursor::new(text);
    let may = match login {
        Login::Done(account) if account.may_write => "read and write",
        _ => "read only",
    };
    let kind = if ascii { "ASCII" } else { "image" };
    let idle = idle_timeout.as_secs();
    // Writing to a cursor does not fail.
    let _ = write!(
        out,
        "pocketftpd {}\nConnected to {} from {}\nLogged in as {}, {may}\nTYPE: {kind}; STRU: file; MODE: stream\nIdle \
         time allowed: {idle} s\n",
        env!("CARGO_PKG_VERSION"),
        local.ip(),
        peer.ip(),
        Printable(user.get()),
    );
    let length = out.len();
    reply::lines(
        211,
        "Status:",
        text.get(..length).unwrap_or_default(),
        "End",
    )
}

/// Takes the options off an argument, unless it looks like options that no client sends and is the name of something.
fn options<'a>(
    session: &mut Session<'_>,
    argument: &'a [u8],
) -> Result<(Options, &'a [u8]), Reply<'static>> {
    let usual = |octet: &u8| b"aAlLRrtSdF1 -".contains(octet);
    if argument.starts_with(b"-") && !argument.iter().all(usual) {
        session.name(argument)?;
        if session.account()?.tree.stat_link(&session.subject).is_ok() {
            return Ok((Options::default(), argument));
        }
    }
    Ok(listing::options(argument))
}

/// Finds out what an argument of LIST or NLST means: the literal name, else a pattern in the last component.
///
/// What is listed becomes the session's subject; the pattern is left as the last component of `rename_from`.
fn subject(
    session: &mut Session<'_>,
    options: Options,
    pathname: &[u8],
) -> Result<Subject, Reply<'static>> {
    session.name(pathname)?;
    let Session {
        login: Login::Done(account),
        subject,
        rename_from,
        ..
    } = session
    else {
        return Err(reply::NOT_LOGGED_IN);
    };
    let tree = &account.tree;
    if options.itself {
        return tree
            .stat_link(subject)
            .map(|_| Subject::Itself)
            .map_err(refusal::of_file);
    }
    let errno = match tree.directory(subject) {
        Ok(directory) => return Ok(Subject::Inside(directory)),
        Err(errno) => errno,
    };
    match tree.stat_link(subject) {
        // A directory that may not be read is not there.
        Ok(stat) if tree::entry(b"", &stat).kind == Kind::Directory => {
            return Err(refusal::of_file(errno));
        }
        Ok(_) => return Ok(Subject::Itself),
        Err(_) => {}
    }
    if !glob::is_pattern(subject.name()) {
        return Err(refusal::of_file(errno));
    }
    rename_from.copy(subject);
    subject.leave();
    tree.directory(subject)
        .map(Subject::Matching)
        .map_err(refusal::of_file)
}

enum Kinds {
    Long,
    Names,
    Facts,
}

fn move_listing<'s, 'm>(
    session: &'s mut Session<'m>,
    verb: &'static str,
    subject: Subject,
    kinds: Kinds,
    recursive: bool,
) -> Outcome<'s, 'm> {
    let endpoint = service::endpoint(session)?;
    let listing = prepare(session, subject, kinds, recursive)?;
    // Lines of a listing end with CR LF under either type already.
    Ok(Move(Transfer {
        endpoint,
        ascii: true,
        verb,
        cargo: Cargo::List(listing),
    }))
}

fn prepare<'s, 'm>(
    session: &'s mut Session<'m>,
    subject: Subject,
    kinds: Kinds,
    recursive: bool,
) -> Result<Listing<'s, 'm>, Reply<'static>> {
    let Session {
        login: Login::Done(account),
        subject: at,
        rename_from: scratch,
        house,
        echo,
        facts,
        ..
    } = session
    else {
        return Err(reply::NOT_LOGGED_IN);
    };
    let style = match kinds {
        Kinds::Long => Style::Long,
        Kinds::Names => Style::Names(echo.get()),
        Kinds::Facts => Style::Facts(*facts),
    };
    Ok(Listing {
        account,
        owners: &house.owners,
        subject,
        at,
        scratch,
        style,
        recursive,
        inside: None,
    })
}
