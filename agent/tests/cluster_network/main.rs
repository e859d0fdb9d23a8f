//! The agent on a real kernel: several of them, each in its own network namespace, on one bridge. Untagged, because the
//! test machines' kernels have no 802.1Q; tags are tested where the image boots.

#![expect(clippy::expect_used, reason = "a test, all of it")]

mod browser;
mod clients;
mod commands;
mod consul;
mod dashboard;
mod dhcp_server;
mod docker;
mod endpoint;
mod engine;
mod faults;
mod hang;
mod names;
mod reload;
mod roles;
mod services;
mod swarm;
mod switch;
mod time;
mod trust;
mod two_clusters;
mod unmanaged;

use std::time::Duration;

use serde_json::Value;
use switch::{Machine, eventually};

/// The role goal is 10 s; the rest is for busy test machines.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// One master that holds the first address; everyone else a node; each with a leased address of its own; all agree on
/// who is who. The master's index.
fn settled(machines: &[&Machine]) -> Result<usize, String> {
    let statuses = machines
        .iter()
        .map(|machine| machine.status())
        .collect::<Result<Vec<_>, _>>()?;
    let of_role = |role: &str| {
        (0..statuses.len())
            .filter(|i| statuses[*i]["role"] == role)
            .collect::<Vec<_>>()
    };
    let seen = || statuses.iter().map(summary).collect::<Vec<_>>().join("; ");
    let [master] = of_role("master")[..] else {
        return Err(seen());
    };
    if of_role("node").len() + 1 != machines.len() {
        return Err(seen());
    }
    let mut expected: Vec<(String, String)> = Vec::new();
    for (i, (machine, status)) in machines.iter().zip(&statuses).enumerate() {
        let address = status["address"].as_str().unwrap_or_default().to_owned();
        let own = status["node-address"].as_str().unwrap_or_default();
        let last: u8 = own
            .strip_prefix("192.168.200.")
            .and_then(|last| last.parse().ok())
            .unwrap_or_default();
        let leased = (20..=249).contains(&last);
        let (sound, held) = if i == master {
            let held = vec![format!("{own}/24"), format!("{address}/32")];
            (leased && address == "192.168.200.1", held)
        } else {
            (leased && address == own, vec![format!("{own}/24")])
        };
        let mut addresses = machine.addresses();
        // The kernel lists host addresses in the order in which they came.
        addresses.sort_by_key(|address| address.ends_with("/32"));
        let as_told = addresses == held;
        let agrees = status["master"]["hostname"] == machines[master].name.as_str()
            && status["master"]["address"] == "192.168.200.1";
        if !sound || !as_told || !agrees {
            return Err(format!(
                "{}: {} but has {:?}; {}",
                machine.name,
                status,
                machine.addresses(),
                seen()
            ));
        }
        if i != master {
            expected.push((address, machine.name.clone()));
        }
    }
    expected.sort();
    for (machine, status) in machines.iter().zip(&statuses) {
        let others = expected
            .iter()
            .filter(|(_, name)| *name != machine.name)
            .cloned()
            .collect::<Vec<_>>();
        let mut peers = peers(status);
        peers.sort();
        if peers != others {
            return Err(format!("{} sees {peers:?} instead of {others:?}", machine.name));
        }
    }
    Ok(master)
}

fn peers(status: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let peers = status["peers"].as_array().cloned().unwrap_or_default();
    peers
        .iter()
        .map(|peer| (text(&peer["address"]), text(&peer["hostname"])))
        .collect()
}

fn summary(status: &Value) -> String {
    format!(
        "{} is {} with {}",
        status["hostname"], status["role"], status["address"]
    )
}

fn settle(machines: &[&Machine]) -> usize {
    eventually("one master, all others nodes that agree", SOON, || {
        settled(machines)
    })
}
