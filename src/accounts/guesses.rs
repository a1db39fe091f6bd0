//! Brakes on guessing passwords, by address.
//!
//! An address that failed gets its next checks one after the other, spaced by a delay that grows: parallel
//! connections wait in the same queue.  Nothing here sleeps; the caller does.  The table has a fixed size, so a
//! guesser with many addresses costs no memory; it may push out entries, and those with most failures stay longest.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// How many addresses are remembered.
const ADDRESSES: usize = 256;

/// How long an address is remembered after its last failure.
const MEMORY: Duration = Duration::from_secs(15 * 60);

/// The longest delay between two guesses.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// What counts as one guesser: an IPv4 address, or the /64 of an IPv6 one, which one host has to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guesser {
    V4([u8; 4]),
    V6([u16; 4]),
}

impl Guesser {
    fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    guesser: Guesser,
    failures: u32,
    /// When the last failure was.
    last: Instant,
    /// When the next check may begin.
    next: Instant,
}

impl Entry {
    fn delay(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(8);
        Duration::from_secs(1 << doublings).min(DELAY_MAX)
    }

    fn forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= MEMORY
    }
}

/// Who failed how often; shared by all sessions.
#[derive(Debug)]
pub struct Guesses {
    /// At most [`ADDRESSES`]; memory that nobody's failures have touched yet is only reserved.
    entries: Mutex<Vec<Entry>>,
}

impl Default for Guesses {
    fn default() -> Self {
        Self::new()
    }
}

impl Guesses {
    /// An empty table; it never grows.
    pub fn new() -> Self {
        Self {
            entries: Mutex::new(Vec::with_capacity(ADDRESSES)),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next check for `peer` may begin.
    ///
    /// At once while the address has no failures; otherwise each call takes the next free turn.  A turn that is
    /// not used is lost, so whoever asks and hangs up makes the address wait longer, until it is forgotten.
    pub fn turn(&self, peer: IpAddr, now: Instant) -> Instant {
        let guesser = Guesser::of(peer);
        let mut entries = self.entries();
        let entry = entries
            .iter_mut()
            .find(|entry| entry.guesser == guesser && !entry.forgotten(now));
        let Some(entry) = entry else { return now };
        let at = entry.next.max(now);
        entry.next = later(at, entry.delay());
        at
    }

    /// Counts a failure, and says how long after `now` the client may hear of it: 1 s, 2 s, 4 s, 8 s, then 10 s.
    ///
    /// If `now` is when the check began, the reply comes at a time that does not depend on what the check cost.
    pub fn failed(&self, peer: IpAddr, now: Instant) -> Duration {
        let guesser = Guesser::of(peer);
        let mut entries = self.entries();
        let known = |entry: &Entry| entry.guesser == guesser && !entry.forgotten(now);
        let new = Entry {
            guesser,
            failures: 0,
            last: now,
            next: now,
        };
        if !entries.iter().any(known) {
            // One that is forgotten makes place; where none is, the one with the fewest failures and, of those, the oldest.
            entries.retain(|entry| !entry.forgotten(now));
            if entries.len() < ADDRESSES {
                entries.push(new);
            } else if let Some(place) = entries
                .iter_mut()
                .min_by_key(|entry| (entry.failures, entry.last))
            {
                *place = new;
            }
        }
        let Some(entry) = entries.iter_mut().find(|entry| known(entry)) else {
            return DELAY_MAX;
        };
        entry.failures = entry.failures.saturating_add(1);
        entry.last = entry.last.max(now);
        entry.next = entry.next.max(later(now, entry.delay()));
        entry.delay()
    }

    /// Forgets the failures of `peer`.
    ///
    /// Only a checked password counts: an anonymous log-in between two guesses must not let go of the brake.
    pub fn succeeded(&self, peer: IpAddr) {
        let guesser = Guesser::of(peer);
        self.entries().retain(|entry| entry.guesser != guesser);
    }
}

/// `at` and `delay` later; the clock's end is not reached in practice, and must not be a panic.
fn later(at: Instant, delay: Duration) -> Instant {
    at.checked_add(delay).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn v6(text: &str) -> IpAddr {
        text.parse().unwrap_or(PEER)
    }

    #[test]
    fn an_address_without_failures_never_waits() {
        let (guesses, now) = (Guesses::new(), Instant::now());
        assert!((0..100).all(|_| guesses.turn(PEER, now) == now));
    }

    #[test]
    fn delays_grow_to_ten_seconds() {
        let (guesses, now) = (Guesses::new(), Instant::now());
        let delays: Vec<u64> = (0..7)
            .map(|_| guesses.failed(PEER, now).as_secs())
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 10, 10, 10]);
    }

