//! A small card image as image-builder lays it out, made by sfdisk, mkfs.vfat and mcopy.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::tools::{run, run_with_input};

pub(crate) const MIB: usize = 1024 * 1024;
/// Where its boot partition starts.
pub(crate) const BOOT_AT: usize = 4 * MIB;
const BOOT_LEN: usize = 8 * MIB;
/// Where its root partition starts.
pub(crate) const ROOT_AT: usize = BOOT_AT + BOOT_LEN;

/// A folder with `card.img` and whatever a test puts beside it.
pub(crate) struct Image {
    pub(crate) folder: TempDir,
    pub(crate) bytes: Vec<u8>,
}

impl Image {
    /// 20 MiB, the root partition full of what does not compress to nothing.
    pub(crate) fn new() -> Self {
        Self::with_files(&[
            (
                "user-data",
                "#cloud-config\n# käptn's \"own\"\nhostname: black-pearl\n",
            ),
            ("cluster-lab.toml", "version = 1\n"),
        ])
    }

    pub(crate) fn with_files(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fat = folder.path().join("fat");
        std::fs::write(&fat, vec![0; BOOT_LEN]).unwrap();
        run(
            "mkfs.vfat",
            &["-F", "16", "-s", "1", "-n", "BOOT", fat.to_str().unwrap()],
        );
        for (name, text) in files {
            let file = folder.path().join("content");
            std::fs::write(&file, text).unwrap();
            let to = format!("::{name}");
            run(
                "mcopy",
                &["-i", fat.to_str().unwrap(), file.to_str().unwrap(), &to],
            );
        }
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 27).to_le_bytes()[0]
        });
        let mut bytes = vec![0; BOOT_AT];
        bytes.extend(std::fs::read(&fat).unwrap());
        bytes.extend(noise.take(8 * MIB));
        let mut image = Self { folder, bytes };
        std::fs::write(image.path("card.img"), &image.bytes).unwrap();
        let table =
            "label: dos\nlabel-id: 0x1a2b3c4d\nstart=8192, size=16384, type=c\nstart=24576, type=83\n";
        run_with_input("sfdisk", &["-q", &image.name("card.img")], table);
        image.bytes = std::fs::read(image.path("card.img")).unwrap();
        image
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As an argument.
    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.name(name)
    }

    /// A used card with a partition table: every byte is one that no write leaves by chance.
    pub(crate) fn used_card(&self, name: &str, length: usize) -> String {
        let mut bytes = vec![0xaa; length];
        bytes[..512].copy_from_slice(&self.bytes[..512]);
        self.file(name, &bytes)
    }

    pub(crate) fn zip(&self) -> String {
        run(
            "zip",
            &["-q", "-j", &self.name("card.img.zip"), &self.name("card.img")],
        );
        self.name("card.img.zip")
    }

    pub(crate) fn gzip(&self) -> String {
        run("gzip", &["-k", &self.name("card.img")]);
        self.name("card.img.gz")
    }
}

/// A file of a card's boot partition, as mtools reads it.
pub(crate) fn on_card(card: &str, name: &str) -> String {
    run(
        "mtype",
        &["-i", &format!("{card}@@{BOOT_AT}"), &format!("::{name}")],
    )
}

/// Fails unless fsck.vfat finds nothing to say about a card's boot partition.
pub(crate) fn check_boot_partition(card: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &card[BOOT_AT..ROOT_AT]).unwrap();
    run("fsck.vfat", &["-n", file.path().to_str().unwrap()]);
}
