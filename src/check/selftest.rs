//! The self-test: a session of the real server over loopback, for each way to transfer data.
//!
//! The server here has the flags of the start, shorter timeouts, and one client, the one built in: whoever else finds
//! the door is not let in.  No file that is there is written to; what the test makes bears a name that nothing had,
//! and is gone afterwards, whatever happens in between.

use std::ffi::CString;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::accounts::Accounts;
use crate::check::Out;
use crate::check::client::Client;
use crate::check::client::Mode;
use crate::check::client::Told;
use crate::check::doors::Doors;
use crate::check::journal;
use crate::check::litter::Litter;
use crate::check::litter::at;
use crate::check::share;
use crate::config::Config;
use crate::config::Rates;
use crate::config::Rights;
use crate::control;
use crate::interpreter;
use crate::pool::Guest;
use crate::pool::Pool;
use crate::sandbox::Confined;
use crate::session::House;
use crate::tree::Tree;

/// How long the whole may take.
const TIME: Duration = Duration::from_secs(8);

/// How long the server waits for data here.
pub const DATA_TIME: Duration = Duration::from_secs(2);

/// The test's session, and one that is just ending.
const SEATS: usize = 4;

/// What is uploaded, in octets: more than a packet, and soon written on a slow flash.
const LENGTH: usize = 50_000;

/// Holds it all, and reports each part.
pub fn run(
    report: &mut Out,
    config: &Config,
    mut house: House,
    confined: &Confined,
    doors: Doors,
    sample: Option<Vec<u8>>,
    passive_works: bool,
) {
    let writable = house.accounts.anyone_may_write();
    let rights = if writable {
        Rights::ReadWrite
    } else {
        Rights::ReadOnly
    };
    // An account that only this test's one connection can reach, and that is gone with it.
    let one_time = config.anonymous != Some(rights);
    if one_time {
        match Accounts::open(None, Some(rights)) {
            Ok(accounts) => house.accounts = accounts,
            Err(why) => return report.warning(format_args!("self-test: not done: {why}")),
        }
    }
    let policy = &mut house.policy;
    for wait in [
        &mut policy.data_timeout,
        &mut policy.idle_timeout,
        &mut policy.login_timeout,
    ] {
        *wait = DATA_TIME.min(*wait);
    }
    // At a low rate it would come to no end in its time, and the limit is not what is tested.
    policy.rates = Rates::default();
    house.proxies.clear();
    let Ok(tree) = house.tree() else {
        return report.bad("self-test: the share cannot be opened");
    };
    let house = Arc::new(house);
    let pool = match Pool::new(SEATS, SEATS, confined) {
        Ok(pool) => pool,
        Err(why) => return report.bad(format_args!("self-test: not done: {why}")),
    };
    let test = Test {
        config,
        pool,
        serve: Arc::new({
            let house = house.clone();
            move |guest: Guest| interpreter::serve(guest, &house)
        }),
        by: Instant::now() + TIME,
        litter: Litter::new(&tree),
        tree: &tree,
        writable,
        passive_works,
        sample,
        bait: doors.bait,
    };
    let account = if one_time {
        "with a one-time account, since it knows no password of yours"
    } else {
        "as anonymous"
    };
    match &doors.v4 {
        Some(door) => test.over_v4(report, door, account),
        None => report.warning("self-test, IPv4: not done, no listener on 127.0.0.1 to be had"),
    }
    match &doors.v6 {
        Some(door) => {
            test.modes(report, door, "IPv6", &[Mode::Epsv, Mode::Eprt]);
        }
        None => report.good("self-test, IPv6: this box has no IPv6, nothing to test"),
    }
    for name in test.litter.clear() {
        report.bad(format_args!(
            "self-test: {name} could not be removed from the share: remove it"
        ));
    }
}

/// The house, its one client, and what the test may do in it.
struct Test<'t, F> {
    config: &'t Config,
    pool: Arc<Pool>,
    serve: Arc<F>,
    by: Instant,
    litter: Litter<'t>,
    tree: &'t Tree,
    writable: bool,
    /// Whether a port for a passive data connection is to be had.
    passive_works: bool,
    /// A file of the share to download where none can be uploaded.
    sample: Option<Vec<u8>>,
    bait: Option<&'static str>,
}

