//! Where threads say that they are ready, and wait until all are.
//!
//! Two of std's channels would do the same; they are made for more, and the part of them that this needed was 6 KiB.

use std::io;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// How long a thread may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Shut until it is opened.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    came: Vec<io::Result<bool>>,
    open: bool,
}

impl Gate {
    /// Tells how the calling thread has fared, and waits for the gate to open.
    pub fn wait(&self, fared: io::Result<bool>) {
        let mut state = self.state();
        state.came.push(fared);
        self.changed.notify_all();
        while !state.open {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until `count` threads have come; true if all of them said so.
    ///
    /// # Errors
    /// What one of them said, or `TimedOut` where one did not come.
    pub fn all(&self, count: usize) -> io::Result<bool> {
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.state(), PATIENCE, |state| state.came.len() < count)
            .unwrap_or_else(PoisonError::into_inner);
        if state.came.len() < count {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut all = true;
        for fared in state.came.drain(..) {
            all &= fared?;
        }
        Ok(all)
    }

    /// Lets all through, also those who come later.
    pub fn open(&self) {
        self.state().open = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::thread;

    #[test]
    fn nobody_goes_through_before_all_have_come() {
        let (gate, through) = (Gate::default(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for fared in [true, false, true] {
                let (gate, through) = (&gate, &through);
                scope.spawn(move || {
                    gate.wait(Ok(fared));
                    through.fetch_add(1, Ordering::SeqCst);
                });
            }
            assert!(!gate.all(3).unwrap(), "one has not fared well");
            assert_eq!(through.load(Ordering::SeqCst), 0);
            gate.open();
        });
        assert_eq!(through.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn what_one_thread_has_met_is_told() {
        let gate = Gate::default();
        thread::scope(|scope| {
            scope.spawn(|| gate.wait(Err(io::ErrorKind::PermissionDenied.into())));
            scope.spawn(|| gate.wait(Ok(true)));
            let error = gate.all(2).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            gate.open();
        });
    }
}
