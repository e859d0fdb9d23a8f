//! Base images from the web, kept in the cache under the hash of their URL. What lies behind a URL is taken to stay the
//! same: remove the file from the cache to have it again.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::base::Cache;
use crate::copy::Partial;
use crate::progress::Progress;
use crate::tool::Tool;

const CURL: Tool = Tool {
    name: "curl",
    package: "curl",
};

/// The cached file, downloaded first when it is not there.
pub(crate) fn obtain(url: &str, cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let hash: String = Sha256::digest(url)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let file = cache.downloads()?.join(hash);
    if file.exists() {
        progress.say(format_args!("{url} was downloaded before: {}", file.display()));
        return Ok(file);
    }
    progress.say(format_args!("downloading {url}"));
    let partial = Partial::create(&file)?;
    let mut command = CURL.command();
    command
        .args(["--fail", "--location", "--silent", "--show-error", "--output"])
        .arg(partial.path())
        .arg("--")
        .arg(url);
    CURL.run(&mut command)
        .with_context(|| format!("downloading {url}"))?;
    partial.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_download_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path());
        let message = format!(
            "{:#}",
            obtain("http://127.0.0.1:1/x.img", &cache, &Progress::start()).unwrap_err()
        );
        assert!(
            message.starts_with("downloading http://127.0.0.1:1/x.img: curl failed: curl: (7)"),
            "{message}"
        );
        assert_eq!(std::fs::read_dir(cache.downloads().unwrap()).unwrap().count(), 0);
    }
}
