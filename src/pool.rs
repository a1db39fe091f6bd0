//! Seats: how many clients are served at once, the threads that serve them and the memory that each may use.
//!
//! Everything is counted beforehand, so the worst case can be told at start.  A thread whose client has left waits for
//! the next one; a few that wait too long go home.

pub mod headroom;

use std::collections::VecDeque;
use std::io;
use std::iter::Zip;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::slice::ChunksExactMut;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::sandbox::Confined;
use crate::sandbox::fences::Fences;
use crate::sandbox::fences::Role;
use crate::wire::pathname::PATH_MAX;

/// The stack of a session's thread, in octets.  Reserved, not used: pages that no verb touches cost nothing.  Every test
/// over sockets runs on it, in a debug build, whose frames are larger than a release build's.
pub const STACK: usize = 128 * 1024;

/// The longest command line, in octets, with its line end: a pathname, a verb and a little more.
pub const LINE_MAX: usize = PATH_MAX + 64;

/// The longest reply, in octets: a pathname in which every octet is doubled, and a text around it.
pub const REPLY_MAX: usize = 2 * PATH_MAX + 512;

/// The longest body of a reply that is put together from several lines, in octets.
pub const TEXT_MAX: usize = 1536;

/// What moves between file and network at once, in octets.
pub const BLOCK: usize = 128 * 1024;

/// What the pipes of uploads hold at most, in octets a seat.  An upload gets up to [`PIPE_MAX`] of what others leave.
pub const PIPE: usize = 256 * 1024;

/// The largest pipe, in octets, and what the kernel lets a plain user have.  Measured with 256 MiB on tmpfs and ext4:
/// 0.56 s of processor time a GiB, against 0.62 with 256 KiB and 0.76 without a pipe.
const PIPE_MAX: usize = 1024 * 1024;

/// The smallest pipe, in octets, which is there for every seat however many uploads run.
const PIPE_MIN: usize = 64 * 1024;

/// What one getdents64(2) may bring, in octets.
pub const ENTRIES: usize = 64 * 1024;

/// The pathnames that a session may hold, and an argument that a reply repeats.
pub const PATHNAMES: usize = 4;

const ROOM: usize = LINE_MAX + TEXT_MAX + REPLY_MAX + PATHNAMES * PATH_MAX;

/// How long a thread waits for the next client before it goes home.
const REST: Duration = Duration::from_secs(30);

/// How long a new thread may take to begin before others are begun beside it.
const BEGINNING: Duration = Duration::from_secs(1);

/// How many threads wait for a client however long none comes.
const ALWAYS_WAITING: usize = 1;

/// How long running transfers may go on once the server was told to stop.
pub const LAST_WORDS: Duration = Duration::from_secs(5);

