//! Whether an image is the one that its manifest describes, and if not, which files differ.

use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::artefacts::beside;
use crate::build::record;
use crate::checksum::Checksum;
use crate::opened::Opened;
use crate::release::{Added, Content, Manifest};

/// How many files an error names.
const NAMED: usize = 5;

/// Where the manifest of an image is: beside it, whatever it is packed in.
pub fn manifest_of(image: &Path) -> PathBuf {
    let text = image.to_string_lossy();
    let unpacked = [".zip", ".xz", ".gz", ".zst", ".bz2"]
        .iter()
        .find_map(|suffix| text.strip_suffix(suffix));
    beside(Path::new(unpacked.unwrap_or(&text)), "manifest.json")
}

/// Compares an image of any packing with its manifest.
///
/// # Errors
/// When they differ, with the files that do.
pub fn run(image: &Path, manifest: &Path) -> Result<Manifest> {
    let reading = || format!("reading the manifest {}", manifest.display());
    let text = std::fs::read_to_string(manifest).with_context(reading)?;
    let manifest = Manifest::parse(&text).with_context(reading)?;
    let mut opened = Opened::open(image)?;
    opened
        .file
        .seek(SeekFrom::Start(0))
        .context("reading the image")?;
    let found = Checksum::of_reader(&mut opened.file).context("reading the image")?;
    if found == manifest.image.sha256 && opened.length == manifest.image.length {
        return Ok(manifest);
    }
    let name = image.display();
    let differing = differing(&opened, &manifest)
        .with_context(|| format!("{name} is not the image of its manifest, and cannot be looked into"))?;
    if differing.is_empty() {
        bail!("{name} is not the image of its manifest, though all files named there are as they should be");
    }
    let more = match differing.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named: Vec<_> = differing.into_iter().take(NAMED).collect();
    bail!(
        "{name} is not the image of its manifest: different are {}{more}",
        named.join(", ")
    )
}

/// Names of what is not as the manifest says.
fn differing(image: &Opened, manifest: &Manifest) -> Result<Vec<String>> {
    let mut differing = Vec::new();
    let boot = image.boot()?;
    for Added { path, content, .. } in &manifest.boot {
        if boot.read(path)?.map(|bytes| Content::of_file(&bytes)).as_ref() != Some(content) {
            differing.push(format!("boot:{path}"));
        }
    }
    let root = image.root()?;
    for added in &manifest.root {
        if record::entry(&root, &added.path.parse()?)?.as_ref() != Some(added) {
            differing.push(added.path.clone());
        }
    }
    Ok(differing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_lie_beside_their_images() {
        for name in ["a/b.img", "a/b.img.zip", "a/b.img.xz"] {
            assert_eq!(manifest_of(Path::new(name)), Path::new("a/b.img.manifest.json"));
        }
    }
}
