//! Where the base image comes from.

use std::path::PathBuf;

use anyhow::Result;

use crate::base::{self, Cache};
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

impl BaseImage {
    /// The file; without a choice, the default base image.
    ///
    /// # Errors
    /// When it cannot be made or downloaded.
    pub fn obtain(choice: Option<&Self>, cache: &Cache, progress: &Progress) -> Result<PathBuf> {
        match choice {
            None => base::obtain(cache, progress),
            Some(Self::File(path)) => Ok(path.clone()),
            Some(Self::Url(url)) => download::obtain(url, cache, progress),
        }
    }
}
