//! `flash secret`: the secrets that make cards members of their clusters.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, Result, bail};
use boot_config::Hostname;
use clap::Subcommand;

use crate::secret::Secrets;

const ABOUT: &str = "\
A cluster secret is made with the first card of a cluster and written to each of its cards.
Whoever has it is a member. It is kept in ~/.config/cluster-lab/NAME.secret, for you only.

Examples:
  Carry it to another computer that flashes cards of the same cluster:
    flash secret show | ssh OTHER 'umask 077; mkdir -p ~/.config/cluster-lab;
        cat > ~/.config/cluster-lab/cluster-lab.secret'
  Shut out a card that was lost; then flash all other cards again:
    flash secret rotate";

/// What to do with a secret.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub struct Secret {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Print the secret of a cluster. Whoever sees it can join
    Show {
        /// Name of the cluster
        #[arg(default_value = "cluster-lab")]
        name: Hostname,
    },
    /// Make a new secret for a cluster. Cards with the old one are members no longer: all must be flashed again
    Rotate {
        /// Name of the cluster
        #[arg(default_value = "cluster-lab")]
        name: Hostname,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Does what the command line says.
pub(super) fn run(arguments: &Secret) -> Result<()> {
    let secrets = Secrets::of_user()?;
    match &arguments.command {
        Command::Show { name } => {
            let Some(secret) = secrets.get(name)? else {
                bail!(
                    "there is no secret of cluster {name} in {}: it is made with the first card that you flash for {name}",
                    secrets.file(name).display()
                );
            };
            let mut out = io::stdout();
            out.write_all(secret.render().as_bytes())
                .and_then(|()| out.write_all(b"\n"))
                .context("writing the secret")
        }
        Command::Rotate { name, yes } => {
            confirm(name, *yes)?;
            secrets.rotate(name)?;
            println!(
                "cluster {name} has a new secret in {}: flash all of its cards again; until then the old cards and the new ones do not talk to each other",
                secrets.file(name).display()
            );
            Ok(())
        }
    }
}

fn confirm(name: &Hostname, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let lost = format!(
        "The present secret of cluster {name} will be lost, and all of its cards must be flashed again"
    );
    if !io::stdin().is_terminal() {
        bail!("{lost}; there is no terminal to ask at: add --yes if that is meant");
    }
    eprint!("{lost}.\nMake a new secret? [yes/no] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() != "yes" {
        bail!("nothing was changed");
    }
    Ok(())
}
