//! From settings to a confined house: the steps that every start takes, whether it serves or only checks.
//!
//! All that lies outside the share is looked at before the walls go up ([`Outside::look`]); what only shows from the
//! inside is made sure of afterwards ([`prove`]).

use std::os::fd::AsFd as _;
use std::sync::Arc;

use rustix::fs::CWD;
use rustix::io::Errno;

use crate::accounts::Accounts;
use crate::accounts::guesses::Guesses;
use crate::config::Config;
use crate::config::Rights;
use crate::data;
use crate::data::Ports;
use crate::sandbox;
use crate::sandbox::Confined;
use crate::sandbox::Identity;
use crate::sandbox::fences::Reach;
use crate::session::House;
use crate::session::Owners;
use crate::tree::medium::Medium;
use crate::wire::address::Network;

/// What cannot be seen any more once the walls stand.
#[derive(Debug)]
pub struct Outside {
    accounts: Accounts,
    identity: Identity,
    owners: Owners,
    networks: Vec<Network>,
}

impl Outside {
    /// Reads the names of users and groups, and the networks.
    pub fn look(accounts: Accounts, identity: Identity) -> Self {
        Self {
            accounts,
            identity,
            owners: Owners {
                users: sandbox::names("/etc/passwd"),
                groups: sandbox::names("/etc/group"),
            },
            networks: data::networks(),
        }
    }

    /// Puts up the walls and gives up every privilege.  No thread may run yet, and ports are bound before.
    ///
    /// # Errors
    /// One line that names the step that failed.
    pub fn confine(self, config: &Config) -> Result<(House, Confined), String> {
        let (top, medium) = if config.removable {
            let (above, medium) = Medium::at(&config.share)?;
            (above, Some(Arc::new(medium)))
        } else {
            (config.share.clone(), None)
        };
        let ports = Ports::new(config.policy.passive_ports.clone());
        let confined = sandbox::enter(&top, &self.identity, config.policy.active_from_20)?;
        let proxies = config.proxies.iter();
        let house = House {
            policy: config.policy.clone(),
            accounts: self.accounts,
            guesses: Guesses::new(),
            identity: Arc::new(self.identity),
            wall: confined.wall(),
            medium,
            ports,
            networks: self.networks,
            proxies: proxies
                .map(|&(address, prefix)| Network { address, prefix })
                .collect(),
            owners: self.owners,
        };
        Ok((house, confined))
    }
}

/// Makes sure from inside the walls that the share can be used as the flags say.
///
/// # Errors
/// One line with the remedy.
pub fn prove(config: &Config, house: &House) -> Result<(), String> {
    if !may_use(config, house, house.accounts.anyone_may_write())? {
        log::warn!(
            "no medium is mounted at {}: clients hear that until one is",
            config.share.display()
        );
    }
    house.check_directories()?;
    if config.policy.active_from_20 {
        data::check_port_20()?;
    }
    Ok(())
}

/// What the second wall has to leave open for a server with these settings.
pub fn reach(config: &Config, house: &House) -> Reach {
    // The users file may name a writer when it is read again.
    let writable = house.accounts.anyone_may_write() || config.users.is_some();
    Reach::new(&config.policy, writable)
}

/// Whether the share is there; if it is, it can be read, and written where `writable`.
///
/// # Errors
/// One line with the remedy.
pub fn may_use(config: &Config, house: &House, writable: bool) -> Result<bool, String> {
    let (share, identity) = (&config.share, &house.identity);
    let Some(medium) = &house.medium else {
        return sandbox::may_use(share, CWD, identity, writable).map(|()| true);
    };
    match medium.open() {
        Ok(top) => sandbox::may_use(share, top.as_fd(), identity, writable).map(|()| true),
        Err(Errno::NOMEDIUM) => Ok(false),
        Err(Errno::NOSYS) => Err(
            "look for the medium: --removable needs openat2, which Linux has from 5.6 on; leave it out, and restart the \
             server when the medium is back"
                .to_owned(),
        ),
        Err(Errno::ACCESS) => Err(format!(
            "look for the medium: user {} may not enter the directory above {}: chmod o+x it, or name another user with \
             --run-as",
            identity.name,
            share.display()
        )),
        Err(errno) => Err(format!("look for the medium: {}: {errno}", share.display())),
    }
}

/// Who may do what, in words.
pub fn access(config: &Config, accounts: &Accounts) -> &'static str {
    match (config.anonymous, accounts.anyone_may_write()) {
        (Some(_), false) => "anyone may read, nobody may write",
        (Some(Rights::ReadWrite), true) => "anyone may read and write",
        (Some(Rights::ReadOnly), true) => "anyone may read, some users may write",
        (None, true) => "named users only, some may write",
        (None, false) => "named users only, nobody may write",
    }
}