/// The memory of one session.  It lies in one piece that was reserved at start, of which the kernel gives nothing before
/// it is touched; short pathnames and lines never touch it.
#[derive(Debug)]
pub struct Room {
    /// For a long command line.
    pub line: &'static mut [u8],
    /// For the body of a reply of several lines.
    pub text: &'static mut [u8],
    /// For a long reply.
    pub reply: &'static mut [u8],
    /// For long pathnames.
    pub pathnames: [&'static mut [u8]; PATHNAMES],
}

/// The memory of one transfer or listing; lent while it runs, so that an idle session holds none.
#[derive(Debug)]
pub struct Desk {
    /// Octets on their way.
    pub block: &'static mut [u8],
    /// Directory entries as the kernel writes them.
    pub entries: &'static mut [MaybeUninit<u8>],
}

/// What a seat's session is doing, for SIGUSR1.
#[derive(Debug, Clone, Copy)]
pub struct Doing {
    /// Who: the user's name, cut to what fits, and its length.
    pub user: ([u8; 32], usize),
    /// The verb at work, or what is waited for.
    pub verb: &'static str,
    /// Octets that the present transfer has moved.
    pub octets: u64,
    /// Since when.
    pub since: Instant,
}

struct Sitting {
    home: IpAddr,
    number: u64,
    address: SocketAddr,
    control: Arc<TcpStream>,
    doing: Arc<Mutex<Doing>>,
}

/// A client that has found a seat.
#[derive(Debug)]
pub struct Guest {
    /// The session's memory.
    pub room: Lent<Room>,
    /// The control connection.
    pub control: Arc<TcpStream>,
    /// The client's address.
    pub peer: SocketAddr,
    /// The place; given back on drop, as the last of all: whoever takes it next finds memory.
    pub seat: Seat,
}

/// What this holds has the length that full seats need from the start, but nothing of it is touched before a client is
/// there that needs it.
struct State {
    /// At most `seats`.
    sitting: Vec<Option<Sitting>>,
    seats: usize,
    waiting: VecDeque<Guest>,
    /// Rooms that were given back, and those that were never lent.
    rooms: Vec<Room>,
    new_rooms: ChunksExactMut<'static, u8>,
    /// The same of desks.
    desks: Vec<Desk>,
    new_desks: Zip<ChunksExactMut<'static, u8>, ChunksExactMut<'static, MaybeUninit<u8>>>,
    /// Octets that no pipe of an upload has yet, and how many seats have none.
    pipes: (usize, usize),
    resting: usize,
    /// Threads that serve, rest, or are about to; never more than seats.
    threads: usize,
    /// Threads that have begun, ever.
    begun: usize,
    /// How many wait for guests to leave.
    seeing_off: usize,
    number: u64,
    stop_by: Option<Instant>,
}

/// The seats of the house.
pub struct Pool {
    state: Mutex<State>,
    guest_came: Condvar,
    guest_left: Condvar,
    /// Held while a thread begins: one at a time takes the memory that was found for it.
    beginning: Mutex<()>,
    has_begun: Condvar,
    per_address: usize,
    fences: Fences,
}

/// What counts as one address: for IPv6 the network of 64 bits that a client chooses its address from.
fn home(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

/// Why a client gets no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSeat {
    /// All are taken.
    Full,
    /// This address has its share of them.
    FullForAddress,
    /// The server is stopping.
    Stopping,
    /// The system has no memory for another session.
    NoMemory,
}

impl std::fmt::Display for NoSeat {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Full => "all seats are taken; --max-clients gives more",
            Self::FullForAddress => {
                "its address has its share of the seats; --max-per-ip gives more"
            }
            Self::Stopping => "the server is stopping",
            Self::NoMemory => "no memory is to be had; a lower --max-clients needs less",
        })
    }
}

/// Memory that the sessions of `seats` clients use at most, in octets; socket buffers are the kernel's own affair.
pub fn bound(seats: usize) -> usize {
    seats.saturating_mul(STACK + ROOM + BLOCK + ENTRIES + PIPE)
}

impl Pool {
    /// Reserves the memory of `seats` sessions, of which one address may have `per_address`.
    ///
    /// # Errors
    /// One line if the system has not that much.
    pub fn new(seats: usize, per_address: usize, confined: &Confined) -> Result<Arc<Self>, String> {
        let piece = seats.saturating_mul(ROOM + BLOCK + ENTRIES);
        // Asked for and given back: an allocation that fails further down would end the process without a word.
        let mut probe: Vec<u8> = Vec::new();
        probe.try_reserve_exact(piece).map_err(|_| {
            format!(
                "reserve memory: {} KiB for {seats} clients are not to be had; lower --max-clients",
                piece.div_ceil(1024)
            )
        })?;
        drop(probe);
        let mut pool = Self::unconfined(seats, per_address);
        pool.fences = confined.fences().clone();
        Ok(Arc::new(pool))
    }

