//! What any card image holds: partitions, file systems, operating system, agent, settings, preloaded container images.

mod text;

use std::path::Path;

use anyhow::{Context as _, Result};
use boot_config::FILE_NAME;
use disk_image::ext4::{RootFs, Summary};
use disk_image::fat;
use disk_image::mbr::Partition;
use serde::{Deserialize, Serialize};

use crate::build::BootShape;
use crate::opened::{LINUX, Opened};
use crate::system::System;

/// Everything that is known about an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Bytes, unpacked.
    pub length: u64,
    /// The disk signature, as PARTUUIDs begin.
    pub signature: String,
    /// In the order of their numbers.
    pub partitions: Vec<PartitionReport>,
    /// How the boot partition takes settings.
    pub boot_shapes: Vec<String>,
    /// The operating system, or why it cannot be read.
    pub system: Result<System, String>,
    /// The agent, if it is there.
    pub agent: Option<Agent>,
    /// Lines of `cluster-lab.toml` that set something.
    pub settings: Option<Vec<String>>,
    /// Container images that wait for the first start.
    pub preloads: Vec<Preload>,
}

/// A partition and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartitionReport {
    /// 1 to 4.
    pub number: u8,
    /// The type byte.
    pub kind: u8,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// The file system.
    pub file_system: FileSystem,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FileSystem {
    /// FAT12, FAT16 or FAT32.
    Fat {
        /// 12, 16 or 32.
        bits: u8,
    },
    /// ext2, ext3 or ext4.
    #[serde(rename_all = "kebab-case")]
    Ext4 {
        /// Whether it was unmounted as it should be.
        clean: bool,
        /// Bytes free for files.
        free: u64,
        /// Files that may still be made.
        free_inodes: u32,
        /// As dumpe2fs names them.
        features: Vec<String>,
        /// Those with which `build` cannot take it.
        unwritable: Vec<String>,
    },
    /// Something else.
    Unknown,
}

/// The agent in an image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Agent {
    /// Its version.
    pub release: String,
    /// When the image was built, in seconds since 1970.
    pub built: u64,
}

/// A container image in a file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Preload {
    /// What the image is called.
    pub reference: String,
    /// The image's identifier.
    pub image: String,
    /// The file's name.
    pub file: String,
}

/// The part of their manifest that is shown.
#[derive(Deserialize)]
struct Preloads {
    images: Vec<Preload>,
}

const PRELOADS: &str = "/var/lib/cluster-lab/preload/manifest.json";
const STAMP: &str = "/usr/lib/cluster-lab/image.toml";

/// Looks at an image of any packing.
///
/// # Errors
/// When it is no card image. What cannot be read inside is part of the report.
pub fn run(path: &Path) -> Result<Report> {
    let image = Opened::open(path)?;
    let table = &image.table;
    let partitions = table
        .partitions
        .iter()
        .map(|partition| partition_report(&image, partition))
        .collect::<Result<_>>()?;
    let (boot_shapes, settings) = boot(&image).unwrap_or_default();
    let mut report = Report {
        length: image.length,
        signature: format!("{:08x}", table.signature),
        partitions,
        boot_shapes,
        system: Err(String::new()),
        agent: None,
        settings,
        preloads: Vec::new(),
    };
    match image.root() {
        Ok(root) => {
            report.system = System::examine(&root).map_err(|error| format!("{error:#}"));
            report.agent = agent(&root)?;
            report.preloads = preloads(&root)?;
        }
        Err(error) => report.system = Err(format!("{error:#}")),
    }
    Ok(report)
}

fn partition_report(image: &Opened, partition: &Partition) -> Result<PartitionReport> {
    let Partition {
        number,
        kind,
        start,
        length,
    } = *partition;
    let file = || image.file.try_clone().context("reading the image");
    let file_system = if partition.is_fat() {
        fat::bits(file()?, partition).map_or(FileSystem::Unknown, |bits| FileSystem::Fat { bits })
    } else if kind == LINUX {
        Summary::read(file()?, partition).map_or(FileSystem::Unknown, FileSystem::from)
    } else {
        FileSystem::Unknown
    };
    Ok(PartitionReport {
        number,
        kind,
        start,
        length,
        file_system,
    })
}

impl From<Summary> for FileSystem {
    fn from(summary: Summary) -> Self {
        Self::Ext4 {
            clean: summary.clean,
            free: summary.free,
            free_inodes: summary.free_inodes,
            features: summary.features,
            unwritable: summary.unwritable,
        }
    }
}

fn boot(image: &Opened) -> Result<(Vec<String>, Option<Vec<String>>)> {
    let boot = image.boot()?;
    let names: Vec<_> = boot.list()?.into_iter().map(|entry| entry.name).collect();
    let command_line = boot.read("cmdline.txt")?.unwrap_or_default();
    let shapes = BootShape::recognise(&names, &String::from_utf8_lossy(&command_line));
    let settings = boot.read(FILE_NAME)?.map(|text| {
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    });
    Ok((shapes.iter().map(ToString::to_string).collect(), settings))
}

fn agent(root: &impl RootFs) -> Result<Option<Agent>> {
    let stamp = root.read(&STAMP.parse()?)?;
    Ok(stamp.and_then(|stamp| toml::from_slice(&stamp).ok()))
}

fn preloads(root: &impl RootFs) -> Result<Vec<Preload>> {
    let manifest = root.read(&PRELOADS.parse()?)?;
    let preloads: Option<Preloads> = manifest.and_then(|text| serde_json::from_slice(&text).ok());
    Ok(preloads.map_or_else(Vec::new, |preloads| preloads.images))
}
