//! The ext4 root file system of a card image, read and changed without mounting it.
//!
//! [`RootFs`] is what callers use; [`Ext4`] implements it over a pure Rust driver, the only one measured that the
//! reference `e2fsck -fn` found nothing wrong with. Limits: no change of size, no extended attributes, files in memory
//! as a whole. A file system with work left in its journal is refused. Nothing is synced: who opened the file does.

mod device;
mod error;
mod path;
mod resolve;
mod summary;

use std::io::{Read, Seek, Write};
use std::sync::Arc;

use fs_ext4::runtime::Runtime;
use fs_ext4::{Filesystem, Superblock};

use crate::mbr::Partition;
pub use device::ReadOnly;
use device::Window;
pub use error::Ext4Error;
use error::failed;
pub use path::{PathError, RootPath};
use resolve::{LastLink, ROOT};
pub use summary::Summary;

/// Owner and permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, with set-user-id and the like: at most 0o7777.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A device, pipe or socket.
    Other,
}

/// What is known about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Whose it is and who may do what.
    pub attributes: Attributes,
    /// Length in bytes; of a link, of its target's text.
    pub length: u64,
}

/// A root file system of a card. Symbolic links in the folders of a path are followed inside the file system, so
/// `/lib/x` is found on images whose `/lib` is a link; the last component is followed by [`RootFs::read`] only.
pub trait RootFs {
    /// What is there, if anything.
    ///
    /// # Errors
    /// When the file system cannot be read.
    fn metadata(&self, path: &RootPath) -> Result<Option<Metadata>, Ext4Error>;

    /// The bytes of a file, `None` if there is no such name.
    ///
    /// # Errors
    /// When it is no regular file or cannot be read.
    fn read(&self, path: &RootPath) -> Result<Option<Vec<u8>>, Ext4Error>;

    /// The target of a symbolic link, `None` if there is no link of that name.
    ///
    /// # Errors
    /// When the file system cannot be read.
    fn read_link(&self, path: &RootPath) -> Result<Option<String>, Ext4Error>;

    /// Names in a folder in alphabetical order, without `.` and `..`; none if there is no such folder.
    ///
    /// # Errors
    /// When it is no folder or cannot be read.
    fn list(&self, path: &RootPath) -> Result<Vec<String>, Ext4Error>;

    /// Names in `/`, as [`RootFs::list`].
    ///
    /// # Errors
    /// When it cannot be read.
    fn list_root(&self) -> Result<Vec<String>, Ext4Error>;

    /// Makes a file; a file or link that was there is replaced. The folder must be there.
    ///
    /// # Errors
    /// [`Ext4Error::Full`], or when there is a folder of that name.
    fn write_file(&self, path: &RootPath, bytes: &[u8], attributes: Attributes) -> Result<(), Ext4Error>;

    /// Makes a folder, and those above it (as root's, 0755). One that is there stays as it is.
    ///
    /// # Errors
    /// When something else has that name.
    fn make_folder(&self, path: &RootPath, attributes: Attributes) -> Result<(), Ext4Error>;

    /// Makes a symbolic link; a file or link that was there is replaced.
    ///
    /// # Errors
    /// When there is a folder of that name.
    fn symlink(&self, path: &RootPath, target: &str) -> Result<(), Ext4Error>;

    /// Removes a file or link; whether there was one.
    ///
    /// # Errors
    /// When it is a folder.
    fn remove(&self, path: &RootPath) -> Result<bool, Ext4Error>;

    /// Sets owner and permissions of a file or folder.
    ///
    /// # Errors
    /// When there is no such name.
    fn set_attributes(&self, path: &RootPath, attributes: Attributes) -> Result<(), Ext4Error>;

    /// Bytes that new files may still take.
    ///
    /// # Errors
    /// When the file system cannot be read.
    fn free(&self) -> Result<u64, Ext4Error>;

    /// Files and folders that may still be made.
    ///
    /// # Errors
    /// When the file system cannot be read.
    fn free_inodes(&self) -> Result<u32, Ext4Error>;
}

/// An ext4 file system in a partition of an image.
pub struct Ext4<D> {
    fs: Filesystem,
    disk: Arc<Window<D>>,
}

/// A fixed time, so that the same input makes the same image.
struct FixedTime {
    seconds: i64,
    generation: std::sync::atomic::AtomicU32,
}

impl Runtime for FixedTime {
    fn now_unix_seconds(&self) -> i64 {
        self.seconds
    }

    fn next_inode_generation(&self) -> u32 {
        self.generation.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}

const NEEDS_RECOVERY: u32 = 0x4;

impl<D: Read + Seek + Send + 'static> Ext4<ReadOnly<D>> {
    /// As [`Ext4::open`], to look only: not a byte of `disk` changes.
    ///
    /// # Errors
    /// As [`Ext4::open`].
    pub fn open_read_only(disk: D, partition: &Partition) -> Result<Self, Ext4Error> {
        Self::mount(Window::read_only(disk, partition), partition.number, 0)
    }
}

