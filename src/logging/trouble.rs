//! Trouble that comes with every client is told now and then: a flood of clients must not become a flood of lines.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// How often the same trouble is told, at most.
const EVERY: Duration = Duration::from_secs(10);

/// How many clients' trouble of one kind is told in that time.
const CLIENTS: usize = 8;

/// One kind of trouble that each client may have for a reason of his own: it is told for each, but not of a crowd.
#[derive(Debug)]
pub struct TroubleOfClients(Mutex<ToldOf>);

#[derive(Debug)]
struct ToldOf {
    last: [Option<(IpAddr, Instant)>; CLIENTS],
    untold: u32,
}

impl TroubleOfClients {
    /// One that was never told.
    pub const fn new() -> Self {
        Self(Mutex::new(ToldOf {
            last: [None; CLIENTS],
            untold: 0,
        }))
    }

    /// Calls `tell`, which logs it, unless that was done for this client, or for many, a moment ago.
    pub fn tell(&self, client: IpAddr, tell: impl FnOnce()) {
        if is_due(self.turn(client, Instant::now())) {
            tell();
        }
    }

    fn turn(&self, client: IpAddr, now: Instant) -> Option<u32> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let early = |last| now.saturating_duration_since(last) < EVERY;
        let known = told.last.iter().flatten();
        let again = known
            .clone()
            .any(|(address, last)| *address == client && early(*last));
        let place = told
            .last
            .iter_mut()
            .find(|place| place.is_none_or(|(_, last)| !early(last)));
        match place {
            Some(place) if !again => {
                *place = Some((client, now));
                Some(std::mem::take(&mut told.untold))
            }
            _ => {
                told.untold = told.untold.saturating_add(1);
                None
            }
        }
    }
}

impl Default for TroubleOfClients {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether it is told now; if so, it is said first how many lines were not.
fn is_due(turn: Option<u32>) -> bool {
    if let Some(untold @ 1..) = turn {
        log::warn!("{untold} lines like the next one were left out");
    }
    turn.is_some()
}

/// One kind of trouble.
#[derive(Debug)]
pub struct Trouble {
    every: Duration,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    last: Option<Instant>,
    untold: u32,
}

impl Default for Trouble {
    fn default() -> Self {
        Self::new()
    }
}

impl Trouble {
    /// One that was never told.
    pub const fn new() -> Self {
        Self::every(EVERY)
    }

    /// One that is told more seldom, since it lasts.
    pub const fn every(every: Duration) -> Self {
        let told = Told {
            last: None,
            untold: 0,
        };
        Self {
            every,
            told: Mutex::new(told),
        }
    }

    /// Calls `tell`, which logs it, unless that was done a moment ago; then it is only counted.
    pub fn tell(&self, tell: impl FnOnce()) {
        if is_due(self.turn(Instant::now())) {
            tell();
        }
    }

    /// Whether it may be told again, and how often it was not.
    fn turn(&self, now: Instant) -> Option<u32> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let early = |last| now.saturating_duration_since(last) < self.every;
        if told.last.is_some_and(early) {
            told.untold = told.untold.saturating_add(1);
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_clients_trouble_is_told_but_not_that_of_a_crowd() {
        let (trouble, now) = (TroubleOfClients::new(), Instant::now());
        let client = |number| IpAddr::from([192, 0, 2, number]);
        for number in 0..8 {
            assert_eq!(
                trouble.turn(client(number), now),
                Some(u32::from(number > 0))
            );
            assert_eq!(trouble.turn(client(number), now + EVERY / 2), None);
        }
        assert_eq!(trouble.turn(client(8), now + EVERY / 2), None);
        assert_eq!(trouble.turn(client(8), now + EVERY), Some(2));
        assert_eq!(trouble.turn(client(8), now + EVERY), None);
    }

    #[test]
    fn the_same_trouble_is_told_every_ten_seconds_with_the_number_of_those_left_out() {
        let (trouble, now) = (Trouble::new(), Instant::now());
        assert_eq!(trouble.turn(now), Some(0));
        for _ in 0..1000 {
            assert_eq!(trouble.turn(now + EVERY / 2), None);
        }
        assert_eq!(trouble.turn(now + EVERY), Some(1000));
        assert_eq!(trouble.turn(now + EVERY), None);
        assert_eq!(trouble.turn(now + EVERY * 2), Some(1));
    }
}
