//! Base image + agent + overlay -> release image.
//!
//! Everything that can be refused is refused before the first byte is written. Then: copy the base, change the copy
//! through libraries, read everything back, let the reference tools judge it, pack it, and only then give it its name.

mod agent;
mod apply;
mod base_image;
mod boot_changes;
mod check;
mod examine;
mod glob;
mod manifest;
mod overlay;
mod package;
mod plan;
mod preload;
pub(crate) mod record;
mod repair;
mod settings_file;
mod stamp;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use disk_image::ext4::Ext4;
use disk_image::mbr::Mbr;
use disk_image::source::Source;

pub(crate) use agent::{INSTALLED, Machine};
pub use base_image::{BaseImage, Trust};
pub use boot_changes::BootChanges;
pub use examine::BootShape;

use crate::artefacts::{self, Built, beside, file_name};
use crate::checksum::Hashing;
use crate::copy::{Bounded, write_sparse};
use crate::draft::{self, Draft};
use crate::opened::root_partition;
use crate::progress::Progress;
use crate::release::ImageFile;
pub(crate) use package::Package;
pub(crate) use plan::Entry;
use plan::Plan;

/// What a release image is made of.
#[derive(Debug)]
pub struct Inputs {
    /// The image to start from: `.img`, or one in a `.zip` or `.gz`.
    pub base: PathBuf,
    /// The agent's program for ARM.
    pub agent: PathBuf,
    /// Folders that mirror `/`, each with its `manifest.toml`; later ones win.
    pub overlays: Vec<PathBuf>,
    /// Docker archives whose images the agent loads at the first boot.
    pub preload: Vec<PathBuf>,
    /// Changes on the boot partition.
    pub boot: BootChanges,
    /// Whether a root file system that was in use is repaired, in the copy.
    pub repair: bool,
    /// Time of everything that is written, in seconds since 1970.
    pub epoch: u64,
}

/// Where the results go: the image, the same packed, and what goes with them, named after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// `NAME.img`.
    pub image: PathBuf,
    /// `NAME.img.zip`.
    pub archive: PathBuf,
    /// A secret key of minisign; with it, everything is signed.
    pub sign_key: Option<PathBuf>,
    /// The web folder that the archive will be in; with it, a repository for Raspberry Pi Imager is made.
    pub publish_url: Option<String>,
    /// Whether the image is enough, without the archive.
    pub no_archive: bool,
}

impl Outputs {
    /// Both names from either.
    ///
    /// # Errors
    /// When it ends in neither `.img` nor `.img.zip`.
    pub fn from_name(name: &Path) -> Result<Self> {
        let text = name.to_str().context("the output's name is not UTF-8")?;
        let image = text.strip_suffix(".zip").unwrap_or(text);
        if !image.ends_with(".img") {
            bail!("the output is called NAME.img or NAME.img.zip, not {text}");
        }
        Ok(Self {
            image: image.into(),
            archive: format!("{image}.zip").into(),
            sign_key: None,
            publish_url: None,
            no_archive: false,
        })
    }

    /// The block map: `NAME.img.bmap`.
    pub fn block_map(&self) -> PathBuf {
        beside(&self.image, "bmap")
    }

    /// The manifest: `NAME.img.manifest.json`.
    pub fn manifest(&self) -> PathBuf {
        beside(&self.image, "manifest.json")
    }

    /// What was added, in SPDX: `NAME.img.spdx.json`.
    pub fn bill_of_materials(&self) -> PathBuf {
        beside(&self.image, "spdx.json")
    }

    /// The repository for Raspberry Pi Imager: `NAME.img.rpi-imager.json`.
    pub fn imager(&self) -> PathBuf {
        beside(&self.image, "rpi-imager.json")
    }

    /// Every file that is made.
    pub fn all(&self) -> Vec<PathBuf> {
        let (image, archive) = (&self.image, &self.archive);
        let archive = (!self.no_archive).then_some(archive);
        let mut all = Vec::from([image.clone()]);
        all.extend(archive.cloned());
        all.extend([self.block_map(), self.manifest(), self.bill_of_materials()]);
        if self.publish_url.is_some() && archive.is_some() {
            all.push(self.imager());
        }
        if self.sign_key.is_some() {
            let signatures: Vec<_> = all.iter().map(|file| beside(file, "minisig")).collect();
            all.extend(signatures);
        }
        all.push(beside(image, "sha256"));
        all.extend(archive.map(|archive| beside(archive, "sha256")));
        all
    }

