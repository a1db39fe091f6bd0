//! The command line: argh flags to a [`Config`].  The only file that knows a flag's name.
//!
//! argh takes `--flag value`; people type `--flag=value` too, so that is split before argh sees it.  argh's own
//! errors are rewritten to one line that names the flag, the value and what is allowed.  How a single value is
//! read is in `values`; what two flags mean together is here.

mod values;

use std::ffi::OsString;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;
use log::LevelFilter;

use crate::config::Config;
use crate::config::Lifetime;
use crate::config::Listen;
use crate::config::Log;
use crate::config::LogTarget;
use crate::config::Policy;
use crate::config::Rates;
use crate::config::Rights;
use crate::config::RunAs;
use crate::wire::printable::Printable;

/// The switch with which `--daemon` starts the process again.  It is not in the help: people say `--daemon`.
pub const DETACHED: &str = "--detached";

/// What the command line asks for.
#[allow(clippy::large_enum_variant, reason = "a process makes one of these")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Share a directory.
    Serve(Config),
    /// Say what would work if that directory were shared, and serve nobody.
    Check(Config),
    /// Read a password and print its hash.
    HashPassword,
    /// Print this text, which ends with a newline, to standard output, and exit with status 0.
    Say(String),
}

/// Shares one directory over FTP; with everybody, read-only, unless told otherwise.
#[derive(FromArgs, Debug)]
#[argh(
    usage = "--share DIR [options]",
    help_triggers("--help"),
    example = "{command_name} --share /mnt/usb",
    example = "{command_name} --share . --listen 2121 --writable",
    example = "{command_name} --share /mnt/usb --check",
    note = "Users file: one user a line, name:hash[:rights[:directory]], # for comments.\n  \
            The hash comes from --hash-password or openssl passwd -6; rights are ro or\n  \
            rw (default: rw), and up=RATE, down=RATE behind commas, which go before\n  \
            --limit-rate; the directory, seen from the share, is all that this user\n  \
            sees (default: /).",
    note = "SIGHUP reads the users file anew, SIGUSR1 logs what each session does,\n  \
            SIGTERM stops after running transfers, 5 seconds at most."
)]
struct Flags {
    /// DIR, the directory to share; the only flag that is needed
    #[argh(option, from_str_fn(values::path))]
    share: Option<PathBuf>,
    /// DIR is a mount point whose medium comes and goes (default: off)
    #[argh(switch)]
    removable: bool,
    /// [ADDR:]PORT, may be given again (default: 21, all addresses)
    #[argh(option, from_str_fn(values::listen))]
    listen: Vec<Listen>,
    /// anonymous clients may change things (default: off)
    #[argh(switch)]
    writable: bool,
    /// FILE with named users, see below (default: none)
    #[argh(option, from_str_fn(values::path))]
    users: Option<PathBuf>,
    /// with --users, let anonymous clients in too (default: off)
    #[argh(switch)]
    anonymous: bool,
    /// USER[:GROUP] (default: the owner of DIR; nobody if root)
    #[argh(option, from_str_fn(values::run_as))]
    run_as: Option<RunAs>,
    /// LO-HI, for passive data (default: any free port)
    #[argh(option, from_str_fn(values::ports))]
    passive_ports: Option<RangeInclusive<u16>>,
    /// IPV4 that clients from outside are told (default: our own)
    #[argh(option, from_str_fn(values::ipv4))]
    public_address: Option<Ipv4Addr>,
    /// active data connections leave from port 20 (default: off)
    #[argh(switch, long = "active-from-20")]
    active_from_20: bool,
    /// refuse PORT and EPRT (default: off)
    #[argh(switch)]
    no_active: bool,
    /// refuse PASV and EPSV (default: off)
    #[argh(switch)]
    no_passive: bool,
    /// refuse EPSV (default: off)
    #[argh(switch)]
    no_epsv: bool,
    /// FROM, an address or network whose load balancers send a PROXY header; may be given again (default: none)
    #[argh(option, from_str_fn(values::network))]
    proxy_protocol: Vec<(IpAddr, u8)>,
    /// seats: so many clients at once (default: 32)
    #[argh(option, from_str_fn(values::clients))]
    max_clients: Option<usize>,
    /// seats that one address may take (default: 8)
    #[argh(option, from_str_fn(values::clients))]
    max_per_ip: Option<usize>,
    /// seconds a client may be silent (default: 300)
    #[argh(option, from_str_fn(values::seconds))]
    idle_timeout: Option<Duration>,
    /// seconds to log in, all in all (default: 60)
    #[argh(option, from_str_fn(values::seconds))]
    login_timeout: Option<Duration>,
    /// seconds that data may stand still (default: 60)
    #[argh(option, from_str_fn(values::seconds))]
    data_timeout: Option<Duration>,
    /// UP:DOWN, octets a second for each session, such as 500k:2M (default: no limit)
    #[argh(option, from_str_fn(values::rates))]
    limit_rate: Option<Rates>,
    /// OCTAL, mode bits that new files do not get (default: 022)
    #[argh(option, from_str_fn(values::umask))]
    umask: Option<u16>,
    /// say 226 when the disk has it, not before (default: off)
    #[argh(switch)]
    sync: bool,
    /// TEXT of the greeting (default: pocketftpd ready)
    #[argh(option, from_str_fn(values::banner))]
    banner: Option<String>,
    /// off|error|warn|info|debug|trace (default: info)
    #[argh(option, from_str_fn(values::level))]
    log_level: Option<LevelFilter>,
    /// FILE to append to (default: standard error); it stays open, so rotate it with copytruncate
    #[argh(option, from_str_fn(values::path))]
    log_file: Option<PathBuf>,
    /// log to the log daemon, facility ftp (default: off)
    #[argh(switch)]
    syslog: bool,
    /// detach; logs to syslog unless --log-file (default: off)
    #[argh(switch)]
    daemon: bool,
    /// FILE for the process number (default: none)
    #[argh(option, from_str_fn(values::path))]
    pid_file: Option<PathBuf>,
    /// serve the one client on standard input (default: off)
    #[argh(switch)]
    inetd: bool,
    /// say what will work with these flags, and serve nobody
    #[argh(switch)]
    check: bool,
    /// read a password and print its hash for the users file
    #[argh(switch)]
    hash_password: bool,
    /// print the version
    #[argh(switch)]
    version: bool,
    /// this is the process that --daemon started
    #[argh(switch, hidden_help)]
    detached: bool,
}

