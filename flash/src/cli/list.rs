//! `flash list`: which devices may be cards.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::candidate::{self, Candidate};
use crate::size;

/// The largest cards that are common hold 256 GB; disks that people miss begin at twice that.
pub(super) const DEFAULT_MAX_SIZE: &str = "256G";

/// How to list.
#[derive(Clone, Debug, clap::Args)]
pub struct ListCards {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Largest device that is taken for a card
    #[arg(long, value_name = "SIZE", value_parser = size::parse, default_value = DEFAULT_MAX_SIZE)]
    pub max_size: u64,
}

impl Default for ListCards {
    fn default() -> Self {
        Self {
            json: false,
            max_size: size::parse(DEFAULT_MAX_SIZE).unwrap_or(u64::MAX),
        }
    }
}

/// Prints the list.
pub(super) fn run(arguments: &ListCards) -> Result<()> {
    let found = candidate::all(Path::new("/"), arguments.max_size).context("looking for devices")?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        print!("{}", table(&found));
    }
    Ok(())
}

fn table(found: &[Candidate]) -> String {
    let mut text = String::new();
    if !found.iter().any(|candidate| candidate.refused.is_none()) {
        text.push_str("There is no card: insert one.\n");
    }
    for candidate in found {
        let words = [candidate.bus.as_deref(), candidate.model.as_deref()];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        let serial = candidate
            .serial
            .as_ref()
            .map_or(String::new(), |serial| format!(", serial {serial}"));
        let (device, size) = (&candidate.device, size::display(candidate.size));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{device}  {size}  {}{serial}", words.join(" "));
        for part in &candidate.partitions {
            let label = part
                .label
                .as_ref()
                .map_or(String::new(), |label| format!(" \"{label}\""));
            let content = part.content.unwrap_or("unknown");
            let _ = writeln!(
                text,
                "    {}: {content}{label}, {}",
                part.number,
                size::display(part.size)
            );
        }
        if let Some(reason) = &candidate.refused {
            let _ = writeln!(text, "    refused: {reason}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidate::Part;

    #[test]
    fn a_card_and_a_disk() {
        let card = Candidate {
            device: "/dev/sdb".to_owned(),
            model: Some("Generic SD Reader".to_owned()),
            size: 31_914_983_424,
            serial: Some("0815".to_owned()),
            bus: Some("usb".to_owned()),
            partitions: vec![Part {
                number: 1,
                size: 268_435_456,
                content: Some("FAT32"),
                label: Some("bootfs".to_owned()),
            }],
            refused: None,
        };
        let disk = Candidate {
            device: "/dev/sda".to_owned(),
            model: None,
            serial: None,
            bus: None,
            partitions: vec![],
            refused: Some("it is too large".to_owned()),
            ..card.clone()
        };
        assert_eq!(
            table(&[card, disk.clone()]),
            "/dev/sdb  31.9 GB  usb Generic SD Reader, serial 0815\n    1: FAT32 \"bootfs\", 268.4 MB\n\
             /dev/sda  31.9 GB  \n    refused: it is too large\n"
        );
        assert!(table(&[disk]).starts_with("There is no card: insert one.\n/dev/sda"));
    }
}
