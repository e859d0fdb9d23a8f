//! `cluster-lab login`

use std::process::ExitCode;

use anyhow::Context;
use hyper::Method;

use super::daemon::{Daemon, Socket, print, table};
use crate::access::{Level, Listed};
use crate::api::{Given, LinkWish, TokenWish};
use crate::status::Status;

const EXAMPLES: &str = "Examples:
  sudo cluster-lab login                      a link for the browser; it works once, for 10 minutes
  sudo cluster-lab login --read-only          one that shows logs and changes nothing
  sudo cluster-lab login --token backup       a token for scripts, for 90 days:
      curl -H 'Authorization: Bearer TOKEN' http://cl-master/api/v1/changes
  sudo cluster-lab login --list               the tokens that there are
  sudo cluster-lab login --revoke backup";

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Allow to look, not to change
    #[arg(long)]
    read_only: bool,
    /// Make a token for scripts, of this name; an older one of that name ends
    #[arg(long, value_name = "NAME", conflicts_with_all = ["list", "revoke"])]
    token: Option<String>,
    /// How long the token lives
    #[arg(long, value_name = "N", default_value_t = 90, requires = "token")]
    days: u32,
    /// List the tokens of this node
    #[arg(long, conflicts_with = "revoke")]
    list: bool,
    /// End a token
    #[arg(long, value_name = "NAME")]
    revoke: Option<String>,
    #[command(flatten)]
    socket: Socket,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let said = args.socket.run(|daemon| act(daemon, args))?;
    print(&said)?;
    Ok(ExitCode::SUCCESS)
}

async fn act(daemon: Daemon, args: &Args) -> anyhow::Result<String> {
    let level = if args.read_only {
        Level::Reader
    } else {
        Level::Administrator
    };
    if args.list {
        let tokens: Vec<Listed> = daemon.get("/api/v1/tokens").await?;
        let row = |token: &Listed| {
            vec![
                token.name.clone(),
                token.level.to_string(),
                token.expires_at.to_string(),
            ]
        };
        let rows: Vec<_> = tokens.iter().map(row).collect();
        return Ok(table(&["TOKEN", "LEVEL", "EXPIRES (SECONDS SINCE 1970)"], &rows));
    }
    if let Some(name) = &args.revoke {
        daemon
            .ask::<()>(Method::DELETE, &format!("/api/v1/tokens/{name}"), &())
            .await?;
        return Ok(String::new());
    }
    if let Some(name) = &args.token {
        let wish = TokenWish {
            name: name.clone(),
            level,
            days: args.days,
        };
        let given: Given = daemon.ask(Method::POST, "/api/v1/tokens", &wish).await?;
        return Ok(given.token + "\n");
    }
    let given: Given = daemon
        .ask(Method::POST, "/api/v1/login-link", &LinkWish { level })
        .await?;
    let status: Status = daemon.get("/api/v1/status").await?;
    let address = status
        .address
        .context("this node has no address on the cluster network yet")?;
    // A browser never sends what comes after '#', and the page takes it out of the address at once.
    Ok(format!("http://{address}/#login={}\n", given.token))
}
