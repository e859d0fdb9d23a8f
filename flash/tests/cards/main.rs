//! The real `flash` on virtual cards and loop devices; what it wrote is read back by mtools, cmp and fsck.vfat.
#![allow(clippy::unwrap_used, reason = "a test")]

mod cluster;
mod downloads;
mod failures;
mod image;
mod listing;
mod membership;
mod options;
mod refusals;
mod server;
mod several;
mod sources;
mod system;
mod tools;
mod verify;
mod waiting;
mod writes;
