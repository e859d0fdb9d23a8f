//! `cluster-lab exec`

use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;
use futures_util::{StreamExt, stream};
use hyper::Method;

use super::daemon::{Daemon, Socket, print};
use crate::api::Exec;
use crate::process::Said;
use crate::status::Status;

/// Nodes at the same time.
const AT_ONCE: usize = 128;
/// The exit status when a node does not answer, as ssh has it.
const UNREACHABLE: u8 = 255;

const EXAMPLES: &str = "Examples:
  sudo cluster-lab exec -- uptime                            on all nodes at once
  sudo cluster-lab exec --node cl-node-2 -- df -h /
  sudo cluster-lab exec -- sh -c 'docker images | wc -l'     with a shell on each node
  sudo cluster-lab exec --limit 3600 -- apt-get upgrade -y

The exit status is that of the node where it is highest; 255: a node did not answer; 124: it took too long.";

/// Arguments of `exec`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only on this node, by name or address; may be repeated
    #[arg(long, value_name = "NODE")]
    node: Vec<String>,
    /// End the command after so many seconds, 1 to 3600
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    limit: u32,
    /// The program and its arguments
    #[arg(required = true, last = true)]
    command: Vec<String>,
    #[command(flatten)]
    socket: Socket,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.socket.run(|daemon| act(daemon, args)).map(ExitCode::from)
}

async fn act(daemon: Daemon, args: &Args) -> anyhow::Result<u8> {
    let nodes = match &args.node[..] {
        [] => names(&daemon.get("/api/v1/status").await?),
        some => some.to_vec(),
    };
    if nodes.is_empty() {
        bail!("there are no nodes yet; `cluster-lab status` says what this one waits for");
    }
    let width = nodes.iter().map(|name| name.len()).max().unwrap_or_default();
    let exec = Exec {
        command: args.command.clone(),
        limit: args.limit,
    };
    let (daemon, exec) = (&daemon, &exec);
    let each = |node: String| async move {
        let prefix = format!("{node:<width$} | ");
        match on_node(daemon, &node, exec, &prefix).await {
            Ok(status) => u8::try_from(status).unwrap_or(UNREACHABLE),
            Err(error) => {
                eprintln!("{prefix}{}", super::one_line(&error));
                UNREACHABLE
            }
        }
    };
    let statuses = stream::iter(nodes).map(each).buffer_unordered(AT_ONCE);
    Ok(statuses
        .fold(0, |worst, status| std::future::ready(worst.max(status)))
        .await)
}

/// All nodes: this one, the master, the others.
fn names(status: &Status) -> Vec<String> {
    let mut names = vec![status.hostname.clone()];
    if let Some(master) = &status.master {
        names.push(
            master
                .hostname
                .as_ref()
                .map_or_else(|| master.address.to_string(), ToString::to_string),
        );
    }
    let peers = status.peers.iter();
    names.extend(peers.map(|peer| {
        peer.hostname
            .as_ref()
            .map_or_else(|| peer.address.to_string(), ToString::to_string)
    }));
    names.sort();
    names.dedup();
    names
}

async fn on_node(daemon: &Daemon, node: &str, exec: &Exec, prefix: &str) -> anyhow::Result<i32> {
    let path = format!("/api/v1/nodes/{node}/exec");
    let mut lines = Box::pin(daemon.lines::<Said, _>(Method::POST, &path, exec).await?);
    while let Some(said) = lines.next().await {
        match said? {
            Said::Stdout(line) => print(&format!("{prefix}{line}\n"))?,
            Said::Stderr(line) => drop(writeln!(std::io::stderr(), "{prefix}{line}")),
            Said::Exit(status) => return Ok(status),
        }
    }
    bail!("it was cut off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::example;

    #[test]
    fn every_node_is_named_once() {
        let mut status = example();
        assert_eq!(names(&status), ["192.168.200.21", "cl-node-1", "cl-node-2"]);
        status.hostname = "cl-node-1".to_owned();
        assert_eq!(names(&status), ["192.168.200.21", "cl-node-1"]);
    }
}
