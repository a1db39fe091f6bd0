//! A long way between two hosts: a third one that hands their frames over late, and loses some.
//!
//! Not every kernel has netem; a packet socket is to be had everywhere.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike, bind, recv, send,
    socket,
};

use super::lab::{Host, Lab};
use crate::common::{finished, program};

/// The wire between two hosts; it is cut when this is dropped.
#[derive(Debug)]
pub struct Wire {
    /// Every so manieth frame is lost; 0 is none.
    loses: Arc<AtomicU32>,
    carrier: Option<JoinHandle<()>>,
}

/// Tells the carrier to stop.
const CUT: u32 = u32::MAX;

impl Wire {
    /// Links two hosts; each frame takes `delay` from one to the other. `None`, and a skip, where there is no ethtool.
    pub fn between(
        lab: &Lab,
        [(one, addresses), (other, other_addresses)]: [(&Host, &str); 2],
        delay: Duration,
    ) -> Option<Self> {
        let ethtool = program("ethtool")?;
        let wire = lab.host("wire");
        lab.link(&wire, "", one, addresses);
        lab.link(&wire, "", other, other_addresses);
        for host in [one, other] {
            // A packet socket sees frames as they are sent: with a checksum still to be made, and much too long, if
            // the interface offered to do that.
            let mut ethtool = Command::new(&ethtool);
            ethtool.args(["-K", "wire", "tx", "off"]);
            finished(host.at(|| ethtool.output().unwrap()));
        }
        let ends = [tap(&wire, one.name()), tap(&wire, other.name())];
        let loses = Arc::new(AtomicU32::new(0));
        let ours = Arc::clone(&loses);
        let carrier = thread::spawn(move || carry(&ends, delay, &ours));
        Some(Self {
            loses,
            carrier: Some(carrier),
        })
    }

    /// Loses every so manieth frame from now on.
    pub fn lose_every(&self, frames: u32) {
        self.loses.store(frames, Ordering::Relaxed);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.loses.store(CUT, Ordering::Relaxed);
        if let Some(carrier) = self.carrier.take() {
            carrier.join().ok();
        }
    }
}

/// A socket that sends and receives whole frames at one interface, and does not hear itself.
fn tap(host: &Host, interface: &str) -> OwnedFd {
    host.at(|| {
        let tap = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )
        .unwrap();
        let address = getifaddrs()
            .unwrap()
            .filter(|it| it.interface_name == interface)
            .filter_map(|it| it.address)
            .find(|it| it.family() == Some(AddressFamily::Packet))
            .unwrap();
        bind(tap.as_raw_fd(), &address).unwrap();
        tap
    })
}

fn carry(ends: &[OwnedFd; 2], delay: Duration, loses: &AtomicU32) {
    let mut under_way: VecDeque<(Instant, usize, Vec<u8>)> = VecDeque::new();
    let mut frame = [0; 4096];
    let mut count = 0_u32;
    while loses.load(Ordering::Relaxed) != CUT {
        while let Some((due, to, frame)) = under_way.front()
            && *due <= Instant::now()
        {
            send(ends[*to].as_raw_fd(), frame, MsgFlags::empty()).ok();
            under_way.pop_front();
        }
        let patience = under_way.front().map_or(Duration::from_millis(50), |next| {
            // Whole milliseconds, rather too many.
            next.0.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
        });
        let mut both = [0, 1].map(|end| PollFd::new(ends[end].as_fd(), PollFlags::POLLIN));
        poll(&mut both, PollTimeout::try_from(patience).unwrap()).unwrap();
        for from in [0, 1] {
            while let Ok(len) = recv(ends[from].as_raw_fd(), &mut frame, MsgFlags::MSG_DONTWAIT) {
                count = count.wrapping_add(1);
                let lose = loses.load(Ordering::Relaxed);
                if lose == 0 || !count.is_multiple_of(lose) {
                    let due = Instant::now() + delay;
                    under_way.push_back((due, 1 - from, frame[..len].to_vec()));
                }
            }
        }
    }
}

/// How long a connection takes to come about: one round trip.
pub fn round_trip(host: &Host, to: &str) -> Duration {
    host.at(|| {
        let began = Instant::now();
        TcpStream::connect(to).unwrap();
        began.elapsed()
    })
}
