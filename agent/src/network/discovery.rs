//! DNS-SD on the cluster network: the master announces `_cluster._tcp`, listeners look for it. The only file that
//! imports mdns-sd.
//!
//! Its daemon is a thread with a cache; both live only as long as the value here. So a listener never takes a cached
//! record of a master that is gone for a sign of life. An interface without an IPv4 address is searched through its IPv6
//! link-local address; where there is none, the ARP query and DHCP remain.

use std::net::{IpAddr, Ipv4Addr};

use crate::trust::{Seal, Subject};
use anyhow::Context;
use mdns_sd::{IfKind, Receiver, ServiceDaemon, ServiceEvent, ServiceInfo};

const SERVICE: &str = "_cluster._tcp.local.";
/// The start of every instance name, as the first Cluster Lab had it.
const INSTANCE: &str = "Cluster-Leader=";
/// The announced service: SSH.
const PORT: u16 = 22;
/// Key of the cluster's mark in the service's text.
const MARK: &str = "mark";

/// A running search or announcement on one interface.
pub struct Discovery {
    daemon: ServiceDaemon,
    found: Option<(Receiver<ServiceEvent>, Seal)>,
}

impl Discovery {
    /// Looks for masters of this cluster on `interface`. A recorded mark can be played back: what is found here is a hint
    /// to ask the master, and no more.
    ///
    /// # Errors
    /// When the daemon cannot start.
    pub fn search(interface: &str, seal: Seal) -> anyhow::Result<Self> {
        let daemon = daemon(interface)?;
        let found = daemon.browse(SERVICE).context("browsing for masters by DNS-SD")?;
        Ok(Self {
            daemon,
            found: Some((found, seal)),
        })
    }

    /// Announces this node as master on `interface`.
    ///
    /// # Errors
    /// When the daemon cannot start or the name cannot be announced.
    pub fn announce(
        interface: &str,
        hostname: &str,
        address: Ipv4Addr,
        os: &str,
        seal: &Seal,
    ) -> anyhow::Result<Self> {
        let daemon = daemon(interface)?;
        // A host name of its own: the system's responder may announce the plain one with other addresses.
        let label: String = hostname.chars().take(50).collect();
        let host = format!("{label}-cluster.local.");
        let instance = format!("{INSTANCE}{label}");
        let mark = hex(&seal.mark(Subject::Service, &[label.to_lowercase().as_bytes()]));
        let txt: &[(&str, &str)] = &[("os-release", os), (MARK, &mark)];
        let service = ServiceInfo::new(SERVICE, &instance, &host, IpAddr::V4(address), PORT, txt)
            .context("describing the master for DNS-SD")?
            // With the link-local addresses: a listener that has no other cannot be told of any other.
            .enable_addr_auto();
        daemon
            .register(service)
            .context("announcing the master by DNS-SD")?;
        Ok(Self { daemon, found: None })
    }

    /// Waits for the announcement of a master; its name.
    pub async fn master(&self) -> String {
        let Some((found, seal)) = &self.found else {
            return std::future::pending().await;
        };
        while let Ok(event) = found.recv_async().await {
            let ServiceEvent::ServiceResolved(service) = event else {
                continue;
            };
            let mark = service.get_property_val_str(MARK);
            match master_in(&service.fullname) {
                Some(name) if is_ours(seal, &name, mark) => return name,
                Some(name) => tracing::debug!(name, "a master of another cluster was found by DNS-SD"),
                None => {}
            }
        }
        std::future::pending().await
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        // Says goodbye for what it announced. It cannot fail but for a full queue, and then the records time out.
        let _ = self.daemon.shutdown();
    }
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.found.is_some() {
            "Discovery(search)"
        } else {
            "Discovery(announce)"
        })
    }
}

fn daemon(interface: &str) -> anyhow::Result<ServiceDaemon> {
    let start = || {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(IfKind::Name(interface.to_owned()))?;
        // A fresh interface gets its link-local address a second later.
        daemon.set_ip_check_interval(1)?;
        Ok::<_, mdns_sd::Error>(daemon)
    };
    start().context("starting DNS-SD")
}

fn is_ours(seal: &Seal, name: &str, mark: Option<&str>) -> bool {
    // As text: what no mark of ours looks like is none.
    let expected = hex(&seal.mark(Subject::Service, &[name.to_lowercase().as_bytes()]));
    match mark {
        Some(mark) => bool::from(subtle::ConstantTimeEq::ct_eq(
            mark.as_bytes(),
            expected.as_bytes(),
        )),
        None => seal.is_open(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name in `Cluster-Leader=<name>._cluster._tcp.local.`.
fn master_in(fullname: &str) -> Option<String> {
    let name = fullname.strip_prefix(INSTANCE)?.split('.').next()?;
    name.parse::<boot_config::Hostname>().ok().map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_masters_names_are_taken() {
        for (fullname, expected) in [
            ("Cluster-Leader=cl-node-1._cluster._tcp.local.", Some("cl-node-1")),
            ("printer._cluster._tcp.local.", None),
            ("Cluster-Leader=._cluster._tcp.local.", None),
            ("Cluster-Leader=a\u{7}b._cluster._tcp.local.", None),
        ] {
            assert_eq!(master_in(fullname).as_deref(), expected, "{fullname}");
        }
    }
}
