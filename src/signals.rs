//! Signals: held back everywhere, so that one thread can wait for them like for anything else.

use nix::sys::signal::{SigSet, Signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM or SIGINT: stop.
    Stop,
    /// SIGHUP: read the users file again.
    Reload,
    /// SIGUSR1: say in the log who is doing what.
    Report,
}

/// The signals that are waited for; every thread started after [`hold`] inherits that they are held back.
#[derive(Debug)]
pub struct Signals(SigSet);

/// Holds back the signals that this server answers to.  Call it before any thread starts.
///
/// SIGPIPE needs nothing: the Rust runtime ignores it.
///
/// # Errors
/// One line if the kernel refuses.
pub fn hold() -> Result<Signals, String> {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
    ] {
        set.add(signal);
    }
    block(set)?;
    // A write beyond a size limit should fail with EFBIG, and not end the process (setrlimit(2)).
    let mut size_limit = SigSet::empty();
    size_limit.add(Signal::SIGXFSZ);
    block(size_limit)?;
    Ok(Signals(set))
}

fn block(set: SigSet) -> Result<(), String> {
    set.thread_block()
        .map_err(|errno| format!("hold back signals: {}", errno.desc()))
}

impl Signals {
    /// Waits for the next signal.
    pub fn wait(&self) -> Wish {
        loop {
            match self.0.wait() {
                Ok(Signal::SIGHUP) => return Wish::Reload,
                Ok(Signal::SIGUSR1) => return Wish::Report,
                Ok(_) => return Wish::Stop,
                Err(_) => {}
            }
        }
    }
}
