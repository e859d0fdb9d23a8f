//! The manifest of a release image (`NAME.img.manifest.json`): what it was made from and everything that was added, so that
//! anybody can check both.

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;

/// The version of the manifest that is written and read here.
const VERSION: u32 = 1;

/// A whole manifest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    version: u32,
    /// Name and version of the program that made the image.
    pub tool: String,
    /// Time of everything that was written, in seconds since 1970.
    pub source_date_epoch: u64,
    /// The base image, unpacked.
    pub base: ImageFile,
    /// The release image, unpacked.
    pub image: ImageFile,
    /// What was removed from the base, as the overlay says it.
    pub removed: Vec<String>,
    /// What was emptied.
    pub emptied: Vec<String>,
    /// Files that were added to the boot partition.
    pub boot: Vec<Added>,
    /// What was added to the root file system or replaced in it.
    pub root: Vec<Added>,
}

/// An image file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageFile {
    /// Its name, without folder.
    pub name: String,
    /// Bytes, unpacked.
    pub length: u64,
    /// Checksum, unpacked.
    pub sha256: Checksum,
}

/// One file, folder or link.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Added {
    /// Where it is.
    pub path: String,
    /// What it is.
    #[serde(flatten)]
    pub content: Content,
    /// Owner and mode; a boot partition has none.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Content {
    /// A file.
    File {
        /// Bytes.
        length: u64,
        /// Checksum of its bytes.
        sha256: Checksum,
    },
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: String,
    },
    /// A device, pipe or socket.
    Other,
}

/// Owner and mode of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Access {
    /// Octal digits.
    pub mode: String,
    /// Numeric user.
    pub owner: u32,
    /// Numeric group.
    pub group: u32,
}

impl Content {
    /// A file of these bytes.
    pub fn of_file(bytes: &[u8]) -> Self {
        Self::File {
            length: bytes.len() as u64,
            sha256: Checksum::of(bytes),
        }
    }
}

impl From<disk_image::ext4::Attributes> for Access {
    fn from(attributes: disk_image::ext4::Attributes) -> Self {
        Self {
            mode: format!("{:04o}", attributes.mode),
            owner: attributes.uid,
            group: attributes.gid,
        }
    }
}

impl Manifest {
    /// One of this version and program.
    pub(crate) fn new(source_date_epoch: u64, base: ImageFile, image: ImageFile) -> Self {
        Self {
            version: VERSION,
            tool: concat!("image-builder ", env!("CARGO_PKG_VERSION")).to_owned(),
            source_date_epoch,
            base,
            image,
            removed: Vec::new(),
            emptied: Vec::new(),
            boot: Vec::new(),
            root: Vec::new(),
        }
    }

    /// As text.
    pub(crate) fn render(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self).context("writing the manifest")?;
        text.push('\n');
        Ok(text)
    }

    /// From the text of a manifest.
    ///
    /// # Errors
    /// When it is none, or one of another version.
    pub fn parse(text: &str) -> Result<Self> {
        let manifest: Self = serde_json::from_str(text).context("it is no manifest of a release image")?;
        let version = manifest.version;
        ensure!(
            version == VERSION,
            "its version is {version}, and only {VERSION} is known here"
        );
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = |name: &str| ImageFile {
            name: name.to_owned(),
            length: 3,
            sha256: Checksum::of(b"abc"),
        };
        let mut manifest = Manifest::new(7, file("base.img"), file("lab.img"));
        manifest.root.push(Added {
            path: "/etc/x".to_owned(),
            content: Content::of_file(b"x"),
            access: Some(Access {
                mode: "0600".to_owned(),
                owner: 7,
                group: 0,
            }),
        });
        manifest
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let text = manifest().render().unwrap();
        assert!(
            text.contains("\"path\": \"/etc/x\",\n      \"kind\": \"file\","),
            "{text}"
        );
        assert_eq!(Manifest::parse(&text).unwrap(), manifest());
    }

    #[test]
    fn another_file_is_refused() {
        let message = format!("{:#}", Manifest::parse("{}").unwrap_err());
        assert!(
            message.starts_with("it is no manifest of a release image: missing field"),
            "{message}"
        );
        let newer = manifest()
            .render()
            .unwrap()
            .replace("\"version\": 1", "\"version\": 2");
        let message = Manifest::parse(&newer).unwrap_err().to_string();
        assert_eq!(message, "its version is 2, and only 1 is known here");
    }
}
