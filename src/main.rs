//! The process: flags, log, users, names, ports, confinement, service, stop.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use pocketftpd::accounts::{Accounts, hash};
use pocketftpd::cli::{self, Action};
use pocketftpd::config::{Config, Lifetime, LogTarget};
use pocketftpd::daemon::{self, Detached, PidFile};
use pocketftpd::logging;
use pocketftpd::pool;
use pocketftpd::sandbox;
use pocketftpd::server::{self, Server};
use pocketftpd::session::House;
use pocketftpd::signals;
use pocketftpd::start::{self, Outside};

/// A wrong flag.
const USAGE: u8 = 2;

/// A start that failed.
const FAILURE: u8 = 1;

fn main() -> ExitCode {
    if let Err(message) = sandbox::close_inherited(server::given_sockets()) {
        return complain(&message, FAILURE);
    }
    let args: Vec<OsString> = std::env::args_os().collect();
    let (status, quiet, result) = match cli::parse(args.clone()) {
        Err(message) => (USAGE, false, Err(message)),
        Ok(Action::Say(text)) => (FAILURE, false, say(&text)),
        Ok(Action::HashPassword) => (
            FAILURE,
            false,
            hash::prompt().and_then(|hash| say(&format!("{hash}\n"))),
        ),
        Ok(Action::Check(config)) => return check(&config),
        Ok(Action::Serve(config)) if config.lifetime == Lifetime::Daemon => {
            return match daemon::detach(&args, cli::DETACHED) {
                Ok(status) => ExitCode::from(status),
                Err(message) => complain(&message, FAILURE),
            };
        }
        Ok(Action::Serve(config)) => {
            // Under inetd standard error may be the client's own connection.
            let quiet = config.lifetime == Lifetime::Inetd;
            // Who looks for a start that failed at boot looks there; and by that line the next start knows an end.
            let elsewhere = config.log.target != LogTarget::Stderr;
            let result = run(&config).inspect_err(|message| {
                if quiet || elsewhere {
                    log::error!("{message}");
                }
            });
            (FAILURE, quiet, result)
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if quiet => ExitCode::from(status),
        Err(message) => complain(&message, status),
    }
}

#[cfg(feature = "check")]
fn check(config: &Config) -> ExitCode {
    match pocketftpd::check::all_is_well(config) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILURE),
    }
}

#[cfg(not(feature = "check"))]
fn check(_: &Config) -> ExitCode {
    complain(
        "this build has no --check: it was made without the cargo feature check",
        USAGE,
    )
}

fn say(text: &str) -> Result<(), String> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| format!("write to standard output: {error}"))
}

fn complain(message: &str, status: u8) -> ExitCode {
    // There is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "pocketftpd: {message}");
    ExitCode::from(status)
}

/// Starts and serves.  The order matters: all that lies outside the share is opened before the walls go up, and no
/// thread starts before they stand.
fn run(config: &Config) -> Result<(), String> {
    let inetd = config.lifetime == Lifetime::Inetd;
    let signals = signals::hold()?;
    let detached = match config.lifetime {
        Lifetime::Detached => Some(Detached::enter()?),
        _ => None,
    };
    let broke_off = logging::broke_off(&config.log);
    logging::start(&config.log)?;
    // A bug in one session ends that session; the log must know of it, wherever it goes.
    std::panic::set_hook(Box::new(|panic| {
        log::error!("a bug has ended a session or a thread: {panic}")
    }));
    let mut pid_file = config.pid_file.as_deref().map(PidFile::open).transpose()?;
    let accounts = Accounts::open(config.users.as_deref(), config.anonymous)?;
    let identity = sandbox::identity(&config.share, config.run_as.as_ref())?;
    let outside = Outside::look(accounts, identity);
    let listeners = if inetd {
        Vec::new()
    } else {
        server::bind_all(config)?
    };
    // Only now: a run that still goes on has the port, and writes into the same log.
    if !inetd
        && (broke_off
            || pid_file
                .as_ref()
                .is_some_and(|file| file.left_behind().is_some()))
    {
        log::warn!(
            "the last run ended without a word: power cut, kill, or a system call that is forbidden to it; the kernel's \
             log has the latter (dmesg: type=1326, sig=31)"
        );
    }
    if let Err(warning) = server::make_room_for_descriptors(config.max_clients) {
        log::warn!("{warning}");
    }
    let (house, mut confined) = outside.confine(config)?;
    start::prove(config, &house)?;
    confined.fence(&start::reach(config, &house));
    if inetd {
        return server::serve_standard_input(config, house, &confined, signals);
    }
    tell(config, &house);
    let server = Server::open(config, house, listeners, &confined)?;
    if let Some(pid_file) = &mut pid_file {
        pid_file.write()?;
    }
    if let Some(detached) = detached {
        detached.ready()?;
    }
    server.run(&signals);
    pid_file.as_mut().map_or(Ok(()), PidFile::clear)
}

/// What somebody who reads the log at night wants to know first.
fn tell(config: &Config, house: &House) {
    let access = start::access(config, &house.accounts);
    log::info!(
        "pocketftpd {} shares {} as user {}, confined by {}; {access}",
        env!("CARGO_PKG_VERSION"),
        config.share.display(),
        house.identity.name,
        house.wall.name()
    );
    if config.removable {
        log::info!("the medium is looked up anew for each command, below the root of the server");
    }
    let (seats, bound) = (config.max_clients, pool::bound(config.max_clients));
    log::info!(
        "{seats} clients at most, {} KiB of memory for them at most",
        bound.div_ceil(1024)
    );
    match &config.policy.passive_ports {
        Some(ports) => {
            log::info!(
                "passive data connections come to TCP ports {}-{}: open them",
                ports.start(),
                ports.end()
            );
            if *ports.start() < 1024 {
                log::warn!(
                    "--passive-ports {}-{}: ports below 1024 need root, which was given up; begin at 1024",
                    ports.start(),
                    ports.end()
                );
            }
            let count = usize::from(ports.end() - ports.start()) + 1;
            if count < seats {
                log::warn!(
                    "--passive-ports gives {count} ports to {seats} clients (--max-clients): some may have to wait"
                );
            }
        }
        None if config.policy.passive => {
            log::info!(
                "passive data connections come to any free port; behind a firewall use --passive-ports LO-HI"
            );
        }
        None => {}
    }
}