impl<D: Read + Write + Seek + Send + 'static> Ext4<D> {
    /// Opens the file system in `partition` of `disk`. What is written gets `epoch` (seconds since 1970) as its time.
    ///
    /// # Errors
    /// When there is no ext4, or one that was not unmounted cleanly: nothing is repaired here.
    pub fn open(disk: D, partition: &Partition, epoch: u64) -> Result<Self, Ext4Error> {
        Self::mount(Window::new(disk, partition), partition.number, epoch)
    }

    fn mount(disk: Window<D>, number: u8, epoch: u64) -> Result<Self, Ext4Error> {
        let disk = Arc::new(disk);
        let not_ext4 = |reason: fs_ext4::Error| Ext4Error::NotExt4 {
            number,
            reason: reason.to_string(),
        };
        let superblock = Superblock::read(disk.as_ref()).map_err(not_ext4)?;
        let dirty = superblock.feature_incompat & NEEDS_RECOVERY != 0 || superblock.last_orphan != 0;
        if dirty || !superblock.is_clean() {
            return Err(Ext4Error::Dirty { number });
        }
        let time = FixedTime {
            seconds: epoch.try_into().unwrap_or(i64::MAX),
            generation: 1.into(),
        };
        let fs = Filesystem::mount_with_runtime(disk.clone(), Arc::new(time)).map_err(not_ext4)?;
        Ok(Self { fs, disk })
    }

    /// Leaves the file system in order. Without it, it may be marked as in use.
    ///
    /// # Errors
    /// When writing fails.
    pub fn close(self) -> Result<(), Ext4Error> {
        self.fs.finish().map_err(|error| failed("closing", "/", error))
    }
}

impl<D> std::fmt::Debug for Ext4<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ext4").finish_non_exhaustive()
    }
}

