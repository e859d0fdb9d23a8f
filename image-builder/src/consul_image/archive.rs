//! The Docker archive: a layer with the files, the image's configuration, and a manifest that names both, packed with
//! gzip. The layout is that of `docker save` (Docker Image Specification v1.2), which all engines load.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::recipe::{Recipe, Target};
use crate::hex::hex;

const PROGRAM: &str = "usr/bin/consul";
const FOLDER_MODE: u32 = 0o755;
/// The packages have at most two links in a row.
const LINKS_MAX: usize = 4;

/// The only layer: the program, the libraries it needs, and both licences.
pub(super) fn layer(recipe: &Recipe, target: &Target, root: &Path) -> Result<Vec<u8>> {
    let mut files = vec![
        (target.loader.clone(), 0o755),
        (PROGRAM.to_owned(), 0o755),
        ("usr/share/doc/consul/copyright".to_owned(), 0o644),
        ("usr/share/doc/libc6/copyright".to_owned(), 0o644),
    ];
    let library = |name: &String| (format!("{}/{name}", target.library_folder), 0o755);
    files.extend(recipe.libraries.iter().map(library));
    files.sort();
    let mut layer = Builder::new(Vec::new());
    for folder in folders(&files) {
        add(
            &mut layer,
            EntryType::Directory,
            &format!("{folder}/"),
            FOLDER_MODE,
            &[],
        )?;
    }
    add(&mut layer, EntryType::Directory, "tmp/", 0o1777, &[])?;
    for (path, mode) in &files {
        let bytes = read(root, path).with_context(|| format!("taking {path} from the packages"))?;
        add(&mut layer, EntryType::Regular, path, *mode, &bytes)?;
    }
    layer.into_inner().context("making the layer")
}

/// Links are followed, so that the names that programs ask for become the files; inside the packages, whose links may be
/// absolute.
fn read(root: &Path, path: &str) -> std::io::Result<Vec<u8>> {
    let mut file = root.join(path);
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&file) else {
            break;
        };
        file = match target.strip_prefix("/") {
            Ok(absolute) => root.join(absolute),
            Err(_) => file.with_file_name(target),
        };
    }
    fs::read(file)
}

/// All folders above the files, those further up first.
fn folders(files: &[(String, u32)]) -> Vec<String> {
    let above = |path: &String| {
        let ends: Vec<_> = path
            .match_indices('/')
            .map(|(at, _)| path[..at].to_owned())
            .collect();
        ends
    };
    let mut folders: Vec<_> = files.iter().flat_map(|(path, _)| above(path)).collect();
    folders.sort();
    folders.dedup();
    folders
}

/// Writes the packed archive.
pub(super) fn write(recipe: &Recipe, target: &Target, layer: &[u8], output: impl Write) -> Result<()> {
    let config = config(target, layer)?;
    let name = format!("{}.json", hex(&Sha256::digest(&config)));
    let manifest = json!([{ "Config": name, "RepoTags": [recipe.reference], "Layers": ["layer.tar"] }]);
    // Level 9 gains nothing that would be worth its time; no time stamp and no name is in the head.
    let mut archive = Builder::new(GzEncoder::new(output, Compression::new(6)));
    let manifest = serde_json::to_vec(&manifest)?;
    for (name, bytes) in [
        ("manifest.json", &manifest[..]),
        (&name, &config),
        ("layer.tar", layer),
    ] {
        add(&mut archive, EntryType::Regular, name, 0o644, bytes)?;
    }
    let packed = archive.into_inner().context("writing the archive")?;
    packed.finish().context("writing the archive")?;
    Ok(())
}

/// The image's configuration; its hash is the image's identifier.
fn config(target: &Target, layer: &[u8]) -> Result<Vec<u8>> {
    let mut config = json!({
        "architecture": target.docker,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/usr/bin"],
            "Entrypoint": [format!("/{PROGRAM}")],
            "Cmd": ["version"],
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(&Sha256::digest(layer)))] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "image-builder consul-image" }],
    });
    if let Some(variant) = &target.variant {
        config["variant"] = json!(variant);
    }
    Ok(serde_json::to_vec(&config)?)
}

fn add(tar: &mut Builder<impl Write>, kind: EntryType, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)
        .with_context(|| format!("packing {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_the_same_every_time_and_holds_what_docker_looks_for() {
        let recipe = Recipe::embedded().unwrap();
        let target = recipe.target(super::super::Architecture::Amd64).unwrap();
        let root = tempfile::tempdir().unwrap();
        let mut paths = vec![target.loader.clone(), PROGRAM.to_owned()];
        paths.extend(["consul", "libc6"].map(|name| format!("usr/share/doc/{name}/copyright")));
        paths.extend(
            recipe
                .libraries
                .iter()
                .map(|name| format!("{}/{name}", target.library_folder)),
        );
        let loader = root.path().join(&target.loader);
        fs::create_dir_all(loader.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(format!("/{PROGRAM}"), loader).unwrap();
        for path in &paths[1..] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "bytes").unwrap();
        }
        let make = || {
            let layer = layer(&recipe, target, root.path()).unwrap();
            let mut archive = Vec::new();
            write(&recipe, target, &layer, &mut archive).unwrap();
            archive
        };
        let archive = make();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert!(archive == make(), "two runs differ");
        let file = root.path().join("archive.tar.gz");
        fs::write(&file, &archive).unwrap();
        let tar = |arguments: &[&str]| {
            let output = std::process::Command::new("tar")
                .args(arguments)
                .arg(&file)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let list = tar(&["--utc", "--numeric-owner", "-tvzf"]);
        let lines: Vec<_> = list.lines().collect();
        assert_eq!(lines.len(), 3, "{list}");
        assert!(
            lines
                .iter()
                .all(|line| line.contains("0/0") && line.contains("1970-01-01 00:00")),
            "{list}"
        );
        assert!(
            lines[0].ends_with("manifest.json") && lines[2].ends_with("layer.tar"),
            "{list}"
        );
    }
}
