//! The names of the cluster in the node's hosts file, so that `ping cl-node-2` works on every node whatever resolves
//! names there: resolvconf, systemd-resolved and NetworkManager all leave that file alone, and the C library reads it
//! first. All of it is one block, taken out again byte for byte; what else the file has is never changed and wins.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use boot_config::Domain;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::names::{MASTER, Names};
use crate::durable;
use crate::unmanaged::block;

/// Not written again sooner: cards wear out, and when a hundred nodes start their names come one by one.
const BETWEEN: Duration = Duration::from_secs(10);
/// The file is looked at so often though nothing has changed: what could not be written can be now, and others write
/// the file too (cloud-init at every start).
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A larger file is none that we should read into memory and write back.
const FILE_MAX: u64 = 1 << 20;

/// Addresses and their names.
type Lines = Vec<(Ipv4Addr, Vec<String>)>;

/// Keeps the block up to date until it is taken out.
#[derive(Debug)]
pub struct Hosts {
    file: PathBuf,
    lines: watch::Sender<Option<Lines>>,
    task: JoinHandle<()>,
}

impl Hosts {
    /// For this file. Nothing is written before the first names are told.
    pub fn keep(file: PathBuf) -> Self {
        let (lines, told) = watch::channel(None);
        let task = tokio::spawn(keep(file.clone(), told));
        Self { file, lines, task }
    }

    /// The names as they are from now on.
    pub fn tell(&self, names: &Names, master: Ipv4Addr, domain: &Domain) {
        let new = lines(names, master, domain);
        self.lines.send_if_modified(|old| {
            let changed = old.as_ref() != Some(&new);
            *old = Some(new);
            changed
        });
    }

    /// Takes the block out.
    pub async fn take_out(self) {
        // A write that has begun is finished before the task is over.
        drop(self.lines);
        let _ = self.task.await;
        let file = self.file;
        let taken = tokio::task::spawn_blocking(move || bring(&file, None)).await;
        if let Ok(Err(error)) = taken {
            tracing::warn!("the nodes' names are left in the hosts file: {error:#}");
        }
    }
}

/// Takes the block out of a file that nobody keeps.
///
/// # Errors
/// When the file cannot be read or written.
pub fn take_out(file: &Path) -> Result<()> {
    bring(file, None)
}

async fn keep(file: PathBuf, mut told: watch::Receiver<Option<Lines>>) {
    let mut said: Option<String> = None;
    loop {
        tokio::select! {
            changed = told.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let lines = told.borrow_and_update().clone();
        if lines.is_none() {
            continue;
        }
        let file = file.clone();
        let written = tokio::task::spawn_blocking(move || bring(&file, lines.as_deref())).await;
        let error = match written {
            Ok(Err(error)) => Some(format!("{error:#}")),
            _ => None,
        };
        if let Some(error) = error.as_ref().filter(|error| said.as_ref() != Some(*error)) {
            tracing::warn!("nodes are not known by name here: {error}");
        }
        said = error;
        tokio::select! {
            () = tokio::time::sleep(BETWEEN) => {}
            // The end is not waited for.
            () = ended(told.clone()) => {}
        }
    }
}

async fn ended(mut told: watch::Receiver<Option<Lines>>) {
    while told.changed().await.is_ok() {}
}

/// What the names lead to: an address and its names, the full one of each before the short one.
fn lines(names: &Names, master: Ipv4Addr, domain: &Domain) -> Lines {
    let both = |name: &str| [format!("{name}.{domain}"), name.to_owned()];
    let first = (master, MASTER.into_iter().flat_map(both).collect());
    let machines = names
        .machines
        .iter()
        .map(|(name, address)| (*address, both(name).to_vec()));
    [first].into_iter().chain(machines).collect()
}

/// Brings the block into line, or takes it out; writes nothing when it is so already.
fn bring(file: &Path, lines: Option<&[(Ipv4Addr, Vec<String>)]>) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let shown = file.display();
    // What a link leads to is replaced, and not the link.
    let file = match file.canonicalize() {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("finding {shown}")),
    };
    let found = file.metadata().with_context(|| format!("looking at {shown}"))?;
    if found.len() > FILE_MAX {
        bail!("{shown} has more than {FILE_MAX} bytes and is left alone");
    }
    let present = std::fs::read(&file).with_context(|| format!("reading {shown}"))?;
    let wanted = text(&present, lines);
    if wanted == present {
        return Ok(());
    }
    let owner = Some((found.uid(), found.gid()));
    durable::write(&file, &wanted, found.mode() & 0o7777, owner).with_context(|| format!("writing {shown}"))
}

