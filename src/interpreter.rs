//! Server-PI (RFC 959 2.3): the greeting; a line in, a verb, a reply out; goodbye.
//!
//! Exactly one final reply follows each command: that is the shape of this loop, not a habit of the verbs.
//!
//! The frame of this loop lies below everything that a session does, so what runs once, or seldom, keeps a frame of its own
//! (`inline(never)`): an idle session of a static build then has two pages of stack, and had three.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::control::{Control, Heard, Lost};
use crate::data::Endpoint;
use crate::logging::Cause;
use crate::logging::trouble::Trouble;
use crate::pool::{Guest, Room, Seat};
use crate::session::{House, Login, Session};
use crate::transfer;
use crate::transfer::flow::{End, Sink};
use crate::transfer::listing::Listing;
use crate::transfer::pace::Paces;
use crate::verbs::parameters;
use crate::verbs::{self, Answer, Needs, Outcome, Takes};
use crate::wire::command::{self, Line, VerbName};
use crate::wire::printable::Printable;
use crate::wire::reply::{self, Reply};

// What a stranger can do as often as he can connect.
static NO_HEADER: Trouble = Trouble::new();
static FOREIGN: Trouble = Trouble::new();

/// Serves one client from the greeting to the goodbye.
pub fn serve(guest: Guest, house: &Arc<House>) {
    let Guest {
        mut seat,
        control,
        peer,
        mut room,
    } = guest;
    let Some(Room {
        line,
        text,
        reply,
        pathnames,
    }) = room.get()
    else {
        return;
    };
    let mut control = Control::new(control, seat.number(), peer, line, reply);
    // A client that is gone already has no address any more.
    let Ok(local) = control.local() else { return };
    log::debug!("[{}] {peer} connected to {local}", seat.number());
    let behind = house
        .proxies
        .iter()
        .any(|network| network.contains(peer.ip()));
    if behind && !introduce(&mut control, &mut seat, house) {
        return;
    }
    let peer = control.peer();
    let mut session = Session::new(house.clone(), seat.number(), peer, local, pathnames, text);
    let lost = converse(&mut session, &mut control, &seat);
    transfer::give_up(&mut session);
    farewell(&session, &mut control, &seat, lost);
}

/// Lets a load balancer say who the client is; false if it does not, or that client has its share of the seats.
#[inline(never)]
fn introduce(control: &mut Control<'_>, seat: &mut Seat, house: &House) -> bool {
    let by = Instant::now() + house.policy.login_timeout;
    let (number, balancer) = (seat.number(), control.peer());
    let client = match control.introduction(by) {
        Ok(client) => client,
        Err(error) => {
            NO_HEADER.tell(|| {
                log::warn!(
                    "[{number}] {balancer} sent no PROXY header that can be read; hung up: {}",
                    Cause(&error)
                )
            });
            return false;
        }
    };
    // The balancer's own connections, which ask whether this server lives, stay its own.
    let Some(client) = client else { return true };
    log::debug!("[{number}] {balancer} brings {client}");
    control.is_from(client);
    if seat.moves_to(client) {
        return true;
    }
    let _ = control.send(&reply::FULL_FOR_YOU);
    control.part();
    false
}

/// Tells the client why it is over, if it can still hear that, and the log.
#[inline(never)]
fn farewell(session: &Session<'_>, control: &mut Control<'_>, seat: &Seat, lost: Result<(), Lost>) {
    let (number, peer) = (session.number, session.peer);
    match lost {
        // Port probes come and go without a log-in, and are not worth a line; nor is a flood of them.
        Ok(()) if matches!(session.login, Login::Stranger | Login::Named) => {
            log::debug!("[{number}] {peer} left")
        }
        Ok(()) => log::info!("[{number}] {peer} left"),
        Err(Lost::Closed) if seat.stop_by().is_some() => {
            control.send_at_once(&reply::CLOSING_DOWN);
            log::info!("[{number}] {peer} sent away, the server is stopping");
        }
        Err(Lost::Closed) if matches!(session.login, Login::Stranger | Login::Named) => {
            log::debug!("[{number}] {peer} gone")
        }
        Err(Lost::Closed) => log::info!("[{number}] {peer} gone"),
        Err(Lost::TimedOut) => {
            let done = matches!(session.login, Login::Done(_));
            control.send_at_once(if done {
                &reply::IDLE
            } else {
                &reply::LOGIN_TOO_SLOW
            });
            log::info!("[{number}] {peer} timed out");
        }
        // One more reply would only wait as long again.
        Err(Lost::Deaf) => log::info!("[{number}] {peer} reads no replies; hung up"),
        Err(Lost::Broken(error)) if matches!(session.login, Login::Stranger | Login::Named) => {
            log::debug!("[{number}] {peer} lost: {}", Cause(&error));
        }
        Err(Lost::Broken(error)) => {
            log::info!("[{number}] {peer} lost: {}", Cause(&error));
        }
    }
    control.part();
}

