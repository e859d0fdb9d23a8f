//! Images that came with the card (`image-builder build --preload`): given to Docker once each, one at a time, because
//! unpacking is what a card and a Pi are slowest at. One that is broken is named and does not hold up the others.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use ring::digest::{Context as Digest, SHA256};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::sleep;

use super::docker::Engine;
use crate::durable;

/// The file in the folder that says what the others are; written by `image-builder`.
const MANIFEST: &str = "manifest.json";
/// Until Docker answers, and after it has refused an archive (its disk may have been full).
const RETRY: Duration = Duration::from_secs(2);
const RETRY_REFUSED: Duration = Duration::from_secs(60);

/// What is shown of the preloaded images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Preloads {
    /// How many came with the card.
    pub images: usize,
    /// What they are called.
    #[serde(skip)]
    pub references: Vec<String>,
    /// How many of them Docker has or once had.
    pub loaded: usize,
    /// The one that Docker is being given.
    pub loading: Option<String>,
    /// Those that cannot be loaded, and why.
    pub broken: Vec<String>,
}

impl std::fmt::Display for Preloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} loaded", self.loaded, self.images)?;
        if let Some(loading) = &self.loading {
            write!(f, ", loading {loading}")?;
        }
        match &self.broken[..] {
            [] => Ok(()),
            broken => write!(f, "; left out: {}", broken.join("; ")),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest {
    version: u32,
    images: Vec<Image>,
}

/// One archive of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    file: String,
    reference: String,
    sha256: String,
    image: String,
}

/// The task's ends.
pub struct Ends {
    /// Docker.
    pub engine: Engine,
    /// The folder with archives and manifest.
    pub folder: PathBuf,
    /// The file that remembers what is done: an archive's checksum per line.
    pub done: PathBuf,
    /// Gets what is shown.
    pub status: watch::Sender<Preloads>,
    /// An image that is needed and not there: loaded again if it came with the card, whatever is done already.
    pub missing: watch::Receiver<Option<String>>,
}

/// Loads what is not loaded, then what is missed.
pub async fn run(mut ends: Ends) {
    let images = match manifest(&ends.folder) {
        Ok(images) => images,
        Err(error) => {
            tracing::warn!("{error:#}");
            let broken = vec![format!("{error:#}")];
            ends.status.send_modify(|status| status.broken = broken);
            return;
        }
    };
    if images.is_empty() {
        return;
    }
    let mut work = Work::new(&ends, images);
    work.show(&ends, None, None);
    loop {
        let refused = work.load_all(&ends).await;
        let wait = async {
            if refused {
                sleep(RETRY_REFUSED).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = wait => {}
            changed = ends.missing.changed() => {
                if changed.is_err() {
                    return;
                }
                let missing = ends.missing.borrow_and_update().clone();
                work.forget(missing.as_deref());
            }
        }
    }
}

/// What came with the card: nothing when there is no folder.
fn manifest(folder: &Path) -> anyhow::Result<Vec<Image>> {
    let file = folder.join(MANIFEST);
    let text = match std::fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
    };
    let parse = || {
        let manifest: Manifest = serde_json::from_slice(&text)?;
        ensure!(
            manifest.version == 1,
            "version {} is not known here",
            manifest.version
        );
        for image in &manifest.images {
            ensure!(
                !image.file.is_empty() && !image.file.contains('/') && image.file != "..",
                "'{}' is no file name",
                image.file
            );
        }
        Ok(manifest.images)
    };
    parse().with_context(|| {
        format!(
            "the preloaded images' {} is broken: flash this card again",
            file.display()
        )
    })
}

struct Work {
    images: Vec<Image>,
    /// Checksums of those that are done.
    done: BTreeSet<String>,
    /// Checksums of those that are not what they should be: reading them again changes nothing.
    torn: BTreeSet<String>,
}

impl Work {
    fn new(ends: &Ends, images: Vec<Image>) -> Self {
        let done = std::fs::read_to_string(&ends.done).unwrap_or_default();
        Self {
            images,
            done: done.lines().map(str::to_owned).collect(),
            torn: BTreeSet::new(),
        }
    }

    /// One is needed again.
    fn forget(&mut self, missing: Option<&str>) {
        let found = self
            .images
            .iter()
            .find(|image| Some(image.reference.as_str()) == missing);
        if let Some(image) = found {
            self.done.remove(&image.sha256);
        }
    }

