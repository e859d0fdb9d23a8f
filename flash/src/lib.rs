//! Writes a card image to a card, with settings on its boot partition, and reads back what it wrote.
//!
//! The order is what keeps cards and disks safe: everything that can be refused is refused before the first byte is
//! written; the partition table goes first when an old card is overwritten and comes last when the new one is proven,
//! so that a card is either whole or does not boot.

mod batch;
mod cache;
pub mod candidate;
pub mod card;
pub mod cli;
mod cluster_file;
mod compare;
pub mod device;
pub mod download;
mod fan_out;
mod hash;
pub mod image;
mod invoker;
mod ioctl;
mod job;
mod ledger;
pub mod medium;
pub mod membership;
mod names;
mod open_card;
pub mod peek;
pub mod progress;
pub mod report;
pub mod secret;
pub mod settings;
pub mod signature;
pub mod size;
pub mod stream;
pub mod trust;
pub mod verify;
mod wait;
pub mod write;