fn converse(session: &mut Session<'_>, control: &mut Control<'_>, seat: &Seat) -> Result<(), Lost> {
    let house = session.house.clone();
    control.send(&reply::greeting(&house.policy.banner))?;
    let mut log_in_by = Instant::now() + house.policy.login_timeout;
    let mut port_since = Instant::now();
    let mut paces = Paces::new(port_since);
    loop {
        let stranger = !matches!(session.login, Login::Done(_));
        let deadline = if stranger {
            log_in_by
        } else {
            Instant::now() + session.idle_timeout
        };
        let heard = match passive_until(session, port_since) {
            Some(until) if until < deadline => match control.line(until) {
                Err(Lost::TimedOut) => {
                    // Nobody comes for this port; others may be waiting for it.
                    session.endpoint = Endpoint::None;
                    control.line(deadline)?
                }
                heard => heard?,
            },
            _ => control.line(deadline)?,
        };
        if heard == Heard::TooLong {
            session.renaming = false;
            // It may have been a PORT; what it meant to replace must not serve in its stead.
            session.endpoint = Endpoint::None;
            control.say(&reply::LINE_TOO_LONG)?;
            continue;
        }
        let name = match command::split(control.text()) {
            Line::Blank => continue,
            Line::Unknown => {
                session.renaming = false;
                control.say(&reply::UNKNOWN)?;
                continue;
            }
            Line::Foreign => {
                FOREIGN.tell(|| {
                    log::warn!(
                        "[{}] {} speaks another protocol; hung up",
                        session.number,
                        session.peer
                    )
                });
                return control.send(&reply::USE_ANOTHER_PROTOCOL);
            }
            Line::Command(name, _) => name,
        };
        log_line(session, name, control.text());
        let user = session.user;
        match answer(session, control, name, log_in_by)? {
            // The box has run out of something: the session gives back what it holds.
            Err(reply) if reply.code() == reply::EXHAUSTED.code() => return control.send(&reply),
            // The client acts on these as soon as it has them.
            Ok(Answer::Say(reply)) | Err(reply) if verbs::is_about_data(name) => {
                control.send(&reply)?
            }
            Ok(Answer::Say(reply)) | Err(reply) => control.say(&reply)?,
            // Whoever has guessed wrong waits, but not beyond the time that a log-in may take in all.
            Ok(Answer::SayAt(reply, at)) => {
                if !control.pause(at.min(log_in_by)) {
                    return Err(Lost::Closed);
                }
                if at > log_in_by {
                    return Err(Lost::TimedOut);
                }
                control.send(&reply)?;
            }
            Ok(Answer::Close(reply)) => return control.send(&reply),
            Ok(Answer::CloseAt(reply, at)) => {
                control.pause(at.min(log_in_by));
                return control.send(&reply);
            }
            Ok(Answer::Recite(listing)) => recite(listing, control, seat)?,
            Ok(Answer::Move(transfer)) => {
                let mut desk = seat.desk();
                let Some(desk) = desk.get() else {
                    return control.send(&reply::OUT_OF_ORDER);
                };
                let finished = transfer.run(control, seat, desk, &house, &user, &mut paces)?;
                control.send(&finished.reply)?;
                if finished.aborted {
                    control.send(&reply::ABORTED)?;
                }
            }
        }
        seat.now(|doing| (doing.verb, doing.since) = ("waiting", Instant::now()));
        // Whatever was reserved and not used is free again.
        session.reserved = None;
        if matches!(name, name if name == VerbName::of("PASV") || name == VerbName::of("EPSV")) {
            port_since = Instant::now();
        }
        if stranger && matches!(session.login, Login::Done(_)) {
            seat.now(|doing| doing.user = session.user.for_seat());
            paces.limit(
                session
                    .account()
                    .map(|account| account.rates)
                    .unwrap_or_default(),
            );
        } else if !stranger && !matches!(session.login, Login::Done(_)) {
            // After REIN or a new USER the time for a log-in begins anew.
            log_in_by = Instant::now() + house.policy.login_timeout;
            seat.now(|doing| doing.user = ([0; 32], 0));
        }
    }
}

/// By when a passive port that nobody uses is given back: only ports of a range are scarce.
fn passive_until(session: &Session<'_>, since: Instant) -> Option<Instant> {
    let policy = &session.house.policy;
    match (&session.endpoint, &policy.passive_ports) {
        (Endpoint::Passive(_), Some(_)) => Some(since + policy.data_timeout),
        _ => None,
    }
}

