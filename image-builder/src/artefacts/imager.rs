//! A repository for Raspberry Pi Imager (`NAME.img.rpi-imager.json`): with its address, Imager offers the image for download.

use anyhow::{Context as _, Result};
use disk_image::timestamp::Timestamp;
use serde_json::json;

use crate::build::BootShape;
use crate::checksum::Checksum;
use crate::release::Manifest;

/// The archive as it is downloaded.
pub(super) struct Download<'a> {
    /// The web folder that it is published in.
    pub(super) folder: &'a str,
    pub(super) name: String,
    pub(super) length: u64,
    pub(super) sha256: &'a Checksum,
}

/// The repository's text.
pub(super) fn text(manifest: &Manifest, download: &Download<'_>, shapes: &[BootShape]) -> Result<String> {
    let folder = download.folder.trim_end_matches('/');
    let at = Timestamp::from_epoch(manifest.source_date_epoch).to_string();
    let date = at.split(' ').next().unwrap_or_default();
    let repository = json!({ "os_list": [{
        "name": format!("Cluster Lab {}", env!("CARGO_PKG_VERSION")),
        "description": "Docker cluster of Raspberry Pis that finds itself",
        "icon": format!("{folder}/icon.png"),
        "url": format!("{folder}/{}", download.name),
        "extract_size": manifest.image.length,
        "extract_sha256": manifest.image.sha256,
        "image_download_size": download.length,
        "image_download_sha256": download.sha256,
        "release_date": date,
        "devices": ["pi2-32bit", "pi3-32bit"],
        "init_format": init_format(shapes),
    }]});
    let text =
        serde_json::to_string_pretty(&repository).context("writing the repository of Raspberry Pi Imager")?;
    Ok(text + "\n")
}

/// How Imager may customise the image. Without the right word it writes settings that nothing reads.
fn init_format(shapes: &[BootShape]) -> &'static str {
    match shapes {
        _ if shapes.contains(&BootShape::CloudInit) => "cloudinit",
        _ if shapes.contains(&BootShape::FirstRun) => "systemd",
        _ => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imager_is_told_what_the_image_reads() {
        use BootShape::{CloudInit, DeviceInit, FirstRun};
        assert_eq!(init_format(&[CloudInit, FirstRun]), "cloudinit");
        assert_eq!(init_format(&[FirstRun]), "systemd");
        assert_eq!(init_format(&[DeviceInit]), "none");
        assert_eq!(init_format(&[]), "none");
    }
}
