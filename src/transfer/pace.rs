//! Bandwidth: how many octets a session may move now, and what the kernel is told about it.
//!
//! Each direction of a session keeps one account over all its transfers, so that many small files are no way around
//! the limit.  It is settled in pieces of a tenth of a second: between two of them the thread waits, with an ear for
//! the control connection (see [`Flow::allowance`](crate::transfer::flow::Flow::allowance)).
//!
//! On the way down the kernel spreads each piece over its tenth of a second, where it can (SO_MAX_PACING_RATE, Linux
//! 4.13, or 3.13 with fq); sendfile(2) stays.  The kernel alone is not enough: before that it takes the option and does
//! nothing, it lets the first ten segments of every connection go at once, and it knows connections, not sessions.

use std::net::TcpStream;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use nix::libc;
use nix::setsockopt_impl;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SetStruct;

use crate::config::{Limit, Rates};

/// The smallest piece, in octets: at low rates it is fewer and larger ones.
const PIECE: u32 = 4096;

/// How many pieces a second, at rates that are high enough.
const PIECES: u32 = 10;

/// What the kernel paces, in octets a second.  Always 32 bits: kernels before 5.1 read no more, and a value of 64 bits
/// would be 0 to a big-endian one of them.  The macro is nix's; it writes the call, so that nothing `unsafe` is ours.
#[derive(Debug, Clone, Copy)]
struct MaxPacingRate;
setsockopt_impl!(
    MaxPacingRate,
    libc::SOL_SOCKET,
    libc::SO_MAX_PACING_RATE,
    u32,
    SetStruct<u32>
);

/// Both directions of a session.
#[derive(Debug)]
pub struct Paces {
    /// From the client.
    pub up: Pace,
    /// To the client.
    pub down: Pace,
}

impl Paces {
    /// Nothing has moved, and nothing is limited.
    pub fn new(now: Instant) -> Self {
        let pace = || Pace {
            rate: None,
            due: now,
        };
        Self {
            up: pace(),
            down: pace(),
        }
    }

    /// Sets the limits.  What has moved stays on the account: another log-in is no way around it.
    pub fn limit(&mut self, rates: Rates) {
        (self.up.rate, self.down.rate) = (rates.up, rates.down);
    }
}

/// One direction of a session.
#[derive(Debug)]
pub struct Pace {
    rate: Limit,
    /// When all that has moved would have moved at the rate.
    due: Instant,
}

impl Pace {
    /// The limit.
    pub fn limit(&self) -> Limit {
        self.rate
    }

    /// How many of `wanted` octets may move at `now`, at least one; else when to ask again.
    ///
    /// # Errors
    /// The moment from which on a whole piece may move.
    pub fn allows(&mut self, now: Instant, wanted: usize) -> Result<usize, Instant> {
        let Some(rate) = self.rate else {
            return Ok(wanted);
        };
        // Time in which nothing moved is lost: nobody saves up for a burst.
        self.due = self.due.max(now);
        let piece = piece(rate);
        let ahead = octets(self.due - now, rate);
        let room = (2 * piece).saturating_sub(ahead);
        let wanted_too = u64::try_from(wanted).unwrap_or(u64::MAX);
        if room >= piece.min(wanted_too) {
            return Ok(usize::try_from(room).unwrap_or(usize::MAX).min(wanted));
        }
        // Two pieces ahead is too far, one is right: the next wait is a whole piece away.
        Err(self.due - time(piece, rate))
    }

    /// Takes down that octets have moved.
    pub fn moved(&mut self, octets: usize) {
        if let Some(rate) = self.rate {
            self.due += time(u64::try_from(octets).unwrap_or(u64::MAX), rate);
        }
    }

    /// How long the kernel may sit on octets for the limit's sake, when nobody has stalled.
    pub fn leisure(&self) -> Duration {
        self.rate
            .map_or(Duration::ZERO, |rate| time(4 * piece(rate), rate))
    }

