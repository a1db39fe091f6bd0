//! Lines for a firewall, ready to copy, for the ports that these flags need.

use crate::check::Out;
use crate::check::network;
use crate::check::network::Surroundings;
use crate::config::Config;

/// Prints them for nftables and for OpenWrt (UCI).
pub fn tell(report: &mut Out, config: &Config, surroundings: &Surroundings) {
    let (control, range) = network::open(config);
    if control.contains(&0) {
        return report.good(
            "firewall: port 0 is a new port each time, so no lines for it; give a port with --listen",
        );
    }
    if surroundings
        .inner(config)
        .is_some_and(|inner| inner.is_loopback())
    {
        return report.good("firewall: none is in the way of a loopback address");
    }
    let range = range.map(|range| network::shown(&range));
    if config.policy.passive && config.policy.passive_ports.is_none() {
        report.text(format_args!(
            "Firewall lines; they hold with --passive-ports {} added to the flags:",
            range.as_deref().unwrap_or_default()
        ));
    } else {
        report.text("Firewall lines for these flags:");
    }
    let mut words: Vec<String> = control.iter().map(u16::to_string).collect();
    words.extend(range.clone());
    report.text("  nftables, where the chain `input` of the table `inet filter` drops:");
    report.text(format_args!(
        "    nft insert rule inet filter input tcp dport {{ {} }} accept",
        words.join(", ")
    ));
    if config.policy.active {
        let from = if config.policy.active_from_20 {
            "tcp sport 20 "
        } else {
            ""
        };
        report.text("  nftables, for active mode, only where the chain `output` drops too:");
        report.text(format_args!(
            "    nft insert rule inet filter output {from}tcp dport 1024-65535 accept"
        ));
    }
    report.text("  OpenWrt, where the server runs on the router itself and clients come from wan:");
    rule(
        report,
        "pocketftpd",
        &[
            "=rule",
            ".name='pocketftpd'",
            ".src='wan'",
            ".proto='tcp'",
            &format!(".dest_port='{}'", words.join(" ")),
            ".target='ACCEPT'",
        ],
    );
    report.text("    uci commit firewall && service firewall restart");
    let Some(inner) = surroundings.inner(config).filter(|it| it.is_private()) else {
        return;
    };
    report.text(format_args!(
        "  OpenWrt, where the server, {inner}, is behind the router and clients come from wan:"
    ));
    for (number, ports) in words.iter().enumerate() {
        rule(
            report,
            &format!("pocketftpd_{number}"),
            &[
                "=redirect",
                &format!(".name='pocketftpd-{ports}'"),
                ".src='wan'",
                ".dest='lan'",
                ".proto='tcp'",
                &format!(".src_dport='{ports}'"),
                &format!(".dest_ip='{inner}'"),
                ".target='DNAT'",
            ],
        );
    }
    report.text("    uci commit firewall && service firewall restart");
}

/// A section by name: said twice, it is still one.
fn rule(report: &mut Out, section: &str, values: &[&str]) {
    for value in values {
        report.text(format_args!("    uci set firewall.{section}{value}"));
    }
}
