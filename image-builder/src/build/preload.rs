//! Container images that the agent gives to Docker at the first boot: archives beside a manifest. Writing into Docker's
//! own folder is not supported by anybody.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::plan::{Entry, Plan, owned_by_root};
use crate::hex::hex;

/// The agent reads this folder.
const FOLDER: &str = "/var/lib/cluster-lab/preload";
/// The parts of an archive that are looked at are a few kilobytes; more is no Docker archive.
const PART_MAX: u64 = 4 << 20;

/// What the agent reads: `manifest.json` in the folder.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest {
    version: u32,
    images: Vec<Image>,
}

/// One archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    /// The archive's name in the folder.
    file: String,
    /// What the image is called.
    reference: String,
    /// Checksum of the archive.
    sha256: String,
    /// The image's identifier, `sha256:...`.
    image: String,
}

/// An entry of an archive's own manifest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
}

/// Adds the archives and their manifest to the plan.
pub(super) fn add(plan: &mut Plan, archives: &[PathBuf]) -> Result<()> {
    if archives.is_empty() {
        return Ok(());
    }
    let mut images: Vec<Image> = Vec::new();
    for archive in archives {
        let reading = || format!("taking the container image {}", archive.display());
        let bytes = std::fs::read(archive).with_context(reading)?;
        let image = examine(archive, &bytes).with_context(reading)?;
        let twin = images.iter().find(|other| other.reference == image.reference);
        ensure!(
            twin.is_none(),
            "{} and another one to preload are both called {}",
            archive.display(),
            image.reference
        );
        let path = format!("{FOLDER}/{}", image.file).parse()?;
        plan.entries
            .insert(path, Entry::File(bytes, owned_by_root(0o644)));
        images.push(image);
    }
    let manifest = serde_json::to_vec_pretty(&Manifest { version: 1, images })?;
    let path = format!("{FOLDER}/manifest.json").parse()?;
    plan.entries
        .insert(path, Entry::File(manifest, owned_by_root(0o644)));
    Ok(())
}

/// The image's name in the folder comes from its reference: what the builder's files are called does not matter.
fn examine(archive: &Path, bytes: &[u8]) -> Result<Image> {
    let packed = bytes.starts_with(&[0x1f, 0x8b]);
    let manifest = part(bytes, packed, "manifest.json")?
        .context("it has no manifest.json: make it with `docker save` or `image-builder consul-image`")?;
    let saved: Vec<Saved> = serde_json::from_slice(&manifest).context("reading its manifest.json")?;
    let [Saved { config, repo_tags }] = &saved[..] else {
        bail!(
            "it holds {} images, not one: save each to a file of its own",
            saved.len()
        );
    };
    let reference = repo_tags.as_ref().and_then(|tags| tags.first());
    let reference = reference.context("its image has no name: `docker save NAME:TAG`, not an identifier")?;
    let config = part(bytes, packed, config)?.with_context(|| format!("its {config} is missing"))?;
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    let name: String = reference.chars().map(safe).collect();
    let ending = if packed { "tar.gz" } else { "tar" };
    ensure!(
        !name.starts_with('.'),
        "{}: its image is called {reference}",
        archive.display()
    );
    Ok(Image {
        file: format!("{name}.{ending}"),
        reference: reference.clone(),
        sha256: hex(&Sha256::digest(bytes)),
        image: format!("sha256:{}", hex(&Sha256::digest(&config))),
    })
}

/// One small file of an archive.
fn part(bytes: &[u8], packed: bool, name: &str) -> Result<Option<Vec<u8>>> {
    let bytes = Cursor::new(bytes);
    let reader: Box<dyn Read + '_> = if packed {
        Box::new(GzDecoder::new(bytes))
    } else {
        Box::new(bytes)
    };
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().context("reading it as a tar archive")? {
        let entry = entry.context("reading it as a tar archive")?;
        if entry.path_bytes().as_ref() != name.as_bytes() {
            continue;
        }
        ensure!(entry.size() <= PART_MAX, "its {name} is too large");
        let mut part = Vec::new();
        entry
            .take(PART_MAX)
            .read_to_end(&mut part)
            .with_context(|| format!("reading its {name}"))?;
        return Ok(Some(part));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(manifest: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, text) in [("blobs/config.json", "{}"), ("manifest.json", manifest)] {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn add_all(archives: &[Vec<u8>]) -> Result<Plan> {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for (number, bytes) in archives.iter().enumerate() {
            let file = folder.path().join(format!("{number}.tar"));
            std::fs::write(&file, bytes).unwrap();
            files.push(file);
        }
        let mut plan = Plan::default();
        add(&mut plan, &files).map(|()| plan)
    }

    const GOOD: &str = r#"[{"Config":"blobs/config.json","RepoTags":["lab/web:1"],"Layers":[]}]"#;

    #[test]
    fn archives_come_with_a_manifest_of_what_they_are() {
        let plan = add_all(&[archive(GOOD)]).unwrap();
        let names: Vec<_> = plan.entries.keys().map(|path| path.as_str().to_owned()).collect();
        assert_eq!(
            names,
            [
                "/var/lib/cluster-lab/preload/lab-web-1.tar",
                "/var/lib/cluster-lab/preload/manifest.json"
            ]
        );
        let Some(Entry::File(bytes, _)) = plan.entries.values().next_back() else {
            panic!("no manifest");
        };
        let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let image = &manifest["images"][0];
        assert_eq!(image["reference"], "lab/web:1");
        assert_eq!(image["file"], "lab-web-1.tar");
        assert_eq!(image["sha256"], hex(&Sha256::digest(archive(GOOD))).as_str());
        let id = format!("sha256:{}", hex(&Sha256::digest("{}")));
        assert_eq!(image["image"], id.as_str());
        assert!(add_all(&[]).unwrap().entries.is_empty());
    }

    #[test]
    fn what_is_no_archive_of_one_named_image_is_refused() {
        for (archives, expected) in [
            (vec![b"text".to_vec()], "reading it as a tar archive"),
            (
                vec![archive(&GOOD.replace("blobs", "gone"))],
                "its gone/config.json is missing",
            ),
            (vec![archive("[]")], "it holds 0 images, not one"),
            (
                vec![archive(&GOOD.replace(r#"["lab/web:1"]"#, "null"))],
                "its image has no name",
            ),
            (vec![archive(GOOD), archive(GOOD)], "are both called lab/web:1"),
        ] {
            let message = format!("{:#}", add_all(&archives).unwrap_err());
            assert!(message.contains(expected), "{message}");
        }
    }
}