    /// The same without proof of confinement, for tests beside the code.
    pub(crate) fn unconfined(seats: usize, per_address: usize) -> Self {
        // Zeroed memory in one piece is only reserved; the kernel fills in pages as they are touched.
        let all: &'static mut [u8] =
            Box::leak(vec![0; seats.saturating_mul(ROOM + BLOCK)].into_boxed_slice());
        let (rooms, blocks) = all.split_at_mut(seats.saturating_mul(ROOM));
        let entries: &'static mut [MaybeUninit<u8>] =
            Box::leak(Box::new_uninit_slice(seats.saturating_mul(ENTRIES)));
        let state = State {
            sitting: Vec::with_capacity(seats),
            seats,
            waiting: VecDeque::with_capacity(seats),
            rooms: Vec::with_capacity(seats),
            new_rooms: rooms.chunks_exact_mut(ROOM),
            desks: Vec::with_capacity(seats),
            new_desks: blocks
                .chunks_exact_mut(BLOCK)
                .zip(entries.chunks_exact_mut(ENTRIES)),
            pipes: (seats.saturating_mul(PIPE), seats),
            resting: 0,
            threads: 0,
            begun: 0,
            seeing_off: 0,
            number: 0,
            stop_by: None,
        };
        Self {
            state: Mutex::new(state),
            guest_came: Condvar::new(),
            guest_left: Condvar::new(),
            beginning: Mutex::new(()),
            has_begun: Condvar::new(),
            per_address,
            fences: Fences::none(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held cannot leave the lists half changed: each change is one call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a seat for a client.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// `counted` is false for a load balancer, behind which many clients share one address.
    pub fn seat(
        self: &Arc<Self>,
        control: TcpStream,
        peer: SocketAddr,
        counted: bool,
    ) -> Result<Guest, (NoSeat, TcpStream)> {
        let mut state = self.state();
        if state.stop_by.is_some() {
            return Err((NoSeat::Stopping, control));
        }
        let home = home(peer.ip());
        let taken = state.sitting.iter().flatten();
        let taken = taken.filter(|sitting| sitting.home == home).count();
        if counted && taken >= self.per_address {
            return Err((NoSeat::FullForAddress, control));
        }
        let free = state.sitting.iter().position(Option::is_none);
        let index = free.unwrap_or(state.sitting.len());
        if index >= state.seats {
            return Err((NoSeat::Full, control));
        }
        if !headroom::on_the_heap() {
            return Err((NoSeat::NoMemory, control));
        }
        state.number += 1;
        let number = state.number;
        let control = Arc::new(control);
        let doing = Arc::new(Mutex::new(Doing {
            user: ([0; 32], 0),
            verb: "arriving",
            octets: 0,
            since: Instant::now(),
        }));
        let sitting = Sitting {
            home,
            number,
            address: peer,
            control: control.clone(),
            doing: doing.clone(),
        };
        match state.sitting.get_mut(index) {
            Some(place) => *place = Some(sitting),
            None => state.sitting.push(Some(sitting)),
        }
        let room = state.room();
        drop(state);
        let room = Lent {
            pool: self.clone(),
            thing: room,
        };
        Ok(Guest {
            seat: Seat {
                pool: self.clone(),
                index,
                number,
                doing,
            },
            control,
            peer,
            room,
        })
    }

    /// Hands a guest to a thread that rests, or to a new one that runs `serve`.
    ///
    /// # Errors
    /// If the system gives no further thread; the guest is handed back.
    #[allow(
        clippy::result_large_err,
        reason = "where memory is short, an error must not need a box"
    )]
    pub fn serve<F>(self: &Arc<Self>, guest: Guest, serve: &Arc<F>) -> Result<(), (Errno, Guest)>
    where
        F: Fn(Guest) + Send + Sync + 'static,
    {
        let mut state = self.state();
        // As many threads as taken seats: one of them rests, or is on its way from a client who has left.
        if state.threads >= state.sitting.iter().flatten().count() {
            state.waiting.push_back(guest);
            drop(state);
            self.guest_came.notify_one();
            return Ok(());
        }
        drop(state);
        let beginning = self.beginning.lock();
        let _beginning = beginning.unwrap_or_else(PoisonError::into_inner);
        if !headroom::for_a_thread() {
            return Err((Errno::ENOMEM, guest));
        }
        let mut state = self.state();
        state.waiting.push_back(guest);
        state.threads += 1;
        let begun = state.begun;
        drop(state);
        let (pool, serve) = (self.clone(), serve.clone());
        match start_thread(Box::new(move || pool.work(&*serve))) {
            Ok(()) => {
                self.wait_for_beginning(begun);
                Ok(())
            }
            Err(error) => {
                let mut state = self.state();
                state.threads = state.threads.saturating_sub(1);
                // Unless a thread has come free in the meantime and taken the guest.
                match state.waiting.pop_back() {
                    Some(guest) => Err((reason(&error), guest)),
                    None => Ok(()),
                }
            }
        }
    }

    /// Waits until a thread has all that it needs to begin: what was found for it is not to be found again for another.
    fn wait_for_beginning(&self, begun: usize) {
        let state = self.state();
        let _ = self
            .has_begun
            .wait_timeout_while(state, BEGINNING, |state| state.begun == begun);
    }

    /// A thread's life: guest after guest.
    fn work(&self, serve: &dyn Fn(Guest)) {
        let mut state = self.state();
        state.begun = state.begun.wrapping_add(1);
        drop(state);
        self.has_begun.notify_all();
        if let Err(error) = self.fences.hold(Role::Session) {
            log::error!(
                "a session could not be held to its system calls, and is not served: {error}"
            );
            let mut state = self.state();
            // Both at once, and before the seat is free: nobody may be left to a thread that is not there.
            state.threads = state.threads.saturating_sub(1);
            let guest = state.waiting.pop_front();
            drop(state);
            return drop(guest);
        }
        while let Some(guest) = self.next_guest() {
            // The panic hook has told the log; the guest's seat and memory were given back on the way out.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| serve(guest)));
        }
    }

    fn next_guest(&self) -> Option<Guest> {
        let mut state = self.state();
        let mut rested = false;
        loop {
            if let Some(guest) = state.waiting.pop_front() {
                if state.waiting.is_empty() {
                    // From the beginning again, or the queue would go through all of its memory in time.
                    state.waiting.clear();
                }
                return Some(guest);
            }
            if rested && state.resting >= ALWAYS_WAITING || state.stop_by.is_some() {
                state.threads = state.threads.saturating_sub(1);
                return None;
            }
            state.resting += 1;
            let (guard, timeout) = self
                .guest_came
                .wait_timeout(state, REST)
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.resting -= 1;
            rested = timeout.timed_out();
        }
    }

    /// Tells every session to stop: those that wait for a command at once, running transfers after [`LAST_WORDS`].
    pub fn stop(&self) {
        let mut state = self.state();
        state.stop_by = Some(Instant::now() + LAST_WORDS);
        for sitting in state.sitting.iter().flatten() {
            // Whoever waits for a command wakes up and sees that the house closes.
            let _ = sitting.control.shutdown(Shutdown::Read);
        }
        self.guest_came.notify_all();
    }

    /// Waits until every seat is free, at most until shortly after the last words.
    ///
    /// Returns how many sessions were left.
    pub fn wait_until_empty(&self) -> usize {
        let by = self.state().stop_by.unwrap_or_else(Instant::now) + Duration::from_millis(500);
        self.wait_for(by.saturating_duration_since(Instant::now()))
    }

    /// Waits until every seat is free, at most as long as told; returns how many are not.
    fn wait_for(&self, patience: Duration) -> usize {
        let by = Instant::now() + patience;
        let mut state = self.state();
        loop {
            let left = state.sitting.iter().flatten().count();
            let now = Instant::now();
            if left == 0 || now >= by {
                return left;
            }
            state.seeing_off += 1;
            let (guard, _) = self
                .guest_left
                .wait_timeout(state, by - now)
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.seeing_off -= 1;
        }
    }

    /// Calls `tell` for every session: its number, its client's address and what it does.
    pub fn report(&self, mut tell: impl FnMut(u64, SocketAddr, Doing)) {
        for sitting in self.state().sitting.iter().flatten() {
            let doing = *sitting.doing.lock().unwrap_or_else(PoisonError::into_inner);
            tell(sitting.number, sitting.address, doing);
        }
    }
}

impl State {
    fn room(&mut self) -> Option<Room> {
        let known = self.rooms.pop();
        known.or_else(|| self.new_rooms.next().and_then(Room::new))
    }

