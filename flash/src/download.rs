//! Images from the web: downloaded once, kept, and gone on with where a broken download stopped, also in a later run.
//!
//! What is kept is used again only after the server has said that it is still the same, and after its checksum has been
//! compared; a download that broke goes on only if the server says that the file has not changed meanwhile.

mod http;
mod kept;
mod resume;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::progress::Progress;
use crate::report::Voice;
use crate::trust::{Checks, Sha256Sum, check_sum};
use crate::write::Watch;
use http::{Client, Failure};
use kept::{Kept, State};
use resume::Next;

/// How long a server may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(pub Duration);

/// Breaks in a row, with next to nothing got in between, after which the user decides.
const BREAKS_MAX: u32 = 3;
/// A connection that gave less than this counts as broken at once.
const PROGRESS_MIN: u64 = 1024 * 1024;
/// Lists of checksums and signatures are short.
const SIDE_FILE_MAX: u64 = 64 * 1024;

/// Whether this names something on the web.
pub(crate) fn is_url(place: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| place.starts_with(scheme))
}

/// The file behind a URL, whole and checked.
///
/// # Errors
/// When it cannot be had, or is not what it should be.
pub(crate) fn get(url: &str, checks: &Checks, patience: Patience, voice: Voice) -> Result<File> {
    let client = Client::new(url, patience)?;
    let kept = Kept::open(&cache::folder()?, url)?;
    let expected = match checks.sha256 {
        Some(sum) => Some(sum),
        None => beside(&client, url)?,
    };
    let file = match whole(&kept, checks)? {
        Some(file) => file,
        None => load(&client, url, &kept, voice)?,
    };
    let found = Sha256Sum::of(&file).with_context(|| format!("reading {}", kept.path().display()))?;
    let state = kept.state();
    if state.as_ref().is_some_and(|state| {
        state
            .sha256
            .as_deref()
            .is_some_and(|sum| sum != found.to_string())
    }) {
        kept.forget()?;
        bail!("the copy of {url} that was kept is damaged and was removed: run it again");
    }
    if let Some(expected) = expected {
        check_sum(url, found, expected).inspect_err(|_| drop(kept.forget()))?;
    }
    let signature = Checks {
        sha256: None,
        minisign: checks.minisign.clone(),
    };
    let text = || {
        client
            .text(&with_suffix(url, ".minisig"), SIDE_FILE_MAX)?
            .context("there is none")
    };
    signature
        .check(url, &file, text)
        .inspect_err(|_| drop(kept.forget()))?;
    if let Some(state) = state {
        kept.save(&State {
            sha256: Some(found.to_string()),
            ..state
        })?;
    }
    Ok(file)
}

/// Removes what is kept of a URL, because it turned out to be damaged.
///
/// # Errors
/// When it cannot be removed.
pub(crate) fn forget(url: &str) -> Result<()> {
    Kept::open(&cache::folder()?, url)?.forget()
}

/// What is kept already and known by its checksum: the server need not be asked.
fn whole(kept: &Kept, checks: &Checks) -> Result<Option<File>> {
    let sum = kept
        .state()
        .filter(|state| state.complete)
        .and_then(|state| state.sha256);
    match (sum, checks.sha256) {
        (Some(sum), Some(expected)) if sum == expected.to_string() => kept.file().map(Some),
        _ => Ok(None),
    }
}

/// The checksum that is published beside the file, if there is one.
fn beside(client: &Client, url: &str) -> Result<Option<Sha256Sum>> {
    let list = with_suffix(url, ".sha256");
    let Some(text) = client.text(&list, SIDE_FILE_MAX)? else {
        return Ok(None);
    };
    let name = url
        .split(['?', '#'])
        .next()
        .and_then(|path| path.rsplit('/').next());
    let sum = Sha256Sum::in_list(&text, name.unwrap_or_default());
    // Some servers answer every address with a page.
    if sum.is_none() && !text.trim_start().starts_with('<') {
        bail!("{list} has no SHA-256 of the image: give the right one with --sha256");
    }
    Ok(sum)
}

fn load(client: &Client, url: &str, kept: &Kept, voice: Voice) -> Result<File> {
    // The furthest it has come: a server that contradicts itself makes it begin anew, which is no progress.
    let (mut breaks, mut furthest) = (0, kept.length());
    loop {
        match attempt(client, url, kept, voice) {
            Ok(()) => return kept.file(),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Broken(reason)) => {
                let more = kept.length().saturating_sub(furthest);
                furthest += more;
                breaks = if more < PROGRESS_MIN { breaks + 1 } else { 1 };
                if breaks >= BREAKS_MAX {
                    bail!(
                        "{url}: the download broke off ({reason}): run it again: it goes on where it stopped"
                    );
                }
                std::thread::sleep(Duration::from_millis(300));
            }
        }
    }
}

/// One connection.
fn attempt(client: &Client, url: &str, kept: &Kept, voice: Voice) -> Result<(), Failure> {
    let state = kept.state();
    let wish = resume::wish(state.as_ref(), kept.length());
    let mut answer = client.ask(url, &wish)?;
    let next = resume::judge(&wish, state.as_ref(), &answer.head).map_err(|reason| {
        let _ = kept.forget();
        Failure::Broken(reason)
    })?;
    let from = match next {
        Next::Unchanged => return Ok(()),
        Next::Append => kept.length(),
        Next::Restart => {
            kept.restart(&State {
                url: url.to_owned(),
                etag: answer.head.etag.clone(),
                last_modified: answer.head.last_modified.clone(),
                length: answer.head.length,
                complete: false,
                sha256: None,
            })?;
            0
        }
        Next::Refused => return Err(http::refusal(url, answer.head.status)),
    };
    let total = kept.state().and_then(|state| state.length);
    let progress = Progress::new(voice, "loading", total, Default::default());
    progress.advance(from);
    let mut file = kept.append()?;
    let result = answer.body(&mut file, total.map(|total| total - from), &|count| {
        progress.advance(count)
    });
    // After a power cut, what the file says it has must be there.
    file.sync_all().map_err(|error| Failure::Final(error.into()))?;
    drop(progress);
    result?;
    let state = kept.state().unwrap_or_default();
    kept.save(&State {
        complete: true,
        length: Some(kept.length()),
        ..state
    })?;
    Ok(())
}

/// `.../x.img?y` and `.sha256` make `.../x.img.sha256?y`.
fn with_suffix(url: &str, suffix: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    format!("{}{suffix}{}", &url[..end], &url[end..])
}

/// The name of the file of a URL in the cache.
fn key(url: &str) -> String {
    use sha2::{Digest, Sha256};
    let hash: [u8; 32] = Sha256::digest(url.as_bytes()).into();
    hash[..16]
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The folder in which a URL is kept.
fn folder_of(cache: &Path, url: &str) -> std::path::PathBuf {
    cache.join(key(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beside_an_image() {
        for (url, expected) in [
            ("https://a/b.img.xz", "https://a/b.img.xz.sha256"),
            ("https://a/b.img?c=1/d#e", "https://a/b.img.sha256?c=1/d#e"),
        ] {
            assert_eq!(with_suffix(url, ".sha256"), expected);
        }
        assert_ne!(key("https://a/b"), key("https://a/c"));
        assert!(is_url("https://a") && !is_url("a/https://") && !is_url("-"));
    }
}
