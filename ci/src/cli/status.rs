//! `lab status`: who is what.

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::console::Stage;
use crate::lab::Lab;
use crate::record::Node;
use crate::table;

/// Show all nodes: power, role, addresses.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ci/lab status")]
pub(super) struct Status {}

impl Status {
    pub(super) fn run(self, lab: &Lab) -> Result<()> {
        print!("{}", table(lab, |_| None)?);
        Ok(())
    }
}

const HEADINGS: [&str; 6] = [
    "NODE",
    "POWER",
    "ROLE",
    "CLUSTER ADDRESS",
    "UPLINK ADDRESS",
    "ROLE TAKEN",
];

/// The nodes as a table; `after` knows how long after power on a node had its role, where that was measured.
pub(super) fn table(lab: &Lab, after: impl Fn(&str) -> Option<Duration> + Sync) -> Result<String> {
    let leases = lab.switch()?.leases;
    let row = |node: &Node| {
        let status = if node.is_on() {
            lab.status(&node.name).ok()
        } else {
            None
        };
        let role = match &status {
            Some(status) => status.role.clone(),
            None if node.is_on() => {
                let text = lab.console(&node.name).unwrap_or_default();
                format!("({})", Stage::of(&text))
            }
            None => "-".to_owned(),
        };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        // The guest's clock starts with its kernel: a little later than power on.
        let taken = status.as_ref().and_then(|status| status.timing.role_taken);
        let seconds = match (after(&node.name), taken) {
            (Some(after), _) => Some(format!("{} s after power on", after.as_secs())),
            (None, taken) => taken.map(|taken| format!("{taken:.0} s after boot")),
        };
        vec![
            node.name.clone(),
            if node.is_on() { "on" } else { "off" }.to_owned(),
            role,
            or_dash(
                status
                    .and_then(|status| status.address)
                    .map(|address| address.to_string()),
            ),
            or_dash(leases.get(&node.mac).map(ToString::to_string)),
            or_dash(seconds),
        ]
    };
    let rows: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = lab
            .record()
            .nodes
            .iter()
            .map(|node| scope.spawn(move || row(node)))
            .collect();
        asked
            .into_iter()
            .map(|asked| {
                asked
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    Ok(table::render(&HEADINGS, &rows))
}
