//! The uplink's router, as a home router would be but without a way out: gives DHCP leases on the untagged network,
//! and lets this machine into the nodes' SSH.
//!
//! It is a QEMU without a machine whose user-mode network is plugged into the switch. Limits, both QEMU's: 16 clients;
//! it answers ARP for its own addresses only.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::machine::option;
use crate::qmp::Qmp;

/// The uplink network; nodes get .20 to .35.
pub const NETWORK: &str = "10.0.76.0/24";
/// The router's address there.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 76, 1);
/// Nodes that it has leases for.
pub const CLIENTS: u8 = 16;
const FIRST_LEASE: Ipv4Addr = Ipv4Addr::new(10, 0, 76, 20);
/// Never asked: a restricted router names no DNS server.
const DNS: Ipv4Addr = Ipv4Addr::new(10, 0, 76, 3);

/// The arguments of QEMU that make a router whose end of the wire is `network` and whose port is `switch`.
pub fn arguments(command: &mut Command, network: &Path, switch: &Path, qmp: &Path) {
    let (network, switch) = (option(network), option(switch));
    command
        .args(["-M", "none", "-name", "uplink", "-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-monitor", "none", "-serial", "none"])
        .args(["-qmp", &format!("unix:{},server=on,wait=off", option(qmp))])
        .arg("-netdev")
        .arg(format!(
            "user,id=router,restrict=on,ipv6=off,net={NETWORK},host={ADDRESS},dns={DNS},dhcpstart={FIRST_LEASE}"
        ))
        .arg("-netdev")
        .arg(format!(
            "dgram,id=wire,local.type=unix,local.path={network},remote.type=unix,remote.path={switch}"
        ))
        .args(["-netdev", "hubport,id=inside,hubid=0,netdev=router"])
        .args(["-netdev", "hubport,id=outside,hubid=0,netdev=wire"]);
}

/// The port on this machine's loopback that leads to the SSH server of the node with this uplink address.
///
/// # Errors
/// When the router does not answer or refuses.
pub fn way_to(qmp: &Path, address: Ipv4Addr) -> Result<u16> {
    let mut qmp = Qmp::connect(qmp)?;
    if let Some(port) = find_way(&qmp.monitor("info usernet")?, address) {
        return Ok(port);
    }
    // Port 0: any that is free, so that several labs do not meet.
    let refusal = qmp.monitor(&format!("hostfwd_add router tcp:127.0.0.1:0-{address}:22"))?;
    if !refusal.trim().is_empty() {
        bail!("the lab's router lets nobody in to {address}: {}", refusal.trim());
    }
    find_way(&qmp.monitor("info usernet")?, address)
        .with_context(|| format!("the lab's router has no way to {address}"))
}

fn find_way(usernet: &str, address: Ipv4Addr) -> Option<u16> {
    let address = address.to_string();
    usernet.lines().find_map(|line| {
        let mut fields = line
            .split_whitespace()
            .skip_while(|field| *field != "TCP[HOST_FORWARD]");
        let port = fields.nth(3)?;
        (fields.next()? == address && fields.next()? == "22").then(|| port.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_way_in_qemus_table() {
        let text = "Hub 0 (router):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n\
            \x20 TCP[ESTABLISHED]   14       127.0.0.1 40000      10.0.76.20    22     0     0\r\n\
            \x20 TCP[HOST_FORWARD]  12       127.0.0.1 35691      10.0.76.20    22     0     0\r\n\
            \x20 TCP[HOST_FORWARD]  13       127.0.0.1 35692      10.0.76.21    22     0     0\r\n";
        assert_eq!(find_way(text, Ipv4Addr::new(10, 0, 76, 20)), Some(35691));
        assert_eq!(find_way(text, Ipv4Addr::new(10, 0, 76, 21)), Some(35692));
        assert_eq!(find_way(text, Ipv4Addr::new(10, 0, 76, 2)), None);
    }
}
