//! The leases as a file, so that after a restart of the master every client keeps its address. Text only; who writes it
//! where is `memory`.
//!
//! No times: a Pi has no clock, so all leases start anew with the master.

use boot_config::Hostname;
use serde::{Deserialize, Serialize};

use super::lease_table::{Client, ClientKey, Lease};
use crate::network::mac::Mac;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    version: u32,
    leases: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Line {
    address: std::net::Ipv4Addr,
    mac: Mac,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<Vec<u8>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hostname: Option<Hostname>,
    #[serde(default)]
    node: bool,
}

/// The file's text.
///
/// # Errors
/// Never in practice: nothing in a lease is not JSON.
pub fn render(leases: impl Iterator<Item = Lease>) -> serde_json::Result<String> {
    let line = |Lease { address, client }: Lease| Line {
        address,
        mac: client.mac,
        client_id: match client.key {
            ClientKey::Id(id) => Some(id),
            ClientKey::Mac(_) => None,
        },
        hostname: client.hostname,
        node: client.node,
    };
    serde_json::to_string(&File {
        version: 1,
        leases: leases.map(line).collect(),
    })
}

/// The leases in a file's text.
///
/// # Errors
/// When the text is not such a file.
pub fn parse(text: &str) -> serde_json::Result<Vec<Lease>> {
    let file: File = serde_json::from_str(text)?;
    if file.version != 1 {
        return Err(serde::de::Error::custom(format_args!(
            "version {} is not known here, only 1 is",
            file.version
        )));
    }
    let lease = |line: Line| Lease {
        address: line.address,
        client: Client {
            key: line.client_id.map_or(ClientKey::Mac(line.mac), ClientKey::Id),
            mac: line.mac,
            hostname: line.hostname,
            node: line.node,
        },
    };
    Ok(file.leases.into_iter().map(lease).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mac = Mac::from([2, 0, 0, 0, 0, 1]);
        let lease = |key, hostname: Option<&str>| Lease {
            address: "192.168.200.20".parse().unwrap(),
            client: Client {
                key,
                mac,
                hostname: hostname.map(|name| name.parse().unwrap()),
                node: hostname.is_some(),
            },
        };
        let leases = vec![
            lease(ClientKey::Mac(mac), Some("n1")),
            lease(ClientKey::Id(vec![0, 255]), None),
        ];
        let text = render(leases.clone().into_iter()).unwrap();
        assert_eq!(parse(&text).unwrap(), leases);
        for bad in ["", "{", "{\"version\":2,\"leases\":[]}", "{\"version\":1}"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