impl<F: Fn(Guest) + Send + Sync + 'static> Test<'_, F> {
    fn over_v4(&self, report: &mut Out, door: &TcpListener, account: &str) {
        match self.log_in(door) {
            Ok(_) => report.good(format_args!("self-test: greeting, log-in {account}")),
            // All the rest would fail alike.
            Err(why) => return failed(report, "greeting and log-in", &why),
        }
        let modes = [Mode::Pasv, Mode::Epsv, Mode::Port, Mode::Eprt];
        let working = self.modes(report, door, "IPv4", &modes);
        let Some(mode) = working else {
            return report.warning(
                "self-test: ABOR and the ways out of the share: not tried, since no data connection comes about",
            );
        };
        match self.abort(door, mode) {
            Ok(how) => report.good(format_args!("self-test: ABOR: {how}")),
            Err(why) => failed(report, "ABOR", &why),
        }
        if !self.writable {
            match self
                .log_in(door)
                .and_then(|mut client| client.ask("STOR x", &[550]))
            {
                Ok(_) => report.good("self-test: uploads are refused, as the flags say"),
                Err(why) => failed(report, "uploads are to be refused", &why),
            }
        }
        match self.escape(door, mode) {
            Ok(how) => report.good(format_args!("self-test: out of the share: {how}")),
            Err(why) => failed(report, "out of the share", &why),
        }
        journal::lines();
    }

    /// Tries each way to transfer data; returns one that works.
    fn modes(
        &self,
        report: &mut Out,
        door: &TcpListener,
        family: &str,
        modes: &[Mode],
    ) -> Option<Mode> {
        let policy = &self.config.policy;
        let mut working = None;
        for mode in modes {
            let verb = mode.verb();
            let (offered, flag) = match mode {
                Mode::Pasv => (policy.passive, "--no-passive"),
                Mode::Epsv if policy.passive => (policy.epsv, "--no-epsv"),
                Mode::Epsv => (false, "--no-passive"),
                Mode::Port | Mode::Eprt => (policy.active, "--no-active"),
            };
            if !offered {
                let refused = self
                    .log_in(door)
                    .and_then(|mut client| client.ask(verb, &[502]));
                match refused {
                    Ok(_) => report.good(format_args!(
                        "self-test, {family}: {verb} is refused, as {flag} says"
                    )),
                    Err(why) => failed(report, &format!("{verb} is to be refused"), &why),
                }
                continue;
            }
            if mode.is_passive() && !self.passive_works {
                report.warning(format_args!(
                    "self-test, {family}: {verb}: not tried, since no passive port is to be had"
                ));
                continue;
            }
            match self.transfer(door, *mode) {
                Ok(how) => {
                    working = working.or(Some(*mode));
                    report.good(format_args!("self-test, {family}: {verb}: {how}"));
                }
                Err(why) => failed(report, &format!("{family}, {verb}"), &why),
            }
            journal::lines();
        }
        working
    }

    /// A new session; whoever comes before its client is sent away.
    fn connect(&self, door: &TcpListener) -> Told<Client> {
        let lost = |error: std::io::Error| format!("no connection over loopback: {error}");
        let address = door.local_addr().map_err(lost)?;
        let near = TcpStream::connect_timeout(&address, DATA_TIME).map_err(lost)?;
        let own = near.local_addr().map_err(lost)?;
        let (far, peer) = loop {
            let (far, peer) = door.accept().map_err(lost)?;
            if peer == own {
                break (far, control::canonical(peer));
            }
        };
        let guest = self
            .pool
            .seat(far, peer, false)
            .map_err(|(why, _)| why.to_string())?;
        self.pool
            .serve(guest, &self.serve)
            .map_err(|(error, _)| format!("no thread to be had: {error}"))?;
        Ok(Client::new(near, self.by))
    }

    fn log_in(&self, door: &TcpListener) -> Told<Client> {
        let mut client = self.connect(door)?;
        client.hear_code("the connection", 220)?;
        client.ask("USER anonymous", &[331])?;
        client.ask("PASS check@localhost", &[230])?;
        client.ask("TYPE I", &[200])?;
        Ok(client)
    }

    /// Octets there and back again, or what of that is possible; returns it in words.
    fn transfer(&self, door: &TcpListener, mode: Mode) -> Told<String> {
        let mut client = self.log_in(door)?;
        let (what, from) = if self.writable {
            let name = self.litter.name()?;
            let octets = noise(LENGTH);
            let made = client.upload(mode, &name, &octets)?;
            self.litter.add(&made);
            let (back, from) = client.download(mode, format!("RETR {made}").as_bytes())?;
            if back != octets {
                return Err(different(back.len(), octets.len()));
            }
            client.ask(format!("DELE {made}"), &[250])?;
            let words = format!("{LENGTH} octets uploaded, downloaded, the same, and deleted");
            (words, from)
        } else if let Some(sample) = &self.sample {
            let before = self.contents(sample)?;
            let (back, from) = client.download(mode, &[b"RETR ", sample.as_slice()].concat())?;
            if back != before && before == self.contents(sample)? {
                return Err(different(back.len(), before.len()));
            }
            let name = String::from_utf8_lossy(sample);
            (
                format!("{name} downloaded, {} octets, the same", back.len()),
                from,
            )
        } else {
            let (listing, from) = client.download(mode, b"MLSD")?;
            let words = format!(
                "a listing of {} octets; no file of up to 1 MiB is there to download",
                listing.len()
            );
            (words, from)
        };
        client.ask("QUIT", &[221])?;
        if mode.is_passive() || !self.config.policy.active_from_20 {
            Ok(what)
        } else if from == 20 {
            Ok(format!("{what}; from port 20"))
        } else {
            Err(format!("the data came from port {from}, not from port 20"))
        }
    }

