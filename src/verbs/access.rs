//! USER PASS ACCT REIN QUIT (RFC 959 4.1.1), HOST (RFC 7151).

use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::accounts::Grant;
use crate::config::{Rates, Rights};
use crate::logging::trouble::Trouble;
use crate::pool::headroom;
use crate::session::{Account, Login, Session, UserName};
use crate::verbs::Answer::{Close, CloseAt, Say, SayAt};
use crate::verbs::Outcome;
use crate::wire::printable::Printable;
use crate::wire::reply::{self, Reply};

/// Who has the password can come again and again.
static NO_DIRECTORY: Trouble = Trouble::new();

/// How many failed log-ins end a session.
const FAILURES: u32 = 3;

/// `USER <SP> name`: 331 for everybody, known or not.
///
/// It may come again at any time; the client is then a stranger until the password (.NET does that on a live session).
pub fn user<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    session.user = UserName::new(argument);
    session.login = Login::Named;
    Ok(Say(reply::PASSWORD))
}

/// `PASS <SP> password`: 230, or 530 after a while; the third failure ends the session.
pub fn pass<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    if !matches!(session.login, Login::Named) {
        return Err(reply::USER_FIRST);
    }
    if !headroom::on_the_heap() {
        return Ok(Close(reply::EXHAUSTED));
    }
    let began = Instant::now();
    let house = session.house.clone();
    let grant = house
        .accounts
        .check(session.user.get(), argument)
        .filter(|grant| grant.anonymous || !session.user.is_cut());
    let Some(grant) = grant else {
        session.login = Login::Stranger;
        session.failures += 1;
        let pause = house.guesses.failed(session.peer.ip(), began);
        return Ok(refuse(session, began, pause));
    };
    let number = session.number;
    let peer = session.peer;
    let account = match account(session, &grant) {
        Ok(account) => account,
        Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => return Err(reply::EXHAUSTED),
        Err(error) => {
            NO_DIRECTORY.tell(|| {
                log::error!(
                    "[{number}] {peer} {}: the directory of this user cannot be opened: {error}",
                    grant.name
                )
            });
            session.login = Login::Stranger;
            return Err(reply::LOGIN_INCORRECT);
        }
    };
    // Nobody guessed where no password was checked: neither the address nor the session is forgiven for that.
    if !grant.anonymous {
        house.guesses.succeeded(peer.ip());
        session.failures = 0;
    }
    let rights = if account.may_write {
        "read and write"
    } else {
        "read only"
    };
    log::info!("[{number}] {peer} {} logged in, {rights}", grant.name);
    session.here.clear();
    session.login = Login::Done(account);
    Ok(Say(reply::LOGGED_IN))
}

fn refuse<'s, 'm>(
    session: &Session<'m>,
    began: Instant,
    pause: Duration,
) -> crate::verbs::Answer<'s, 'm> {
    log::warn!(
        "[{}] {} log-in failed for {}, the {}. time in this session",
        session.number,
        session.peer,
        Printable(session.user.get()),
        session.failures
    );
    let at = began + pause;
    if session.failures >= FAILURES {
        CloseAt(reply::TOO_MANY_FAILURES, at)
    } else {
        SayAt(reply::LOGIN_INCORRECT, at)
    }
}

fn account(session: &mut Session<'_>, grant: &Grant) -> Result<Account, rustix::io::Errno> {
    let share = session.house.tree()?;
    session.subject.clear();
    session
        .subject
        .enter(&grant.directory)
        .map_err(|_| rustix::io::Errno::NAMETOOLONG)?;
    let tree = if session.subject.is_root() {
        share
    } else {
        share.below(&session.subject)?
    };
    let rates = session.house.policy.rates;
    Ok(Account {
        tree,
        may_write: grant.rights == Rights::ReadWrite,
        rates: Rates {
            up: grant.up.unwrap_or(rates.up),
            down: grant.down.unwrap_or(rates.down),
        },
    })
}

/// `ACCT <SP> account`: superfluous.
pub fn acct<'s, 'm>(session: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    session.account()?;
    Ok(Say(reply::ALREADY_IN))
}

/// `REIN`: as after the greeting.
pub fn rein<'s, 'm>(session: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    session.reset();
    Ok(Say(reply::READY_AGAIN))
}

/// `QUIT`.
pub fn quit<'s, 'm>(_: &'s mut Session<'m>, _: &[u8]) -> Outcome<'s, 'm> {
    Ok(Close(reply::GOODBYE))
}

/// `HOST <SP> name`: any name is this host's (RFC 7151 3); only before the log-in.
pub fn host<'s, 'm>(session: &'s mut Session<'m>, argument: &[u8]) -> Outcome<'s, 'm> {
    if !matches!(session.login, Login::Stranger) {
        return Err(reply::HOST_TOO_LATE);
    }
    let plain = argument
        .iter()
        .all(|octet| octet.is_ascii_alphanumeric() || b".-:[]_".contains(octet));
    let reply: Reply<'static> = if plain {
        reply::HOST_TAKEN
    } else {
        return Err(reply::BAD_ARGUMENT);
    };
    Ok(Say(reply))
}
