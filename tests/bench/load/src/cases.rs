//! What is measured.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::ftp::{Ftp, Mode};
use crate::proc;

/// A server under test.
#[derive(Debug, Clone)]
pub struct Server {
    pub name: String,
    pub address: SocketAddr,
    pub pid: i32,
    /// The control group that it is alone in.
    pub group: Option<PathBuf>,
    pub user: String,
    pub password: String,
    /// What each of its starts took until its first 220, in milliseconds.
    pub started: Vec<f64>,
}

impl Server {
    /// The processor time that it has used since its start.
    pub fn cpu(&self) -> Duration {
        let whole = self.group.as_deref().and_then(proc::cpu_of_group);
        whole.unwrap_or_else(|| proc::cpu(self.pid))
    }
}

/// What each session of a case does again and again.
#[derive(Debug, Clone)]
pub enum Work {
    /// RETR of a file.
    Retr(String),
    /// RETR of what comes after REST of so many octets.
    Tail(String, u64),
    /// STOR of so many octets of the source.
    Stor(u64),
    /// LIST, MLSD: the line.
    List(String),
    /// A command and its reply's code.
    Ask(&'static str, u16),
    /// So many NOOPs in one write.
    Pipeline(usize),
    /// Connect, USER, PASS, QUIT.
    LogIn,
}

/// What the figures of a case mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unit {
    /// Octets: MiB/s, and CPU seconds a GiB.
    Octets,
    /// Operations: how many a second, and CPU milliseconds for 1000.
    Operations,
    /// The same, and how long one takes, in microseconds.
    Latency,
    /// Milliseconds to the first octet and to the end, and CPU milliseconds.
    Listing,
}

/// How long it is done.
#[derive(Debug, Clone, Copy)]
pub enum Volume {
    Times(u64),
    /// Until this much time is over, at most so many times (ports of closed connections stay taken for a minute).
    For(Duration, u64),
}

#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub sessions: usize,
    pub work: Work,
    pub ascii: bool,
    pub mode: Mode,
    pub unit: Unit,
    pub volume: Volume,
}

/// One of the figures that a run of a case gave.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    pub what: &'static str,
    pub value: f64,
    pub more_is_better: bool,
}

fn more(what: &'static str, value: f64) -> Figure {
    Figure {
        what,
        value,
        more_is_better: true,
    }
}

fn less(what: &'static str, value: f64) -> Figure {
    Figure {
        what,
        value,
        more_is_better: false,
    }
}

/// The large sizes of a run.
pub struct Sizes {
    pub large: [(usize, u64, u64); 3],
    pub text: u64,
    pub entries: &'static [u32],
}

const MIB: u64 = 1 << 20;

impl Sizes {
    pub fn new(quick: bool, disk: bool) -> Self {
        if disk {
            Self {
                large: [(1, 256, 1), (4, 64, 1), (16, 64, 1)],
                text: 16,
                entries: &[],
            }
        } else if quick {
            Self {
                // sessions, MiB, times
                large: [(1, 256, 1), (4, 64, 1), (16, 16, 1)],
                text: 16,
                entries: &[1_000, 10_000],
            }
        } else {
            Self {
                large: [(1, 256, 4), (4, 256, 1), (16, 256, 1)],
                text: 64,
                entries: &[1_000, 10_000, 100_000],
            }
        }
    }

    /// Puts the files into `place`, which the servers share.
    pub fn prepare(&self, place: &Path) -> io::Result<()> {
        for (_, size, _) in self.large {
            fill(&place.join(format!("large{size}")), size * MIB)?;
        }
        fs::write(place.join("text"), lines(self.text))?;
        prepare_small(place)?;
        self.entries
            .iter()
            .try_for_each(|entries| directory(place, *entries))
    }
}

/// What `tests/bench/counts` does with.
pub fn prepare_small(place: &Path) -> io::Result<()> {
    fs::write(place.join("file1k"), vec![b'x'; 1024])?;
    fs::write(place.join("file16k"), vec![b'x'; 16 * 1024])?;
    directory(place, 1_000)?;
    directory(place, 10_000)
}

