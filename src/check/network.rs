//! The addresses of this box, who can reach them, and what the router in front has to do for the others.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::ops::RangeInclusive;

use crate::check::Out;
use crate::check::system;
use crate::config::Config;
use crate::data;
use crate::wire::address;

/// What the interfaces and routes of this box say.
#[derive(Debug)]
pub struct Surroundings {
    addresses: Vec<IpAddr>,
    outward_v4: Option<IpAddr>,
    outward_v6: Option<IpAddr>,
}

/// From how far away an address can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Loopback,
    /// RFC 3927, RFC 4291 2.5.6.
    Link,
    /// RFC 1918, RFC 4193.
    Private,
    /// RFC 6598: a provider's NAT.
    Shared,
    Public,
}

impl Reach {
    fn of(address: IpAddr) -> Self {
        let (loopback, link) = match address {
            IpAddr::V4(v4) => (v4.is_loopback(), v4.is_link_local()),
            IpAddr::V6(v6) => (v6.is_loopback(), v6.is_unicast_link_local()),
        };
        match address {
            _ if loopback => Self::Loopback,
            _ if link => Self::Link,
            IpAddr::V4(v4) if matches!(v4.octets(), [100, 64..=127, _, _]) => Self::Shared,
            _ if address::is_local_scope(address) => Self::Private,
            _ => Self::Public,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Link => "link-local",
            Self::Private => "private",
            Self::Shared => "shared by the provider",
            Self::Public => "public",
        }
    }
}