    #[test]
    fn two_hundred_guesses_over_eight_connections_take_minutes() {
        let (guesses, start) = (Guesses::new(), Instant::now());
        // When each connection is free to send its next guess.
        let mut free = [start; 8];
        let mut latest = start;
        for _ in 0..200 {
            let Some(soonest) = free.iter_mut().min() else {
                return;
            };
            let began = guesses.turn(PEER, *soonest);
            *soonest = began + guesses.failed(PEER, began);
            latest = latest.max(began);
        }
        assert!(latest - start > seconds(30 * 60), "{:?}", latest - start);
    }

    #[test]
    fn turns_are_handed_out_one_after_the_other() {
        let (guesses, now) = (Guesses::new(), Instant::now());
        for _ in 0..3 {
            guesses.failed(PEER, now);
        }
        let turns: Vec<u64> = (0..4)
            .map(|_| (guesses.turn(PEER, now) - now).as_secs())
            .collect();
        assert_eq!(turns, [4, 8, 12, 16]);
    }

    #[test]
    fn success_and_a_quarter_of_an_hour_are_forgotten() {
        let (guesses, now) = (Guesses::new(), Instant::now());
        guesses.failed(PEER, now);
        guesses.succeeded(PEER);
        assert_eq!(guesses.turn(PEER, now), now);
        for _ in 0..5 {
            guesses.failed(PEER, now);
        }
        let before = now + MEMORY - seconds(1);
        for _ in 0..200 {
            guesses.turn(PEER, before);
        }
        assert!(guesses.turn(PEER, before) > before + seconds(600));
        let after = now + MEMORY;
        assert_eq!(guesses.turn(PEER, after), after);
        assert_eq!(guesses.failed(PEER, after), seconds(1));
    }

    #[test]
    fn an_address_is_counted_however_it_is_written() {
        let (guesses, now) = (Guesses::new(), Instant::now());
        guesses.failed(PEER, now);
        guesses.failed(v6("2001:db8::1"), now);
        assert_eq!(guesses.failed(v6("::ffff:192.0.2.1"), now), seconds(2));
        assert_eq!(guesses.failed(v6("2001:db8::ffff:1:2"), now), seconds(2));
        assert_eq!(guesses.failed(v6("2001:db8:0:1::1"), now), seconds(1));
    }

    #[test]
    fn a_full_table_gives_up_the_oldest_of_those_with_fewest_failures() {
        let (guesses, now) = (Guesses::new(), Instant::now());
        let peer = |number: u16| IpAddr::from([0x2001, 0xdb8, 0, number, 0, 0, 0, 1]);
        for number in 0..256 {
            guesses.failed(peer(number), now + Duration::from_millis(number.into()));
        }
        guesses.failed(peer(0), now + seconds(1));
        guesses.failed(peer(300), now + seconds(2));
        let later = now + seconds(2);
        assert_eq!(
            guesses.turn(peer(1), later),
            later,
            "the oldest with one failure is gone"
        );
        assert_eq!(
            guesses.failed(peer(0), later),
            seconds(4),
            "more failures stay"
        );
        assert_eq!(
            guesses.failed(peer(2), later),
            seconds(2),
            "younger ones stay"
        );
    }
}
