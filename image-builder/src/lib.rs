//! Makes release images: base image + agent + `rootfs-overlay/` -> `cluster-lab.img`, its `.zip`, and what
//! others need to trust them.
//!
//! `base` makes the default base image from Debian packages and needs root for that (mmdebstrap). `build` needs no
//! root, no mount and no loop device: it changes a copy of any base image through libraries, and checks the result
//! with the reference tools.

mod artefacts;
pub mod base;
pub mod build;
pub mod checksum;
pub mod cli;
pub mod consul_image;
mod copy;
pub mod deb;
pub mod difference;
mod download;
mod draft;
mod hex;
pub mod inspect;
mod opened;
pub mod progress;
pub mod recipe;
pub mod release;
pub mod system;
mod tool;
pub mod verify;
