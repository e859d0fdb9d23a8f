//! What passed a port of the switch, as tcpdump reads it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The frames of a capture that a filter (pcap-filter(7)) lets through, one line each. Without `vlan` in it, a filter
/// means untagged frames only.
pub(crate) fn frames(capture: &Path, filter: &str) -> Result<Vec<String>> {
    let output = Command::new("tcpdump")
        .args(["-nn", "-e", "-r"])
        .arg(capture)
        .arg(filter)
        .output()
        .context("starting tcpdump (apt-get install tcpdump)")?;
    if !output.status.success() {
        bail!(
            "tcpdump '{filter}': {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    // Lines that begin with a blank belong to the frame before.
    Ok(text
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(str::to_owned)
        .collect())
}