fn directory(place: &Path, entries: u32) -> io::Result<()> {
    let inside = place.join(format!("d{entries}"));
    if inside.is_dir() {
        return Ok(());
    }
    fs::create_dir(&inside)?;
    for number in 0..entries {
        File::create(inside.join(format!("a file with number {number:06}.txt")))?;
    }
    Ok(())
}

fn lines(mib: u64) -> Vec<u8> {
    let line = b"A line of text as people write them, sixty-three octets in all.\n";
    line.repeat((mib * MIB) as usize / line.len())
}

fn fill(path: &Path, size: u64) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == size) {
        return Ok(());
    }
    let piece: Vec<u8> = (0..MIB).map(|at| (at * 31 % 251) as u8).collect();
    let mut file = File::create(path)?;
    (0..size / MIB).try_for_each(|_| io::Write::write_all(&mut file, &piece))
}

/// All timed cases.
pub fn all(sizes: &Sizes, quick: bool) -> Vec<Case> {
    let span = Duration::from_millis(if quick { 60 } else { 400 });
    let mut cases = Vec::new();
    let mut add = |name: String, sessions, work, unit, volume| {
        cases.push(Case {
            name,
            sessions,
            work,
            ascii: false,
            mode: Mode::Passive,
            unit,
            volume,
        });
    };
    for (sessions, size, times) in sizes.large {
        let name = |verb| format!("{verb} {size} MiB, {sessions} sessions");
        let times = Volume::Times(times);
        let (retr, stor) = (Work::Retr(format!("large{size}")), Work::Stor(size * MIB));
        add(name("RETR"), sessions, retr, Unit::Octets, times);
        add(name("STOR"), sessions, stor, Unit::Octets, times);
    }
    let few = Volume::For(span, 2000);
    for (what, size) in [("1k", 1024), ("16k", 16 * 1024)] {
        for sessions in [1, 4] {
            let name = |verb| format!("{verb} {size} octets, {sessions} sessions");
            let (retr, stor) = (Work::Retr(format!("file{what}")), Work::Stor(size));
            add(name("RETR"), sessions, retr, Unit::Operations, few);
            add(name("STOR"), sessions, stor, Unit::Operations, few);
        }
    }
    let tail = Work::Tail("large256".into(), 256 * MIB - 1024);
    let name = "RETR of 1024 octets at the end of 256 MiB".into();
    add(name, 1, tail, Unit::Operations, few);
    let many = Volume::For(span, u64::MAX);
    let logins = Volume::For(span * 3, u64::MAX);
    for clients in [1, 8] {
        let name = format!("log-in to QUIT, {clients} clients");
        add(name, clients, Work::LogIn, Unit::Operations, logins);
    }
    for (line, code) in [
        ("NOOP", 200),
        ("PWD", 257),
        ("CWD ../in", 250),
        ("SIZE file1k", 213),
    ] {
        let verb = line.split(' ').next().unwrap_or(line);
        add(verb.into(), 1, Work::Ask(line, code), Unit::Latency, many);
    }
    let name = "16 NOOPs in one write".into();
    add(name, 1, Work::Pipeline(16), Unit::Operations, many);
    for entries in sizes.entries {
        for verb in ["LIST", "MLSD"] {
            let line = if verb == "LIST" {
                "LIST".to_owned()
            } else {
                format!("{verb} /in/d{entries}")
            };
            let name = format!("{verb} of {entries}");
            let most = if *entries < 100_000 { 200 } else { 1 };
            let volume = Volume::For(span, most);
            add(name, 1, Work::List(line), Unit::Listing, volume);
        }
    }
    let ascii = cases.len();
    let mut add = |name: &str, work| {
        cases.push(Case {
            name: name.into(),
            sessions: 1,
            work,
            ascii: true,
            mode: Mode::Passive,
            unit: Unit::Octets,
            volume: Volume::Times(1),
        });
    };
    add("RETR, ASCII", Work::Retr("text".into()));
    add("STOR, ASCII", Work::Stor(sizes.text * MIB));
    // Small files once more, with the other mode.
    let active: Vec<Case> = cases
        .iter()
        .take(ascii)
        .filter(|case| case.sessions == 1 && case.name.contains(" octets, "))
        .map(|case| Case {
            name: case.name.replace("1 sessions", "active"),
            mode: Mode::Active,
            ..case.clone()
        })
        .collect();
    cases.extend(active);
    cases
}