    /// Inputs are never changed: an output may not be one of them, under whatever name.
    fn check_apart_from(&self, inputs: &[&Path]) -> Result<()> {
        for output in self.all() {
            let Ok(out) = std::fs::metadata(&output) else {
                continue;
            };
            for input in inputs {
                let file =
                    std::fs::metadata(input).with_context(|| format!("reading {}", input.display()))?;
                if (file.dev(), file.ino()) == (out.dev(), out.ino()) {
                    bail!(
                        "the output {} is the input {}, which must not be changed: name another --output",
                        output.display(),
                        input.display()
                    );
                }
            }
        }
        Ok(())
    }
}

/// Makes the release image.
///
/// # Errors
/// With the reason on one line; neither output is there or changed then.
pub fn run(inputs: &Inputs, outputs: &Outputs, progress: &Progress) -> Result<()> {
    let Inputs {
        base,
        agent,
        overlays,
        preload,
        boot,
        repair,
        epoch,
    } = inputs;
    let mut files = vec![base.as_path(), agent];
    files.extend(preload.iter().map(PathBuf::as_path));
    outputs.check_apart_from(&files)?;
    let mut plan = Plan::default();
    for overlay in overlays {
        let read = overlay::read(overlay);
        plan.extend(read.with_context(|| format!("reading the overlay {}", overlay.display()))?);
    }
    agent::add(&mut plan, agent, Machine::Arm)
        .with_context(|| format!("taking the agent {}", agent.display()))?;
    preload::add(&mut plan, preload)?;
    stamp::add(&mut plan, *epoch)?;

    progress.say(format_args!("copying the base image {}", base.display()));
    let mut source = Hashing::new(Source::open(base)?);
    let first_sector = *source.inner().first_sector();
    // Before minutes of unpacking.
    Mbr::parse(&first_sector, source.inner().length())
        .with_context(|| format!("the base image {}", base.display()))?;
    let mut image = Draft::create(&outputs.image)?;
    let length = write_sparse(&mut Bounded::image(&mut source), image.file(), 0)?;
    let from = ImageFile {
        name: file_name(base)?,
        length,
        sha256: source.finish(),
    };

    if *repair {
        progress.say("repairing the root file system of the copy");
        let table = Mbr::parse(&first_sector, Some(length)).with_context(|| base.display().to_string())?;
        repair::run(image.file(), root_partition(&table)?, *epoch)
            .with_context(|| format!("repairing a copy of {}", base.display()))?;
    }
    let layout = examine::run(&first_sector, length, image.file())
        .with_context(|| format!("the base image {}", base.display()))?;
    progress.say(format_args!("base image: {layout}"));
    change(&plan, boot, &layout, *epoch, &mut image, progress)?;

    progress.say("checking the result");
    check::read_back(&plan, &layout, *epoch, image.file())?;
    settings_file::read_back(image.file(), &layout.boot)?;
    let path = image.path();
    check::reference_tools(&layout, &path, image.file())?;

    let built = Built {
        image,
        length,
        table: Mbr::parse(&first_sector, Some(length))?,
        base: from,
        shapes: layout.shapes.clone(),
        epoch: *epoch,
    };
    let fill = |manifest: &mut _, image: &mut Draft| {
        record::fill(manifest, &plan, &boot.files(), &layout, image.file())
    };
    draft::publish(artefacts::make(built, outputs, fill, progress)?)?;
    progress.say(format_args!("done: {}", outputs.image.display()));
    Ok(())
}

fn change(
    plan: &Plan,
    boot: &BootChanges,
    layout: &examine::Layout,
    epoch: u64,
    image: &mut Draft,
    progress: &Progress,
) -> Result<()> {
    let disk = image.file().try_clone().context("opening the copy")?;
    let root = Ext4::open(disk, &layout.root, epoch)?;
    apply::check_room(plan, &root)?;
    progress.say(format_args!("writing {} files", plan.entries.len()));
    apply::run(plan, &root)?;
    root.close()?;
    boot.apply(image.file(), &layout.boot, epoch)?;
    settings_file::add(image.file(), &layout.boot, boot.settings.as_ref(), epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_name_gives_both() {
        let expected = Outputs {
            image: "a/b.img".into(),
            archive: "a/b.img.zip".into(),
            sign_key: None,
            publish_url: None,
            no_archive: false,
        };
        for name in ["a/b.img", "a/b.img.zip"] {
            assert_eq!(Outputs::from_name(Path::new(name)).unwrap(), expected);
        }
        let message = Outputs::from_name(Path::new("b.zip")).unwrap_err().to_string();
        assert_eq!(
            message,
            "the output is called NAME.img or NAME.img.zip, not b.zip"
        );
    }
}
