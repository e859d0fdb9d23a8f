//! The real node. Below another root than `/` it changes files only: kernel, clock and disks are the running system's.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use super::kernel;
use super::system::{NewFile, PartitionExtent, Ran, System};
use crate::durable::{self, Owner};
use crate::paths::Paths;

/// The node whose files lie at these paths.
#[derive(Clone, Debug)]
pub struct Machine {
    paths: Paths,
}

impl Machine {
    /// The node whose files lie at `paths`.
    pub fn new(paths: Paths) -> Self {
        Self { paths }
    }

    fn only_on_the_running_system(&self, what: &str) -> Result<()> {
        ensure!(
            self.paths.is_running_system(),
            "{what} is possible on the running system only, not below {}",
            self.paths.root().display()
        );
        Ok(())
    }
}

impl System for Machine {
    fn write(&mut self, file: &NewFile) -> Result<()> {
        let NewFile {
            path,
            bytes,
            mode,
            owner,
        } = file;
        durable::write(&self.paths.at(path), bytes, *mode, *owner).with_context(|| format!("writing {path}"))
    }

    fn make_folder(&mut self, path: &str, mode: u32, owner: Option<Owner>) -> Result<()> {
        let place = self.paths.at(path);
        let make = || {
            std::fs::create_dir_all(&place)?;
            std::fs::set_permissions(&place, std::fs::Permissions::from_mode(mode))?;
            if let Some((user, group)) = owner {
                chown(&place, Some(user), Some(group))?;
            }
            durable::sync_folder_of(&place)
        };
        make().with_context(|| format!("making folder {path}"))
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        let place = self.paths.at(path);
        let removed = match place.symlink_metadata() {
            Ok(found) if found.is_dir() => std::fs::remove_dir_all(&place),
            Ok(_) => std::fs::remove_file(&place),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => Err(error),
        };
        removed
            .and_then(|()| durable::sync_folder_of(&place))
            .with_context(|| format!("removing {path}"))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        durable::rename(&self.paths.at(from), &self.paths.at(to))
            .with_context(|| format!("moving {from} to {to}"))
    }

    fn link(&mut self, target: &str, path: &str) -> Result<()> {
        self.remove(path)?;
        let place = self.paths.at(path);
        symlink(target, &place)
            .and_then(|()| durable::sync_folder_of(&place))
            .with_context(|| format!("linking {path} to {target}"))
    }

    fn copy_folder(&mut self, from: &str, to: &str, owner: Owner) -> Result<()> {
        copy(&self.paths.at(from), &self.paths.at(to), owner)
            .with_context(|| format!("copying {from} to {to}"))
    }

    fn run(&mut self, program: &str, args: &[&str], input: &str) -> Result<Ran> {
        let mut command = Command::new(program);
        for arg in args {
            if arg.starts_with('/') {
                command.arg(self.paths.at(arg));
            } else {
                command.arg(arg);
            }
        }
        // A unit without default dependencies may have no PATH with sbin in it.
        command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command.env("LC_ALL", "C");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Ran::Missing),
            Err(error) => return Err(error).with_context(|| format!("starting {program}")),
        };
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends without reading all of it says why by its exit status.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child
            .wait_with_output()
            .with_context(|| format!("waiting for {program}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said
                .lines()
                .rfind(|line| !line.trim().is_empty())
                .unwrap_or("no message");
            bail!("{program} failed ({}): {}", output.status, last.trim());
        }
        Ok(Ran::Done)
    }

    fn set_hostname(&mut self, name: &str) -> Result<()> {
        if self.paths.is_running_system() {
            kernel::set_hostname(name)?;
        }
        Ok(())
    }

    fn set_clock(&mut self, seconds: u64) -> Result<()> {
        if self.paths.is_running_system() {
            kernel::set_clock(seconds)?;
        }
        Ok(())
    }

    fn detach_mount(&mut self, path: &str) -> Result<()> {
        self.only_on_the_running_system("unmounting")?;
        kernel::detach_mount(&self.paths.at(path))
    }

    fn write_partition_table(&mut self, disk: &str, sector: &disk_image::mbr::Sector) -> Result<()> {
        self.only_on_the_running_system("changing the partition table")?;
        let write = || {
            let mut device = std::fs::OpenOptions::new()
                .write(true)
                .open(self.paths.at(disk))?;
            device.write_all(sector)?;
            device.sync_all()
        };
        write().with_context(|| format!("writing the partition table of {disk}"))
    }

    fn resize_partition(&mut self, extent: &PartitionExtent) -> Result<()> {
        self.only_on_the_running_system("resizing a partition")?;
        let PartitionExtent {
            disk,
            number,
            start,
            length,
        } = extent;
        kernel::resize_partition(&self.paths.at(disk), *number, *start, *length)
    }

    fn sync(&mut self) -> Result<()> {
        kernel::sync();
        Ok(())
    }

    fn random_id(&mut self) -> Result<String> {
        // The kernel's own source; it waits until the kernel has gathered enough randomness after power-on.
        let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid")
            .context("asking the kernel for a random number")?;
        Ok(uuid.trim().replace('-', ""))
    }

    fn now(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

/// Copies files, links and folders that are not there yet.
fn copy(from: &Path, to: &Path, owner: Owner) -> std::io::Result<()> {
    let (user, group) = owner;
    let kind = from.symlink_metadata()?.file_type();
    if kind.is_dir() {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()), owner)?;
        }
    } else if kind.is_symlink() {
        if to.symlink_metadata().is_err() {
            symlink(std::fs::read_link(from)?, to)?;
        }
    } else if to.symlink_metadata().map(|found| found.len()).ok() != Some(from.metadata()?.len()) {
        // Not there, or cut short with the power.
        std::fs::copy(from, to)?;
    }
    lchown(to, Some(user), Some(group))
}