    fn desk(&mut self) -> Option<Desk> {
        let desk = |(block, entries)| Desk { block, entries };
        self.desks.pop().or_else(|| self.new_desks.next().map(desk))
    }
}

/// Starts a thread with the stack of a session.
///
/// # Errors
/// What the system says.
pub fn start_thread(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    // Not for any type of work, since each would be a kilobyte of program.
    let builder = thread::Builder::new().stack_size(STACK);
    builder.spawn(work).map(drop)
}

/// An error as its number: the words of an `io::Error` are made on the heap, where there may be nothing left.
fn reason(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

impl Room {
    fn new(all: &'static mut [u8]) -> Option<Self> {
        let (line, all) = all.split_at_mut_checked(LINE_MAX)?;
        let (text, all) = all.split_at_mut_checked(TEXT_MAX)?;
        let (reply, all) = all.split_at_mut_checked(REPLY_MAX)?;
        let (first, all) = all.split_at_mut_checked(PATH_MAX)?;
        let (second, all) = all.split_at_mut_checked(PATH_MAX)?;
        let (third, fourth) = all.split_at_mut_checked(PATH_MAX)?;
        Some(Self {
            line,
            text,
            reply,
            pathnames: [first, second, third, fourth],
        })
    }
}

/// One client's place; giving it back is dropping it, also when the thread panics.
pub struct Seat {
    pool: Arc<Pool>,
    index: usize,
    number: u64,
    doing: Arc<Mutex<Doing>>,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Seat {}", self.number)
    }
}

impl Seat {
    /// The session's number, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Counts the session for `client`, whom a load balancer has brought; false if that address has its share already.
    pub fn moves_to(&mut self, client: SocketAddr) -> bool {
        let mut state = self.pool.state();
        let home = home(client.ip());
        let others = state
            .sitting
            .iter()
            .flatten()
            .filter(|sitting| sitting.home == home);
        if others.count() >= self.pool.per_address {
            return false;
        }
        if let Some(Some(sitting)) = state.sitting.get_mut(self.index) {
            (sitting.home, sitting.address) = (home, client);
        }
        true
    }

