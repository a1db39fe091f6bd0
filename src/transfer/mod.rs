//! Server-DTP (RFC 959 2.3): brings the data connection about, says 150, moves octets, and returns the last reply.
//!
//! While octets move it listens to the control connection: ABOR ends the transfer, STAT is told how far it is, and
//! everything else waits for its turn.

pub mod flow;
pub mod listing;
pub mod pace;
mod retrieve;
mod store;

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::config::Policy;
use crate::control::{Control, Lost};
use crate::data::{self, Endpoint, Failure};
use crate::logging::Cause;
use crate::logging::trouble::{Trouble, TroubleOfClients};
use crate::pool::{Desk, Seat};
use crate::session::{House, Session, UserName};
use crate::transfer::flow::{End, Flow};
use crate::transfer::listing::Listing;
use crate::transfer::pace::Paces;
use crate::tree::Upload;
use crate::wire::address::Network;
use crate::wire::printable::Printable;
use crate::wire::reply::{self, Reply};

/// A transfer that is ready to begin.
#[derive(Debug)]
pub struct Transfer<'s, 'm> {
    /// Where the data connection comes about.
    pub endpoint: Endpoint,
    /// Whether line ends are converted.
    pub ascii: bool,
    /// What moves.
    pub cargo: Cargo<'s, 'm>,
    /// The verb, for the log.
    pub verb: &'static str,
}

/// What moves in a transfer, and its name for 150 and the log.
#[derive(Debug)]
pub enum Cargo<'s, 'm> {
    /// A file to the client, from an octet on, up to the size it has now.
    Retrieve {
        name: &'s [u8],
        file: File,
        from: u64,
        size: u64,
    },
    /// A file from the client; `unique` if the server has named it.
    Store {
        name: &'s [u8],
        upload: Upload,
        unique: bool,
    },
    /// A listing to the client.
    List(Listing<'s, 'm>),
}

/// How a transfer ended.
#[derive(Debug)]
pub struct Finished {
    /// The last reply.
    pub reply: Reply<'static>,
    /// ABOR ended it, and is owed a reply of its own.
    pub aborted: bool,
}

impl From<Reply<'static>> for Finished {
    fn from(reply: Reply<'static>) -> Self {
        Self {
            reply,
            aborted: false,
        }
    }
}

impl Transfer<'_, '_> {
    /// Does it all.
    ///
    /// # Errors
    /// [`Lost`] if the control connection is gone.
    pub fn run(
        self,
        control: &mut Control<'_>,
        seat: &Seat,
        desk: &mut Desk,
        house: &House,
        user: &UserName,
        paces: &mut Paces,
    ) -> Result<Finished, Lost> {
        let Self {
            endpoint,
            ascii,
            mut cargo,
            verb,
        } = self;
        let House {
            policy, networks, ..
        } = house;
        let began = Instant::now();
        seat.now(|doing| (doing.verb, doing.octets, doing.since) = (verb, 0, began));
        let patience = began + policy.data_timeout;
        let deadline = || {
            seat.stop_by()
                .map_or(patience, |stop_by| stop_by.min(patience))
        };
        let status = |control: &mut Control<'_>| control.send(&reply::progress(0, None));
        let stream = match data::open(
            endpoint,
            control,
            policy.active_from_20,
            paces.up.limit(),
            deadline,
            status,
        ) {
            Ok(stream) => stream,
            Err(failure) => return explain(failure, control, policy, networks),
        };
        let of = cargo.length(ascii);
        control.send(&cargo.opening(ascii))?;
        let pace = match cargo {
            Cargo::Store { .. } => &mut paces.up,
            Cargo::Retrieve { .. } | Cargo::List(_) => {
                paces.down.tell_kernel(&stream);
                &mut paces.down
            }
        };
        let mut flow = Flow::new(control, seat, stream, policy.data_timeout, of, pace);
        let ended = cargo.carry(&mut flow, ascii, desk);
        let moved = flow.close();
        log(
            control,
            user.get(),
            verb,
            cargo.name(),
            moved,
            began.elapsed(),
            &ended,
        );
        let reply = match ended {
            Ok(reply) => reply,
            Err(End::Aborted) => {
                return Ok(Finished {
                    reply: reply::TRANSFER_ABORTED,
                    aborted: true,
                });
            }
            Err(End::Stopping) => reply::TRANSFER_ABORTED,
            Err(End::Stalled) => reply::STALLED,
            Err(End::Gone) => reply::CONNECTION_LOST,
            Err(End::Refused(reply) | End::Failed(reply, _)) => reply,
            Err(End::Lost(lost)) => return Err(lost),
        };
        Ok(reply.into())
    }
}