/// Where the octets of an upload come from.
fn source(place: &Path, size: u64, ascii: bool) -> PathBuf {
    place.join(match size {
        _ if ascii => "text.crlf",
        0..=16384 => "file16k",
        _ => "large256",
    })
}

/// The source of an ASCII upload, with CR LF.
pub fn prepare_crlf(place: &Path) -> io::Result<()> {
    let text = fs::read(place.join("text"))?;
    let mut wired = Vec::with_capacity(text.len() / 60 * 62);
    for octet in text {
        if octet == b'\n' {
            wired.push(b'\r');
        }
        wired.push(octet);
    }
    fs::write(place.join("text.crlf"), wired)
}

#[derive(Default)]
struct Done {
    /// What each operation took, where that is asked.
    each: Vec<Duration>,
    times: u64,
    octets: u64,
    first: Duration,
    whole: Duration,
}

/// Runs a case once.
pub fn run(server: &Server, case: &Case, place: &Path) -> io::Result<Vec<Figure>> {
    let gate = Barrier::new(case.sessions + 1);
    let failure = Mutex::new(None);
    let fail = |error: io::Error| {
        if let Ok(mut failure) = failure.lock() {
            failure.get_or_insert(error);
        }
    };
    let total = Mutex::new(Done::default());
    let (mut took, mut cpu) = (Duration::ZERO, Duration::ZERO);
    thread::scope(|scope| {
        for number in 0..case.sessions {
            let (gate, fail, total) = (&gate, &fail, &total);
            scope.spawn(move || {
                let mut session = session(server, case).map_err(fail).ok();
                gate.wait();
                gate.wait();
                let done = repeat(server, case, session.as_mut(), place, number);
                gate.wait();
                match (done, total.lock()) {
                    (Ok(done), Ok(mut total)) => {
                        total.each.extend(done.each);
                        total.times += done.times;
                        total.octets += done.octets;
                        total.first += done.first;
                        total.whole += done.whole;
                    }
                    (Err(error), _) => fail(error),
                    _ => {}
                }
                gate.wait();
                if let Some(Some(session)) = session {
                    let _ = session.quit();
                }
            });
        }
        gate.wait();
        let before = server.cpu();
        let began = Instant::now();
        gate.wait();
        gate.wait();
        took = began.elapsed();
        if matches!(case.work, Work::LogIn) {
            // Processes of sessions that are over want to be reaped.
            thread::sleep(Duration::from_millis(50));
        }
        cpu = server.cpu().saturating_sub(before);
        gate.wait();
    });
    if let Some(error) = failure.into_inner().ok().flatten() {
        return Err(error);
    }
    let mut total = total
        .into_inner()
        .map_err(|_| io::Error::other("a thread died"))?;
    let (took, cpu, times) = (took.as_secs_f64(), cpu.as_secs_f64(), total.times as f64);
    let octets = total.octets as f64;
    let mut each = std::mem::take(&mut total.each);
    let a_second = more("a second", times / took);
    let a_thousand = less("CPU ms/1000", cpu * 1e6 / times);
    Ok(match case.unit {
        Unit::Octets => vec![
            more("MiB/s", octets / MIB as f64 / took),
            less("CPU s/GiB", cpu / octets * (1024 * MIB) as f64),
        ],
        Unit::Operations => vec![a_second, a_thousand],
        Unit::Latency => {
            each.sort();
            let of = |part: usize| {
                let one = each.get(each.len() * part / 100).copied();
                one.unwrap_or_default().as_secs_f64() * 1e6
            };
            let (median, late) = (less("median µs", of(50)), less("p99 µs", of(99)));
            vec![median, late, a_second, a_thousand]
        }
        Unit::Listing => vec![
            less("first ms", total.first.as_secs_f64() * 1e3 / times),
            less("whole ms", total.whole.as_secs_f64() * 1e3 / times),
            less("CPU ms", cpu * 1e3 / times),
        ],
    })
}