impl Surroundings {
    /// Looks at the interfaces, and asks the kernel which address it would send from.
    pub fn look() -> Self {
        let mut addresses: Vec<IpAddr> = data::networks().iter().map(|it| it.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        // Nothing is sent: connecting a datagram socket only finds the route (addresses of RFC 5737, RFC 3849).
        let outward = |from: IpAddr, to: IpAddr| -> Option<IpAddr> {
            let socket = UdpSocket::bind(SocketAddr::new(from, 0)).ok()?;
            socket.connect(SocketAddr::new(to, 9)).ok()?;
            Some(socket.local_addr().ok()?.ip())
        };
        Self {
            addresses,
            outward_v4: outward(
                Ipv4Addr::UNSPECIFIED.into(),
                Ipv4Addr::new(198, 51, 100, 1).into(),
            ),
            outward_v6: outward(
                Ipv6Addr::UNSPECIFIED.into(),
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
            ),
        }
    }

    /// The addresses of this box, loopback too.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The IPv4 address that a router would forward to.
    pub fn inner(&self, config: &Config) -> Option<Ipv4Addr> {
        let v4 = |address: &IpAddr| match address {
            IpAddr::V4(v4) if !v4.is_unspecified() => Some(*v4),
            _ => None,
        };
        let asked: Vec<IpAddr> = config.listen.iter().filter_map(|it| it.address).collect();
        if asked.len() == config.listen.len() && !asked.iter().any(IpAddr::is_unspecified) {
            let best = asked.iter().filter_map(v4);
            return best.min_by_key(|it| it.is_loopback());
        }
        let reachable = |it: &Ipv4Addr| !it.is_loopback() && !it.is_link_local();
        let others = self.addresses.iter().filter_map(v4);
        self.outward_v4
            .as_ref()
            .and_then(v4)
            .filter(reachable)
            .or_else(|| others.into_iter().find(reachable))
    }

    /// Reports addresses, and how clients from elsewhere come in.
    pub fn tell(&self, report: &mut Out, config: &Config) {
        let shown: Vec<String> = self
            .addresses
            .iter()
            .map(|it| (it, Reach::of(*it)))
            // Each interface has one in IPv6, and no client is told any.
            .filter(|(it, reach)| {
                *reach != Reach::Loopback && !(it.is_ipv6() && *reach == Reach::Link)
            })
            .map(|(it, reach)| format!("{it} ({})", reach.word()))
            .collect();
        if shown.is_empty() {
            report.warning(
                "addresses: this box has none but its own loopback: is the cable in, is the wireless network joined?",
            );
        } else {
            report.good(format_args!("addresses: {}", shown.join(", ")));
        }
        if !config.proxies.is_empty() {
            report.good(
                "load balancers: PROXY headers are taken from the addresses of --proxy-protocol; the self-test sends none",
            );
        }
        match self.inner(config) {
            Some(inner) => outside(report, config, inner),
            None => report.good(
                "from outside: over IPv6 only, this box has no IPv4 address to be reached at",
            ),
        }
        let listens_v6 = config
            .listen
            .iter()
            .any(|it| it.address.is_none_or(|address| address.is_ipv6()));
        if let Some(v6) = self.outward_v6
            && Reach::of(v6) == Reach::Public
            && listens_v6
        {
            report.good(format_args!(
                "from outside, IPv6: clients reach {v6} itself; nothing is forwarded, but the router's firewall has \
                 to let in TCP ports {}",
                ports(config)
            ));
        }
    }
}

/// How clients from outside come to this IPv4 address.
fn outside(report: &mut Out, config: &Config, inner: Ipv4Addr) {
    let public = config.policy.public_address;
    let reach = Reach::of(inner.into());
    let told = public.filter(|_| config.policy.passive);
    match reach {
        Reach::Loopback => {
            return report.good(
                "from outside: nobody, --listen names a loopback address; only this box itself",
            );
        }
        Reach::Public => {
            report.good(format_args!(
                "from outside: {inner} is public, no router has to forward anything; let in TCP ports {}",
                ports(config)
            ));
            if let Some(public) = told.filter(|public| *public != inner) {
                report.warning(format_args!(
                    "from outside: PASV names {public} (--public-address), though {inner} of this box is public: \
                     leave the flag out unless a router is in front"
                ));
            }
            return;
        }
        Reach::Shared => {
            return report.warning(format_args!(
                "from outside: {inner} is shared among customers by the provider (RFC 6598): whatever is forwarded, \
                 nothing comes in over IPv4; use IPv6 or a tunnel"
            ));
        }
        Reach::Link | Reach::Private => {}
    }
    let rule = format!(
        "on the router forward TCP ports {} to {inner}, to the same port numbers",
        ports(config)
    );
    let range = match (config.policy.passive, &config.policy.passive_ports) {
        (true, None) => format!(", add --passive-ports {}", shown(&suggested(config))),
        _ => String::new(),
    };
    match public {
        _ if !config.policy.passive && range.is_empty() => report.good(format_args!(
            "from outside: {inner} is private: {rule}; data connections go out by themselves"
        )),
        None => report.warning(format_args!(
            "from outside: {inner} is {}, so clients of this network alone reach it as it is; for others, {rule}{range}, \
             and add --public-address with the router's outer IPv4 address (its status page shows it)",
            reach.word()
        )),
        Some(public) if address::is_local_scope(public.into()) => report.warning(format_args!(
            "from outside: --public-address {public} is {} itself, nobody outside reaches it: give the router's outer \
             IPv4 address (its status page shows it)",
            Reach::of(public.into()).word()
        )),
        Some(public) if !range.is_empty() => report.warning(format_args!(
            "from outside: clients are told {public}; {rule}{range}: any free port cannot be forwarded"
        )),
        Some(public) => report.good(format_args!(
            "from outside: clients are told {public}; {rule}"
        )),
    }
}

/// The ports to let in, in words.
fn ports(config: &Config) -> String {
    let (control, range) = open(config);
    let mut words: Vec<String> = control.iter().map(u16::to_string).collect();
    words.extend(range.map(|range| shown(&range)));
    words.join(" and ")
}

/// The ports to let in: control, and passive data.
pub fn open(config: &Config) -> (Vec<u16>, Option<RangeInclusive<u16>>) {
    let mut control: Vec<u16> = match system::is_under_inetd(config) {
        true => vec![21],
        false => config.listen.iter().map(|it| it.port).collect(),
    };
    control.sort_unstable();
    control.dedup();
    let range = config.policy.passive.then(|| {
        let given = config.policy.passive_ports.clone();
        given.unwrap_or_else(|| suggested(config))
    });
    (control, range)
}

/// A range for whoever gave none: high, with a port for each client, and round.
pub fn suggested(config: &Config) -> RangeInclusive<u16> {
    let hundreds = config.max_clients.div_ceil(100).max(1);
    let count = u16::try_from(hundreds * 100).unwrap_or(10_000);
    50_000..=49_999 + count.min(10_000)
}

/// As the flag takes it, and firewalls too.
pub fn shown(ports: &RangeInclusive<u16>) -> String {
    if ports.start() == ports.end() {
        ports.start().to_string()
    } else {
        format!("{}-{}", ports.start(), ports.end())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn an_address_tells_who_can_reach_it() {
        let table = [
            ("127.0.0.1", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("169.254.7.7", Reach::Link),
            ("fe80::1", Reach::Link),
            ("192.168.1.1", Reach::Private),
            ("fd00::1", Reach::Private),
            ("100.64.0.1", Reach::Shared),
            ("100.128.0.1", Reach::Public),
            ("203.0.113.7", Reach::Public),
            ("2001:db8::1", Reach::Public),
        ];
        for (text, reach) in table {
            assert_eq!(Reach::of(text.parse().unwrap()), reach, "{text}");
        }
    }

    #[test]
    fn a_range_is_shown_as_the_flag_takes_it() {
        assert_eq!(shown(&(5..=5)), "5");
        assert_eq!(shown(&(5..=6)), "5-6");
    }
}
