//! The command line. Without a subcommand a card is written; subcommands stand beside that.

mod cluster;
mod list;
mod secret;
mod source;
mod verify;
mod write;

use anyhow::Result;
use clap::Subcommand;

pub use list::ListCards;
pub use secret::Secret;
pub use source::ImageOptions;
pub use verify::VerifyCard;
pub use write::WriteCard;

const EXAMPLES: &str = "\
Examples:
  A card in a reader, for the first node; asks before it writes:
    sudo flash --hostname cl-node-1 --user pi --ssh-key ~/.ssh/id_ed25519.pub \\
        --device /dev/sdb cluster-lab.img.zip
  The next card that is inserted, with Wi-Fi; --dry-run shows what would be written:
    sudo flash --hostname cl-node-3 --ssid home --wifi-password-file wifi --wifi-country DE cluster-lab.img.zip
  A virtual card of 4 GiB:
    flash --hostname cl-node-1 --card-size 4G --device cl-node-1.img cluster-lab.img.zip
  Several cards at once, each with a name of its own:
    sudo flash --hostname 'cl-node-{1..2}' --device /dev/sdb --device /dev/sdc cluster-lab.img.zip
  The cards of a whole cluster, one after the other, over days if need be:
    sudo flash cluster.toml
  A download, checked, and gone on with if it breaks:
    sudo flash --hostname cl-node-2 --sha256 9f86d0... --device /dev/sdb https://example.org/x.img.xz

A card is whole or does not boot: its partition table is written last, when everything
else has been read back and compared.

A cluster file says what the cards of a cluster are; flash keeps which card got which name,
so that the next card that is inserted becomes the next missing node:
  version = 1
  image = \"cluster-lab.img.zip\"     # a file beside it, or a URL
  names = \"cl-node-{1..30}\"
  cluster = \"lab\"
  [defaults]                         # the options below, without the hyphens in front
  user = \"pi\"
  ssh-key = [\"id_ed25519.pub\"]
  [node.cl-node-7]                   # what is different for one
  uplink-address = \"192.168.1.7/24\"";

/// Write a card image to a card, with the settings of one node, and read back what was written.
#[derive(Clone, Debug, clap::Parser)]
#[command(version, disable_version_flag = true, after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    /// What to do other than writing a card.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Print the version
    #[arg(long, short = 'v', short_alias = 'V', action = clap::ArgAction::Version)]
    version: Option<bool>,
    /// The card to write.
    #[command(flatten)]
    pub card: WriteCard,
}

/// What can be done besides writing a card.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// List the devices that may be cards, and why others are refused
    List(ListCards),
    /// Compare a card with an image. Files in which settings are kept may differ, and are named
    Verify(VerifyCard),
    /// Show or replace the secret that makes cards members of a cluster
    Secret(Secret),
}

/// Does what the command line says.
///
/// # Errors
/// Before anything is written, or with a card that does not boot.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Some(Command::List(arguments)) => list::run(arguments),
        Some(Command::Verify(arguments)) => verify::run(arguments),
        Some(Command::Secret(arguments)) => secret::run(arguments),
        None => write::run(&arguments.card),
    }
}
