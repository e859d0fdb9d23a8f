//! The boundary between what the steps decide and what happens to the node. Tests put a system here that loses power
//! after any of its effects.

use anyhow::Result;

use crate::durable::Owner;

/// A file as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Where, as the node sees it.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its mode.
    pub mode: u32,
    /// Its owner; root when `None`.
    pub owner: Option<Owner>,
}

/// What became of running a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It ended with success.
    Done,
    /// The system does not have it.
    Missing,
}

/// A partition as the kernel shall see it, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionExtent {
    /// The disk's device node.
    pub disk: String,
    /// The partition's number on it.
    pub number: u8,
    /// Where it starts.
    pub start: u64,
    /// Its length.
    pub length: u64,
}

/// Everything that a step may do to a node. Paths are absolute, as the node sees them.
pub trait System {
    /// Replaces a file; it is on the card when this returns.
    fn write(&mut self, file: &NewFile) -> Result<()>;
    /// Makes a folder and those above it, or gives the present one this mode and owner.
    fn make_folder(&mut self, path: &str, mode: u32, owner: Option<Owner>) -> Result<()>;
    /// Removes a file or a folder with all in it; it may be missing.
    fn remove(&mut self, path: &str) -> Result<()>;
    /// Moves a file over another one.
    fn rename(&mut self, from: &str, to: &str) -> Result<()>;
    /// Makes a symbolic link in place of what was there.
    fn link(&mut self, target: &str, path: &str) -> Result<()>;
    /// Copies a folder with all in it, to one that may be there in part, for a new owner.
    fn copy_folder(&mut self, from: &str, to: &str, owner: Owner) -> Result<()>;
    /// Runs a program of the system with `input` on its stdin and waits for it. A text among the arguments that starts
    /// with `/` is a path of the node.
    fn run(&mut self, program: &str, args: &[&str], input: &str) -> Result<Ran>;
    /// Names the running kernel.
    fn set_hostname(&mut self, name: &str) -> Result<()>;
    /// Sets the system clock, in seconds since 1970.
    fn set_clock(&mut self, seconds: u64) -> Result<()>;
    /// Takes away what is mounted over a file.
    fn detach_mount(&mut self, path: &str) -> Result<()>;
    /// Overwrites the first sector of a disk.
    fn write_partition_table(&mut self, disk: &str, sector: &disk_image::mbr::Sector) -> Result<()>;
    /// Tells the kernel the new length of a partition in use.
    fn resize_partition(&mut self, extent: &PartitionExtent) -> Result<()>;
    /// Waits until everything written by programs is on the card.
    fn sync(&mut self) -> Result<()>;
    /// 128 random bits as 32 hexadecimal digits.
    fn random_id(&mut self) -> Result<String>;
    /// Seconds since 1970.
    fn now(&self) -> u64;
}