impl Cargo<'_, '_> {
    /// How many octets there will be, where the client may rely on it.
    fn length(&self, ascii: bool) -> Option<u64> {
        match self {
            Self::Retrieve { from, size, .. } if !ascii => Some(size.saturating_sub(*from)),
            _ => None,
        }
    }

    fn name(&self) -> &[u8] {
        match self {
            Self::Retrieve { name, .. } | Self::Store { name, .. } => name,
            Self::List(listing) => listing.at.octets(),
        }
    }

    /// The reply that says that octets will flow.
    fn opening(&self, ascii: bool) -> Reply<'_> {
        match self {
            Self::Store {
                name, unique: true, ..
            } => reply::opening_unique(last(name)),
            Self::Retrieve { .. } => reply::opening(ascii, last(self.name()), self.length(ascii)),
            Self::Store { .. } => reply::opening(ascii, last(self.name()), None),
            Self::List(_) => reply::opening(ascii, self.name(), None),
        }
    }

    fn carry(
        &mut self,
        flow: &mut Flow<'_, '_>,
        ascii: bool,
        desk: &mut Desk,
    ) -> Result<Reply<'static>, End> {
        match self {
            Self::Retrieve {
                file, from, size, ..
            } if ascii => retrieve::ascii(flow, file, *from, *size, desk.block),
            Self::Retrieve {
                file, from, size, ..
            } => retrieve::image(flow, file, *from, *size, desk.block),
            Self::Store { upload, .. } => store::store(flow, upload, ascii, desk.block),
            Self::List(listing) => listing.send(flow, desk).map(|()| reply::LISTED),
        }
    }
}

/// The last component of a pathname.
fn last(pathname: &[u8]) -> &[u8] {
    pathname
        .rsplit(|octet| *octet == b'/')
        .next()
        .unwrap_or(pathname)
}

/// One line for a transfer, finished or not.
fn log(
    control: &Control<'_>,
    user: &[u8],
    verb: &str,
    name: &[u8],
    octets: u64,
    took: Duration,
    ended: &Result<Reply<'static>, End>,
) {
    let (number, peer, user, name) = (
        control.number(),
        control.peer(),
        Printable(user),
        Printable(name),
    );
    let (seconds, millis) = (took.as_secs(), took.subsec_millis());
    match ended {
        Ok(_) => log::info!(
            "[{number}] {peer} {user} {verb} {name}: {octets} octets in {seconds}.{millis:03} s"
        ),
        Err(end) => {
            log::info!(
                "[{number}] {peer} {user} {verb} {name}: {end} after {octets} octets, {seconds}.{millis:03} s"
            );
        }
    }
}

// A client that asks again and again must not fill the log.
static NO_SOCKET: Trouble = Trouble::new();
static NOT_REACHED: TroubleOfClients = TroubleOfClients::new();
static REFUSED: TroubleOfClients = TroubleOfClients::new();
static GIVEN_UP: Trouble = Trouble::new();

