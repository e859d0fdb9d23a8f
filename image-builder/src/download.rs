//! Base images from the web, kept in the cache under their checksum, or under the hash of their URL where no checksum is
//! given. A download that breaks is gone on with by the next run, if a checksum will say whether the parts fit.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::base::Cache;
use crate::checksum::Checksum;
use crate::progress::Progress;
use crate::tool::Tool;

const CURL: Tool = Tool {
    name: "curl",
    package: "curl",
};

/// The cached file, downloaded first when it is not there.
pub(crate) fn obtain(
    url: &str,
    sha256: Option<&Checksum>,
    cache: &Cache,
    progress: &Progress,
) -> Result<PathBuf> {
    let of_url = Checksum::of(url.as_bytes());
    let file = cache.downloads()?.join(sha256.unwrap_or(&of_url).to_string());
    let part = file.with_extension("part");
    if !file.exists() {
        let lock = File::options().create(true).append(true).open(&part);
        let lock = lock.with_context(|| format!("writing {}", part.display()))?;
        lock.lock()
            .with_context(|| format!("waiting for another download to {}", part.display()))?;
    }
    if file.exists() {
        progress.say(format_args!("{url} was downloaded before: {}", file.display()));
        return Ok(file);
    }
    progress.say(format_args!("downloading {url}"));
    let begun = part.metadata().is_ok_and(|part| part.len() > 0);
    let fetched = match sha256 {
        Some(_) if begun => fetch(url, &part, true).or_else(|_| fetch(url, &part, false)),
        _ => fetch(url, &part, false),
    };
    fetched.with_context(|| format!("downloading {url}"))?;
    if let Some(expected) = sha256 {
        check(&part, expected).with_context(|| format!("downloading {url}"))?;
    }
    std::fs::rename(&part, &file).with_context(|| format!("writing {}", file.display()))?;
    Ok(file)
}

fn fetch(url: &str, part: &Path, go_on: bool) -> Result<()> {
    let mut command = CURL.command();
    command.args(["--fail", "--location", "--silent", "--show-error"]);
    if go_on {
        command.args(["--continue-at", "-"]);
    }
    command.arg("--output").arg(part).arg("--").arg(url);
    CURL.run(&mut command).map(drop)
}

/// Refuses and removes another file than expected.
fn check(part: &Path, expected: &Checksum) -> Result<()> {
    let refused = is(part, expected);
    if refused.is_err() {
        let _ = std::fs::remove_file(part);
    }
    refused
}

/// Refuses a file with another checksum.
pub(crate) fn is(file: &Path, expected: &Checksum) -> Result<()> {
    let reading = || format!("reading {}", file.display());
    let mut opened = File::open(file).with_context(reading)?;
    let found = Checksum::of_reader(&mut opened).with_context(reading)?;
    anyhow::ensure!(
        found == *expected,
        "it is not the file that was asked for: its SHA-256 is {found}, not {expected}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    const BODY: &[u8] = b"an image of many bytes";

    /// Answers requests on loopback, ranges too, and gives the heads of the requests.
    fn server(requests: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x.img", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let mut heads = Vec::new();
            for _ in 0..requests {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let from = head.split("Range: bytes=").nth(1);
                let from: usize = from.map_or(0, |rest| rest.split('-').next().unwrap().parse().unwrap());
                let status = match from {
                    0 => "200 OK".to_owned(),
                    _ => {
                        let length = BODY.len();
                        format!(
                            "206 Partial Content\r\nContent-Range: bytes {from}-{}/{length}",
                            length - 1
                        )
                    }
                };
                let rest = &BODY[from..];
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    rest.len()
                );
                stream.write_all(answer.as_bytes()).unwrap();
                stream.write_all(rest).unwrap();
                heads.push(head);
            }
            heads
        });
        (url, thread)
    }

    #[test]
    fn a_download_is_gone_on_with_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path());
        let sum = Checksum::of(BODY);
        let part = cache.downloads().unwrap().join(format!("{sum}.part"));
        std::fs::write(&part, &BODY[..9]).unwrap();
        let (url, server) = server(1);
        let file = obtain(&url, Some(&sum), &cache, &Progress::start()).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), BODY);
        assert!(server.join().unwrap()[0].contains("Range: bytes=9-\r\n"));
        // Nobody serves any more: it comes from the cache.
        assert_eq!(
            obtain(&url, Some(&sum), &cache, &Progress::start()).unwrap(),
            file
        );
        assert!(!part.exists());
    }

    #[test]
    fn another_file_than_expected_is_refused_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path());
        let (url, server) = server(1);
        let error = obtain(&url, Some(&Checksum::of(b"other")), &cache, &Progress::start()).unwrap_err();
        let message = format!("{error:#}");
        assert!(
            message.contains("it is not the file that was asked for: its SHA-256 is "),
            "{message}"
        );
        server.join().unwrap();
        assert_eq!(std::fs::read_dir(cache.downloads().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn a_failed_download_is_no_image() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path());
        let error = obtain("http://127.0.0.1:1/x.img", None, &cache, &Progress::start()).unwrap_err();
        let message = format!("{error:#}");
        assert!(
            message.starts_with("downloading http://127.0.0.1:1/x.img: curl failed: curl: (7)"),
            "{message}"
        );
        let names = std::fs::read_dir(cache.downloads().unwrap()).unwrap();
        assert!(
            names
                .map(|name| name.unwrap().path())
                .all(|name| name.extension().is_some())
        );
    }
}
