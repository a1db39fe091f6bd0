//! What the self-test needs from outside the walls: listeners on loopback, and a file that no client may see.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use crate::config::Config;
use crate::config::Listen;
use crate::server;

/// Bound before the walls go up.
#[derive(Debug)]
pub struct Doors {
    /// 127.0.0.1.
    pub v4: Option<TcpListener>,
    /// ::1.
    pub v6: Option<TcpListener>,
    /// A file outside the share that nothing in the share is called like.
    pub bait: Option<&'static str>,
}

impl Doors {
    /// Opens them, on ports that are in nobody's way.
    pub fn bind(config: &Config, unread: Duration) -> Self {
        let door = |address: IpAddr| {
            let place = Listen {
                address: Some(address),
                port: 0,
            };
            let range = config.policy.passive_ports.as_ref();
            let open = || server::bind(place, &[place], unread).ok();
            // The kernel may choose one of the passive ports, which are tried later; of a large range one is no loss.
            let beside = (0..20).filter_map(|_| open()).find(|door| {
                let port = door.local_addr().map_or(0, |address| address.port());
                range.is_none_or(|range| !range.contains(&port))
            });
            beside.or_else(open)
        };
        let baits = ["/etc/passwd", "/proc/version", "/etc/hostname"];
        Self {
            v4: door(Ipv4Addr::LOCALHOST.into()),
            v6: door(Ipv6Addr::LOCALHOST.into()),
            bait: baits.into_iter().find(|bait| {
                let inside = config.share.join(bait.trim_start_matches('/'));
                Path::new(bait).exists() && inside.symlink_metadata().is_err()
            }),
        }
    }
}