/// Says why no data connection came about, and in the log what to do about it.
fn explain(
    failure: Failure,
    control: &mut Control<'_>,
    policy: &Policy,
    networks: &[Network],
) -> Result<Finished, Lost> {
    let (number, peer) = (control.number(), control.peer());
    let reply = match failure {
        Failure::NoEndpoint => reply::NO_ENDPOINT,
        Failure::NobodyCame(port) => {
            let local = control.local().map(|local| local.ip()).ok();
            log::warn!(
                "[{number}] {peer} no data connection came to port {port} within {} s: {}",
                policy.data_timeout.as_secs(),
                Remedy {
                    peer: peer.ip(),
                    local,
                    policy,
                    networks
                }
            );
            reply::nobody_came(
                port,
                policy.data_timeout.as_secs(),
                policy.passive_ports.as_ref(),
            )
        }
        Failure::NotReached(address, error) => {
            NOT_REACHED.tell(peer.ip(), || {
                log::warn!(
                    "[{number}] {peer} cannot connect to {address}: {}; {ACTIVE_REMEDY}",
                    Cause(&error)
                )
            });
            reply::NOT_REACHED
        }
        Failure::Refused(address) => {
            REFUSED.tell(peer.ip(), || {
                log::warn!(
                    "[{number}] {peer} {address} refuses the data connection; {ACTIVE_REMEDY}"
                )
            });
            reply::REFUSED
        }
        Failure::NoSocket(error) => {
            NO_SOCKET.tell(|| {
                log::error!(
                    "[{number}] {peer} no data connection to be had: {}",
                    Cause(&error)
                )
            });
            reply::NO_PORT
        }
        Failure::Aborted => {
            return Ok(Finished {
                reply: reply::TRANSFER_ABORTED,
                aborted: true,
            });
        }
        Failure::Lost(lost) => return Err(lost),
    };
    Ok(reply.into())
}

/// Drops an endpoint that no transfer has used, and says in the log if it is a passive port that nobody came to.
///
/// curl, lftp and Python connect before they say what to transfer.  Where a firewall keeps them from it they leave
/// without another word, and the log is the only place to learn why.
pub fn give_up(session: &mut Session<'_>) {
    let Endpoint::Passive(listener) = std::mem::take(&mut session.endpoint) else {
        return;
    };
    if let Some(port) = data::untouched(&listener) {
        GIVEN_UP.tell(|| {
            log::warn!(
                "[{}] {} no data connection came to port {port} before the client gave it up: {}",
                session.number,
                session.peer,
                Remedy {
                    peer: session.peer.ip(),
                    local: Some(session.local.ip()),
                    policy: &session.house.policy,
                    networks: &session.house.networks,
                }
            )
        });
    }
}

const ACTIVE_REMEDY: &str =
    "a NAT or firewall on the client's side may be in the way: the client should use passive mode";

/// What the operator can do when nobody reaches a passive port.
struct Remedy<'a> {
    peer: IpAddr,
    local: Option<IpAddr>,
    policy: &'a Policy,
    networks: &'a [Network],
}

impl std::fmt::Display for Remedy<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.policy.passive_ports {
            Some(ports) => write!(
                out,
                "open TCP ports {}-{} in the firewall, and forward them on the router if there is one",
                ports.start(),
                ports.end()
            )?,
            None => out.write_str(
                "fix a range with --passive-ports LO-HI, open it in the firewall, and forward it on the router if there is one",
            )?,
        }
        let hidden = self.local.is_some_and(crate::wire::address::is_local_scope);
        if hidden
            && !data::is_near(self.peer, self.networks)
            && self.policy.public_address.is_none()
        {
            write!(
                out,
                "; the client is outside, and PASV tells it the private address {}: give the public one with --public-address",
                Local(self.local)
            )?;
        }
        Ok(())
    }
}

struct Local(Option<IpAddr>);

impl std::fmt::Display for Local {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(address) => write!(out, "{address}"),
            None => out.write_str("of this box"),
        }
    }
}

/// The address that 227 names to a client (N1, N5).
pub fn advertised(
    peer: IpAddr,
    local: SocketAddr,
    policy: &Policy,
    networks: &[Network],
) -> IpAddr {
    match policy.public_address {
        Some(public) if !data::is_near(peer, networks) => IpAddr::V4(public),
        _ => local.ip(),
    }
}