/// The file with the block. A name that the rest of the file has is left to it: the administrator decides, and a node's
/// own name is its own.
fn text(present: &[u8], lines: Option<&[(Ipv4Addr, Vec<String>)]>) -> Vec<u8> {
    let rest = block::without(present);
    let Some(lines) = lines else { return rest };
    let others = String::from_utf8_lossy(&rest).to_lowercase();
    let taken: BTreeSet<&str> = others
        .lines()
        .flat_map(|line| {
            let entry = line.split('#').next().unwrap_or_default();
            entry.split_whitespace().skip(1)
        })
        .collect();
    let mut block = String::new();
    for (address, names) in lines {
        let free: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| !taken.contains(name))
            .collect();
        if !free.is_empty() {
            let _ = writeln!(block, "{address}\t{}", free.join(" "));
        }
    }
    block::with(&rest, &block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::proptest;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 200, 1);

    fn cluster(nodes: &[(&str, u8)]) -> Lines {
        let nodes = nodes
            .iter()
            .map(|(name, last)| (name.parse().ok(), Ipv4Addr::new(192, 168, 200, *last)));
        let n1 = ("n1".parse().unwrap(), Ipv4Addr::new(192, 168, 200, 9));
        lines(
            &Names::new(Some(n1), nodes),
            ADDRESS,
            &"cluster.internal".parse().unwrap(),
        )
    }

    #[test]
    fn the_block_has_every_name_but_those_that_the_file_has() {
        let present = "127.0.0.1\tlocalhost\n127.0.1.1\tn2\n10.0.0.9 N3 # n4\n";
        let with = text(
            present.as_bytes(),
            Some(&cluster(&[("n2", 20), ("n3", 21), ("n4", 22)])),
        );
        let expected = format!(
            "# cluster-lab begin: kept up to date by cluster-lab\n\
             192.168.200.1\tmaster.cluster.internal master cl-master.cluster.internal cl-master\n\
             192.168.200.9\tn1.cluster.internal n1\n\
             192.168.200.20\tn2.cluster.internal\n\
             192.168.200.21\tn3.cluster.internal\n\
             192.168.200.22\tn4.cluster.internal n4\n\
             # cluster-lab end\n{present}"
        );
        assert_eq!(String::from_utf8(with.clone()).unwrap(), expected);
        assert_eq!(text(&with, None), present.as_bytes());
    }

    proptest! {
        #[test]
        fn whatever_the_file_has_stays_byte_for_byte(rest: Vec<u8>, text_too in ".*") {
            for rest in [rest, text_too.into_bytes()] {
                let once = text(&rest, Some(&cluster(&[("n2", 20)])));
                assert_eq!(text(&once, Some(&cluster(&[("n2", 20)]))), once);
                let other = text(&once, Some(&cluster(&[("n3", 22)])));
                assert_eq!(text(&other, None), rest);
            }
        }
    }

    #[test]
    fn a_file_that_is_right_is_not_written_and_a_link_stays_a_link() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real"), folder.path().join("hosts"));
        std::fs::write(&file, "127.0.0.1 localhost").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        bring(&link, Some(&cluster(&[]))).unwrap();
        let first = file.metadata().unwrap();
        assert_eq!(first.mode() & 0o7777, 0o640);
        assert!(link.is_symlink());
        bring(&link, Some(&cluster(&[]))).unwrap();
        assert_eq!(file.metadata().unwrap().ino(), first.ino(), "not replaced");
        bring(&link, None).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"127.0.0.1 localhost");
        bring(&folder.path().join("missing"), Some(&cluster(&[]))).unwrap();
        assert!(!folder.path().join("missing").exists());
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_come_one_by_one_are_written_together() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hosts");
        std::fs::write(&file, "127.0.0.1 localhost\n").unwrap();
        let hosts = Hosts::keep(file.clone());
        let domain = "cluster.internal".parse().unwrap();
        let read = || std::fs::read_to_string(&file).unwrap();
        let tell = |count: u8| {
            let node = |number| {
                (
                    format!("n{number}").parse().ok(),
                    Ipv4Addr::new(192, 168, 200, 20 + number),
                )
            };
            hosts.tell(&Names::new(None, (0..count).map(node)), ADDRESS, &domain);
        };
        tell(1);
        while !read().contains(" n0\n") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let start = tokio::time::Instant::now();
        for count in 2..9 {
            tell(count);
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(!read().contains(" n1\n"));
        }
        while !read().contains(" n7\n") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(start.elapsed() >= BETWEEN - Duration::from_millis(100));
        hosts.take_out().await;
        assert_eq!(read(), "127.0.0.1 localhost\n");
    }
}
