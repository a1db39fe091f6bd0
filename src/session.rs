//! What one client has said so far: the state between its commands (RFC 959 5.3, RFC 2428, RFC 3659).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use crate::accounts::Accounts;
use crate::accounts::guesses::Guesses;
use crate::config::{Policy, Rates};
use crate::data::{Endpoint, Ports};
use crate::pool::PATHNAMES;
use crate::sandbox::{Identity, Wall};
use crate::tree::Tree;
use crate::tree::medium::Medium;
use crate::wire::address::Network;
use crate::wire::listing::Facts;
use crate::wire::octets::Octets;
use crate::wire::pathname::{PATH_MAX, Pathname};
use crate::wire::printable::Printable;
use crate::wire::reply::{self, Reply};

/// What all sessions share.
#[derive(Debug)]
pub struct House {
    /// The settings that hold for every session.
    pub policy: Policy,
    /// Who may come in.
    pub accounts: Accounts,
    /// Brakes on guessing.
    pub guesses: Guesses,
    /// Whom files belong to.
    pub identity: Arc<Identity>,
    /// What confines the process.
    pub wall: Wall,
    /// The medium that is the share, where media come and go.
    pub medium: Option<Arc<Medium>>,
    /// The ports of passive data connections.
    pub ports: Ports,
    /// The networks that this box is directly connected to.
    pub networks: Vec<Network>,
    /// Load balancers that say with the PROXY protocol who the client is.
    pub proxies: Vec<Network>,
    /// The names of users and groups, as they were before the chroot.
    pub owners: Owners,
}

impl House {
    /// The share as a tree.
    ///
    /// # Errors
    /// If the share cannot be opened.
    pub fn tree(&self) -> rustix::io::Result<Tree> {
        Tree::share(
            self.wall,
            self.medium.as_ref(),
            &self.identity,
            self.policy.sync,
        )
    }

    /// Makes sure that every user's own directory can be entered; called once the walls stand.
    ///
    /// # Errors
    /// One line that names the directory and the remedy.
    pub fn check_directories(&self) -> Result<(), String> {
        for directory in self.accounts.directories() {
            let shown = Printable(&directory);
            let mut room = [0; PATH_MAX];
            let mut pathname = Pathname::root(&mut room);
            let entered = pathname.enter(&directory).map_err(|_| Errno::NAMETOOLONG);
            let opened = entered.and_then(|()| self.tree()?.below(&pathname));
            match opened {
                Ok(_) => {}
                Err(Errno::NOSYS) => {
                    return Err(format!(
                        "confine users: {shown}: directories of their own need openat2, which Linux has from 5.6 on; \
                         leave them out of the users file"
                    ));
                }
                // The others are served all the same, and it may still be made; see `access::pass`.
                Err(errno) => log::warn!(
                    "{shown}: {errno}: whoever is at home there cannot log in before it is made below the share"
                ),
            }
        }
        Ok(())
    }
}

/// Names of users and groups by number, for LIST.
#[derive(Debug, Default)]
pub struct Owners {
    /// Users, in order of their numbers.
    pub users: Vec<(u32, String)>,
    /// Groups, in order of their numbers.
    pub groups: Vec<(u32, String)>,
}

impl Owners {
    /// A user's name, if it has one.
    pub fn user(&self, uid: u32) -> Option<&str> {
        find(&self.users, uid)
    }

    /// A group's name, if it has one.
    pub fn group(&self, gid: u32) -> Option<&str> {
        find(&self.groups, gid)
    }
}

fn find(names: &[(u32, String)], number: u32) -> Option<&str> {
    let index = names
        .binary_search_by_key(&number, |(number, _)| *number)
        .ok()?;
    names.get(index).map(|(_, name)| name.as_str())
}

/// RFC 959's log-in diagram.
#[derive(Debug)]
pub enum Login {
    /// Nothing was said.
    Stranger,
    /// USER was said.
    Named,
    /// PASS was right.
    Done(Account),
}

/// A logged-in user.  The tree is in here, so there is no way to it but through the log-in.
#[derive(Debug)]
pub struct Account {
    /// What the user can name.
    pub tree: Tree,
    /// Whether the user may change anything.
    pub may_write: bool,
    /// How fast the user may move octets.
    pub rates: Rates,
}

/// RFC 959 3.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RepresentationType {
    /// TYPE A: lines end with CR LF on the wire.
    #[default]
    Ascii,
    /// TYPE I: octets as they are.
    Image,
}

/// A user's name as it was given, cut to what a log line takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct UserName {
    octets: [u8; 32],
    len: usize,
    whole: usize,
}

impl UserName {
    /// Keeps the first octets of `name`.
    pub fn new(name: &[u8]) -> Self {
        let mut octets = [0; 32];
        let mut len = 0;
        for (place, octet) in octets.iter_mut().zip(name) {
            *place = *octet;
            len += 1;
        }
        Self {
            octets,
            len,
            whole: name.len(),
        }
    }

