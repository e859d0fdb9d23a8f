//! `cluster-lab logs`

use std::process::ExitCode;

use futures_util::StreamExt;
use hyper::Method;

use super::daemon::{Daemon, Socket, print};
use crate::process::Said;
use crate::services::{LogLine, ServiceSeen};
use crate::status::Status;

const EXAMPLES: &str = "Examples:
  sudo cluster-lab logs                    the journal of the agent and of Docker on this node
  sudo cluster-lab logs cl-node-3 -n 500   the same of another node
  sudo cluster-lab logs web -f             what the tasks of a service say, and go on";

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A service, or a node by name or address (default: this node). A service wins
    #[arg(value_name = "SERVICE|NODE")]
    of: Option<String>,
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// The last lines
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    lines: u32,
    #[command(flatten)]
    socket: Socket,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.socket.run(|daemon| act(daemon, args))?;
    Ok(ExitCode::SUCCESS)
}

async fn act(daemon: Daemon, args: &Args) -> anyhow::Result<()> {
    let query = format!("tail={}&follow={}", args.lines, args.follow);
    // Without a swarm there are no services, and nodes have journals still.
    let services: Vec<ServiceSeen> = match &args.of {
        Some(_) => daemon.get("/api/v1/services").await.unwrap_or_default(),
        None => Vec::new(),
    };
    let name = match &args.of {
        Some(name) if services.iter().any(|service| service.name == *name) => {
            let path = format!("/api/v1/services/{name}/logs?{query}");
            let mut lines = Box::pin(daemon.lines::<LogLine, _>(Method::GET, &path, &()).await?);
            while let Some(line) = lines.next().await {
                print(&(line?.line + "\n"))?;
            }
            return Ok(());
        }
        Some(name) => name.clone(),
        None => daemon.get::<Status>("/api/v1/status").await?.hostname,
    };
    let path = format!("/api/v1/nodes/{name}/journal?{query}");
    let mut lines = Box::pin(daemon.lines::<Said, _>(Method::GET, &path, &()).await?);
    while let Some(said) = lines.next().await {
        match said? {
            Said::Stdout(line) => print(&(line + "\n"))?,
            Said::Stderr(line) => eprintln!("{line}"),
            Said::Exit(_) => {}
        }
    }
    Ok(())
}
