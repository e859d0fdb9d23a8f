//! The report for people.

use std::fmt::{Display, Formatter, Result};

use super::{FileSystem, PartitionReport, Report};

const MIB: u64 = 1 << 20;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self {
            length,
            signature,
            partitions,
            boot_shapes,
            system,
            agent,
            settings,
            preloads,
        } = self;
        writeln!(f, "{} MiB, disk signature {signature}", length / MIB)?;
        for partition in partitions {
            writeln!(f, "{partition}")?;
        }
        match system {
            Ok(system) => {
                writeln!(f, "system: {}", system.name)?;
                writeln!(
                    f,
                    "network: {}",
                    list(&system.network_managers, "no manager known here")
                )?;
                writeln!(f, "docker: {}", system.docker.as_deref().unwrap_or("none"))?;
            }
            Err(reason) => writeln!(f, "system: cannot be read: {reason}")?,
        }
        writeln!(f, "boot settings: {}", list(boot_shapes, "no format known here"))?;
        match agent {
            Some(agent) => writeln!(f, "agent: {}, built at {}", agent.release, agent.built)?,
            None => writeln!(f, "agent: none")?,
        }
        match settings {
            Some(lines) => writeln!(f, "cluster-lab.toml: {}", list(lines, "empty"))?,
            None => writeln!(f, "cluster-lab.toml: none")?,
        }
        let names: Vec<_> = preloads.iter().map(|preload| preload.reference.clone()).collect();
        write!(f, "preloaded container images: {}", list(&names, "none"))
    }
}

impl Display for PartitionReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self {
            number,
            kind,
            start,
            length,
            file_system,
        } = self;
        write!(
            f,
            "partition {number}: type {kind:02x}, {} KiB from {} KiB: ",
            length / 1024,
            start / 1024
        )?;
        match file_system {
            FileSystem::Fat { bits } => write!(f, "FAT{bits}"),
            FileSystem::Unknown => write!(f, "no file system known here"),
            FileSystem::Ext4 {
                clean,
                free,
                free_inodes,
                features,
                unwritable,
            } => {
                let state = if *clean { "clean" } else { "not unmounted cleanly" };
                write!(
                    f,
                    "ext4, {state}, {} MiB and {free_inodes} inodes free; {}",
                    free / MIB,
                    features.join(" ")
                )?;
                if !unwritable.is_empty() {
                    write!(f, "; `build` cannot take it because of: {}", unwritable.join(" "))?;
                }
                Ok(())
            }
        }
    }
}

fn list(items: &[String], nothing: &str) -> String {
    if items.is_empty() {
        nothing.to_owned()
    } else {
        items.join(", ")
    }
}
