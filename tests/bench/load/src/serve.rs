//! Runs a server under test, so that nothing it uses is lost.
//!
//! A session's process whose parent is gone would be reaped by init, and its time with it; here it comes to us, and its
//! time is found in our own.  What we use ourselves is next to nothing: we wait.

use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::proc;

/// How long a server may take to greet.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts the server `times` times, and lets the last one run until it or we are told to end.  Each start's time from
/// exec to the first octet of the greeting goes into the file `told`, a line each in milliseconds, before that.
pub fn serve(told: &str, address: SocketAddr, times: usize, command: &[&str]) -> io::Result<()> {
    set_child_subreaper(true)?;
    // Before any other thread is there, so that only the one that waits for it gets it.
    let mut end = SigSet::empty();
    end.add(Signal::SIGTERM);
    end.add(Signal::SIGINT);
    end.thread_block()?;
    thread::spawn(move || {
        let _ = end.wait();
        stop();
        process::exit(0);
    });
    let mut lines = String::new();
    for left in (0..times).rev() {
        let (mut child, took) = start(address, command, &end)?;
        lines.push_str(&format!("{:.3}\n", took.as_secs_f64() * 1e3));
        if left > 0 {
            stop();
            let _ = child.wait();
        }
    }
    if let Err(error) = fs::write(told, lines) {
        stop();
        return Err(error);
    }
    loop {
        // The server, its children that are left over, and at last none.
        match waitpid(None, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Ok(()),
        }
    }
}

fn start(address: SocketAddr, command: &[&str], end: &SigSet) -> io::Result<(Child, Duration)> {
    let (program, words) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let began = Instant::now();
    // A server takes over which signals are held back: none.
    end.thread_unblock()?;
    let child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .spawn();
    end.thread_block()?;
    let mut child = child?;
    loop {
        if greeted(address) {
            return Ok((child, began.elapsed()));
        }
        if child.try_wait()?.is_some() || began.elapsed() > PATIENCE {
            stop();
            return Err(io::Error::other("it does not serve"));
        }
        thread::sleep(Duration::from_micros(100));
    }
}

fn greeted(address: SocketAddr) -> bool {
    let Ok(mut control) = TcpStream::connect(address) else {
        return false;
    };
    let mut code = [0; 3];
    let _ = control.set_read_timeout(Some(PATIENCE));
    control.read_exact(&mut code).is_ok() && &code == b"220"
}

/// Ends everything that descends from us: asks first.
fn stop() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        for pid in proc::descendants(process::id().cast_signed()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
        for _ in 0..50 {
            while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
            {
            }
            if proc::descendants(process::id().cast_signed()).is_empty() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