/// Reads the command line, `argv[0]` included.
///
/// # Errors
/// One line, without the program's name, that says which flag or value is wrong and what is allowed.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Action, String> {
    let words = Words::split(args.into_iter().skip(1))?;
    let line: Vec<&str> = if words.help {
        vec!["--help"]
    } else {
        words.all.iter().map(String::as_str).collect()
    };
    let flags = match Flags::from_args(&["pocketftpd"], &line) {
        Ok(flags) => flags,
        Err(exit) if exit.status.is_ok() => return Ok(Action::Say(exit.output)),
        Err(exit) => return Err(words.explain(exit.output.trim_ascii_end())),
    };
    if flags.version {
        return Ok(Action::Say(
            concat!("pocketftpd ", env!("CARGO_PKG_VERSION"), "\n").to_owned(),
        ));
    }
    if flags.hash_password {
        return Ok(Action::HashPassword);
    }
    flags.contradiction()?;
    let action = if flags.check {
        Action::Check
    } else {
        Action::Serve
    };
    flags.settle().map(action)
}

impl Flags {
    /// Refuses flags that cannot hold together.
    fn contradiction(&self) -> Result<(), String> {
        let shut_out = self.users.is_some() && !self.anonymous;
        #[rustfmt::skip] // a table is read by columns
        let rules = [
            (self.syslog && self.log_file.is_some(), "--syslog and --log-file exclude each other: choose one place for the log"),
            (self.daemon && self.inetd, "--daemon and --inetd exclude each other: inetd is the daemon"),
            (self.inetd && self.pid_file.is_some(), "--pid-file and --inetd exclude each other: there is one process a client"),
            (self.no_active && self.no_passive, "--no-active and --no-passive together leave no way to open a data connection: drop one"),
            (self.no_active && self.active_from_20, "--active-from-20 and --no-active exclude each other: drop one"),
            (self.writable && shut_out, "--writable is about anonymous clients, whom --users shuts out; add --anonymous or give rights in the users file"),
        ];
        match rules.iter().find(|(broken, _)| *broken) {
            Some((_, why)) => Err((*why).to_owned()),
            None => Ok(()),
        }
    }