    /// Lets the kernel pace what is sent, where it can.
    pub fn tell_kernel(&self, stream: &TcpStream) {
        if let Some(rate) = self.rate {
            // An eighth more: a piece is out before the next one is due, so the thread wakes once a piece.  At the rate
            // itself the buffer would stay full, and the thread be woken for every third of it that is free, six times
            // as often.
            let _ = setsockopt(stream, MaxPacingRate, &(rate.get() / 8 * 9));
        }
    }
}

/// A tenth of a second's worth of octets, or [`PIECE`] where that is more.
fn piece(rate: NonZeroU32) -> u64 {
    u64::from((rate.get() / PIECES).max(PIECE))
}

/// How long these octets take.
fn time(octets: u64, rate: NonZeroU32) -> Duration {
    Duration::from_nanos(octets.saturating_mul(NANOS) / u64::from(rate.get()))
}

/// How many octets that much time is good for, rounded up.
fn octets(time: Duration, rate: NonZeroU32) -> u64 {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    nanos.saturating_mul(u64::from(rate.get())).div_ceil(NANOS)
}

const NANOS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: u32, now: Instant) -> Pace {
        Pace {
            rate: NonZeroU32::new(rate),
            due: now,
        }
    }

    /// Moves as much as is allowed, in pieces of `wanted`, for `time`; returns the octets and how often it waited.
    fn run(pace: &mut Pace, mut now: Instant, time: Duration, wanted: usize) -> (u64, u32) {
        let (end, mut moved, mut waits) = (now + time, 0, 0);
        while now < end {
            match pace.allows(now, wanted) {
                Ok(count) => {
                    assert!((1..=wanted).contains(&count));
                    pace.moved(count);
                    moved += count as u64;
                }
                Err(until) => {
                    assert!(until > now, "a wait that is over would spin");
                    waits += 1;
                    now = until;
                }
            }
        }
        (moved, waits)
    }

    #[test]
    fn the_rate_is_met_whatever_it_is_and_however_little_moves_at_once() {
        let now = Instant::now();
        // As many seconds as do not take long to count through in the smallest steps.
        for (rate, seconds) in [
            (1000, 60),
            (1001, 60),
            (40_960, 60),
            (40_961, 60),
            (999_999, 60),
            (32_000_000, 5),
            (1_000_000_000, 1),
        ] {
            for wanted in [1400, 65_536, 8 << 20] {
                let mut pace = pace(rate, now);
                let (moved, waits) = run(&mut pace, now, Duration::from_secs(seconds), wanted);
                let due = u64::from(rate) * seconds;
                // Two pieces ahead at most, and one behind that was not due yet.
                let piece = piece(NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN));
                assert!(
                    moved >= due - piece.min(due / 2),
                    "{rate} {wanted}: {moved}"
                );
                assert!(moved <= due + 2 * piece, "{rate} {wanted}: {moved}");
                assert!(
                    u64::from(waits) <= 2 * seconds * u64::from(PIECES),
                    "{rate} {wanted}: {waits} waits"
                );
            }
        }
    }

    #[test]
    fn what_was_not_used_is_not_saved_up() {
        let now = Instant::now();
        let mut pace = pace(100_000, now);
        let later = now + Duration::from_secs(3600);
        let (moved, _) = run(&mut pace, later, Duration::from_secs(1), 65_536);
        assert!(moved <= 120_000, "{moved}");
    }

    #[test]
    fn many_small_transfers_share_one_account() {
        let now = Instant::now();
        let mut paces = Paces::new(now);
        let rates = Rates {
            up: None,
            down: NonZeroU32::new(100_000),
        };
        let mut moved = 0;
        // Each with a log-in of its own before it.
        while paces.down.allows(now, 1000).is_ok() && moved < 1_000_000 {
            paces.limit(rates);
            paces.down.moved(1000);
            moved += 1000;
        }
        assert_eq!(moved, 20_000);
        assert_eq!(paces.up.limit(), None);
    }

    #[test]
    fn without_a_limit_everything_may_move_at_once() {
        let now = Instant::now();
        let mut pace = pace(0, now);
        pace.moved(usize::MAX);
        assert_eq!(pace.allows(now, usize::MAX), Ok(usize::MAX));
    }
}
