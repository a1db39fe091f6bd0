//! The server under test: the real program, on a port of its own, stopped at the end of the test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PATIENCE, Share};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_pocketftpd");

/// How a server is to be started.
#[derive(Debug)]
pub struct Launch {
    program: PathBuf,
    wrapper: Vec<String>,
    listen: Vec<String>,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Launch {
    pub fn new() -> Self {
        Self {
            program: PathBuf::from(PROGRAM),
            wrapper: Vec::new(),
            listen: Vec::new(),
            flags: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// A program and its arguments that starts the server in its own place (`prlimit`, `strace -D`).
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// In a mount namespace of its own, with an empty disk of one mebibyte at `mnt`; needs root.
    pub fn with_small_disk(share: &Share) -> Self {
        let mount = format!(
            "mount -t tmpfs -o size=1m,mode=1777 none '{}' && exec \"$@\"",
            share.path("mnt").display()
        );
        Self::new().under(&[
            "unshare",
            "-m",
            "--propagation",
            "private",
            "sh",
            "-c",
            &mount,
            "sh",
        ])
    }

    /// With system calls traced by strace, whose own arguments these are; `None` (and a skip) where that cannot be
    /// done. The trace goes to a file beside the share.
    pub fn traced(share: &Share, arguments: &[&str]) -> Option<Self> {
        if !super::is_root() {
            // The server gives nobody else its memory to read, where the octets are.
            super::skip("needs root to look into the server");
            return None;
        }
        Self::under_strace(share, arguments)
    }

    /// With these system calls failing (`error=EINVAL`, `error=EINTR:when=2+3`, in strace's words).
    pub fn failing(share: &Share, calls: &str, how: &str) -> Option<Self> {
        Self::under_strace(
            share,
            &[
                "-e",
                &format!("trace={calls}"),
                "-e",
                &format!("inject={calls}:{how}"),
            ],
        )
    }

    fn under_strace(share: &Share, arguments: &[&str]) -> Option<Self> {
        let strace = super::program("strace")?;
        let trace = share.outside("trace");
        let mut wrapper = vec![strace.to_str()?, "-D", "-f", "-qq", "-o", trace.to_str()?];
        wrapper.extend(arguments);
        Some(Self::new().under(&wrapper))
    }

    /// As a plain user with no rights at all: what the tests do when they do not run as root, and what root can do
    /// with `setpriv`.
    pub fn as_plain_user(share: &Share) -> Self {
        if !super::is_root() {
            return Self::new();
        }
        // The build directory may lie where nobody else can go.
        let program = share.outside("pocketftpd");
        // By another process: what this one holds open for writing, a child begun meanwhile by another test holds too,
        // and then it cannot be executed.
        assert!(
            Command::new("cp")
                .arg(PROGRAM)
                .arg(&program)
                .status()
                .unwrap()
                .success()
        );
        let user = super::share::NOBODY.to_string();
        let mut launch = Self::new().under(&[
            "setpriv",
            "--reuid",
            &user,
            "--regid",
            &user,
            "--clear-groups",
            "--inh-caps=-all",
        ]);
        launch.program = program;
        launch
    }

    /// Puts another program in front of the one that is there already.
    pub fn within(mut self, outer: Self) -> Self {
        self.wrapper = outer.wrapper.into_iter().chain(self.wrapper).collect();
        self
    }

    /// Listens there instead of on 127.0.0.1; may be said again.
    pub fn listen(mut self, address: &str) -> Self {
        self.listen.push(address.to_owned());
        self
    }

    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn start(self, share: &Share) -> Server {
        self.start_at(share.top())
    }

    pub fn start_at(mut self, top: &Path) -> Server {
        let command = self.command(top);
        Server::spawn(command, self.listen.len())
    }

    /// Runs it to its end, for a start that must fail; ends it after ten seconds.
    pub fn run_to_end(mut self, share: &Share) -> Output {
        self.wrapper
            .splice(0..0, ["timeout", "-k", "1", "10"].map(str::to_owned));
        self.command(share.top())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Starts it and leaves its log to the caller.
    pub fn spawn(mut self, share: &Share) -> Child {
        self.command(share.top())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn command(&mut self, top: &Path) -> Command {
        if self.listen.is_empty() {
            self.listen.push("127.0.0.1:0".to_owned());
        }
        let mut words = self.wrapper.clone();
        words.push(self.program.to_str().unwrap().to_owned());
        let mut command = Command::new(words.remove(0));
        command.args(words).arg("--share").arg(top);
        for address in &self.listen {
            command.args(["--listen", address]);
        }
        command
            .args(&self.flags)
            .envs(self.variables.iter().cloned());
        command
    }
}

#[derive(Debug, Default)]
struct Journal {
    lines: Vec<String>,
    closed: bool,
}

type Log = Arc<(Mutex<Journal>, Condvar)>;

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Log,
    addresses: Vec<SocketAddr>,
    status: Option<ExitStatus>,
}

impl Server {
    /// `pocketftpd --share DIR --listen 127.0.0.1:0` and more flags.
    pub fn start(share: &Share, flags: &[&str]) -> Self {
        Launch::new().flags(flags).start(share)
    }

    fn spawn(mut command: Command, listeners: usize) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = follow(child.stderr.take().unwrap());
        let mut server = Self {
            child,
            log,
            addresses: Vec::new(),
            status: None,
        };
        server.addresses = server.listening(listeners);
        server
    }

    /// The addresses from the `listening on ADDR:PORT` lines, as soon as there are `count`.
    fn listening(&self, count: usize) -> Vec<SocketAddr> {
        let found = |journal: &Journal| places(&journal.lines.join("\n"));
        let (journal, enough) = self.wait(PATIENCE, |journal| found(journal).len() >= count);
        assert!(enough, "the server does not listen; it said: {journal:#?}");
        found(&journal)
    }

    /// Waits until `holds`, the log's end, or `within`; returns a copy of the log and whether it holds.
    fn wait(&self, within: Duration, holds: impl Fn(&Journal) -> bool) -> (Journal, bool) {
        let end = Instant::now() + within;
        let (journal, grown) = &*self.log;
        let mut journal = journal.lock().unwrap();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if holds(&journal) || journal.closed || left.is_zero() {
                let copy = Journal {
                    lines: journal.lines.clone(),
                    closed: journal.closed,
                };
                let held = holds(&copy);
                return (copy, held);
            }
            journal = grown.wait_timeout(journal, left).unwrap().0;
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// Waits for a log line that contains `text`, and returns it.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        self.wait_for_log_within(text, PATIENCE)
    }

    #[track_caller]
    pub fn wait_for_log_within(&self, text: &str, within: Duration) -> String {
        let (journal, found) = self.wait(within, |journal| {
            journal.lines.iter().any(|line| line.contains(text))
        });
        assert!(
            found,
            "no log line with {text:?} within {within:?}; it said: {:#?}",
            journal.lines
        );
        journal
            .lines
            .into_iter()
            .find(|line| line.contains(text))
            .unwrap()
    }

    /// Waits until `count` log lines contain `text`.
    #[track_caller]
    pub fn wait_for_logs(&self, text: &str, count: usize) {
        let matching = |journal: &Journal| {
            journal
                .lines
                .iter()
                .filter(|line| line.contains(text))
                .count()
        };
        let (journal, enough) = self.wait(PATIENCE, |journal| matching(journal) >= count);
        assert!(
            enough,
            "fewer than {count} log lines with {text:?}; it said: {:#?}",
            journal.lines
        );
    }

    /// What it has logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.0.lock().unwrap().lines.clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Whether it has not ended by itself.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Asks it to end (SIGTERM) and returns how it did.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended(PATIENCE)
    }

    /// Waits for its end: the log closes when the process is gone.
    #[track_caller]
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let (journal, _) = self.wait(within, |journal| journal.closed);
        assert!(
            journal.closed,
            "still running after {within:?}; it said: {:#?}",
            journal.lines
        );
        let status = self.child.wait().unwrap();
        self.status = Some(status);
        status
    }

    /// How many descriptors it holds; `None` for everybody but root, whom alone it lets look.
    pub fn descriptors(&self) -> Option<usize> {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.pid()));
        if super::is_root() {
            Some(descriptors.unwrap().count())
        } else {
            None
        }
    }

    pub fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.pid()))
            .unwrap()
            .count()
    }

    /// One row of /proc/PID/status, without its name: `status("Uid")` is `65534\t65534\t65534\t65534`.
    #[track_caller]
    pub fn status(&self, name: &str) -> String {
        status_of(self.pid(), name)
    }

    /// Resident memory.
    pub fn memory_kib(&self) -> u64 {
        self.status("VmRSS")
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Processor time used so far, user and system.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .map(|word| word.parse().unwrap_or(0))
            .collect();
        Duration::from_millis((fields[11] + fields[12]) * 10) // USER_HZ is 100 on Linux
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
        if std::thread::panicking() {
            println!("the server had said: {:#?}", self.log());
        }
    }
}

