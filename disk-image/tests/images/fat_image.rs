//! Images with a FAT partition, made and judged by the reference tools, never by the code under test.

use std::path::{Path, PathBuf};

use disk_image::mbr::Partition;
use tempfile::TempDir;

use crate::tools::{MIB, run};

/// Where the boot partition of every fixture starts.
pub(crate) const OFFSET: u64 = 4 * MIB;

/// An image with one FAT partition at [`OFFSET`].
pub(crate) struct FatImage {
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) partition: Partition,
}

impl FatImage {
    /// `bits` is 16 or 32. The file system is made as a file of its own: with `--offset`, mkfs.vfat would size
    /// its clusters from the whole file.
    pub(crate) fn new(bits: u8, length: u64, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fat = folder.path().join("fat");
        std::fs::File::create(&fat).unwrap().set_len(length).unwrap();
        let bits = bits.to_string();
        let mut arguments = vec!["-F", &bits, "-n", "BOOT"];
        arguments.extend(options);
        arguments.push(fat.to_str().unwrap());
        run("mkfs.vfat", &arguments);
        let path = folder.path().join("card.img");
        let bytes = [vec![0; OFFSET.try_into().unwrap()], std::fs::read(&fat).unwrap()].concat();
        std::fs::write(&path, bytes).unwrap();
        let partition = Partition {
            number: 1,
            kind: 0x0c,
            start: OFFSET,
            length,
        };
        Self {
            folder,
            path,
            partition,
        }
    }

    pub(crate) fn open(&self) -> std::fs::File {
        std::fs::File::options()
            .read(true)
            .write(true)
            .open(&self.path)
            .unwrap()
    }

    /// What mtools calls the file system inside the image.
    pub(crate) fn mtools_name(&self) -> String {
        format!("{}@@{OFFSET}", self.path.display())
    }

    pub(crate) fn put(&self, file: &Path, name: &str) {
        run(
            "mcopy",
            &[
                "-i",
                &self.mtools_name(),
                file.to_str().unwrap(),
                &format!("::{name}"),
            ],
        );
    }

    /// Fails unless the reference checker finds nothing to say.
    pub(crate) fn check(&self) {
        let part = self.folder.path().join("part");
        let skip = usize::try_from(OFFSET).unwrap();
        std::fs::write(&part, &std::fs::read(&self.path).unwrap()[skip..]).unwrap();
        run("fsck.vfat", &["-n", part.to_str().unwrap()]);
    }
}