    /// By when everything must have ended, if the server is stopping.
    pub fn stop_by(&self) -> Option<Instant> {
        self.pool.state().stop_by
    }

    /// Borrows the memory of a transfer.  There is one for each seat, so this fails for nobody.
    pub fn desk(&self) -> Lent<Desk> {
        let desk = self.pool.state().desk();
        Lent {
            pool: self.pool.clone(),
            thing: desk,
        }
    }

    /// How many desks are lent: so many transfers and listings run, this seat's own among them.
    pub fn desks_lent(&self) -> usize {
        let state = self.pool.state();
        let free = state.desks.len().saturating_add(state.new_desks.len());
        state.seats.saturating_sub(free)
    }

    /// How large the pipe of an upload may be; a session has one at most.
    pub fn pipe(&self) -> PipeShare<'_> {
        let mut state = self.pool.state();
        let (left, seats) = state.pipes;
        let others = seats.saturating_sub(1);
        let octets = left.saturating_sub(others.saturating_mul(PIPE_MIN));
        // The kernel rounds up to a power of two.
        let octets = octets
            .min(PIPE_MAX)
            .checked_ilog2()
            .map_or(0, |log| 1 << log);
        state.pipes = (left.saturating_sub(octets), others);
        PipeShare {
            pool: &self.pool,
            octets,
        }
    }

    /// Notes what the session is doing.
    pub fn now(&self, change: impl FnOnce(&mut Doing)) {
        change(&mut self.doing.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        if let Some(place) = state.sitting.get_mut(self.index) {
            *place = None;
        }
        let awaited = state.seeing_off > 0;
        drop(state);
        // A system call, also where nobody waits.
        if awaited {
            self.pool.guest_left.notify_all();
        }
    }
}

/// What the pipe of one upload may hold; given back on drop.
pub struct PipeShare<'p> {
    pool: &'p Pool,
    /// So many octets.
    pub octets: usize,
}

impl Drop for PipeShare<'_> {
    fn drop(&mut self) {
        let (left, seats) = &mut self.pool.state().pipes;
        (*left, *seats) = (*left + self.octets, *seats + 1);
    }
}

/// Something that is kept on a shelf of the pool while nobody uses it.
pub trait Shelved: Sized {
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "only this file has shelves")]
    fn shelf(state: &mut State) -> &mut Vec<Self>;
}

impl Shelved for Room {
    #[allow(private_interfaces, reason = "only this file has shelves")]
    fn shelf(state: &mut State) -> &mut Vec<Self> {
        &mut state.rooms
    }
}

impl Shelved for Desk {
    #[allow(private_interfaces, reason = "only this file has shelves")]
    fn shelf(state: &mut State) -> &mut Vec<Self> {
        &mut state.desks
    }
}

/// Memory on loan; giving it back is dropping it, also when the thread panics.
pub struct Lent<T: Shelved> {
    pool: Arc<Pool>,
    thing: Option<T>,
}

impl<T: Shelved> Lent<T> {
    /// The memory.
    pub fn get(&mut self) -> Option<&mut T> {
        self.thing.as_mut()
    }
}

impl<T: Shelved> std::fmt::Debug for Lent<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Lent")
    }
}

