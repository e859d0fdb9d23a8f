//! Copies of large files: holes stay holes, and the name appears only when the copy is complete.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

const BLOCK: usize = 64 << 10;

/// A file that gets its name by [`Partial::finish`]; until then, and after an interruption, only
/// `<name>.partial` is there, which the next run overwrites.
#[derive(Debug)]
pub(crate) struct Partial {
    file: File,
    partial: PathBuf,
    name: PathBuf,
    finished: bool,
}

impl Partial {
    /// Opens `<name>.partial`, empty, for reading and writing.
    pub(crate) fn create(name: &Path) -> Result<Self> {
        let mut partial = name.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(true)
            .open(&partial)
            .with_context(|| format!("creating {}", partial.display()))?;
        Ok(Self {
            file,
            partial,
            name: name.to_owned(),
            finished: false,
        })
    }

    /// The open file.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Makes the content durable and gives it its name.
    pub(crate) fn finish(mut self) -> Result<()> {
        let doing = || format!("writing {}", self.name.display());
        self.file.sync_all().with_context(doing)?;
        std::fs::rename(&self.partial, &self.name).with_context(doing)?;
        self.finished = true;
        let folder = self.name.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new("."))).with_context(doing)?;
        folder.sync_all().with_context(doing)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: what stays is named as what it is.
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// Copies `from` to `to` with zero blocks as holes.
pub(crate) fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).with_context(|| format!("opening {}", from.display()))?;
    let mut copy = Partial::create(to)?;
    write_sparse(&mut source, copy.file(), 0)?;
    copy.finish()
}

/// Writes all of `source` to `target` from `offset` on, leaves holes for zero blocks, and returns the length of
/// `target`, which had nothing there before.
pub(crate) fn write_sparse(source: &mut impl Read, target: &mut File, offset: u64) -> Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut length = offset;
    loop {
        let filled = fill(source, &mut block).context("reading the image")?;
        let Some(bytes) = block.get(..filled).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        if bytes.iter().any(|byte| *byte != 0) {
            target.seek(SeekFrom::Start(length))?;
            target.write_all(bytes).context("writing the image")?;
        }
        length += filled as u64;
    }
    target.set_len(length).context("writing the image")?;
    Ok(length)
}

/// No card image is longer; a small archive may say that it unpacks to anything.
const IMAGE_MAX: u64 = 64 << 30;

/// A reader that fails where more comes out than may.
pub(crate) struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Bounded<R> {
    /// Of an image.
    pub(crate) fn image(inner: R) -> Self {
        let left = IMAGE_MAX;
        Self { inner, left }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                let reason = format!(
                    "it unpacks to more than {} GiB, which no card image does",
                    IMAGE_MAX >> 30
                );
                return Err(std::io::Error::other(reason));
            }
        }
        Ok(count)
    }
}

/// Reads until `block` is full or the source ends.
fn fill(source: &mut impl Read, block: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn copies_keep_bytes_and_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let mut bytes = vec![0; 5 * BLOCK + 7];
        bytes[3 * BLOCK] = 1;
        std::fs::write(&from, &bytes).unwrap();
        copy_sparse(&from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), bytes);
        assert!(to.metadata().unwrap().blocks() < from.metadata().unwrap().blocks());
    }

    #[test]
    fn no_more_comes_out_than_may() {
        let mut exact = Bounded {
            inner: &[1; 100][..],
            left: 100,
        };
        let mut bytes = Vec::new();
        exact.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 100);
        let mut bomb = Bounded {
            inner: std::io::repeat(0),
            left: 1 << 20,
        };
        let message = std::io::copy(&mut bomb, &mut std::io::sink())
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "it unpacks to more than 64 GiB, which no card image does"
        );
    }

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("image");
        let partial = Partial::create(&name).unwrap();
        assert!(partial.partial.exists());
        drop(partial);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
