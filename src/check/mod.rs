//! `--check`: tries what a start with these flags needs, and reports it in plain words, before a client fails.
//!
//! The order is that of a start: what lies outside the share first, then the walls, then what shows from the inside.
//! What one step lacks costs the steps that need it and no others.  Nobody is served: ports are let go at once, and the
//! self-test speaks to itself alone.

mod client;
mod doors;
mod firewall;
mod journal;
mod litter;
mod network;
mod ports;
mod report;
mod selftest;
mod share;
mod system;

use std::io;
use std::thread;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::config::Rights;
use crate::data;
use crate::pool;
use crate::sandbox;
use crate::sandbox::Confined;
use crate::sandbox::Identity;
use crate::sandbox::Wall;
use crate::sandbox::fences::Fences;
use crate::sandbox::fences::Reach;
use crate::sandbox::fences::Role;
use crate::session::House;
use crate::signals;
use crate::start;
use crate::start::Outside;

use doors::Doors;
use network::Surroundings;
use report::Report;

/// Where the report goes.
type Out = Report<io::Stdout>;

/// Prints the report; true if a start with these settings will serve.
pub fn all_is_well(config: &Config) -> bool {
    journal::open();
    let mut report = Report::new(io::stdout());
    // What the self-test puts into the share it takes away again, also when somebody presses Ctrl-C meanwhile.
    if let Err(why) = signals::hold() {
        report.bad(why);
    }
    report.text(system::title());
    system::log(&mut report, config);
    system::pid_file(&mut report, config);
    let accounts = users(&mut report, config);
    let identity = who(&mut report, config);
    share::mount_point(&mut report, config);
    let surroundings = Surroundings::look();
    ports::control(&mut report, config);
    system::descriptors(&mut report, config.max_clients);
    system::memory(&mut report, pool::bound(config.max_clients));
    let doors = Doors::bind(config, selftest::DATA_TIME);
    let confined = identity.and_then(|identity| {
        // Without users the self-test still tells whether files and data connections work.
        let accounts = accounts.or_else(|| Accounts::open(None, Some(Rights::ReadOnly)).ok())?;
        confine(&mut report, config, accounts, identity)
    });
    let usable = confined
        .as_ref()
        .and_then(|(house, _)| share::examine(&mut report, config, house));
    let passive_works = ports::passive(&mut report, config, &surroundings);
    if config.policy.active_from_20 {
        report.result(
            data::check_port_20().map(|()| "port 20: active data connections may leave from it"),
        );
    }
    match confined.zip(usable) {
        Some(((house, confined), usable)) => {
            selftest::run(
                &mut report,
                config,
                house,
                &confined,
                doors,
                usable.sample,
                passive_works,
            );
        }
        None => report.warning("self-test: not done, since nothing would be served; see above"),
    }
    surroundings.tell(&mut report, config);
    firewall::tell(&mut report, config, &surroundings);
    report.end()
}

fn users(report: &mut Out, config: &Config) -> Option<Accounts> {
    let opened = Accounts::open(config.users.as_deref(), config.anonymous);
    let accounts = match opened {
        Ok(accounts) => {
            let access = start::access(config, &accounts);
            match &config.users {
                Some(file) => {
                    report.good(format_args!("users: {} is read; {access}", file.display()))
                }
                None => report.good(format_args!("users: {access}")),
            }
            Some(accounts)
        }
        Err(why) => {
            report.bad(format_args!("users: {why}"));
            None
        }
    };
    report.heard();
    accounts
}

fn who(report: &mut Out, config: &Config) -> Option<Identity> {
    match sandbox::identity(&config.share, config.run_as.as_ref()) {
        Ok(identity) => {
            let group = identity.gid;
            report.good(format_args!(
                "user: the server runs as {}, group {group}",
                identity.name
            ));
            Some(identity)
        }
        Err(why) => {
            report.bad(why);
            None
        }
    }
}

/// Puts the second wall up around a thread that does nothing else, and says what stands.
fn second_wall(report: &mut Out, reach: &Reach) {
    let reach = reach.clone();
    let tried = thread::Builder::new().spawn(move || {
        let fences = Fences::put_up(&reach);
        let held = fences.hold(Role::Any)? && fences.hold(Role::Session)?;
        Ok::<String, io::Error>(fences.told(held).to_string())
    });
    let tried = match tried {
        Ok(tried) => tried.join(),
        Err(why) => return report.bad(format_args!("second wall: no thread to try it in: {why}")),
    };
    match tried {
        Ok(Ok(told)) => report.good(format_args!("second wall: {told}")),
        Ok(Err(why)) => report.bad(format_args!("second wall: seccomp: {why}")),
        Err(_) => report.bad("second wall: a bug, please report it"),
    }
}

/// Takes the steps behind which there is no way back, as a start does.
fn confine(
    report: &mut Out,
    config: &Config,
    accounts: Accounts,
    identity: Identity,
) -> Option<(House, Confined)> {
    match Outside::look(accounts, identity).confine(config) {
        Ok((house, mut confined)) => {
            match confined.wall() {
                Wall::Chroot if config.removable => report.good(
                    "confinement: chroot to the directory above the share, and openat2 to the share; root is given up for good",
                ),
                Wall::Chroot => report.good(
                    "confinement: chroot; the share is all that the server sees, and root is given up for good",
                ),
                Wall::UserNamespace => report.good(
                    "confinement: chroot in a user namespace of its own; the share is all that the server sees",
                ),
                Wall::Openat2 => {
                    let reasons = journal::lines();
                    let reason = reasons.first().map_or("", |(_, line)| line.as_str());
                    report.good(format_args!("confinement: openat2; {reason}"));
                }
            }
            report.heard();
            second_wall(report, &start::reach(config, &house));
            // This process does what no server does, so only the sessions of the self-test are held.
            confined.fence_sessions();
            Some((house, confined))
        }
        Err(why) => {
            // Only here the way to the share is walked as the user who starts it.
            let remedy = if why.starts_with("enter the share: ") {
                ": chmod o+x it and the directories above it, or start as root"
            } else {
                ""
            };
            report.bad(format_args!("{why}{remedy}"));
            None
        }
    }
}
