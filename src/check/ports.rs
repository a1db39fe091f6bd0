//! Ports: those of `--listen`, and the range of `--passive-ports`.

use std::io;
use std::io::Read as _;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use crate::check::Out;
use crate::check::network;
use crate::check::network::Surroundings;
use crate::check::system;
use crate::config::Config;
use crate::config::Listen;
use crate::data::Ports;
use crate::server;

/// How many ports of a range are tried.
const TRIED: usize = 400;

/// At how many addresses each is tried.
const ADDRESSES: usize = 8;

/// How long whoever has our port may take to say who he is.
const GREETING: Duration = Duration::from_millis(500);

/// Tries to listen wherever a start would, and lets go at once: nobody is served.
pub fn control(report: &mut Out, config: &Config) {
    if system::is_under_inetd(config) {
        return report.good("ports: inetd has the port, and hands over each client");
    }
    let unread = config.policy.data_timeout;
    match server::given(unread) {
        Ok(given) if given.is_empty() => {}
        Ok(given) => {
            return report.good(format_args!(
                "ports: the service manager hands over {} listening sockets (LISTEN_FDS); --listen is not used",
                given.len()
            ));
        }
        Err(why) => return report.bad(why),
    }
    // All of them at once: one may be in another's way.
    let mut held = Vec::new();
    for place in &config.listen {
        match server::bind(*place, &config.listen, unread) {
            Ok(listener) => {
                let v4_only =
                    place.address.is_none() && listener.local_addr().is_ok_and(|it| it.is_ipv4());
                let port = match place.port {
                    0 => "port 0: any free port, a new one each time".to_owned(),
                    port => format!("port {port}: free"),
                };
                let at = match place.address {
                    Some(address) => format!("at {address}"),
                    None if v4_only => {
                        "at all addresses, IPv4 only: this kernel has no IPv6".to_owned()
                    }
                    None => "at all addresses, IPv6 and IPv4".to_owned(),
                };
                report.good(format_args!("{port}, {at}"));
                held.push(listener);
            }
            Err(why) => {
                let other = greeting(*place).map(|line| {
                    if line == format!("220 {}", config.policy.banner) {
                        "; it greets as this server would, so it may be running already: stop it, then check again"
                            .to_owned()
                    } else {
                        format!("; it greets with: {line}")
                    }
                });
                report.bad(format_args!("{why}{}", other.unwrap_or_default()));
            }
        }
    }
}

/// What answers at a place that is taken: its first line.
fn greeting(place: Listen) -> Option<String> {
    let near = match place.address {
        Some(address) if !address.is_unspecified() => address,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let address = SocketAddr::new(near, place.port);
    let mut stream = TcpStream::connect_timeout(&address, GREETING).ok()?;
    stream.set_read_timeout(Some(GREETING)).ok()?;
    let mut line = [0; 80];
    let len = stream.read(&mut line).ok()?;
    let text = String::from_utf8_lossy(line.get(..len)?).into_owned();
    let first = text.lines().next()?.trim_ascii_end();
    (!first.is_empty()).then(|| first.to_owned())
}

/// Tries the ports for passive data connections, as the user that the server is by now; false if none can be had.
pub fn passive(report: &mut Out, config: &Config, surroundings: &Surroundings) -> bool {
    if !config.policy.passive {
        report.good("passive mode: off (--no-passive); clients behind a NAT will get no data");
        return true;
    }
    let Some(ports) = &config.policy.passive_ports else {
        report.good(
            "passive ports: any that is free; with a firewall or router in between, --passive-ports gives a range",
        );
        return true;
    };
    let what = format!("passive ports {}", network::shown(ports));
    let mut taken = Vec::new();
    let places = places(config, surroundings);
    for port in ports.clone().take(TRIED) {
        match places.iter().try_for_each(|ip| try_port(*ip, port)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken.push(port),
            Err(error) => {
                report.bad(format_args!(
                    "{what}: port {port}: {error}: ports below 1024 need root, which the server gives up; choose \
                     higher ones with --passive-ports"
                ));
                return false;
            }
        }
    }
    let count = ports.len();
    let tried = count.min(TRIED);
    let free = tried - taken.len();
    if free == 0 {
        report.bad(format_args!(
            "{what}: all {tried} are taken by other programs: choose another range with --passive-ports"
        ));
        return false;
    }
    if taken.is_empty() && tried == count {
        report.good(format_args!("{what}: all {count} are free"));
    } else if taken.is_empty() {
        report.good(format_args!(
            "{what}: the first {tried} of {count} are free"
        ));
    } else {
        report.good(format_args!(
            "{what}: {free} of the first {tried} are free; taken by other programs just now, and passed over: {}",
            runs(&taken)
        ));
    }
    size(report, config, count - taken.len(), &what);
    true
}

/// Whether a range is as large, and lies where, it should.
fn size(report: &mut Out, config: &Config, free: usize, what: &str) {
    let seats = config.max_clients;
    if free < seats {
        report.warning(format_args!(
            "{what}: {free} ports for {seats} clients (--max-clients): where all transfer at once some have to wait; \
             a port for each client is enough"
        ));
    }
    // Telephony: routers rewrite what they find there.
    let ports = config.policy.passive_ports.as_ref();
    if ports.is_some_and(|ports| ports.contains(&5060) || ports.contains(&5061)) {
        report.warning(format_args!(
            "{what}: 5060 and 5061 are those of telephony (SIP), and some routers spoil what passes there: choose a \
             range without them"
        ));
    }
}

fn try_port(address: IpAddr, port: u16) -> io::Result<()> {
    Ports::new(Some(port..=port))
        .listen(SocketAddr::new(address, 0), None)
        .map(drop)
}

/// The addresses at which data connections will be listened for.
fn places(config: &Config, surroundings: &Surroundings) -> Vec<IpAddr> {
    let asked = config.listen.iter().map(|it| it.address);
    let mut places: Vec<IpAddr> = match asked.collect() {
        Some(addresses) => addresses,
        None => surroundings.addresses().to_vec(),
    };
    // A link-local address means nothing without its link.
    places.retain(|it| !matches!(it, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    places.sort_unstable();
    places.dedup();
    places.truncate(ADDRESSES);
    places
}

/// Numbers that follow each other as LO-HI, at most a few of them.
fn runs(numbers: &[u16]) -> String {
    const MOST: usize = 8;
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let shown = runs.iter().take(MOST).map(|(low, high)| {
        if low == high {
            low.to_string()
        } else {
            format!("{low}-{high}")
        }
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if runs.len() > MOST {
        text.push_str(" and more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_a_row_are_one_word() {
        assert_eq!(runs(&[1, 2, 3, 7, 9, 10]), "1-3, 7, 9-10");
        assert_eq!(runs(&[65534, 65535]), "65534-65535");
        assert_eq!(runs(&[]), "");
        let many: Vec<u16> = (0..20).map(|it| it * 2).collect();
        assert!(runs(&many).ends_with("14 and more"));
    }
}