/// Finds the verb, checks what its row demands, and lets it answer.
///
/// # Errors
/// [`Lost`] if the client leaves, or runs out of time, while it waits for its turn to guess.
fn answer<'s, 'm>(
    session: &'s mut Session<'m>,
    control: &mut Control<'_>,
    name: VerbName,
    log_in_by: Instant,
) -> Result<Outcome<'s, 'm>, Lost> {
    // RNFR lives for one command.
    let renaming = std::mem::take(&mut session.renaming);
    let Some(verb) = verbs::find(name) else {
        return Ok(Err(reply::UNKNOWN));
    };
    if !verb.offer.holds(&session.house.policy) {
        return Ok(Err(reply::NOT_OFFERED));
    }
    let allowed = match verb.needs {
        Needs::Nothing => Ok(()),
        // Nothing is checked where USER was not said, so no turn is used up, and nobody is sent away for its sake.
        Needs::Turn if matches!(session.login, Login::Named) => {
            wait_for_turn(session, control, log_in_by)?;
            Ok(())
        }
        Needs::Port => match session.account().map(drop) {
            Ok(()) => wait_for_port(session, control)?,
            refusal => refusal,
        },
        Needs::Turn => Ok(()),
        Needs::Login => session.account().map(drop),
        Needs::Write => session.writer().map(drop),
    };
    if let Err(refusal) = allowed {
        return Ok(Err(refusal));
    }
    let Line::Command(_, argument) = command::split(control.text()) else {
        return Ok(Err(reply::UNKNOWN));
    };
    let blank = argument.iter().all(|octet| *octet == b' ');
    match verb.takes {
        Takes::Nothing if !blank => return Ok(Err(reply::NO_ARGUMENT)),
        Takes::Argument if blank => return Ok(Err(reply::NEEDS_ARGUMENT)),
        _ => {}
    }
    session.renaming = renaming && name == VerbName::of("RNTO");
    Ok((verb.run)(session, argument))
}

/// How long to wait before looking again for a free port.
const PORT_AGAIN: Duration = Duration::from_millis(20);

/// Finds a port for a passive data connection; where all of a range are busy, waits as long as for the connection.
///
/// # Errors
/// [`Lost::Closed`] if the client leaves meanwhile.
fn wait_for_port(
    session: &mut Session<'_>,
    control: &mut Control<'_>,
) -> Result<Result<(), Reply<'static>>, Lost> {
    let give_up = Instant::now() + session.house.policy.data_timeout;
    loop {
        match parameters::reserve(session) {
            Ok(true) => return Ok(Ok(())),
            Ok(false) => {}
            Err(refusal) => return Ok(Err(refusal)),
        }
        let now = Instant::now();
        if now >= give_up {
            log::warn!(
                "[{}] {} every port of --passive-ports is busy: give it a larger range",
                session.number,
                session.peer
            );
            return Ok(Err(reply::NO_PORT));
        }
        if !control.pause(give_up.min(now + PORT_AGAIN)) {
            return Err(Lost::Closed);
        }
    }
}

/// Waits until the client's address may have its next password checked; many connections do not help it.
fn wait_for_turn(
    session: &Session<'_>,
    control: &mut Control<'_>,
    log_in_by: Instant,
) -> Result<(), Lost> {
    let turn = session
        .house
        .guesses
        .turn(session.peer.ip(), Instant::now());
    if turn <= Instant::now() {
        return Ok(());
    }
    if !control.pause(turn.min(log_in_by)) {
        return Err(Lost::Closed);
    }
    if turn > log_in_by {
        Err(Lost::TimedOut)
    } else {
        Ok(())
    }
}

/// Sends a listing inside a reply.
#[inline(never)]
fn recite(
    mut listing: Listing<'_, '_>,
    control: &mut Control<'_>,
    seat: &Seat,
) -> Result<(), Lost> {
    let mut desk = seat.desk();
    let Some(desk) = desk.get() else {
        return control.send(&reply::OUT_OF_ORDER);
    };
    match listing.send(&mut Recital(control), desk) {
        Err(End::Lost(lost)) => Err(lost),
        // The listing has ended the reply.
        Err(End::Aborted) => control.send(&reply::ABORTED),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A listing's way over the control connection.
struct Recital<'c, 'm>(&'c mut Control<'m>);

impl Sink for Recital<'_, '_> {
    fn send(&mut self, octets: &[u8]) -> Result<(), End> {
        self.0.send_lines(octets).map_err(End::Lost)
    }

    fn glance(&mut self) -> Result<(), End> {
        if self.0.is_aborted().map_err(End::Lost)? {
            return Err(End::Aborted);
        }
        Ok(())
    }
}

/// The dialogue in the log, without passwords.
fn log_line(session: &Session<'_>, name: VerbName, line: &[u8]) {
    if name == VerbName::of("PASS") {
        log::debug!("[{}] {} < PASS ***", session.number, session.peer);
    } else {
        log::debug!(
            "[{}] {} < {}",
            session.number,
            session.peer,
            Printable(line)
        );
    }
}
