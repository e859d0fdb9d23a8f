//! The FAT boot partition of a card or image: files of its root folder, read and replaced without mounting.
//!
//! FAT12, FAT16 and FAT32 at any offset. Folders are left alone and never made (fatfs 0.3.6 writes bad `.` and `..`
//! entries). Nothing is synced to the disk: after [`BootPartition::close`] the caller syncs what it handed in.

mod width;

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use fatfs::{Dir, File, FileSystem, FsOptions, ReadWriteSeek};
use fscommon::StreamSlice;

use crate::mbr::Partition;
use crate::timestamp::Timestamp;
pub use width::bits;

/// Why the boot partition cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// No FAT there, or one that makes no sense.
    #[error("partition {number} holds no usable FAT file system ({error}): the image is damaged")]
    NotFat {
        /// Number of the partition.
        number: u8,
        /// What is wrong with it.
        error: io::Error,
    },
    /// No room for the file or its name.
    #[error(
        "the boot partition is full: {name} needs {needed} bytes and {free} are free; remove files from it"
    )]
    Full {
        /// The file that was to be written.
        name: String,
        /// Its length.
        needed: u64,
        /// Bytes free, with those of the file that it would replace.
        free: u64,
    },
    /// A name that is a folder, or that FAT cannot hold.
    #[error("'{0}' cannot be a file of the boot partition: it is a folder, or not a FAT file name")]
    Name(String),
    /// Reading or writing failed.
    #[error("{doing} {name} on the boot partition: {error}")]
    Io {
        /// "reading" and the like.
        doing: &'static str,
        /// The file, or "the root folder".
        name: String,
        /// What failed.
        error: io::Error,
    },
}

/// Ten times the largest file of a boot partition; one that says it is larger is damaged, or made to fill memory.
const MAX_FILE: u64 = 512 * 1024 * 1024;

/// A folder of FAT holds 2 MiB of 32-byte entries.
const MAX_ENTRIES: usize = 65_536;

/// One entry of the root folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its long name, in the case in which it was written.
    pub name: String,
    /// Its length in bytes; zero for a folder.
    pub length: u64,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// An opened boot partition. Names are compared without regard to case, as FAT does.
pub struct BootPartition<D: Read + Write + Seek> {
    fs: FileSystem<StreamSlice<D>>,
}

impl<D: Read + Write + Seek> BootPartition<D> {
    /// Opens the file system in `partition` of `disk`; `&mut file` will do for `disk`.
    ///
    /// # Errors
    /// [`FatError::NotFat`].
    pub fn open(disk: D, partition: &Partition) -> Result<Self, FatError> {
        let not_fat = |error| FatError::NotFat {
            number: partition.number,
            error,
        };
        let slice = StreamSlice::new(disk, partition.start, partition.end()).map_err(not_fat)?;
        let fs = FileSystem::new(slice, FsOptions::new()).map_err(not_fat)?;
        Ok(Self { fs })
    }

