//! What differs between two images, file by file: kind, owner, mode, content.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use disk_image::ext4::{Kind, Metadata, RootFs, RootPath};

use crate::opened::Opened;

/// Deeper than any real tree; a damaged folder may be its own parent.
const MAX_DEPTH: usize = 200;

/// One line per difference, sorted by path: `- PATH` (in the first image only), `+ PATH` (in the second only), or
/// `! PATH: what differs`.
///
/// # Errors
/// When one is no card image, or cannot be read.
pub fn run(first: &Path, second: &Path) -> Result<Vec<String>> {
    let (first, second) = (Opened::open(first)?, Opened::open(second)?);
    let mut lines = Vec::new();
    if first.table != second.table {
        lines.push("! the partition tables differ".to_owned());
    }
    let files = |image: &Opened| image.boot()?.read_all().map_err(anyhow::Error::from);
    let kept = |(path, bytes): (String, Vec<u8>)| (format!("boot:{path}"), bytes);
    let in_first: BTreeMap<_, _> = files(&first)?.into_iter().map(kept).collect();
    let in_second: BTreeMap<_, _> = files(&second)?.into_iter().map(kept).collect();
    lines.extend(compare(&in_first, &in_second, |_, old, new| {
        Ok(if old == new {
            Vec::new()
        } else {
            vec!["content".to_owned()]
        })
    })?);
    let (first, second) = (first.root()?, second.root()?);
    let different = |path: &RootPath, old: &Metadata, new: &Metadata| {
        let mut what = access(old, new);
        if old.kind != new.kind {
            what.push("kind".to_owned());
        } else if content_differs(path, old, new, &first, &second)? {
            what.push("content".to_owned());
        }
        Ok(what)
    };
    lines.extend(compare(&tree(&first)?, &tree(&second)?, different)?);
    Ok(lines)
}

/// Compares what two maps hold under the same keys.
fn compare<K: Ord + std::fmt::Display, V>(
    first: &BTreeMap<K, V>,
    second: &BTreeMap<K, V>,
    different: impl Fn(&K, &V, &V) -> Result<Vec<String>>,
) -> Result<Vec<String>> {
    let mut lines = BTreeMap::new();
    for (key, old) in first {
        match second.get(key) {
            None => {
                lines.insert(key, format!("- {key}"));
            }
            Some(new) => {
                let what = different(key, old, new)?;
                if !what.is_empty() {
                    lines.insert(key, format!("! {key}: {}", what.join(", ")));
                }
            }
        }
    }
    let added = second.keys().filter(|key| !first.contains_key(key));
    lines.extend(added.map(|key| (key, format!("+ {key}"))));
    Ok(lines.into_values().collect())
}

fn access(old: &Metadata, new: &Metadata) -> Vec<String> {
    let (old, new) = (old.attributes, new.attributes);
    let mut what = Vec::new();
    if old.mode != new.mode {
        what.push(format!("mode {:04o} -> {:04o}", old.mode, new.mode));
    }
    if (old.uid, old.gid) != (new.uid, new.gid) {
        what.push(format!(
            "owner {}:{} -> {}:{}",
            old.uid, old.gid, new.uid, new.gid
        ));
    }
    what
}

fn content_differs(
    path: &RootPath,
    old: &Metadata,
    new: &Metadata,
    first: &impl RootFs,
    second: &impl RootFs,
) -> Result<bool> {
    Ok(match old.kind {
        Kind::File => old.length != new.length || first.read(path)? != second.read(path)?,
        Kind::Symlink => first.read_link(path)? != second.read_link(path)?,
        Kind::Folder | Kind::Other => false,
    })
}

/// Everything in a root file system.
fn tree(root: &impl RootFs) -> Result<BTreeMap<RootPath, Metadata>> {
    let mut tree = BTreeMap::new();
    let mut waiting: Vec<RootPath> = Vec::new();
    for name in root.list_root()? {
        waiting.push(format!("/{name}").parse()?);
    }
    while let Some(path) = waiting.pop() {
        ensure!(
            path.as_str().matches('/').count() < MAX_DEPTH,
            "{path} is nested too deep: the file system is damaged"
        );
        let Some(found) = root.metadata(&path)? else {
            continue;
        };
        if found.kind == Kind::Folder {
            for name in root.list(&path)? {
                waiting.push(path.join(&name)?);
            }
        }
        tree.insert(path, found);
    }
    Ok(tree)
}
