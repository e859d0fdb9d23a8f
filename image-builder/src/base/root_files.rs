//! Changes to the installed root folder: configuration, masked units, and identity taken out.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::identity::Identity;
use super::recipe::Recipe;
use crate::tool::Tool;

const SYSTEMCTL: Tool = Tool {
    name: "systemctl",
    package: "systemd",
};

/// Applies the recipe to the root folder.
pub(super) fn apply(recipe: &Recipe, identity: &Identity, root: &Path) -> Result<()> {
    for pattern in &recipe.remove {
        remove(root, pattern).with_context(|| format!("removing {pattern} from the root folder"))?;
    }
    for (path, text) in &recipe.root_files {
        write(root, path, &fill_in(text, identity))
            .with_context(|| format!("writing {path} to the root folder"))?;
    }
    for (path, target) in &recipe.root_symlinks {
        link(root, path, target).with_context(|| format!("linking {path} in the root folder"))?;
    }
    for unit in &recipe.mask {
        link(root, &format!("/etc/systemd/system/{unit}"), "/dev/null")
            .with_context(|| format!("masking {unit}"))?;
    }
    fs::create_dir_all(root.join("boot/firmware")).context("making /boot/firmware")?;
    let mut enable = SYSTEMCTL.command();
    enable.arg("--root").arg(root).arg("enable").args(&recipe.enable);
    SYSTEMCTL
        .run(&mut enable)
        .context("enabling units in the root folder")
        .map(drop)
}

/// Puts the disk signature in. A text of the recipe starts on the line after its quotes.
pub(super) fn fill_in(text: &str, identity: &Identity) -> String {
    text.replace("{signature}", &identity.partuuid_prefix())
}

/// `pattern` may have one `*` in its last component.
fn remove(root: &Path, pattern: &str) -> std::io::Result<()> {
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let folder = root.join(folder.trim_start_matches('/'));
    let (before, after) = name.split_once('*').unwrap_or((name, ""));
    let whole = !name.contains('*');
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let file_name = entry.file_name();
        let file_name = file_name.to_string_lossy();
        let matches = if whole {
            file_name == name
        } else {
            file_name.len() >= before.len() + after.len()
                && file_name.starts_with(before)
                && file_name.ends_with(after)
        };
        if !matches {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?
        } else {
            fs::remove_file(entry.path())?
        }
    }
    Ok(())
}

fn write(root: &Path, path: &str, text: &str) -> std::io::Result<()> {
    let full = make_way(root, path)?;
    fs::write(&full, text)?;
    fs::set_permissions(full, fs::Permissions::from_mode(0o644))
}

fn link(root: &Path, path: &str, target: &str) -> std::io::Result<()> {
    symlink(target, make_way(root, path)?)
}

/// Makes the folder and clears the name: a symlink there would lead out of the root folder.
fn make_way(root: &Path, path: &str) -> std::io::Result<std::path::PathBuf> {
    let full = root.join(path.trim_start_matches('/'));
    if let Some(folder) = full.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(&full) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(full),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_remove_what_they_name() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join("etc").join(name);
        fs::create_dir_all(path("key_dir")).unwrap();
        for name in ["key_a", "key_b.pub", "other"] {
            fs::write(path(name), "").unwrap();
        }
        remove(root.path(), "/etc/key_*").unwrap();
        remove(root.path(), "/etc/absent").unwrap();
        remove(root.path(), "/absent/*").unwrap();
        assert!(path("other").exists() && !path("key_a").exists() && !path("key_b.pub").exists());
        assert!(!path("key_dir").exists());
        remove(root.path(), "/etc/other").unwrap();
        assert!(!path("other").exists());
    }

    #[test]
    fn a_file_replaces_a_symlink_and_not_its_target() {
        let root = tempfile::tempdir().unwrap();
        let outside = root.path().join("outside");
        fs::write(&outside, "kept").unwrap();
        let inside = root.path().join("root");
        fs::create_dir(&inside).unwrap();
        symlink(&outside, inside.join("file")).unwrap();
        write(&inside, "/file", "new").unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "kept");
        assert_eq!(fs::read_to_string(inside.join("file")).unwrap(), "new");
    }
}
