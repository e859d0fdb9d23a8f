//! `flash cluster.toml`: the cards of a whole cluster, one after the other or several at once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boot_config::{FILE_NAME, Hostname, Layer};
use disk_image::fat::BootPartition;
use disk_image::mbr::Mbr;

use super::write::{WriteCard, say_waiting};
use crate::batch::{self, Interrupt, Manner, Order};
use crate::cluster_file::{ClusterFile, Node};
use crate::device::Device;
use crate::image::Image;
use crate::job::Job;
use crate::ledger::{Ledger, choose};
use crate::names;
use crate::report::Voice;
use crate::settings::Options;
use crate::wait::{self, Known};

/// Makes the cards that are there, or waits for one after the other until no node is left without.
pub(super) fn run(arguments: &WriteCard, path: &Path, voice: Voice) -> Result<()> {
    let others = Options {
        hostname: None,
        ..arguments.settings.clone()
    };
    if others != Options::default() || !arguments.membership.is_empty() {
        bail!(
            "the settings of a cluster are in {}: put them there",
            path.display()
        );
    }
    let root = Path::new("/");
    let mut known = Known::look(root, arguments.reader.as_deref()).context("looking for cards")?;
    let file = ClusterFile::read(path)?;
    let again = match &arguments.settings.hostname {
        Some(pattern) => Some(named(&file, pattern, path)?),
        None => None,
    };
    let mut source = arguments.image.clone();
    if let (None, Some(sum)) = (source.sha256, &file.sha256) {
        let sum = sum.parse().map_err(|error| anyhow::anyhow!("{error}"));
        source.sha256 = Some(sum.with_context(|| format!("{} sha256", path.display()))?);
    }
    source.minisign_key = source.minisign_key.or_else(|| file.minisign_key.clone());
    let image = source.get_from(&file.image, voice)?;
    check_nodes(&file, &image)?;
    let mut ledger = Ledger::open(&file.name)?;
    let interrupt = Interrupt::catch()?;
    let manner = Manner {
        image: &image,
        membership: &file.membership,
        card_size: arguments.card_size,
        max_size: arguments.max_size,
        voice,
        yes: arguments.yes,
        dry_run: arguments.dry_run,
        whole: arguments.whole,
        eject: !arguments.no_eject,
        interrupt: &interrupt,
    };
    if !arguments.device.is_empty() {
        return make(&arguments.device, &file, again.as_deref(), &mut ledger, &manner);
    }
    let mut left = again;
    while let Some(next) = next(&file, left.as_deref(), &ledger) {
        say_waiting(voice, Some(next.as_str()));
        let card = wait::for_card(root, arguments.reader.as_deref(), &mut known, arguments.max_size)?;
        let made = make(&[card], &file, left.as_deref(), &mut ledger, &manner);
        match made {
            Ok(()) if arguments.dry_run => return Ok(()),
            Ok(()) => {
                if let Some(left) = &mut left {
                    left.retain(|node| *node != next);
                }
            }
            Err(error) if interrupt.is_wanted() => return Err(error),
            // One bad card of many: the next one may be good.
            Err(error) => eprintln!("flash: {error:#}"),
        }
    }
    if voice == Voice::People {
        let count = file.nodes.len();
        println!(
            "All {count} cards of cluster {} are made; --hostname NAME makes one anew",
            file.name
        );
    }
    Ok(())
}

/// The nodes that `--hostname` asks for, whether they have a card already or not.
fn named(file: &ClusterFile, pattern: &str, path: &Path) -> Result<Vec<Hostname>> {
    let names = names::all(pattern).into_iter().map(|name| {
        let node = file.nodes.iter().find(|node| node.name.as_str() == name);
        let node = node.with_context(|| format!("--hostname {name}: {} has no such node", path.display()))?;
        Ok(node.name.clone())
    });
    names.collect()
}

