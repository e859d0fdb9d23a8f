//! `cluster-lab nodes`

use std::process::ExitCode;

use super::daemon::{Socket, show, table};
use crate::services::NodeSeen;

const EXAMPLES: &str = "Examples:
  cluster-lab nodes          the nodes of the swarm, which of them answer, and what they are
  cluster-lab nodes --json   the same for programs";

/// Arguments of `nodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let nodes: Vec<NodeSeen> = args
        .socket
        .run(|daemon| async move { daemon.get("/api/v1/nodes").await })?;
    show(args.json, &nodes, |nodes| lines(nodes))?;
    Ok(ExitCode::SUCCESS)
}

fn lines(nodes: &[NodeSeen]) -> String {
    let dash = || "-".to_owned();
    let row = |node: &NodeSeen| {
        vec![
            node.hostname.clone(),
            if node.ready { "ready" } else { "away" }.to_owned(),
            node.part.clone(),
            node.address.clone().unwrap_or_else(dash),
            node.docker.clone().unwrap_or_else(dash),
            node.architecture.clone().unwrap_or_else(dash),
            node.memory
                .map_or_else(dash, |bytes| format!("{} MiB", bytes / (1 << 20))),
        ]
    };
    let rows: Vec<_> = nodes.iter().map(row).collect();
    table(
        &["NODE", "STATE", "PART", "ADDRESS", "DOCKER", "ARCH", "MEMORY"],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_per_node() {
        let node = NodeSeen {
            id: "x".to_owned(),
            hostname: "cl-node-1".to_owned(),
            address: Some("192.168.200.20".to_owned()),
            ready: true,
            active: true,
            part: "leader".to_owned(),
            docker: Some("20.10.24".to_owned()),
            architecture: Some("armv7l".to_owned()),
            processors: Some(4),
            memory: Some(968 << 20),
        };
        let away = NodeSeen {
            ready: false,
            part: "worker".to_owned(),
            memory: None,
            ..node.clone()
        };
        let expected = "\
NODE       STATE  PART    ADDRESS         DOCKER    ARCH    MEMORY
cl-node-1  ready  leader  192.168.200.20  20.10.24  armv7l  968 MiB
cl-node-1  away   worker  192.168.200.20  20.10.24  armv7l  -
";
        assert_eq!(lines(&[node, away]), expected);
    }
}
