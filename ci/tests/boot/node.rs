//! Questions to one node, past its agent: what the system itself says.

use anyhow::{Context, Result, bail};
use lab::lab::Lab;
use serde_json::Value;

/// What a command prints.
///
/// # Errors
/// When it fails.
pub(crate) fn says(lab: &Lab, node: &str, command: &str) -> Result<String> {
    answer(node, command, lab.run(node, command)?)
}

/// What a command prints that only root may run.
///
/// # Errors
/// When it fails.
pub(crate) fn says_to_root(lab: &Lab, node: &str, command: &str) -> Result<String> {
    answer(node, command, lab.run_as_root(node, command)?)
}

fn answer(node: &str, command: &str, output: lab::ssh::Output) -> Result<String> {
    if output.status != 0 {
        bail!(
            "{node}: '{command}' ends with {}: {}",
            output.status,
            output.stderr.trim()
        );
    }
    Ok(output.stdout.trim().to_owned())
}

/// The IPv4 addresses of an interface.
///
/// # Errors
/// When the node has no such interface.
pub(crate) fn addresses(lab: &Lab, node: &str, interface: &str) -> Result<Vec<String>> {
    let text = says(lab, node, &format!("ip -j -4 addr show dev {interface}"))?;
    let links: Vec<Value> = serde_json::from_str(&text).with_context(|| format!("reading {text}"))?;
    let addresses = links
        .iter()
        .filter_map(|link| link.get("addr_info")?.as_array())
        .flatten()
        .filter_map(|address| address.get("local")?.as_str())
        .map(str::to_owned);
    Ok(addresses.collect())
}

/// A number that a command prints.
///
/// # Errors
/// When it prints something else.
pub(crate) fn number(lab: &Lab, node: &str, command: &str) -> Result<u64> {
    let text = says(lab, node, command)?;
    text.parse()
        .with_context(|| format!("{node}: '{command}' prints '{text}'"))
}
