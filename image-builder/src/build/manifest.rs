//! `manifest.toml` of an overlay: owners, modes and links that a checkout of its files cannot carry.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use disk_image::ext4::{Attributes, RootPath};
use serde::Deserialize;

use super::glob::Pattern;

/// The file's name in the overlay; it is not installed.
pub(super) const FILE_NAME: &str = "manifest.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Text {
    version: u32,
    #[serde(default)]
    blank: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    cards_only: Vec<String>,
    #[serde(default)]
    files: BTreeMap<String, FileText>,
    #[serde(default)]
    symlinks: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileText {
    mode: Option<String>,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
}

/// A checked manifest.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) blank: Vec<RootPath>,
    pub(super) remove: Vec<Pattern>,
    /// What a Debian package leaves out.
    pub(super) cards_only: Vec<RootPath>,
    /// Owner and mode of files and folders of the overlay; no mode is the default one.
    pub(super) attributes: BTreeMap<RootPath, Named>,
    pub(super) symlinks: BTreeMap<RootPath, String>,
}

/// What the manifest says about a file or folder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    mode: Option<u16>,
    uid: u32,
    gid: u32,
}

impl Named {
    /// With the mode that files or folders have when none is given.
    pub(super) fn or_mode(self, default: u16) -> Attributes {
        Attributes {
            mode: self.mode.unwrap_or(default),
            uid: self.uid,
            gid: self.gid,
        }
    }
}

/// Reads the text of a manifest.
pub(super) fn parse(text: &str) -> Result<Manifest> {
    let text: Text = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| {
            text.get(..span.start).unwrap_or(text).matches('\n').count() + 1
        });
        anyhow::anyhow!(
            "line {line}: {}",
            error.message().split_whitespace().collect::<Vec<_>>().join(" ")
        )
    })?;
    let Text {
        version,
        blank,
        remove,
        cards_only,
        files,
        symlinks,
    } = text;
    ensure!(
        version == 1,
        "version {version} of this file is not known here: only version 1 is"
    );
    let paths = |texts: &[String]| texts.iter().map(|path| Ok(path.parse()?)).collect::<Result<_>>();
    Ok(Manifest {
        blank: paths(&blank)?,
        cards_only: paths(&cards_only)?,
        remove: remove
            .iter()
            .map(|pattern| Pattern::parse(pattern))
            .collect::<Result<_>>()?,
        attributes: files
            .iter()
            .map(|(path, file)| Ok((path.parse()?, named(file).with_context(|| path.clone())?)))
            .collect::<Result<_>>()?,
        symlinks: symlinks
            .into_iter()
            .map(|(path, target)| Ok((path.parse()?, target)))
            .collect::<Result<_>>()?,
    })
}

fn named(file: &FileText) -> Result<Named> {
    let FileText { mode, uid, gid } = file;
    let octal = |text: &String| {
        u16::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)
            .with_context(|| format!("'{text}' is not a mode: octal digits such as \"0644\""))
    };
    Ok(Named {
        mode: mode.as_ref().map(octal).transpose()?,
        uid: *uid,
        gid: *gid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read() {
        let manifest = parse(
            "version = 1\nblank = [\"/etc/machine-id\"]\nremove = [\"/etc/key_*\"]\n[files.\"/a\"]\nmode = \"4755\"\n\
             uid = 1\n[files.\"/b\"]\ngid = 2\n[symlinks]\n\"/l\" = \"../t\"\n",
        )
        .unwrap();
        let named = |path: &str| manifest.attributes[&path.parse().unwrap()].or_mode(0o644);
        assert_eq!(
            named("/a"),
            Attributes {
                mode: 0o4755,
                uid: 1,
                gid: 0
            }
        );
        assert_eq!(
            named("/b"),
            Attributes {
                mode: 0o644,
                uid: 0,
                gid: 2
            }
        );
        assert_eq!(manifest.symlinks.values().collect::<Vec<_>>(), ["../t"]);
    }

    #[test]
    fn a_wrong_manifest_is_refused() {
        for (text, expected) in [
            (
                "version = 2\n",
                "version 2 of this file is not known here: only version 1 is",
            ),
            (
                "version = 1\nfoo = 1\n",
                "line 2: unknown field `foo`, expected one of",
            ),
            (
                "version = 1\n[files.\"/a\"]\nmode = \"9\"\n",
                "/a: '9' is not a mode: octal digits such as \"0644\"",
            ),
            (
                "version = 1\n[files.\"/a\"]\nmode = \"10000\"\n",
                "/a: '10000' is not a mode",
            ),
            (
                "version = 1\n[files.\"../a\"]\n",
                "'../a' is not a path inside the root file system",
            ),
            (
                "version = 1\nblank = [\"/a/../../b\"]\n",
                "'/a/../../b' is not a path inside",
            ),
            (
                "version = 1\nremove = [\"/*/b\"]\n",
                "'/*/b' has a * before its last component",
            ),
            (
                "version = 1\n[symlinks]\n\"l\" = \"t\"\n",
                "'l' is not a path inside",
            ),
        ] {
            let message = format!("{:#}", parse(text).unwrap_err());
            assert!(message.starts_with(expected), "{message:?}");
        }
    }
}