/// What an image cannot take is known before the first card is inserted. Nodes without settings of their own are alike.
fn check_nodes(file: &ClusterFile, image: &Image) -> Result<()> {
    let first = file.nodes.first().map(|node| &node.name);
    for node in file
        .nodes
        .iter()
        .filter(|node| node.is_special || Some(&node.name) == first)
    {
        Job::check(image, &node.wanted, &file.membership, true)
            .inspect_err(|error| image.forget_if_damaged(error))
            .with_context(|| node.name.to_string())?;
    }
    Ok(())
}

/// The node that a new card will be.
fn next(file: &ClusterFile, again: Option<&[Hostname]>, ledger: &Ledger) -> Option<Hostname> {
    let all: Vec<Hostname> = file.nodes.iter().map(|node| node.name.clone()).collect();
    match again {
        Some(again) => again.first().cloned(),
        None => choose(&all, ledger.cards(), None, None, &[]).cloned(),
    }
}

/// Makes cards that are there, all at once.
fn make(
    devices: &[PathBuf],
    file: &ClusterFile,
    again: Option<&[Hostname]>,
    ledger: &mut Ledger,
    manner: &Manner<'_>,
) -> Result<()> {
    let all: Vec<Hostname> = file.nodes.iter().map(|node| node.name.clone()).collect();
    let mut taken: Vec<Hostname> = Vec::new();
    let mut orders = Vec::new();
    let mut identities = Vec::new();
    for device in devices {
        let identity = identity(device);
        let node = match again {
            Some(again) => again.get(taken.len()),
            None => {
                let on_card = name_on(device, &file.name);
                choose(
                    &all,
                    ledger.cards(),
                    identity.as_deref(),
                    on_card.as_ref(),
                    &taken,
                )
            }
        };
        let node = node.and_then(|name| file.nodes.iter().find(|node| node.name == *name));
        let Some(Node { name, wanted, .. }) = node else {
            bail!(
                "{} is one card too many: all {} nodes of cluster {} have one; --hostname NAME makes one anew",
                device.display(),
                all.len(),
                file.name
            );
        };
        if manner.voice == Voice::People && ledger.cards().iter().any(|entry| entry.node == *name) {
            eprintln!("{} becomes {name} again", device.display());
        }
        taken.push(name.clone());
        identities.push((device.clone(), identity));
        orders.push(Order {
            device: device.clone(),
            wanted: wanted.clone(),
            label: true,
        });
    }
    let mut kept = Ok(());
    let result = batch::run(&orders, manner, &mut |order| {
        let identity = identities.iter().find(|(device, _)| *device == order.device);
        if let Some(name) = &order.wanted.hostname {
            let recorded = ledger.record(name, identity.and_then(|(_, identity)| identity.clone()));
            if recorded.is_err() {
                kept = recorded;
            }
        }
    });
    result.and(kept)
}

/// What tells a card from all others. A reader on USB hides it: its serial number is the reader's own.
fn identity(device: &Path) -> Option<String> {
    let found = Device::at(Path::new("/"), device).ok()??;
    match (&found.cid, found.bus.as_deref(), &found.serial) {
        (Some(cid), _, _) => Some(format!("mmc:{cid}")),
        (None, Some(bus @ ("ata" | "nvme")), Some(serial)) => Some(format!("{bus}:{serial}")),
        _ => None,
    }
}

/// The name that a card of this cluster carries.
fn name_on(device: &Path, cluster: &Hostname) -> Option<Hostname> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::open(device).ok()?;
    let mut sector = [0; 512];
    file.read_exact_at(&mut sector, 0).ok()?;
    let table = Mbr::parse(&sector, None).ok()?;
    let boot = BootPartition::open(file, table.boot_partition()?).ok()?;
    let text = String::from_utf8(boot.read(FILE_NAME).ok()??).ok()?;
    let layer: Layer = boot_config::parse(FILE_NAME, &text).ok()?;
    let own = layer
        .cluster
        .name
        .unwrap_or(boot_config::Settings::default().cluster.name);
    layer.hostname.filter(|_| own == *cluster)
}