    /// Fills in the defaults.
    fn settle(self) -> Result<Config, String> {
        let share = self
            .share
            .ok_or("--share DIR is missing: name the directory to share")?;
        let listen = listening(self.listen, self.passive_ports.as_ref())?;
        let max_clients = self.max_clients.unwrap_or(32);
        let max_per_ip = self.max_per_ip.unwrap_or(max_clients.min(8));
        if max_per_ip > max_clients {
            return Err(format!(
                "--max-per-ip {max_per_ip}: at most --max-clients, which is {max_clients}"
            ));
        }
        let anonymous = match (self.writable, self.users.is_none() || self.anonymous) {
            (_, false) => None,
            (false, true) => Some(Rights::ReadOnly),
            (true, true) => Some(Rights::ReadWrite),
        };
        let target = match self.log_file {
            Some(file) => LogTarget::File(file),
            // A detached process has no standard error that anybody reads.
            None if self.syslog || self.daemon => LogTarget::Syslog,
            None => LogTarget::Stderr,
        };
        let lifetime = match (self.daemon, self.detached, self.inetd) {
            (true, true, _) => Lifetime::Detached,
            (true, false, _) => Lifetime::Daemon,
            (false, _, true) => Lifetime::Inetd,
            (false, _, false) => Lifetime::Foreground,
        };
        Ok(Config {
            share,
            removable: self.removable,
            listen,
            anonymous,
            users: self.users,
            run_as: self.run_as,
            max_clients,
            max_per_ip,
            proxies: self.proxy_protocol,
            policy: Policy {
                passive_ports: self.passive_ports,
                public_address: self.public_address,
                active_from_20: self.active_from_20,
                active: !self.no_active,
                passive: !self.no_passive,
                epsv: !self.no_epsv && !self.no_passive,
                idle_timeout: self.idle_timeout.unwrap_or(Duration::from_secs(300)),
                login_timeout: self.login_timeout.unwrap_or(Duration::from_secs(60)),
                data_timeout: self.data_timeout.unwrap_or(Duration::from_secs(60)),
                umask: self.umask.unwrap_or(0o022),
                sync: self.sync,
                banner: self.banner.unwrap_or_else(|| "pocketftpd ready".to_owned()),
                rates: self.limit_rate.unwrap_or_default(),
            },
            log: Log {
                level: self.log_level.unwrap_or(LevelFilter::Info),
                target,
            },
            lifetime,
            pid_file: self.pid_file,
        })
    }
}

/// The places to listen at: each once, and none in the way of passive data connections.
fn listening(
    given: Vec<Listen>,
    passive: Option<&RangeInclusive<u16>>,
) -> Result<Vec<Listen>, String> {
    let mut listen: Vec<Listen> = Vec::new();
    for place in given {
        // Port 0 is a new port each time.
        if place.port != 0 && listen.contains(&place) {
            return Err(format!("--listen {}: given twice", values::shown(place)));
        }
        listen.push(place);
    }
    if listen.is_empty() {
        listen.push(Listen {
            address: None,
            port: 21,
        });
    }
    let Some(ports) = passive else {
        return Ok(listen);
    };
    match listen.iter().find(|place| ports.contains(&place.port)) {
        Some(place) => Err(format!(
            "--passive-ports {}-{}: contains the port of --listen {}, leave it out of the range",
            ports.start(),
            ports.end(),
            values::shown(*place)
        )),
        None => Ok(listen),
    }
}

/// The arguments as argh wants them.
struct Words {
    all: Vec<String>,
    /// What `--flag=value` was split into, for the error message where the flag takes no value.
    split: Vec<(String, String)>,
    /// `--help` is among them; argh refuses it beside other flags.
    help: bool,
}

impl Words {
    fn split(args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut words = Self {
            all: Vec::new(),
            split: Vec::new(),
            help: false,
        };
        let mut ended = false;
        for arg in args {
            let arg = arg.into_string().map_err(|raw| {
                format!(
                    "argument {}: not UTF-8; rename what it names",
                    raw.as_bytes().escape_ascii()
                )
            })?;
            ended |= arg == "--";
            words.help |= !ended && arg == "--help";
            match arg.split_once('=') {
                Some((flag, value)) if !ended && flag.starts_with("--") => {
                    words.all.extend([flag.to_owned(), value.to_owned()]);
                    words.split.push((flag.to_owned(), value.to_owned()));
                }
                _ => words.all.push(arg),
            }
        }
        Ok(words)
    }

    /// One line of ours for what argh says in several.
    fn explain(&self, argh: &str) -> String {
        if let Some(rest) = argh.strip_prefix("Error parsing option '")
            && let Some((flag, rest)) = rest.split_once('\'')
            && let Some(rest) = rest.strip_prefix(" with value '")
            && let Some((value, why)) = self.all.iter().find_map(|value| {
                let why = rest.strip_prefix(value.as_str())?;
                Some((value, why.strip_prefix("': ")?))
            })
        {
            let why = if why == "duplicate values provided" {
                "given twice"
            } else {
                why
            };
            return format!("{flag} {}: {why}", Printable(value.as_bytes()));
        }
        if let Some(rest) = argh.strip_prefix("No value provided for option '") {
            return format!(
                "{}: the value is missing",
                rest.trim_end_matches(['\'', '.'])
            );
        }
        if let Some(word) = argh.strip_prefix("Unrecognized argument: ") {
            if let Some((flag, value)) = self.split.iter().find(|(_, value)| value == word) {
                return format!(
                    "{flag} {}: this flag takes no value",
                    Printable(value.as_bytes())
                );
            }
            return format!(
                "{}: unknown argument; --help lists the flags",
                Printable(word.as_bytes())
            );
        }
        argh.replace('\n', " ")
    }
}

#[cfg(test)]
mod tests;