impl<T: Shelved> Drop for Lent<T> {
    fn drop(&mut self) {
        if let Some(thing) = self.thing.take() {
            // The shelves were made long enough for all, so this does not allocate.
            T::shelf(&mut self.pool.state()).push(thing);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test may panic"
    )]
    use super::*;
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc;

    fn pool(seats: usize, per_address: usize) -> Arc<Pool> {
        Arc::new(Pool::unconfined(seats, per_address))
    }

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    fn seat(pool: &Arc<Pool>, address: &str) -> Result<Guest, NoSeat> {
        let guest = pool.seat(connection().1, address.parse().unwrap(), true);
        guest.map_err(|(why, _)| why)
    }

    #[test]
    fn a_full_house_and_a_full_address_are_told_apart() {
        let pool = pool(2, 1);
        let first = seat(&pool, "192.0.2.1:1").unwrap();
        assert_eq!(
            seat(&pool, "192.0.2.1:2").unwrap_err(),
            NoSeat::FullForAddress
        );
        let second = seat(&pool, "192.0.2.2:1").unwrap();
        assert_eq!(seat(&pool, "192.0.2.3:1").unwrap_err(), NoSeat::Full);
        drop((first, second));
        assert!(seat(&pool, "192.0.2.1:3").is_ok());
    }

    #[test]
    fn ipv6_clients_are_counted_by_the_network_that_they_choose_from() {
        let pool = pool(3, 1);
        let _first = seat(&pool, "[2001:db8:0:1::1]:1").unwrap();
        assert_eq!(
            seat(&pool, "[2001:db8:0:1::2]:1").unwrap_err(),
            NoSeat::FullForAddress
        );
        assert!(seat(&pool, "[2001:db8:0:2::1]:1").is_ok());
    }

    #[test]
    fn a_panic_gives_seat_and_memory_back_and_the_thread_serves_on() {
        let pool = pool(1, 1);
        let (sender, receiver) = mpsc::channel();
        let serve = Arc::new(move |mut guest: Guest| {
            sender
                .send((guest.room.get().is_some(), thread::current().id()))
                .unwrap();
            panic!("a bug");
        });
        for _ in 0..3 {
            let guest = seat(&pool, "192.0.2.1:1").unwrap();
            assert!(pool.serve(guest, &serve).is_ok());
            assert!(receiver.recv().unwrap().0);
            assert_eq!(pool.wait_for(Duration::from_secs(60)), 0);
        }
    }

