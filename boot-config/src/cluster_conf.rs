//! The settings file of the first Cluster Lab, `/etc/cluster-lab/cluster.conf`: lines that a shell reads. What still has a
//! meaning becomes a [`Layer`].

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::{Layer, NetworkLayer, ParseError, Pool, Vlan};

/// Its name in the folder of the settings.
pub const OLD_SETTINGS: &str = "cluster.conf";
/// The pool that the file came with. It held 31 nodes, and is no wish of anybody's.
const OLD_POOL: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(192, 168, 200, 20), Ipv4Addr::new(192, 168, 200, 50));

/// Reads the file. `file` names it in errors. The second value is a line for each key that has no meaning any more.
///
/// # Errors
/// On the first value that is wrong; no part of the file is used then.
pub fn from_cluster_conf(file: &str, text: &str) -> Result<(Layer, Vec<String>), ParseError> {
    let mut old = Old::default();
    let mut unused = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some((key, value)) = assignment(line) else {
            continue;
        };
        let error = |reason: String| ParseError {
            file: file.to_owned(),
            line: at + 1,
            key: Some(key.to_owned()),
            reason,
        };
        if let Some(line) = old.take(key, &value).map_err(error)? {
            unused.push(format!("{file} line {} ({key}): {line}", at + 1));
        }
    }
    let network = old.network().map_err(|(key, reason)| ParseError {
        file: file.to_owned(),
        line: text.lines().position(|line| line.contains(key)).unwrap_or(0) + 1,
        key: Some(key.to_owned()),
        reason,
    })?;
    let layer = Layer {
        network,
        ..Layer::default()
    };
    Ok((layer, unused))
}

#[derive(Default)]
struct Old {
    interface: Option<String>,
    tagged: Option<bool>,
    vlan: Option<Vlan>,
    prefix: Option<u8>,
    leader: Option<Ipv4Addr>,
    first: Option<Ipv4Addr>,
    last: Option<Ipv4Addr>,
}

impl Old {
    /// Takes a value; a line when it has no meaning any more.
    fn take(&mut self, key: &str, value: &str) -> Result<Option<String>, String> {
        match key {
            "INTERFACE" => self.interface = Some(value.to_owned()),
            "ENABLE_VLAN" => self.tagged = Some(truth(value)?),
            "VLAN_ID" => self.vlan = Some(value.parse().map_err(|error| format!("{error}"))?),
            "VLAN_NETMASK" | "DHCP_NETMASK" => self.prefix = Some(prefix(value)?),
            "CLUSTER_LEADER_IP" => self.leader = Some(address(value)?),
            "DHCP_RANGE_FROM" => self.first = Some(address(value)?),
            "DHCP_RANGE_TO" => self.last = Some(address(value)?),
            "ENABLE_DHCP" if !truth(value)? => {
                return Ok(Some(
                    "the master always gives addresses: this is not used".to_owned(),
                ));
            }
            "DOCKER_OPTS" if !value.is_empty() => {
                return Ok(Some(
                    "Docker is set up by the agent: options of yours belong into /etc/docker/daemon.json"
                        .to_owned(),
                ));
            }
            // Follow from the others, or are not needed any more.
            "ENABLE_DHCP" | "DOCKER_OPTS" | "CLUSTER_TEST_IP" | "DHCP_BROADCAST" => {}
            _ => return Ok(Some("unknown: this is not used".to_owned())),
        }
        Ok(None)
    }

    fn network(self) -> Result<NetworkLayer, (&'static str, String)> {
        let Self {
            interface,
            tagged,
            vlan,
            prefix,
            leader,
            first,
            last,
        } = self;
        let interface = interface.map(|name| name.parse().map_err(|error| ("INTERFACE", format!("{error}"))));
        let subnet = leader.map(|leader| {
            let net = Ipv4Net::new(leader, prefix.unwrap_or(24));
            net.map(|net| net.trunc())
                .map_err(|error| ("VLAN_NETMASK", error.to_string()))
        });
        let pool = first
            .zip(last)
            .filter(|pool| *pool != OLD_POOL)
            .map(|(first, last)| {
                Pool::new(first, last).map_err(|error| ("DHCP_RANGE_FROM", error.to_string()))
            });
        Ok(NetworkLayer {
            interface: interface.transpose()?,
            vlan: if tagged == Some(false) {
                Some(Vlan::Off)
            } else {
                vlan
            },
            subnet: subnet.transpose()?,
            master_address: leader,
            pool: pool.transpose()?,
            ..NetworkLayer::default()
        })
    }
}

