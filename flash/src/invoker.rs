//! Who called sudo: the files in that user's home are made with that user's rights, so that they have the right owner
//! and lead nowhere where that user may not go.

use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::unistd::{Gid, Uid, User, getegid, geteuid, setegid, seteuid};

/// The user in front of sudo.
#[derive(Clone, Debug)]
pub(crate) struct Invoker {
    user: Uid,
    group: Gid,
    /// The home folder.
    pub(crate) home: PathBuf,
}

/// For as long as this lives the program has the invoker's rights.
pub(crate) struct Became {
    user: Uid,
    group: Gid,
}

impl Invoker {
    /// Who called sudo, if somebody did and it was not root.
    pub(crate) fn behind_sudo() -> Option<Self> {
        let number: u32 = std::env::var("SUDO_UID").ok()?.parse().ok()?;
        if number == 0 || !geteuid().is_root() {
            return None;
        }
        let user = User::from_uid(Uid::from_raw(number)).ok()??;
        Some(Self {
            user: user.uid,
            group: user.gid,
            home: user.dir,
        })
    }

    /// Takes the invoker's rights, for files.
    pub(crate) fn become_it(&self) -> Result<Became> {
        let before = Became {
            user: geteuid(),
            group: getegid(),
        };
        setegid(self.group).context("taking the rights of who called sudo")?;
        seteuid(self.user).context("taking the rights of who called sudo")?;
        Ok(before)
    }
}

impl Drop for Became {
    fn drop(&mut self) {
        // The saved ids are root's, so these cannot fail; the user first, as only root may change the group.
        let _ = seteuid(self.user);
        let _ = setegid(self.group);
    }
}
