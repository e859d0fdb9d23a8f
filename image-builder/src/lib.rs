//! Makes release images: base image + agent + `rootfs-overlay/` -> `cluster-lab.img` and its `.zip`.
//!
//! `base` makes the default base image from Debian packages and needs root for that (mmdebstrap). `build` needs no
//! root, no mount and no loop device: it changes a copy of any base image through libraries, and checks the result
//! with the reference tools.

pub mod base;
pub mod build;
pub mod cli;
mod copy;
mod download;
pub mod progress;
mod tool;
