//! `lab up`: cards, switch, router, nodes; waits for the roles.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use crate::card::Flasher;
use crate::folder::Folder;
use crate::interrupt::Interrupt;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::progress::Progress;
use crate::router::CLIENTS;
use crate::watch::until_roles_taken;

use super::status;

/// Start a lab: flash a virtual card per node, power all nodes on at once, wait until each has its role.
///
/// Ends everything it started when it fails or is interrupted; consoles and captures stay in the lab's folder.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ci/lab up\n  ci/lab up --nodes 3 --image cluster-lab.img.zip\n  ci/lab up --machine raspi2b --nodes 1 --timeout 900"
)]
pub(super) struct Up {
    /// How many nodes: cl-node-1, cl-node-2, ... Each wants 1 GiB of memory.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=i64::from(CLIENTS)))]
    nodes: u8,
    /// Release image, as flash takes it.
    #[arg(long, default_value = "target/lab/cluster-lab.img.zip", value_name = "FILE")]
    image: PathBuf,
    /// The flash program [default: the one beside this program]
    #[arg(long, value_name = "PROGRAM")]
    flash: Option<PathBuf>,
    /// What QEMU emulates.
    #[arg(long, value_enum, default_value_t = Machine::Virt)]
    machine: Machine,
    /// Size of each card in GiB, a power of two. Only what is written takes room on the disk.
    #[arg(long, default_value = "4", value_parser = card_size, value_name = "GIB")]
    card_size: u64,
    /// Longest time in seconds until all roles are taken.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    timeout: u64,
}

impl Up {
    pub(super) fn run(self, folder: Folder, program: PathBuf) -> Result<()> {
        let interrupt = Interrupt::on_signals()?;
        let beside = || Some(program.parent()?.join("flash"));
        let flasher = Flasher {
            program: self
                .flash
                .or_else(beside)
                .context("finding flash: name it with --flash")?,
            image: self.image,
            card_size: self.card_size,
        };
        let names: Vec<_> = (1..=self.nodes)
            .map(|number| format!("cl-node-{number}"))
            .collect();
        let mut lab = Lab::create(folder, program, self.machine, &names)?;
        let progress = Progress::new(&names);
        lab.flash(&flasher, &interrupt, |name, line| progress.tell(name, line))?;
        lab.start_network()?;
        let power_on = Instant::now();
        for name in &names {
            lab.power_on(name)?;
        }
        let patience = Duration::from_secs(self.timeout);
        let ready = until_roles_taken(&lab, &names, patience, &interrupt, |news| {
            progress.tell(&news.node, &news.line);
        })?;
        progress.finish();
        lab.keep_running();
        let reached = match self.machine.has_network() {
            true => "All roles are taken",
            false => "All agents answer",
        };
        eprintln!("{reached}, {} s after power on.\n", power_on.elapsed().as_secs());
        let after = |name: &str| {
            let index = names.iter().position(|other| other == name)?;
            Some(ready.get(index)?.after)
        };
        print!("{}", status::table(&lab, after)?);
        println!("{}", hints(&lab));
        Ok(())
    }
}

fn hints(lab: &Lab) -> String {
    let dir = lab.folder().root().display();
    let name = lab.names().into_iter().next().unwrap_or_default();
    let credentials = lab.credentials();
    let ssh = match lab.ssh(&name) {
        Ok(ssh) if lab.record().machine.has_network() => ssh.command_line().join(" "),
        _ => "(no SSH: this machine has no network)".to_owned(),
    };
    format!(
        "\nLook further:\n  \
         ci/lab status --dir {dir}\n  \
         ci/lab console {name} --dir {dir}    (log in as {user}, password in {password}; leave with Ctrl-])\n  \
         {ssh}\n  \
         tcpdump -nn -e -r {capture}\n\
         End it: ci/lab down --dir {dir}",
        user = credentials.user,
        password = lab.folder().key("password").display(),
        capture = lab.folder().capture(&name).display(),
    )
}

fn card_size(text: &str) -> Result<u64, String> {
    let gib: u64 = text
        .parse()
        .map_err(|_| format!("{text} is not a number of GiB"))?;
    if !gib.is_power_of_two() || gib > 1024 {
        return Err(format!(
            "{text} is not a power of two from 1 to 1024, as QEMU wants SD cards"
        ));
    }
    Ok(gib << 30)
}