/// The key and value of a shell's assignment.
fn assignment(line: &str) -> Option<(&str, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (key, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
    let value = value.trim();
    let quote = value.chars().next().filter(|first| ['"', '\''].contains(first));
    let value = match quote {
        Some(quote) => value[1..].split(quote).next().unwrap_or_default(),
        None => value.split([' ', '\t', '#', ';']).next().unwrap_or_default(),
    };
    Some((key.trim(), value.to_owned()))
}

fn truth(value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(format!("'{value}' is neither true nor false")),
    }
}

fn address(value: &str) -> Result<Ipv4Addr, String> {
    value
        .parse()
        .map_err(|_| format!("'{value}' is not an address such as 192.168.200.1"))
}

/// Written as `24`, `/24` or `255.255.255.0`.
fn prefix(value: &str) -> Result<u8, String> {
    let number = value
        .trim_start_matches('/')
        .parse()
        .ok()
        .filter(|length| *length <= 30);
    let mask = || {
        ipnet::ipv4_mask_to_prefix(value.parse().ok()?)
            .ok()
            .filter(|length| *length <= 30)
    };
    number
        .or_else(mask)
        .ok_or_else(|| format!("'{value}' is not a netmask such as 24 or 255.255.255.0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    const SHIPPED: &str = "# Cluster Lab\nINTERFACE=\"eth0\"\nENABLE_VLAN=true\nVLAN_ID=\"200\"\nVLAN_NETMASK=\"24\"\n\
        CLUSTER_LEADER_IP=\"192.168.200.1\"\nCLUSTER_TEST_IP=\"192.168.200.240\"\nENABLE_DHCP=true\n\
        DHCP_BROADCAST=192.168.200.255\nDHCP_NETMASK=255.255.255.0\nDHCP_RANGE_FROM=192.168.200.20\n\
        DHCP_RANGE_TO=192.168.200.50\nDOCKER_OPTS=\"\"\n";

    #[test]
    fn the_file_as_it_was_shipped_is_our_default_on_eth0() {
        let (layer, unused) = from_cluster_conf("f", SHIPPED).unwrap();
        assert_eq!(unused, [""; 0]);
        let mut settings = Settings::from_layers([&layer]).unwrap();
        assert_eq!(settings.network.interface.take().unwrap().as_str(), "eth0");
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn what_was_changed_is_kept() {
        let text = "export INTERFACE='en*'\nENABLE_VLAN=\"false\" # no tags\nVLAN_ID=7\nVLAN_NETMASK=255.255.0.0\n\
            CLUSTER_LEADER_IP=10.1.0.1;\nDHCP_RANGE_FROM=10.1.0.20\nDHCP_RANGE_TO=10.1.0.99\nENABLE_DHCP=no\nFOO=bar\n";
        let (layer, unused) = from_cluster_conf("f", text).unwrap();
        let network = Settings::from_layers([&layer]).unwrap().network;
        assert_eq!(
            (network.vlan, network.subnet.to_string().as_str()),
            (Vlan::Off, "10.1.0.0/16")
        );
        assert_eq!(network.pool.to_string(), "10.1.0.20-10.1.0.99");
        assert_eq!(
            unused,
            [
                "f line 8 (ENABLE_DHCP): the master always gives addresses: this is not used",
                "f line 9 (FOO): unknown: this is not used"
            ]
        );
    }

    #[test]
    fn an_error_names_line_key_and_what_is_allowed() {
        for (text, expected) in [
            (
                "VLAN_ID=x",
                "f line 1 (VLAN_ID): 'x' is not a VLAN: a number from 1 to 4094",
            ),
            (
                "\nENABLE_VLAN=maybe",
                "f line 2 (ENABLE_VLAN): 'maybe' is neither true nor false",
            ),
            (
                "VLAN_NETMASK=33",
                "f line 1 (VLAN_NETMASK): '33' is not a netmask such as 24",
            ),
            (
                "CLUSTER_LEADER_IP=",
                "f line 1 (CLUSTER_LEADER_IP): '' is not an address",
            ),
            (
                "INTERFACE=\"a b\"",
                "f line 1 (INTERFACE): 'a b' is not an interface",
            ),
            (
                "DHCP_RANGE_TO=10.0.0.1\nDHCP_RANGE_FROM=10.0.0.9",
                "f line 2 (DHCP_RANGE_FROM): '10.0.0.9-10.0.0.1' is not an address pool",
            ),
        ] {
            let message = from_cluster_conf("f", text).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String, key in "[A-Z_]{0,12}", value: String) {
            let _ = from_cluster_conf("f", &text);
            let _ = from_cluster_conf("f", &format!("{key}={value}"));
        }
    }
}
