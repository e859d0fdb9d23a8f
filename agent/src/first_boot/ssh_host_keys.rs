//! SSH host keys of its own. Cards are clones: keys that came with the image are everybody's, so they go.
//!
//! Where other software of the system makes host keys at its first start too (cloud-init, Raspberry Pi OS), whichever
//! comes last wins; each of them makes new ones.

use anyhow::{Result, bail};

use super::outcome::Outcome;
use super::system::{Ran, System};
use crate::paths::Paths;

const FOLDER: &str = "/etc/ssh";
/// On the same file system as the keys, so that they can be moved into place. sshd does not look here.
const WORKSHOP: &str = "/etc/ssh/.cluster-lab-new";

/// A kind of key, by its name in `ssh-keygen` and in the file's name.
type Kind = &'static str;

/// What sshd offers by default and is quick to make. Every client since OpenSSH 5.7 (2011) knows one of them.
pub(super) const QUICK: [Kind; 2] = ["ed25519", "ecdsa"];
/// Takes up to minutes on a Pi 1.
pub(super) const SLOW: [Kind; 1] = ["rsa"];

/// Makes the quick keys and removes all others: they came with the image.
pub(super) fn make_quick(system: &mut dyn System, paths: &Paths) -> Result<Outcome> {
    make(system, paths, &QUICK, |name| {
        QUICK.iter().any(|kind| name == key(kind) || name == public(kind))
    })
}

/// Adds the slow keys to those that are there, and lets a running sshd offer them.
pub(super) fn make_slow(system: &mut dyn System, paths: &Paths) -> Result<Outcome> {
    let outcome = make(system, paths, &SLOW, |_| true)?;
    if outcome.is_applied() && paths.is_running_system() {
        // sshd reads its keys at its start. Where it does not run there is nothing to reload.
        let _ = system.run("systemctl", &["--no-block", "reload", "ssh.service"], "");
    }
    Ok(outcome)
}

fn make(
    system: &mut dyn System,
    paths: &Paths,
    kinds: &[Kind],
    keep: impl Fn(&str) -> bool,
) -> Result<Outcome> {
    if !paths.at(FOLDER).is_dir() {
        return Ok(Outcome::NothingToDo("there is no SSH server".to_owned()));
    }
    system.remove(WORKSHOP)?;
    system.make_folder(WORKSHOP, 0o700, None)?;
    for kind in kinds {
        let file = format!("{WORKSHOP}/{}", key(kind));
        let args = ["-q", "-t", kind, "-N", "", "-C", "root", "-f", &file];
        if system.run("ssh-keygen", &args, "")? == Ran::Missing {
            system.remove(WORKSHOP)?;
            return Ok(Outcome::NothingToDo("ssh-keygen is not installed".to_owned()));
        }
    }
    for kind in kinds {
        for name in [public(kind), key(kind)] {
            system.rename(&format!("{WORKSHOP}/{name}"), &format!("{FOLDER}/{name}"))?;
        }
    }
    for name in host_key_files(paths)?.iter().filter(|name| !keep(name)) {
        system.remove(&format!("{FOLDER}/{name}"))?;
    }
    system.remove(WORKSHOP)?;
    Ok(Outcome::Applied(format!("new keys: {}", kinds.join(", "))))
}

fn key(kind: &str) -> String {
    format!("ssh_host_{kind}_key")
}

fn public(kind: &str) -> String {
    format!("{}.pub", key(kind))
}

fn host_key_files(paths: &Paths) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(paths.at(FOLDER))? {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        if name.starts_with("ssh_host_") {
            names.push(name);
        }
    }
    if names.is_empty() {
        bail!("{FOLDER} has no host keys after they were made");
    }
    Ok(names)
}
