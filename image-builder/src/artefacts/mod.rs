//! What is published beside an image, all from one build: the archive, checksums, block map, manifest, bill of
//! materials, repository for Raspberry Pi Imager, signatures.

mod bill_of_materials;
mod block_map;
mod imager;
mod packed;
mod sign;

use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use disk_image::mbr::Mbr;

use crate::build::{BootShape, Outputs};
use crate::checksum::Checksum;
use crate::draft::Draft;
use crate::progress::Progress;
use crate::release::{ImageFile, Manifest};

/// A finished image and what it was made of.
pub(crate) struct Built {
    pub(crate) image: Draft,
    pub(crate) length: u64,
    pub(crate) table: Mbr,
    pub(crate) base: ImageFile,
    pub(crate) shapes: Vec<BootShape>,
    pub(crate) epoch: u64,
}

/// Makes everything that goes with an image. `fill` adds to the manifest what was changed.
pub(crate) fn make(
    built: Built,
    outputs: &Outputs,
    fill: impl FnOnce(&mut Manifest, &mut Draft) -> Result<()>,
    progress: &Progress,
) -> Result<Vec<Draft>> {
    let Built {
        mut image,
        length,
        table,
        base,
        shapes,
        epoch,
    } = built;
    let mut archive = None;
    if !outputs.no_archive {
        progress.say(format_args!("packing {}", outputs.archive.display()));
        let packed = archive.insert(Draft::create(&outputs.archive)?);
        image.file().rewind().context("reading the image")?;
        packed::write(&outputs.image, length, image.file(), packed.file())?;
    }

    progress.say("writing checksums, block map and manifest");
    let map = block_map::text(image.file(), length, &table)?;
    let sum = checksum(&image)?;
    let archive_sum = archive.as_ref().map(checksum).transpose()?;
    let described = ImageFile {
        name: file_name(&outputs.image)?,
        length,
        sha256: sum.clone(),
    };
    let mut manifest = Manifest::new(epoch, base, described);
    fill(&mut manifest, &mut image)?;
    let mut texts = Vec::from([
        (outputs.block_map(), map),
        (outputs.manifest(), manifest.render()?),
        (outputs.bill_of_materials(), bill_of_materials::text(&manifest)?),
    ]);
    if let (Some(folder), Some(archive), Some(sha256)) = (&outputs.publish_url, &mut archive, &archive_sum) {
        let download = imager::Download {
            folder,
            name: file_name(&outputs.archive)?,
            length: archive.file().metadata().context("reading the archive")?.len(),
            sha256,
        };
        texts.push((outputs.imager(), imager::text(&manifest, &download, &shapes)?));
    }
    let mut drafts = Vec::from([image]);
    drafts.extend(archive);
    for (name, text) in texts {
        drafts.push(text_file(&name, &text)?);
    }
    if let Some(key) = &outputs.sign_key {
        progress.say("signing: minisign waits for the key's password, if it has one");
        for at in 0..drafts.len() {
            let Some(file) = drafts.get(at) else { continue };
            let signature = Draft::create(&beside(file.name(), "minisig"))?;
            sign::sign(file, key, epoch, &signature)?;
            drafts.push(signature);
        }
    }
    // Last, so that they are there only when everything is.
    let sums = [(&outputs.image, Some(sum)), (&outputs.archive, archive_sum)];
    for (name, sum) in sums.into_iter().filter_map(|(name, sum)| Some((name, sum?))) {
        let line = format!("{sum}  {}\n", file_name(name)?);
        drafts.push(text_file(&beside(name, "sha256"), &line)?);
    }
    Ok(drafts)
}

/// `<name>.<suffix>`.
pub(crate) fn beside(name: &Path, suffix: &str) -> PathBuf {
    let mut beside = name.as_os_str().to_owned();
    beside.push(".");
    beside.push(suffix);
    beside.into()
}

/// The last component as text.
pub(crate) fn file_name(name: &Path) -> Result<String> {
    let text = name.file_name().and_then(|name| name.to_str());
    Ok(text
        .with_context(|| format!("{} has no name in UTF-8", name.display()))?
        .to_owned())
}

fn checksum(draft: &Draft) -> Result<Checksum> {
    let reading = || format!("reading {}", draft.name().display());
    let mut file = std::fs::File::open(draft.path()).with_context(reading)?;
    Checksum::of_reader(&mut file).with_context(reading)
}

fn text_file(name: &Path, text: &str) -> Result<Draft> {
    let mut draft = Draft::create(name)?;
    draft
        .file()
        .write_all(text.as_bytes())
        .with_context(|| format!("writing {}", name.display()))?;
    Ok(draft)
}
