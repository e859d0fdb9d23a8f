//! What is to be changed in the root file system, fully known before anything is written.

use std::collections::BTreeMap;

use disk_image::ext4::{Attributes, RootPath};

use super::glob::Pattern;

/// Owner root, as everything that the manifest does not name.
pub(super) const fn owned_by_root(mode: u16) -> Attributes {
    Attributes { mode, uid: 0, gid: 0 }
}

/// One name in the root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A folder; one that the base image has keeps its owner and mode.
    Folder(Attributes),
    /// A file with these bytes.
    File(Vec<u8>, Attributes),
    /// A symbolic link with this target.
    Symlink(String),
}

/// All changes. The order of the maps is the order of the changes: folders come before what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// What is removed first.
    pub(super) remove: Vec<Pattern>,
    /// Files that become empty if they are there.
    pub(super) blank: Vec<RootPath>,
    /// What is added or replaced.
    pub(super) entries: BTreeMap<RootPath, Entry>,
}

impl Plan {
    /// Adds what another plan changes; of two entries of one name, its own wins.
    pub(super) fn extend(&mut self, other: Self) {
        let Self {
            remove,
            blank,
            entries,
        } = other;
        self.remove.extend(remove);
        self.blank.extend(blank);
        self.entries.extend(entries);
    }

    /// An upper bound of the bytes that the new files take, in blocks of 4 KiB.
    pub(super) fn bytes(&self) -> u64 {
        let of_entry = |entry: &Entry| match entry {
            Entry::File(bytes, _) => (bytes.len() as u64).next_multiple_of(4096),
            Entry::Folder(_) | Entry::Symlink(_) => 4096,
        };
        self.entries.values().map(of_entry).sum()
    }
}