    /// One after the other; whether Docker refused one.
    async fn load_all(&mut self, ends: &Ends) -> bool {
        let mut broken = Vec::new();
        let mut refused = false;
        for image in self.images.clone() {
            if !self.done.contains(&image.sha256) {
                self.show(ends, Some(&image), None);
                match self.load(ends, &image).await {
                    Ok(()) => self.remember(ends, &image),
                    Err(error) => {
                        refused |= !self.torn.contains(&image.sha256);
                        let line = format!("{}: {error:#}", image.reference);
                        tracing::warn!("preloaded image {line}");
                        broken.push(line);
                    }
                }
            }
        }
        self.show(ends, None, Some(broken));
        refused
    }

    async fn load(&mut self, ends: &Ends, image: &Image) -> anyhow::Result<()> {
        let there = loop {
            match ends.engine.image(&image.image).await {
                Ok(found) => break found,
                Err(error) => tracing::debug!("preloaded images wait for Docker: {error:#}"),
            }
            sleep(RETRY).await;
        };
        if there.is_some() {
            return Ok(());
        }
        let archive = ends.folder.join(&image.file);
        let hashed = archive.clone();
        let checksum = tokio::task::spawn_blocking(move || checksum(&hashed)).await?;
        let sound = checksum.and_then(|found| {
            ensure!(
                found == image.sha256,
                "its archive is broken (wrong checksum): flash this card again"
            );
            Ok(())
        });
        if let Err(error) = sound {
            self.torn.insert(image.sha256.clone());
            return Err(error);
        }
        tracing::info!("loading the image {}", image.reference);
        ends.engine.load_image(&archive).await
    }

    fn remember(&mut self, ends: &Ends, image: &Image) {
        self.done.insert(image.sha256.clone());
        let lines: String = self.done.iter().map(|sum| format!("{sum}\n")).collect();
        if let Err(error) = durable::write(&ends.done, lines.as_bytes(), 0o644, None) {
            // Docker is asked again at the next start, and has it.
            tracing::warn!("remembering that {} is loaded: {error}", image.reference);
        }
    }

    fn show(&self, ends: &Ends, loading: Option<&Image>, broken: Option<Vec<String>>) {
        let is_done = |image: &&Image| self.done.contains(&image.sha256);
        ends.status.send_modify(|status| {
            status.images = self.images.len();
            status.references = self.images.iter().map(|image| image.reference.clone()).collect();
            status.loaded = self.images.iter().filter(is_done).count();
            status.loading = loading.map(|image| image.reference.clone());
            if let Some(broken) = broken {
                status.broken = broken;
            }
        });
    }
}

fn checksum(file: &Path) -> anyhow::Result<String> {
    let reading = || format!("reading {}", file.display());
    let mut file = std::fs::File::open(file).with_context(reading)?;
    let mut digest = Digest::new(&SHA256);
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut piece).with_context(reading)?;
        if length == 0 {
            break;
        }
        digest.update(&piece[..length]);
    }
    let digest = digest.finish();
    Ok(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_or_its_fault_said() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(manifest(folder.path()).unwrap(), []);
        let image = |file: &str| {
            format!(
                r#"{{"version":1,"images":[{{"file":"{file}","reference":"a:1","sha256":"00","image":"sha256:1"}}]}}"#
            )
        };
        let write = |text: &str| std::fs::write(folder.path().join(MANIFEST), text).unwrap();
        write(&image("a.tar"));
        assert_eq!(manifest(folder.path()).unwrap()[0].reference, "a:1");
        for text in ["{", &image("../a"), &image(""), r#"{"version":2,"images":[]}"#] {
            write(text);
            let message = format!("{:#}", manifest(folder.path()).unwrap_err());
            assert!(
                message.contains("manifest.json is broken: flash this card again"),
                "{message}"
            );
        }
    }

    #[test]
    fn checksums_are_those_of_sha256sum() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(checksum(file.path()).unwrap(), expected);
    }

    #[test]
    fn people_read_how_far_it_is() {
        let status = Preloads {
            images: 3,
            references: Vec::new(),
            loaded: 1,
            loading: Some("a:1".to_owned()),
            broken: vec!["b:1: torn".to_owned()],
        };
        assert_eq!(
            status.to_string(),
            "1 of 3 loaded, loading a:1; left out: b:1: torn"
        );
    }
}
