//! Detaching from the terminal, and the pid file.
//!
//! fork(2) is unsafe in Rust, and this program has no unsafe code.  So `--daemon` starts the program anew, with a
//! switch that says so, and waits for one line on a pipe: only when the new process listens and is confined does
//! the old one exit with status 0, and what fails before that is seen on the terminal and in the exit status.

use std::ffi::CString;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use nix::fcntl::OFlag;
use nix::spawn;
use nix::spawn::PosixSpawnAttr;
use nix::spawn::PosixSpawnFileActions;
use nix::sys::prctl;
use nix::sys::stat::Mode;
use nix::sys::wait::WaitStatus;
use nix::sys::wait::waitpid;
use nix::unistd;
use nix::unistd::Pid;

/// What the new process writes when it serves.
const READY: &[u8] = b"ready\n";

/// Starts this program again, detached, with `switch` put before the arguments, and waits until it serves.
///
/// `args` is the whole command line, `argv[0]` included.  Returns the exit status for this process: 0 once the new
/// one serves, otherwise the status with which that one failed; it has said why on standard error.
///
/// # Errors
/// One line, if the program cannot be started again.
pub fn detach(args: &[OsString], switch: &str) -> Result<u8, String> {
    let child = again(args, switch).map_err(|why| {
        format!("cannot detach: starting the program again: {why}; leave out --daemon and let an init script do it")
    })?;
    await_ready(child)
        .map_err(|why| format!("cannot detach: waiting for the detached process: {why}"))
}

/// A process that was started, and the reading end of its standard output.
struct Child {
    pid: Pid,
    says: File,
}

/// The first of the ways to this program that exists: /proc may be missing, and the file may have been replaced.
fn again(args: &[OsString], switch: &str) -> io::Result<Child> {
    let name = args.first().map(OsString::as_os_str);
    let ways = [
        Some(PathBuf::from("/proc/self/exe")),
        std::env::current_exe().ok(),
        name.map(PathBuf::from),
    ];
    let mut words = vec![
        name.unwrap_or(OsStr::new("pocketftpd")).as_bytes(),
        switch.as_bytes(),
    ];
    words.extend(args.iter().skip(1).map(|word| word.as_bytes()));
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for way in ways.into_iter().flatten() {
        match start(&way, &words) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => last = why,
            other => return other,
        }
    }
    Err(last)
}

/// Starts a program with this environment and nothing on its standard input.
///
/// By nix: std's `Command` can do far more, and weighs 15 KB.
fn start(program: &Path, words: &[&[u8]]) -> io::Result<Child> {
    let words: Vec<CString> = words
        .iter()
        .copied()
        .map(CString::new)
        .collect::<Result<_, _>>()?;
    let environment: Vec<CString> = std::env::vars_os()
        .map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<Result<_, _>>()?;
    let (reading, writing) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    let mut streams = PosixSpawnFileActions::init()?;
    streams.add_open(0, c"/dev/null", OFlag::O_RDONLY, Mode::empty())?;
    streams.add_dup2(writing.as_raw_fd(), 1)?;
    let attributes = PosixSpawnAttr::init()?;
    let pid = spawn::posix_spawn(program, &streams, &attributes, &words, &environment)?;
    Ok(Child {
        pid,
        says: File::from(reading),
    })
}

/// Waits for the line or for the end of `child`.
fn await_ready(mut child: Child) -> io::Result<u8> {
    let mut said = [0; READY.len()];
    // Nobody else has the other end, so this ends with the line or with the process.
    match child.says.read_exact(&mut said) {
        Ok(()) if said == READY => return Ok(0),
        Err(why) if why.kind() != io::ErrorKind::UnexpectedEof => return Err(why),
        _ => {}
    }
    match waitpid(child.pid, None)? {
        WaitStatus::Exited(_, code) if code != 0 => Ok(u8::try_from(code).unwrap_or(1)),
        // It said nothing and was content, or a signal has ended it.
        _ => Ok(1),
    }
}

/// The detached process, before it serves: what it says still reaches the terminal.
#[derive(Debug)]
pub struct Detached {
    /// Opened before the chroot, which has no /dev.
    null: File,
}

impl Detached {
    /// Leaves the terminal's session.  Call it in the process that [`detach`] started, before the chroot.
    ///
    /// # Errors
    /// One line that names the step.
    pub fn enter() -> Result<Self, String> {
        // Whoever starts this process as a session leader (setsid, an init script) has done the step already.
        if unistd::getsid(None) != Ok(unistd::getpid()) {
            unistd::setsid().map_err(|why| format!("cannot detach: setsid: {}", why.desc()))?;
        }
        // It was started as /proc/self/exe, and would be called so in lists of processes.
        let _ = prctl::set_name(c"pocketftpd");
        let null = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(|why| format!("cannot detach: /dev/null: {why}; leave out --daemon"))?;
        Ok(Self { null })
    }

    /// Tells the waiting process that all is well, and lets go of the terminal.
    ///
    /// # Errors
    /// One line; the waiting process is gone, for instance, so somebody has changed their mind.
    pub fn ready(self) -> Result<(), String> {
        let failed =
            |why: io::Error| format!("cannot detach: telling the process that waits: {why}");
        let mut stdout = io::stdout();
        stdout
            .write_all(READY)
            .and_then(|()| stdout.flush())
            .map_err(failed)?;
        unistd::dup2_stdout(&self.null)
            .and_then(|()| unistd::dup2_stderr(&self.null))
            .map_err(|why| failed(why.into()))
    }
}