/// One row of /proc/PID/status of any process or thread.
#[track_caller]
pub fn status_of(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let row = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    row.unwrap_or_else(|| panic!("no {name} in {status}"))
        .trim()
        .to_owned()
}

/// The addresses that a log says are listened at.
pub fn places(log: &str) -> Vec<SocketAddr> {
    let rest = log
        .lines()
        .filter_map(|line| line.split("listening on ").nth(1));
    rest.filter_map(|rest| rest.split([' ', ',']).next()?.parse().ok())
        .collect()
}

/// Runs the program to its end, for flags that start no server; ends it after ten seconds.
pub fn run_to_end(arguments: &[&str]) -> Output {
    let output = Command::new("timeout")
        .args(["-k", "1", "10", PROGRAM])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_ne!(
        output.status.code(),
        Some(124),
        "{arguments:?} does not end"
    );
    output
}

/// Collects lines as they come, in a thread that ends with the writer.
fn follow(stream: impl std::io::Read + Send + 'static) -> Log {
    let log = Log::default();
    let ours = Arc::clone(&log);
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches('\n')
                .to_owned();
            line.clear();
            ours.0.lock().unwrap().lines.push(text);
            ours.1.notify_all();
        }
        ours.0.lock().unwrap().closed = true;
        ours.1.notify_all();
    });
    log
}
