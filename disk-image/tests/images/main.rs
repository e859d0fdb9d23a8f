//! Card images against the reference tools: what they make is read, what is written they read and find sound.
#![allow(clippy::unwrap_used, reason = "a test")]

mod fat;
mod fat_image;
mod free;
mod source;
mod tools;
