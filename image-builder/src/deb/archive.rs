//! The package file: an ar archive of three members (deb(5)), two of them tar archives packed with gzip, which every dpkg reads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::{Context as _, Result};
use disk_image::ext4::{Attributes, RootPath};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::control::Control;
use crate::build::Entry;

const FOLDER: Attributes = Attributes {
    mode: 0o755,
    uid: 0,
    gid: 0,
};

/// Writes the whole package.
pub(super) fn write(
    entries: &BTreeMap<RootPath, Entry>,
    control: &Control,
    epoch: u64,
    output: &mut impl Write,
) -> Result<()> {
    output.write_all(b"!<arch>\n")?;
    member(output, "debian-binary", epoch, b"2.0\n")?;
    member(output, "control.tar.gz", epoch, &control_archive(control, epoch)?)?;
    member(output, "data.tar.gz", epoch, &data_archive(entries, epoch)?)
}

/// One member of an ar archive: a head of 60 characters, then the bytes, padded to an even length.
fn member(output: &mut impl Write, name: &str, epoch: u64, bytes: &[u8]) -> Result<()> {
    let head = format!(
        "{name:<16}{epoch:<12}{:<6}{:<6}{:<8}{:<10}`\n",
        0,
        0,
        "100644",
        bytes.len()
    );
    output.write_all(head.as_bytes())?;
    output.write_all(bytes)?;
    if !bytes.len().is_multiple_of(2) {
        output.write_all(b"\n")?;
    }
    Ok(())
}

fn control_archive(control: &Control, epoch: u64) -> Result<Vec<u8>> {
    let mut archive = Archive::new(epoch);
    archive.add(EntryType::Directory, "./", FOLDER, None, &[])?;
    for (name, mode, text) in control.files() {
        let attributes = Attributes { mode, uid: 0, gid: 0 };
        archive.add(EntryType::Regular, name, attributes, None, text.as_bytes())?;
    }
    archive.finish()
}

fn data_archive(entries: &BTreeMap<RootPath, Entry>, epoch: u64) -> Result<Vec<u8>> {
    let mut archive = Archive::new(epoch);
    archive.add(EntryType::Directory, "./", FOLDER, None, &[])?;
    let mut folders = BTreeSet::new();
    for path in entries.keys() {
        let mut above = path.parent();
        while let Some(folder) = above {
            above = folder.parent();
            folders.insert(folder);
        }
    }
    folders.retain(|folder| !entries.contains_key(folder));
    let everything = folders
        .iter()
        .map(|folder| (folder, &Entry::Folder(FOLDER)))
        .chain(entries);
    // By path, so that folders come before what is in them.
    for (path, entry) in everything.collect::<BTreeMap<_, _>>() {
        match entry {
            Entry::Folder(attributes) => {
                archive.add(EntryType::Directory, &format!(".{path}/"), *attributes, None, &[])?;
            }
            Entry::File(bytes, attributes) => {
                archive.add(EntryType::Regular, &format!(".{path}"), *attributes, None, bytes)?;
            }
            Entry::Symlink(target) => {
                let attributes = Attributes {
                    mode: 0o777,
                    ..FOLDER
                };
                archive.add(
                    EntryType::Symlink,
                    &format!(".{path}"),
                    attributes,
                    Some(target),
                    &[],
                )?;
            }
        }
    }
    archive.finish()
}

/// A tar archive in which nothing is of this machine.
struct Archive {
    builder: Builder<GzEncoder<Vec<u8>>>,
    epoch: u64,
}

impl Archive {
    fn new(epoch: u64) -> Self {
        // Neither a name nor a time is in the head of the stream.
        let builder = Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
        Self { builder, epoch }
    }

    fn add(
        &mut self,
        kind: EntryType,
        path: &str,
        attributes: Attributes,
        target: Option<&str>,
        bytes: &[u8],
    ) -> Result<()> {
        let adding = || format!("adding {path}");
        let Attributes { mode, uid, gid } = attributes;
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode.into());
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        if (uid, gid) == (0, 0) {
            header.set_username("root").with_context(adding)?;
            header.set_groupname("root").with_context(adding)?;
        }
        header.set_mtime(self.epoch);
        header.set_size(bytes.len() as u64);
        let added = match target {
            Some(target) => self.builder.append_link(&mut header, path, target),
            None => self.builder.append_data(&mut header, path, bytes),
        };
        added.with_context(adding)
    }

    fn finish(self) -> Result<Vec<u8>> {
        let stream = self.builder.into_inner().context("ending the archive")?;
        stream.finish().context("ending the archive")
    }
}