    /// The files and folders of the root folder, in the order on disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, FatError> {
        // The bound is for damaged folders whose chain of clusters is a ring.
        let entries = self.root().iter().take(MAX_ENTRIES).map(|entry| {
            entry.map(|entry| Entry {
                name: entry.file_name(),
                length: entry.len(),
                is_folder: entry.is_dir(),
            })
        });
        entries
            .collect::<io::Result<_>>()
            .map_err(|error| failed("reading", "the root folder", error))
    }

    /// The bytes of a file, `None` if there is none of that name.
    ///
    /// # Errors
    /// When it is a folder or cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FatError> {
        let Some(entry) = self.find(name)? else {
            return Ok(None);
        };
        if entry.is_folder {
            return Err(FatError::Name(name.to_owned()));
        }
        check_length(name, entry.length)?;
        let mut bytes = Vec::new();
        self.root()
            .open_file(name)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|error| failed("reading", name, error))?;
        if bytes.len() as u64 != entry.length {
            let error = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(failed("reading", name, error));
        }
        Ok(Some(bytes))
    }

    /// All files, also those in folders, by their path (`overlays/vc4.dtbo`).
    ///
    /// # Errors
    /// When one cannot be read, or when folders are nested so deep that they must be damaged.
    pub fn read_all(&self) -> Result<BTreeMap<String, Vec<u8>>, FatError> {
        let mut files = BTreeMap::new();
        collect(&self.root(), "", 0, &mut files)?;
        Ok(files)
    }

    /// Makes a file, or replaces all of one, with `at` as its time of change (and of creation, if it is new).
    ///
    /// FAT has no atomic replacement. Room is looked for first, so that a full partition keeps the old file; a disk
    /// that fails in between may keep neither.
    ///
    /// # Errors
    /// [`FatError::Full`], [`FatError::Name`], or when reading or writing fails.
    pub fn write(&self, name: &str, bytes: &[u8], at: Timestamp) -> Result<(), FatError> {
        let old = self.find(name)?;
        if !is_file_name(name) || old.as_ref().is_some_and(|entry| entry.is_folder) {
            return Err(FatError::Name(name.to_owned()));
        }
        self.check_room(name, bytes.len() as u64, old.as_ref())?;
        let before = old.as_ref().map(|_| self.read(name)).transpose()?.flatten();
        let made = self.root().create_file(name);
        let mut file = made.map_err(|error| failed("making", name, error))?;
        let written = replace(&mut file, bytes);
        if let (Err(_), Some(before)) = (&written, &before) {
            // The count of free clusters that FAT32 keeps was wrong. What was there fitted and fits again.
            let _ = file
                .seek(SeekFrom::Start(0))
                .and_then(|_| replace(&mut file, before));
        }
        // fatfs has no other way to give a file a time that is not the clock's.
        #[expect(deprecated, reason = "its TimeProvider must be static")]
        {
            if old.is_none() {
                file.set_created(at.date_time());
            }
            file.set_accessed(at.date_time().date);
            file.set_modified(at.date_time());
        }
        written
            .and_then(|()| file.flush())
            .map_err(|error| failed("writing", name, error))
    }

    /// Removes a file; false if there was none.
    ///
    /// # Errors
    /// When it is a folder or the disk fails.
    pub fn remove(&self, name: &str) -> Result<bool, FatError> {
        match self.find(name)? {
            None => Ok(false),
            Some(entry) if entry.is_folder => Err(FatError::Name(name.to_owned())),
            Some(_) => {
                let removed = self.root().remove(name);
                removed.map_err(|error| failed("removing", name, error))?;
                Ok(true)
            }
        }
    }

    /// Writes out what is only in memory. Without this, errors at the end go unseen.
    ///
    /// # Errors
    /// When writing fails.
    pub fn close(self) -> Result<(), FatError> {
        self.fs
            .unmount()
            .map_err(|error| failed("closing", "the file system", error))
    }

    fn root(&self) -> Dir<'_, StreamSlice<D>> {
        self.fs.root_dir()
    }

    fn find(&self, name: &str) -> Result<Option<Entry>, FatError> {
        let name = name.to_lowercase();
        let mut entries = self.list()?.into_iter();
        Ok(entries.find(|entry| entry.name.to_lowercase() == name))
    }

    fn check_room(&self, name: &str, needed: u64, old: Option<&Entry>) -> Result<(), FatError> {
        let stats = self
            .fs
            .stats()
            .map_err(|error| failed("reading", "the allocation table", error))?;
        let cluster = u64::from(stats.cluster_size());
        let freed = old.map_or(0, |entry| entry.length.div_ceil(cluster));
        let free = u64::from(stats.free_clusters()) + freed;
        // A new name may need one more cluster for the folder itself.
        let folder = u64::from(old.is_none());
        if needed.div_ceil(cluster) + folder <= free {
            return Ok(());
        }
        Err(FatError::Full {
            name: name.to_owned(),
            needed,
            free: free * cluster,
        })
    }
}

fn check_length(name: &str, length: u64) -> Result<(), FatError> {
    if length > MAX_FILE {
        let error = io::Error::other(format!("it claims to have {length} bytes"));
        return Err(failed("reading", name, error));
    }
    Ok(())
}

/// Deeper than any boot partition; a damaged folder may be its own parent.
const MAX_DEPTH: usize = 8;

fn collect<D: ReadWriteSeek>(
    folder: &Dir<'_, D>,
    path: &str,
    depth: usize,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), FatError> {
    if depth > MAX_DEPTH {
        let error = io::Error::other("folders are nested too deep");
        return Err(failed("reading", path, error));
    }
    for entry in folder.iter().take(MAX_ENTRIES) {
        let entry = entry.map_err(|error| failed("reading", path, error))?;
        let name = entry.file_name();
        if name == "." || name == ".." {
            continue;
        }
        let inner = format!("{path}{name}");
        if entry.is_dir() {
            collect(&entry.to_dir(), &format!("{inner}/"), depth + 1, files)?;
        } else {
            check_length(&inner, entry.len())?;
            let mut bytes = Vec::new();
            let read = entry.to_file().read_to_end(&mut bytes);
            read.map_err(|error| failed("reading", &inner, error))?;
            files.insert(inner, bytes);
        }
    }
    Ok(())
}

/// What a long file name of FAT may be (Microsoft's FAT specification, section 7).
fn is_file_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || "\"*/:<>?\\|".contains(c);
    (1..=255).contains(&name.encode_utf16().count())
        && !name.contains(forbidden)
        && !name.ends_with(['.', ' '])
}

fn replace<D: ReadWriteSeek>(file: &mut File<'_, D>, bytes: &[u8]) -> io::Result<()> {
    file.truncate()?;
    file.write_all(bytes)?;
    file.flush()
}

fn failed(doing: &'static str, name: &str, error: io::Error) -> FatError {
    let name = name.to_owned();
    FatError::Io { doing, name, error }
}