    /// What a file holds, seen beside the server.
    fn contents(&self, path: &[u8]) -> Told<Vec<u8>> {
        let shown = String::from_utf8_lossy(path);
        let (file, _) = at(path, |pathname| self.tree.read(pathname))
            .map_err(|errno| format!("{shown}: {errno}"))?;
        let mut octets = Vec::new();
        file.take(share::SAMPLE_MAX)
            .read_to_end(&mut octets)
            .map_err(|error| format!("{shown}: {error}"))?;
        Ok(octets)
    }

    /// Breaks off a transfer that waits for us.
    fn abort(&self, door: &TcpListener, mode: Mode) -> Told<&'static str> {
        let mut client = self.log_in(door)?;
        if self.writable {
            let name = self.litter.name()?;
            let (mut stream, made) = client.begin_upload(mode, &name)?;
            self.litter.add(&made);
            let _ = stream.write_all(b"the rest of this never comes");
            client.say(b"ABOR")?;
            client.hear_code("ABOR during an upload", 426)?;
            client.hear_code("ABOR", 226)?;
            client.ask(format!("DELE {made}"), &[250, 550])?;
            return Ok("an upload was broken off, and the session went on");
        }
        if !mode.is_passive() {
            client.ask("ABOR", &[225])?;
            return Ok("answered; nothing could be running");
        }
        // A listing whose data connection nobody opens waits for just that.
        client.passive(mode)?;
        client.say(b"MLSD")?;
        client.say(b"ABOR")?;
        client.hear_code("ABOR before the data connection", 426)?;
        client.hear_code("ABOR", 226)?;
        client.ask("NOOP", &[200])?;
        Ok("a listing was broken off, and the session went on")
    }

    /// Tries to see what lies outside the share.
    fn escape(&self, door: &TcpListener, mode: Mode) -> Told<String> {
        let mut client = self.log_in(door)?;
        client.ask("CWD ..", &[250, 550])?;
        let here = client.ask("PWD", &[257])?;
        if !here.text.starts_with("\"/\"") {
            return Err(format!("CWD .. led to {}", here.text));
        }
        let Some(bait) = self.bait else {
            return Ok("CWD .. stays at the top; nothing outside to try RETR with".to_owned());
        };
        let up = format!("../..{bait}");
        self.refused(&mut client, mode, &up)?;
        if !self.writable {
            return Ok(format!("CWD .. stays at the top, RETR {up} is refused"));
        }
        let name = self.litter.name()?;
        let target = CString::new(bait).map_err(|error| error.to_string())?;
        match at(&name, |pathname| self.tree.make_link(&target, pathname)) {
            Ok(()) => {
                self.refused(&mut client, mode, &name)?;
                Ok(format!(
                    "CWD .. stays at the top, RETR {up} and of a link to {bait} are refused"
                ))
            }
            Err(_) => Ok(format!(
                "CWD .. stays at the top, RETR {up} is refused; the share's file system has no links"
            )),
        }
    }

    fn refused(&self, client: &mut Client, mode: Mode, name: &str) -> Told<()> {
        let data = client.agree(mode)?;
        let refused = client.ask(format!("RETR {name}"), &[550]);
        drop(data);
        refused.map(drop)
    }
}

/// A part that failed, with what the server would have told its log about it.
fn failed(report: &mut Out, part: &str, why: &str) {
    let mut text = format!("self-test: {part}: {why}");
    for line in journal::warnings() {
        text.push_str("; the log: ");
        text.push_str(&line);
    }
    report.bad(text);
}

fn different(found: usize, wanted: usize) -> String {
    format!("{found} octets came where {wanted} were sent, or others")
}

/// Octets of every value that do not repeat soon.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let mut octets = Vec::with_capacity(len + 4);
    while octets.len() < len {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        octets.extend_from_slice(&state.to_le_bytes());
    }
    octets.truncate(len);
    octets
}
