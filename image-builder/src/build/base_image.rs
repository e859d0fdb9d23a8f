//! Where the base image comes from.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::base::{self, Cache};
use crate::checksum::Checksum;
use crate::download;
use crate::progress::Progress;

/// A base image as named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseImage {
    /// A file here.
    File(PathBuf),
    /// A file elsewhere, downloaded once.
    Url(String),
}

impl std::str::FromStr for BaseImage {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = ["http://", "https://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        Ok(if url {
            Self::Url(text.to_owned())
        } else {
            Self::File(text.into())
        })
    }
}

/// What is known of the base image's file beforehand.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Its checksum.
    pub sha256: Option<Checksum>,
    /// Whether a file from the web is taken without one.
    pub unchecked: bool,
}

impl BaseImage {
    /// The file; without a choice, the default base image.
    ///
    /// # Errors
    /// When it cannot be made or downloaded, or is another one than expected.
    pub fn obtain(
        choice: Option<&Self>,
        trust: &Trust,
        cache: &Cache,
        progress: &Progress,
    ) -> Result<PathBuf> {
        let sha256 = trust.sha256.as_ref();
        let file = match choice {
            None => base::obtain(cache, progress)?,
            Some(Self::File(path)) => path.clone(),
            Some(Self::Url(url)) => {
                ensure!(
                    sha256.is_some() || trust.unchecked,
                    "{url}: a base from the web needs its checksum, --base-sha256 HEX (who offers the image says it), or \
                     --unchecked-base"
                );
                return download::obtain(url, sha256, cache, progress);
            }
        };
        if let Some(expected) = sha256 {
            download::is(&file, expected).with_context(|| format!("the base image {}", file.display()))?;
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_must_be_the_one_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("base.img");
        std::fs::write(&file, "abc").unwrap();
        let obtain = |base: BaseImage, sha256: Option<Checksum>| {
            let trust = Trust {
                sha256,
                unchecked: false,
            };
            let cache = Cache::in_folder(folder.path());
            BaseImage::obtain(Some(&base), &trust, &cache, &Progress::start())
        };
        let local = BaseImage::File(file.clone());
        assert_eq!(obtain(local.clone(), None).unwrap(), file);
        assert_eq!(obtain(local.clone(), Some(Checksum::of(b"abc"))).unwrap(), file);
        let message = format!("{:#}", obtain(local, Some(Checksum::of(b"abd"))).unwrap_err());
        assert!(
            message.contains("base.img: it is not the file that was asked for: "),
            "{message}"
        );
        let url = "https://127.0.0.1:1/x.img".parse().unwrap();
        let message = obtain(url, None).unwrap_err().to_string();
        assert!(
            message.contains("a base from the web needs its checksum"),
            "{message}"
        );
    }
}