    /// What `tests/sanitize` runs under ThreadSanitizer: guests come by several doors, move, panic and are told of, all at
    /// once.
    #[test]
    fn many_doors_at_once_share_out_nothing_twice() {
        const SEATS: usize = 4;
        let pool = pool(SEATS, 3);
        let inside = Arc::new(AtomicUsize::new(0));
        let numbers = Arc::new(Mutex::new(Vec::new()));
        let (ours, told) = (inside.clone(), numbers.clone());
        let serve = Arc::new(move |mut guest: Guest| {
            assert!(ours.fetch_add(1, Ordering::Relaxed) < SEATS);
            let number = guest.seat.number();
            told.lock().unwrap().push(number);
            let mark = number.to_be_bytes();
            let (mut desk, room) = (guest.seat.desk(), guest.room.get().unwrap());
            let block = &mut desk.get().unwrap().block;
            block[..8].copy_from_slice(&mark);
            room.line[..8].copy_from_slice(&mark);
            room.pathnames[3][..8].copy_from_slice(&mark);
            guest.seat.now(|doing| doing.octets = number);
            if number.is_multiple_of(3) {
                guest.seat.moves_to("198.51.100.7:1".parse().unwrap());
            }
            thread::yield_now();
            assert_eq!(block[..8], mark, "somebody else writes there");
            assert_eq!(room.line[..8], mark);
            assert_eq!(room.pathnames[3][..8], mark);
            ours.fetch_sub(1, Ordering::Relaxed);
            assert!(!number.is_multiple_of(50), "a bug");
        });
        let control = connection().1;
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    pool.report(|number, _, doing| assert!([0, number].contains(&doing.octets)));
                    thread::yield_now();
                }
            });
            let doors: Vec<_> = (0..3u8)
                .map(|door| {
                    let (pool, serve, control) = (&pool, &serve, &control);
                    scope.spawn(move || {
                        let peer = SocketAddr::from(([192, 0, 2, door], 1));
                        let mut seated = 0;
                        while seated < 100 {
                            match pool.seat(control.try_clone().unwrap(), peer, true) {
                                Ok(guest) => assert!(pool.serve(guest, serve).is_ok()),
                                Err((why, _)) => {
                                    assert_ne!(why, NoSeat::Stopping);
                                    thread::yield_now();
                                    continue;
                                }
                            }
                            seated += 1;
                        }
                    })
                })
                .collect();
            for door in doors {
                door.join().unwrap();
            }
            over.store(true, Ordering::Relaxed);
        });
        pool.stop();
        assert_eq!(pool.wait_until_empty(), 0);
        let mut numbers = numbers.lock().unwrap().clone();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=300).collect::<Vec<u64>>());
        let state = pool.state();
        let rooms = state.rooms.len() + state.new_rooms.len();
        let desks = state.desks.len() + state.new_desks.len();
        assert_eq!((rooms, desks), (SEATS, SEATS));
        assert!(state.waiting.is_empty());
    }

    #[test]
    fn pipes_are_large_for_few_uploads_and_never_more_than_was_promised() {
        for seats in [1, 2, 3, 7, 32, 100] {
            let pool = pool(seats, seats);
            let guests = (0..seats).map(|_| seat(&pool, "192.0.2.1:1").unwrap());
            let guests: Vec<Guest> = guests.collect();
            for _ in 0..2 {
                let shares: Vec<_> = guests.iter().map(|guest| guest.seat.pipe()).collect();
                assert!(shares.iter().all(|share| share.octets >= PIPE_MIN));
                assert!(shares.iter().all(|share| share.octets.is_power_of_two()));
                assert_eq!(
                    shares[0].octets,
                    PIPE_MAX.min(1 << (seats * 3 + 1).ilog2() << 16)
                );
                let sum: usize = shares.iter().map(|share| share.octets).sum();
                assert!(sum <= seats * PIPE, "{sum}");
            }
        }
    }

    #[cfg(feature = "sandbox")]
    #[test]
    fn no_guest_is_left_to_a_thread_that_could_not_be_held_to_its_calls() {
        let mut pool = Pool::unconfined(2, 2);
        pool.fences = Fences::around_calls();
        let pool = Arc::new(pool);
        let served = Arc::new(AtomicUsize::new(0));
        let ours = served.clone();
        let serve = Arc::new(move |_: Guest| {
            ours.fetch_add(1, Ordering::Relaxed);
        });
        let controls = [connection().1, connection().1];
        let peer = "192.0.2.1:1".parse().unwrap();
        // Nothing is asserted in a thread with a list: a panic would be told by forbidden calls.
        let (held, left) = thread::scope(|scope| {
            let door = scope.spawn(|| {
                // The kernel adds up all the lists of a thread, and says ENOMEM when they are too long; a long and a
                // short one are put on, so that in the end not even a short one fits.
                let held = pool.fences.hold(Role::Any).is_ok_and(|held| held);
                for _ in 0..400 {
                    let _ = pool.fences.hold(Role::Any);
                }
                let mut left = 0;
                for control in controls {
                    if let Ok(guest) = pool.seat(control, peer, true) {
                        let _ = pool.serve(guest, &serve);
                    }
                    left += pool.wait_for(Duration::from_secs(10));
                }
                (held, left)
            });
            door.join().unwrap()
        });
        assert_eq!(left, 0, "guests that nobody serves");
        // Where the kernel has no lists, there is nothing to fail.
        let (guests, threads) = if held { (0, 0) } else { (2, 1) };
        assert_eq!(served.load(Ordering::Relaxed), guests);
        assert_eq!(pool.state().threads, threads);
    }

    #[test]
    fn each_seat_has_a_desk_and_gets_it_back() {
        let pool = pool(2, 2);
        let guest = seat(&pool, "192.0.2.1:1").unwrap();
        for _ in 0..3 {
            let (mut one, mut two) = (guest.seat.desk(), guest.seat.desk());
            assert_eq!(one.get().unwrap().block.len(), BLOCK);
            assert_eq!(two.get().unwrap().entries.len(), ENTRIES);
            assert!(guest.seat.desk().get().is_none());
            assert_eq!(guest.seat.desks_lent(), 2);
        }
        assert_eq!(guest.seat.desks_lent(), 0);
    }
}