impl<D: Read + Write + Seek + Send + 'static> RootFs for Ext4<D> {
    fn metadata(&self, path: &RootPath) -> Result<Option<Metadata>, Ext4Error> {
        let Some(inode) = resolve::find(&self.fs, path, LastLink::Keep)? else {
            return Ok(None);
        };
        let inode = self
            .fs
            .stat_ino(inode)
            .map_err(|error| failed("looking at", path, error))?;
        let kind = match () {
            () if inode.is_file() => Kind::File,
            () if inode.is_dir() => Kind::Folder,
            () if inode.is_symlink() => Kind::Symlink,
            () => Kind::Other,
        };
        let attributes = Attributes {
            mode: inode.mode & 0o7777,
            uid: inode.uid,
            gid: inode.gid,
        };
        Ok(Some(Metadata {
            kind,
            attributes,
            length: inode.size,
        }))
    }

    fn read(&self, path: &RootPath) -> Result<Option<Vec<u8>>, Ext4Error> {
        let Some(inode) = resolve::find(&self.fs, path, LastLink::Follow)? else {
            return Ok(None);
        };
        let reading = |error| failed("reading", path, error);
        let length = self.fs.stat_ino(inode).map_err(reading)?.size;
        let mut bytes = vec![
            0;
            length
                .try_into()
                .map_err(|_| reading(fs_ext4::Error::OutOfBounds))?
        ];
        let read = self.fs.read_ino(inode, 0, &mut bytes).map_err(reading)?;
        if read != bytes.len() {
            return Err(reading(fs_ext4::Error::OutOfBounds));
        }
        Ok(Some(bytes))
    }

    fn read_link(&self, path: &RootPath) -> Result<Option<String>, Ext4Error> {
        let Some(inode) = resolve::find(&self.fs, path, LastLink::Keep)? else {
            return Ok(None);
        };
        let reading = |error| failed("reading the link", path, error);
        if !self.fs.stat_ino(inode).map_err(reading)?.is_symlink() {
            return Ok(None);
        }
        let target = self.fs.read_link_ino(inode).map_err(reading)?;
        Ok(Some(String::from_utf8_lossy(&target).into_owned()))
    }

    fn list(&self, path: &RootPath) -> Result<Vec<String>, Ext4Error> {
        let Some(inode) = resolve::find(&self.fs, path, LastLink::Follow)? else {
            return Ok(Vec::new());
        };
        self.names(inode).map_err(|error| failed("listing", path, error))
    }

    fn list_root(&self) -> Result<Vec<String>, Ext4Error> {
        self.names(ROOT).map_err(|error| failed("listing", "/", error))
    }

    fn write_file(&self, path: &RootPath, bytes: &[u8], attributes: Attributes) -> Result<(), Ext4Error> {
        self.remove(path)?;
        let (folder, name) = self.place(path)?;
        let full = |error| match error {
            fs_ext4::Error::NoSpaceLeftOnDevice => self.full(path, bytes.len() as u64),
            other => failed("writing", path, other),
        };
        let inode = self
            .fs
            .apply_create_at(folder, name, attributes.mode)
            .map_err(full)?;
        self.fs.apply_pwrite_ino(inode, 0, bytes).map_err(full)?;
        self.set(path, inode, attributes)
    }

    fn make_folder(&self, path: &RootPath, attributes: Attributes) -> Result<(), Ext4Error> {
        match resolve::find(&self.fs, path, LastLink::Follow)? {
            Some(inode) if self.fs.stat_ino(inode).is_ok_and(|inode| inode.is_dir()) => return Ok(()),
            Some(_) => {
                return Err(Ext4Error::NotAFolder {
                    path: path.to_string(),
                });
            }
            None => {}
        }
        if let Some(above) = path.parent() {
            self.make_folder(
                &above,
                Attributes {
                    mode: 0o755,
                    uid: 0,
                    gid: 0,
                },
            )?;
        }
        let (folder, name) = self.place(path)?;
        let making = |error| match error {
            fs_ext4::Error::NoSpaceLeftOnDevice => self.full(path, 0),
            other => failed("making the folder", path, other),
        };
        let inode = self
            .fs
            .apply_mkdir_at(folder, name, attributes.mode)
            .map_err(making)?;
        self.set(path, inode, attributes)
    }

    fn symlink(&self, path: &RootPath, target: &str) -> Result<(), Ext4Error> {
        self.remove(path)?;
        let (folder, name) = self.place(path)?;
        let made = self.fs.apply_symlink_at(folder, name, target.as_bytes());
        made.map(drop).map_err(|error| match error {
            fs_ext4::Error::NoSpaceLeftOnDevice => self.full(path, 0),
            other => failed("making the link", path, other),
        })
    }

    fn remove(&self, path: &RootPath) -> Result<bool, Ext4Error> {
        match self.metadata(path)? {
            None => return Ok(false),
            Some(Metadata {
                kind: Kind::Folder, ..
            }) => {
                return Err(Ext4Error::IsAFolder {
                    path: path.to_string(),
                });
            }
            Some(_) => {}
        }
        let (folder, name) = self.place(path)?;
        self.fs
            .apply_unlink_at(folder, name)
            .map_err(|error| failed("removing", path, error))?;
        Ok(true)
    }

    fn set_attributes(&self, path: &RootPath, attributes: Attributes) -> Result<(), Ext4Error> {
        let inode = resolve::find(&self.fs, path, LastLink::Follow)?;
        let missing = || failed("changing", path, fs_ext4::Error::NotFound);
        self.set(path, inode.ok_or_else(missing)?, attributes)
    }

    fn free(&self) -> Result<u64, Ext4Error> {
        let superblock =
            Superblock::read(self.disk.as_ref()).map_err(|error| failed("looking at", "/", error))?;
        // Blocks reserved for root stay so: a full system must still start.
        let blocks = superblock
            .free_blocks_count
            .saturating_sub(superblock.r_blocks_count);
        Ok(blocks * u64::from(superblock.block_size()))
    }

    fn free_inodes(&self) -> Result<u32, Ext4Error> {
        let superblock =
            Superblock::read(self.disk.as_ref()).map_err(|error| failed("looking at", "/", error))?;
        Ok(superblock.free_inodes_count)
    }
}

impl<D: Read + Write + Seek + Send + 'static> Ext4<D> {
    /// The inode of the folder that a path is in, and its last component.
    fn place<'a>(&self, path: &'a RootPath) -> Result<(u32, &'a [u8]), Ext4Error> {
        let folder = match path.parent() {
            None => Some(ROOT),
            Some(parent) => resolve::find(&self.fs, &parent, LastLink::Follow)?,
        };
        let missing = || failed("looking for the folder of", path, fs_ext4::Error::NotFound);
        Ok((folder.ok_or_else(missing)?, path.name().as_bytes()))
    }

    fn names(&self, folder: u32) -> fs_ext4::Result<Vec<String>> {
        let entries = self.fs.read_dir_ino(folder)?;
        let names = entries
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.name).into_owned());
        let mut names: Vec<_> = names.filter(|name| name != "." && name != "..").collect();
        names.sort();
        Ok(names)
    }

    fn set(&self, path: &RootPath, inode: u32, attributes: Attributes) -> Result<(), Ext4Error> {
        let Attributes { mode, uid, gid } = attributes;
        let owned = self.fs.apply_chown_ino(inode, uid, gid);
        owned
            .and_then(|()| self.fs.apply_chmod_ino(inode, mode))
            .map_err(|error| failed("setting owner and mode of", path, error))
    }

    fn full(&self, path: &RootPath, needed: u64) -> Ext4Error {
        Ext4Error::Full {
            path: path.to_string(),
            needed,
            free: self.free().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests;
