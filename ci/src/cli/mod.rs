//! The command line: one file per subcommand, its arguments beside what it does.

mod cable;
mod console;
mod down;
mod leash;
mod power;
mod status;
mod switch;
mod up;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::folder::Folder;
use crate::lab::{Access, Lab};

/// Boots release images as virtual Raspberry Pis in QEMU, on one virtual switch.
#[derive(Debug, Parser)]
#[command(version, bin_name = "ci/lab", after_help = EXAMPLES)]
struct Arguments {
    /// Folder of the lab: cards, consoles, captures. Labs in different folders do not see each other.
    #[arg(long, global = true, default_value = "target/lab/run", value_name = "FOLDER")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  ci/lab up                          two virtual Pis, wait until one is master and the other a node
  ci/lab up --nodes 3 --image my.img three of them, from an image of your own
  ci/lab status                      who is what now
  ci/lab console cl-node-1           its serial console; leave it with Ctrl-]
  ci/lab power cut cl-node-1         pull its plug
  ci/lab power on cl-node-1          and put it in again
  ci/lab down                        end it all";

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Status(status::Status),
    Console(console::Console),
    Power(power::Power),
    Cable(cable::Cable),
    Down(down::Down),
    #[command(hide = true)]
    Switch(switch::Switch),
    #[command(hide = true)]
    Leash(leash::Leash),
}

/// Reads the command line and does what it says.
///
/// # Errors
/// When that fails.
pub fn run() -> Result<()> {
    let Arguments { dir, command } = Arguments::parse();
    let folder = || Folder::open(&dir);
    let open = |access| Lab::open(folder()?, program()?, access);
    match command {
        Command::Up(up) => up.run(Folder::create(&dir)?, program()?),
        Command::Status(status) => status.run(&open(Access::Look)?),
        Command::Console(console) => console.run(&open(Access::Look)?),
        Command::Power(power) => power.run(&mut open(Access::Change)?),
        Command::Cable(cable) => cable.run(&open(Access::Look)?),
        Command::Down(down) => down.run(&mut open(Access::Change)?),
        Command::Switch(switch) => switch.run(&folder()?),
        Command::Leash(leash) => leash.run(),
    }
}

fn program() -> Result<PathBuf> {
    std::env::current_exe().context("finding this program itself")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
        for line in [
            "lab up --nodes 16 --machine raspi2b --image a.img --flash f --timeout 60 --dir d",
            "lab status --dir d",
            "lab power cut cl-node-1",
            "lab cable out cl-node-1",
            "lab down --keep-cards",
            "lab leash -- qemu-system-arm -M none",
        ] {
            Arguments::try_parse_from(line.split(' ')).unwrap();
        }
        for (line, message) in [
            ("lab up --nodes 17", "17 is not in 1..=16"),
            ("lab up --card-size 3", "3 is not a power of two"),
            ("lab power", "Usage: ci/lab power"),
        ] {
            let error = Arguments::try_parse_from(line.split(' '))
                .unwrap_err()
                .to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
