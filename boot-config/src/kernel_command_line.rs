//! Settings on the kernel command line: `cluster-lab.KEY=VALUE` words, for one boot's experiments.

use crate::{ClusterLayer, Layer, NetworkLayer, ParseError};

const PREFIX: &str = "cluster-lab.";

/// Reads the words `cluster-lab.hostname=`, `.cluster=`, `.open-lab=`, `.interface=`, `.vlan=`, `.subnet=`,
/// `.master-address=`, `.pool=`, `.domain=`, `.dhcp-dns=`, `.dhcp-router=`, `.ntp-without-internet=`, `.dns-forwarders=`
/// (separated by commas), `.prefer-master=` and `.never-master=` of a kernel command line; all other words are somebody
/// else's.
///
/// # Errors
/// On the first word of ours that is unknown or has a wrong value.
pub fn from_kernel_command_line(line: &str) -> Result<Layer, ParseError> {
    let mut layer = Layer::default();
    for word in line
        .split_whitespace()
        .filter_map(|word| word.strip_prefix(PREFIX))
    {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        set(&mut layer, key, value).map_err(|reason| ParseError {
            file: "kernel command line".to_owned(),
            line: 1,
            key: Some(format!("{PREFIX}{key}")),
            reason,
        })?;
    }
    Ok(layer)
}

fn set(layer: &mut Layer, key: &str, value: &str) -> Result<(), String> {
    let Layer {
        hostname,
        cluster: ClusterLayer { name, open_lab },
        network,
        ..
    } = layer;
    let NetworkLayer {
        interface,
        vlan,
        subnet,
        master_address,
        pool,
        domain,
        dhcp_dns,
        dhcp_router,
        ntp_without_internet,
        dns_forwarders,
        prefer_master,
        never_master,
        // Too much for a command line.
        reservations: _,
    } = network;
    match key {
        "hostname" => put(hostname, value),
        "cluster" => put(name, value),
        "open-lab" => put(open_lab, value),
        "interface" => put(interface, value),
        "vlan" => put(vlan, value),
        "subnet" => put(subnet, value),
        "master-address" => put(master_address, value),
        "pool" => put(pool, value),
        "domain" => put(domain, value),
        "dhcp-dns" => put(dhcp_dns, value),
        "dhcp-router" => put(dhcp_router, value),
        "ntp-without-internet" => put(ntp_without_internet, value),
        "dns-forwarders" => put(dns_forwarders, value),
        "prefer-master" => put(prefer_master, value),
        "never-master" => put(never_master, value),
        _ => Err(
            "unknown; allowed are hostname, cluster, open-lab, interface, vlan, subnet, master-address, pool, domain, \
             dhcp-dns, dhcp-router, ntp-without-internet, dns-forwarders, prefer-master and never-master"
                .to_owned(),
        ),
    }
}

fn put<T: std::str::FromStr<Err: std::fmt::Display>>(
    slot: &mut Option<T>,
    value: &str,
) -> Result<(), String> {
    *slot = Some(value.parse().map_err(|error| format!("'{value}': {error}"))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vlan;

    #[test]
    fn reads_its_own_words_only() {
        let line = "console=ttyAMA0 cluster-lab.vlan=off root=PARTUUID=1-02 cluster-lab.hostname=a cluster-lab.open-lab=true quiet\n";
        let layer = from_kernel_command_line(line).unwrap();
        assert_eq!(layer.network.vlan, Some(Vlan::Off));
        assert_eq!(layer.cluster.open_lab, Some(true));
        assert_eq!(layer.hostname.unwrap().as_str(), "a");
        assert_eq!(from_kernel_command_line("quiet").unwrap(), Layer::default());
    }

    #[test]
    fn names_the_wrong_word() {
        let message = from_kernel_command_line("cluster-lab.vlna=1")
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("kernel command line line 1 (cluster-lab.vlna): unknown; allowed are"),
            "{message}"
        );
        let message = from_kernel_command_line("cluster-lab.vlan=x")
            .unwrap_err()
            .to_string();
        assert!(message.contains("'x' is not a VLAN"), "{message}");
    }
}