    /// The name.
    pub fn get(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    /// Whether the name was longer than any user's can be.
    pub fn is_cut(&self) -> bool {
        self.whole > self.len
    }

    /// The form that a seat keeps.
    pub fn for_seat(&self) -> ([u8; 32], usize) {
        (self.octets, self.len)
    }
}

/// One client's state.
#[derive(Debug)]
pub struct Session<'m> {
    /// What all sessions share.
    pub house: Arc<House>,
    /// The session's number in the log.
    pub number: u64,
    /// The client.
    pub peer: SocketAddr,
    /// The address that the client has reached.
    pub local: SocketAddr,
    /// How far the log-in has come.
    pub login: Login,
    /// Who it is, or says it is.
    pub user: UserName,
    /// Failed log-ins of this session.
    pub failures: u32,
    /// The current directory.
    pub here: Pathname<'m>,
    /// The pathname that the present command is about.
    pub subject: Pathname<'m>,
    /// The old name, after RNFR.
    pub rename_from: Pathname<'m>,
    /// Whether the last command was a successful RNFR.
    pub renaming: bool,
    /// TYPE.
    pub representation: RepresentationType,
    /// Where the next data connection comes about.
    pub endpoint: Endpoint,
    /// A port that was found for the passive data connection which the present command asks for.
    pub reserved: Option<(TcpListener, u16)>,
    /// REST: where the next transfer begins, in octets.
    pub restart_at: u64,
    /// EPSV ALL was said.
    pub epsv_only: bool,
    /// The facts that MLSD and MLST tell.
    pub facts: Facts,
    /// Mode bits that new files do not get.
    pub umask: u16,
    /// How long this client may say nothing.
    pub idle_timeout: Duration,
    /// What a reply or a listing repeats of the command's argument.
    pub echo: Octets<'m>,
    /// Room for the body of a reply of several lines.
    pub text: &'m mut [u8],
}

impl<'m> Session<'m> {
    /// A client that has said nothing yet.
    // Made where it stays: compiled into its caller it is made beside that, and copied.
    #[inline(never)]
    pub fn new(
        house: Arc<House>,
        number: u64,
        peer: SocketAddr,
        local: SocketAddr,
        pathnames: &'m mut [&'static mut [u8]; PATHNAMES],
        text: &'m mut [u8],
    ) -> Self {
        let [here, subject, rename_from, echo] = pathnames;
        let (umask, idle_timeout) = (house.policy.umask, house.policy.idle_timeout);
        Self {
            house,
            number,
            peer,
            local,
            login: Login::Stranger,
            user: UserName::default(),
            failures: 0,
            here: Pathname::root(here),
            subject: Pathname::root(subject),
            rename_from: Pathname::root(rename_from),
            renaming: false,
            representation: RepresentationType::Ascii,
            endpoint: Endpoint::None,
            reserved: None,
            restart_at: 0,
            epsv_only: false,
            facts: Facts::ALL,
            umask,
            idle_timeout,
            echo: Octets::new(echo),
            text,
        }
    }

    /// Forgets all that was said, as at the beginning (RFC 959 4.1.1, REIN).
    pub fn reset(&mut self) {
        self.login = Login::Stranger;
        self.user = UserName::default();
        self.here.clear();
        self.renaming = false;
        self.representation = RepresentationType::Ascii;
        self.endpoint = Endpoint::None;
        self.restart_at = 0;
        self.epsv_only = false;
        self.facts = Facts::ALL;
        self.umask = self.house.policy.umask;
        self.idle_timeout = self.house.policy.idle_timeout;
    }

    /// The log-in.
    ///
    /// # Errors
    /// 530 without one.
    pub fn account(&self) -> Result<&Account, Reply<'static>> {
        match &self.login {
            Login::Done(account) => Ok(account),
            _ => Err(reply::NOT_LOGGED_IN),
        }
    }

    /// The log-in of one who may change things.
    ///
    /// # Errors
    /// 530 without a log-in, 550 without the right.
    pub fn writer(&self) -> Result<&Account, Reply<'static>> {
        let account = self.account()?;
        if account.may_write {
            Ok(account)
        } else {
            Err(reply::READ_ONLY)
        }
    }

    /// Makes `argument` the present command's subject.
    ///
    /// # Errors
    /// 501 if it is no pathname.
    pub fn name(&mut self, argument: &[u8]) -> Result<(), Reply<'static>> {
        self.subject
            .resolve(&self.here, argument)
            .map_err(|_| reply::BAD_PATHNAME)
    }

    /// Whether transfers convert line ends.
    pub fn is_ascii(&self) -> bool {
        self.representation == RepresentationType::Ascii
    }
}
