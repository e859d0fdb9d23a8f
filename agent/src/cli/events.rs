//! `cluster-lab events`

use std::process::ExitCode;

use futures_util::StreamExt;
use hyper::Method;

use super::daemon::{Daemon, Socket, print};
use crate::events::Event;

const EXAMPLES: &str = "Examples:
  cluster-lab events              what happened since the agent started, as far as it remembers
  cluster-lab events -f           and what happens; the master sees most
  cluster-lab events -f --json    a JSON value per line, for programs";

/// Arguments of `events`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Print a JSON value per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.socket.run(|daemon| act(daemon, args))?;
    Ok(ExitCode::SUCCESS)
}

async fn act(daemon: Daemon, args: &Args) -> anyhow::Result<()> {
    let path = format!("/api/v1/events?follow={}", args.follow);
    let mut events = Box::pin(daemon.lines::<Event, _>(Method::GET, &path, &()).await?);
    while let Some(event) = events.next().await {
        let event = event?;
        print(&match args.json {
            true => serde_json::to_string(&event)? + "\n",
            false => format!("{}  {}\n", clock_time(event.at), event.text),
        })?;
    }
    Ok(())
}

/// The time of day in UTC, as the journal of a Pi has it.
fn clock_time(at: u64) -> String {
    format!("{:02}:{:02}:{:02}", at / 3600 % 24, at / 60 % 60, at % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_of_the_day() {
        assert_eq!(super::clock_time(1_700_000_000), "22:13:20");
    }
}