/// The file that holds the process number while the process runs.
///
/// Its lock is the proof that a process lives; the number alone may be that of another one by now.
#[derive(Debug)]
pub struct PidFile {
    file: Flock<File>,
    path: PathBuf,
}

impl PidFile {
    /// Opens and locks the file.  This belongs before the chroot, and into the process that serves.
    ///
    /// # Errors
    /// One line: it cannot be opened, or another process holds it.
    pub fn open(path: &Path) -> Result<Self, String> {
        let failed = |why: String| format!("cannot take the pid file {}: {why}", path.display());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            // No waiting for the other end of a FIFO, and no link that somebody laid where everybody may write.
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits())
            .open(path)
            .map_err(|why| failed(format!("{why}; name another with --pid-file")))?;
        if !file.metadata().is_ok_and(|found| found.is_file()) {
            return Err(failed(
                "not a plain file; name another with --pid-file".to_owned(),
            ));
        }
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self {
                file,
                path: path.to_owned(),
            }),
            Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
                let holder =
                    number_in(&file).map_or("a process".to_owned(), |pid| format!("process {pid}"));
                Err(failed(format!(
                    "{holder} holds it; stop that one, or name another with --pid-file"
                )))
            }
            Err((_, why)) => Err(failed(format!(
                "lock: {}; name another with --pid-file",
                why.desc()
            ))),
        }
    }

    /// Writes the process number.
    ///
    /// # Errors
    /// One line; the disk is full, for instance.
    pub fn write(&mut self) -> Result<(), String> {
        let number = format!("{}\n", std::process::id());
        let len = number.len().try_into().unwrap_or(u64::MAX);
        // In this order nobody ever reads an empty file in between.
        let written = self
            .file
            .write_all_at(number.as_bytes(), 0)
            .and_then(|()| self.file.set_len(len));
        written.map_err(|why| format!("cannot write the pid file {}: {why}", self.path.display()))
    }

    /// The number that a last run has left behind, which means that it did not come to its end; to be asked before
    /// [`PidFile::write`].
    pub fn left_behind(&self) -> Option<u32> {
        number_in(&self.file)
    }

    /// Empties the file; from inside the chroot it cannot be removed.
    ///
    /// # Errors
    /// One line.
    pub fn clear(&mut self) -> Result<(), String> {
        self.file
            .set_len(0)
            .map_err(|why| format!("cannot empty the pid file {}: {why}", self.path.display()))
    }
}

/// The number that another process wrote.
fn number_in(file: &File) -> Option<u32> {
    let mut text = [0; 16];
    let len = file.read_at(&mut text, 0).ok()?;
    let number = text.get(..len)?.trim_ascii();
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("pocketftpd-{name}-{}", std::process::id()))
    }

    fn child(script: &str) -> Child {
        start(Path::new("/bin/sh"), &[b"sh", b"-c", script.as_bytes()]).unwrap()
    }

    #[test]
    fn the_waiting_process_exits_with_zero_only_when_the_line_came() {
        let table = [
            ("echo ready; exec sleep 1", 0),
            ("exit 3", 3),
            ("exit 0", 1),
            ("echo rea; exit 2", 2),
            ("kill -9 $$", 1),
        ];
        for (script, status) in table {
            let child = child(script);
            let pid = child.pid;
            assert_eq!(await_ready(child).unwrap(), status, "{script}");
            if status == 0 {
                waitpid(pid, None).unwrap();
            }
        }
    }

    #[test]
    fn the_new_process_has_our_environment_and_an_empty_standard_input() {
        let script = r#"[ "$PATH" = "$0" ] && [ -z "$(cat)" ] && echo ready"#;
        let path = std::env::var_os("PATH").unwrap();
        let words: [&[u8]; 4] = [b"sh", b"-c", script.as_bytes(), path.as_bytes()];
        let child = start(Path::new("/bin/sh"), &words).unwrap();
        let pid = child.pid;
        assert_eq!(await_ready(child).unwrap(), 0);
        waitpid(pid, None).unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_told_from_one_that_fails() {
        let missing = start(Path::new("/nonexistent/pocketftpd"), &[b"pocketftpd"]);
        assert_eq!(missing.err().unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_pid_file_is_written_emptied_and_held_by_one() {
        let path = path("pid");
        std::fs::write(&path, "a longer text of old\n").unwrap();
        let mut ours = PidFile::open(&path).unwrap();
        ours.write().unwrap();
        let pid = std::process::id();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{pid}\n"));
        let refusal = PidFile::open(&path).unwrap_err();
        let expected = format!(
            "cannot take the pid file {}: process {pid} holds it; stop that one, or name another with --pid-file",
            path.display()
        );
        assert_eq!(refusal, expected);
        ours.clear().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        assert!(
            PidFile::open(&path)
                .unwrap_err()
                .contains("a process holds it")
        );
        drop(ours);
        PidFile::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_pid_file_is_no_link_and_no_fifo() {
        let (link, fifo) = (path("link"), path("fifo"));
        std::os::unix::fs::symlink(path("target"), &link).unwrap();
        unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(PidFile::open(&link).is_err());
        assert!(
            PidFile::open(&fifo)
                .unwrap_err()
                .contains("not a plain file")
        );
        assert!(
            PidFile::open(Path::new("/nonexistent/pid"))
                .unwrap_err()
                .contains("--pid-file")
        );
        std::fs::remove_file(&link).unwrap();
        std::fs::remove_file(&fifo).unwrap();
    }
}
