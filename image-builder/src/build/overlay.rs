//! Reads the overlay, a folder that mirrors `/`. What a checkout may have changed (owner, group, write bits) does not
//! count: the manifest does.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use disk_image::ext4::{Attributes, RootPath};

use super::manifest::{self, FILE_NAME, Manifest};
use super::plan::{Entry, Plan, owned_by_root};

const FOLDER_MODE: u16 = 0o755;
const FILE_MODE: u16 = 0o644;

/// The whole overlay as a plan.
pub(super) fn read(folder: &Path) -> Result<Plan> {
    Ok(read_with_cards_only(folder)?.0)
}

/// The whole overlay, and what of it is of no use but on a card.
pub(super) fn read_with_cards_only(folder: &Path) -> Result<(Plan, Vec<RootPath>)> {
    let text = fs::read_to_string(folder.join(FILE_NAME)).with_context(|| format!("reading {FILE_NAME}"))?;
    let manifest = manifest::parse(&text).context(FILE_NAME)?;
    let mut plan = Plan {
        remove: manifest.remove.clone(),
        blank: manifest.blank.clone(),
        ..Plan::default()
    };
    add_folder(&mut plan, &manifest, folder, None)?;
    for (path, target) in &manifest.symlinks {
        ensure!(
            plan.entries
                .insert(path.clone(), Entry::Symlink(target.clone()))
                .is_none(),
            "{FILE_NAME} makes {path} a link, but the overlay has a file of that name"
        );
    }
    for path in manifest.attributes.keys().chain(&manifest.cards_only) {
        ensure!(
            matches!(plan.entries.get(path), Some(Entry::File(..) | Entry::Folder(_))),
            "{FILE_NAME} names {path}, which the overlay does not have"
        );
    }
    Ok((plan, manifest.cards_only))
}

fn add_folder(plan: &mut Plan, manifest: &Manifest, folder: &Path, inside: Option<&RootPath>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let entry = entry.with_context(|| format!("listing {}", folder.display()))?;
        let name = entry.file_name();
        let name = name
            .to_str()
            .with_context(|| format!("{} is not UTF-8", entry.path().display()))?;
        if inside.is_none() && name == FILE_NAME {
            continue;
        }
        let path = inside.map_or_else(|| format!("/{name}").parse(), |folder| folder.join(name))?;
        add_entry(plan, manifest, &entry.path(), &path)?;
    }
    Ok(())
}

fn add_entry(plan: &mut Plan, manifest: &Manifest, file: &Path, path: &RootPath) -> Result<()> {
    let attributes = |default: u16| -> Attributes {
        manifest
            .attributes
            .get(path)
            .map_or(owned_by_root(default), |named| named.or_mode(default))
    };
    let reading = || format!("reading {}", file.display());
    let kind = fs::symlink_metadata(file).with_context(reading)?.file_type();
    let entry = if kind.is_dir() {
        add_folder(plan, manifest, file, Some(path))?;
        Entry::Folder(attributes(FOLDER_MODE))
    } else if kind.is_file() {
        Entry::File(fs::read(file).with_context(reading)?, attributes(FILE_MODE))
    } else if kind.is_symlink() {
        let target = fs::read_link(file).with_context(reading)?;
        let target = target
            .to_str()
            .with_context(|| format!("the target of {path} is not UTF-8"))?;
        check_target(path, target)?;
        Entry::Symlink(target.to_owned())
    } else {
        bail!("{path} of the overlay is neither file, folder nor link");
    };
    plan.entries.insert(path.clone(), entry);
    Ok(())
}

/// A link in the folder means the same on this machine and in the image only if it is relative and stays inside.
fn check_target(path: &RootPath, target: &str) -> Result<()> {
    ensure!(
        !target.starts_with('/'),
        "{path} of the overlay is a link to {target}, which is a path of this machine: put it under [symlinks] of \
         {FILE_NAME}"
    );
    let mut depth = path.as_str().matches('/').count() - 1;
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." if depth == 0 => {
                bail!("{path} of the overlay is a link to {target}, which leads out of the overlay")
            }
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn overlay(manifest: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("etc/lab")).unwrap();
        fs::write(folder.path().join("etc/lab/file"), "text").unwrap();
        fs::write(folder.path().join(FILE_NAME), manifest).unwrap();
        folder
    }

    fn path(text: &str) -> RootPath {
        text.parse().unwrap()
    }

    #[test]
    fn files_get_the_manifests_owner_and_mode() {
        let folder = overlay(
            "version = 1\n[files.\"/etc/lab/file\"]\nmode = \"0600\"\nuid = 5\n[files.\"/etc/lab\"]\nmode = \"0700\"\n\
             [symlinks]\n\"/etc/link\" = \"/lab\"\n",
        );
        symlink("lab/file", folder.path().join("etc/inner")).unwrap();
        let plan = read(folder.path()).unwrap();
        let expected = [
            ("/etc", Entry::Folder(owned_by_root(0o755))),
            ("/etc/inner", Entry::Symlink("lab/file".into())),
            ("/etc/lab", Entry::Folder(owned_by_root(0o700))),
            (
                "/etc/lab/file",
                Entry::File(
                    b"text".to_vec(),
                    Attributes {
                        mode: 0o600,
                        uid: 5,
                        gid: 0,
                    },
                ),
            ),
            ("/etc/link", Entry::Symlink("/lab".into())),
        ];
        assert_eq!(
            plan.entries,
            expected.map(|(name, entry)| (path(name), entry)).into()
        );
    }

    #[test]
    fn links_that_lead_out_are_refused() {
        for (target, expected) in [
            (
                "/etc/passwd",
                "/etc/lab/link of the overlay is a link to /etc/passwd, which is a path of this machine",
            ),
            (
                "../../../x",
                "/etc/lab/link of the overlay is a link to ../../../x, which leads out of the overlay",
            ),
        ] {
            let folder = overlay("version = 1\n");
            symlink(target, folder.path().join("etc/lab/link")).unwrap();
            let message = read(folder.path()).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn a_manifest_that_does_not_fit_is_refused() {
        for (manifest, expected) in [
            (
                "version = 1\n[files.\"/etc/gone\"]\nmode = \"0600\"\n",
                "manifest.toml names /etc/gone, which the overlay does not have",
            ),
            (
                "version = 1\n[symlinks]\n\"/etc/lab/file\" = \"x\"\n",
                "manifest.toml makes /etc/lab/file a link, but the overlay has a file of that name",
            ),
            (
                "version = 3\n",
                "manifest.toml: version 3 of this file is not known here: only version 1 is",
            ),
        ] {
            assert_eq!(
                format!("{:#}", read(overlay(manifest).path()).unwrap_err()),
                expected
            );
        }
        let message = format!("{:#}", read(Path::new("/nonexistent")).unwrap_err());
        assert!(
            message.starts_with("reading manifest.toml: No such file"),
            "{message}"
        );
    }
}
