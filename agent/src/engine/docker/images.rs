//! Images: whether one is there, and giving Docker an archive.

use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bollard::query_parameters::{CreateImageOptionsBuilder, ImportImageOptionsBuilder};
use futures_util::{StreamExt, stream};
use hyper::body::Bytes;

use super::{Engine, is_missing};

/// Read at once from an archive: memory on a Pi is short, and a card reads in larger pieces anyway.
const PIECE: usize = 256 * 1024;
/// A Pi unpacks a large image onto a slow card for minutes, and may say nothing meanwhile.
const LOAD_TIME: Duration = Duration::from_secs(1800);

impl Engine {
    /// The identifier of an image by its name or identifier; `None` when it is not there.
    ///
    /// # Errors
    /// When Docker does not answer.
    pub async fn image(&self, reference: &str) -> anyhow::Result<Option<String>> {
        let docker = self.client().await?;
        match docker.inspect_image(reference).await {
            Ok(image) => Ok(image.id),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("looking for the image {reference}")),
        }
    }

    /// Gets an image from its registry.
    ///
    /// # Errors
    /// When that fails, with Docker's own words.
    pub async fn pull_image(&self, reference: &str) -> anyhow::Result<()> {
        let docker = self.client().await?.with_timeout(LOAD_TIME);
        let options = CreateImageOptionsBuilder::new().from_image(reference).build();
        let mut answers = std::pin::pin!(docker.create_image(Some(options), None, None));
        while let Some(answer) = answers.next().await {
            answer.with_context(|| format!("pulling {reference}"))?;
        }
        Ok(())
    }

    /// Gives Docker a Docker archive.
    ///
    /// # Errors
    /// When the file cannot be read or Docker does not take it, with Docker's own words.
    pub async fn load_image(&self, archive: &Path) -> anyhow::Result<()> {
        let docker = self.client().await?.with_timeout(LOAD_TIME);
        let file = std::fs::File::open(archive).context("opening the archive")?;
        let pieces = stream::try_unfold(file, |mut file| async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; PIECE];
                let length = file.read(&mut piece)?;
                piece.truncate(length);
                Ok::<_, io::Error>((piece, file))
            });
            let (piece, file) = read.await.map_err(io::Error::other)??;
            Ok::<_, io::Error>((!piece.is_empty()).then(|| (Bytes::from(piece), file)))
        });
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let mut answers = std::pin::pin!(docker.import_image_stream(options, pieces, None));
        while let Some(answer) = answers.next().await {
            answer.context("Docker does not take it")?;
        }
        Ok(())
    }
}