/// A logged-in session in the place where the case wants it; none where the case itself logs in.
fn session(server: &Server, case: &Case) -> io::Result<Option<Ftp>> {
    if matches!(case.work, Work::LogIn) {
        return Ok(None);
    }
    let mut ftp = Ftp::log_in(server.address, &server.user, &server.password)?;
    ftp.mode = case.mode;
    match &case.work {
        Work::List(line) if line == "LIST" => {
            let entries = case.name.rsplit(' ').next().unwrap_or_default();
            ftp.ask(&format!("CWD in/d{entries}"), 250)?;
        }
        _ => ftp.ask("CWD in", 250)?,
    }
    if case.ascii {
        ftp.ask("TYPE A", 200)?;
    }
    Ok(Some(ftp))
}

fn repeat(
    server: &Server,
    case: &Case,
    session: Option<&mut Option<Ftp>>,
    place: &Path,
    number: usize,
) -> io::Result<Done> {
    let Some(session) = session else {
        return Err(io::Error::other("no session"));
    };
    let source = match case.work {
        Work::Stor(size) => Some(File::open(source(place, size, case.ascii))?),
        _ => None,
    };
    let began = Instant::now();
    let mut done = Done::default();
    if case.unit == Unit::Latency {
        done.each.reserve(1 << 16);
    }
    let pipeline = match case.work {
        Work::Pipeline(count) => "NOOP\r\n".repeat(count),
        _ => String::new(),
    };
    loop {
        match case.volume {
            Volume::Times(times) if done.times >= times => break,
            Volume::For(span, most) if done.times >= most || began.elapsed() >= span => break,
            _ => {}
        }
        match (&case.work, session.as_mut()) {
            (Work::LogIn, _) => {
                let mut ftp = Ftp::connect(server.address)?;
                ftp.identify(&server.user, &server.password)?;
                ftp.quit()?;
                if matches!(case.volume, Volume::Times(_)) {
                    // Counted, not timed: the thread of this one shall be free for the next.
                    thread::sleep(Duration::from_millis(5));
                }
            }
            (Work::Retr(name), Some(ftp)) => {
                let octets = ftp.fetch(&format!("RETR {name}"))?.octets;
                if case.ascii && octets != fs::metadata(place.join("text.crlf"))?.len() {
                    return Err(io::Error::other("line ends are not converted"));
                }
                done.octets += octets;
            }
            (Work::Tail(name, start), Some(ftp)) => {
                ftp.ask(&format!("REST {start}"), 350)?;
                if ftp.fetch(&format!("RETR {name}"))?.octets != 1024 {
                    return Err(io::Error::other("REST did not count"));
                }
            }
            (Work::Stor(size), Some(ftp)) => {
                let file = source.as_ref().ok_or(io::ErrorKind::NotFound)?;
                ftp.send(&format!("STOR up{number}"), file, *size)?;
                let stored = place.join(format!("up{number}"));
                if case.ascii && fs::metadata(stored)?.len() >= *size {
                    return Err(io::Error::other("line ends are not converted"));
                }
                done.octets += size;
            }
            (Work::List(line), Some(ftp)) => {
                let fetched = ftp.fetch(line)?;
                let entries = case.name.rsplit(' ').next().unwrap_or_default();
                let entries: u64 = entries.parse().unwrap_or(0);
                if fetched.octets < entries * 30 {
                    return Err(io::Error::other("the listing is too short"));
                }
                done.octets += fetched.octets;
                done.first += fetched.first;
                done.whole += fetched.whole;
            }
            (Work::Ask(line, code), Some(ftp)) => {
                let began = Instant::now();
                ftp.ask(line, *code)?;
                if case.unit == Unit::Latency {
                    done.each.push(began.elapsed());
                }
            }
            (Work::Pipeline(count), Some(ftp)) => {
                ftp.say_raw(pipeline.as_bytes())?;
                for _ in 0..*count {
                    ftp.hear()?;
                }
                done.times += *count as u64 - 1;
            }
            (_, None) => return Err(io::Error::other("no session")),
        }
        done.times += 1;
    }
    Ok(done)
}
