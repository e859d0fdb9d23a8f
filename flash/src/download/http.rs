//! The only file that speaks HTTP. Certificates are those that the system trusts.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustls::crypto::ring;
use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error};

use super::Patience;
use super::resume::{Head, Wish};

const REDIRECTS_MAX: u32 = 10;
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// What must come at least while a server may be silent four times: drip by drip an image takes weeks.
const PACE_MIN: u64 = 16 * 1024;

/// Why a download does not go on.
#[derive(Debug)]
pub(super) enum Failure {
    /// May well work the next time.
    Broken(String),
    /// Will fail again.
    Final(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Final(error)
    }
}

/// Asks servers.
pub(super) struct Client {
    agent: Agent,
    patience: Duration,
}

/// An answer whose body is still to come.
pub(super) struct Answer {
    pub(super) head: Head,
    body: Body,
    patience: Duration,
}

impl Client {
    /// For `url` and what it leads to: from an encrypted connection nobody is led to one that is not.
    pub(super) fn new(url: &str, Patience(patience): Patience) -> Result<Self> {
        let encrypted = url.starts_with("https://");
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(encrypted)
            .max_redirects(REDIRECTS_MAX)
            .user_agent(concat!("flash/", env!("CARGO_PKG_VERSION")))
            // The file as it is, or lengths and ranges would be those of something else.
            .accept_encoding("identity")
            .timeout_connect(Some(CONNECT_MAX.min(patience)))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience));
        if encrypted {
            config = config.tls_config(tls()?);
        }
        let agent = config.build().new_agent();
        Ok(Self { agent, patience })
    }

    /// Sends a request.
    pub(super) fn ask(&self, url: &str, wish: &Wish) -> Result<Answer, Failure> {
        let mut request = self.agent.get(url);
        match wish {
            Wish::Whole => {}
            Wish::Rest { from, validator } => {
                request = request.header(header::RANGE, format!("bytes={from}-"));
                request = request.header(header::IF_RANGE, validator);
            }
            Wish::Changed { etag, last_modified } => {
                if let Some(etag) = etag {
                    request = request.header(header::IF_NONE_MATCH, etag);
                }
                if let Some(time) = last_modified {
                    request = request.header(header::IF_MODIFIED_SINCE, time);
                }
            }
        }
        let answer = request.call().map_err(|error| failure(url, error))?;
        let head = head(&answer);
        if head.status >= 500 || head.status == 429 {
            return Err(Failure::Broken(format!("the server says {}", answer.status())));
        }
        Ok(Answer {
            head,
            body: answer.into_body(),
            patience: self.patience,
        })
    }

    /// A short text; `None` if there is none.
    pub(super) fn text(&self, url: &str, longest: u64) -> Result<Option<String>> {
        let mut answer = match self.ask(url, &Wish::Whole) {
            Ok(answer) => answer,
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Broken(reason)) => return Err(anyhow!("{url}: {reason}: run it again")),
        };
        if answer.head.status != 200 {
            return Ok(None);
        }
        let text = answer.body.with_config().limit(longest).read_to_string();
        text.map(Some).with_context(|| format!("reading {url}"))
    }
}

impl Answer {
    /// Writes the body, which must have `expected` bytes if that is known.
    pub(super) fn body(
        &mut self,
        to: &mut impl Write,
        expected: Option<u64>,
        each: &dyn Fn(u64),
    ) -> Result<(), Failure> {
        let mut reader = self.body.as_reader();
        let mut buffer = vec![0; 128 * 1024];
        let (mut done, mut since, mut recent) = (0_u64, Instant::now(), 0_u64);
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(count) => count as u64,
                Err(error) => {
                    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                    let silent =
                        matches!(inner, Some(Error::Timeout(_))) || error.kind() == ErrorKind::TimedOut;
                    return Err(Failure::Broken(match silent {
                        true => "the server has gone silent".to_owned(),
                        false => format!("{error}, after {done} bytes"),
                    }));
                }
            };
            done += count;
            match expected {
                Some(expected) if done > expected || (count == 0 && done < expected) => {
                    let whole = if count == 0 { "only" } else { "more than" };
                    return Err(Failure::Broken(format!(
                        "{whole} {done} of {expected} bytes came"
                    )));
                }
                _ if count == 0 => return Ok(()),
                _ => {}
            }
            let bytes = &buffer[..usize::try_from(count).unwrap_or(0)];
            let written = to
                .write_all(bytes)
                .context("keeping the download: set XDG_CACHE_HOME to where there is room");
            written.map_err(Failure::Final)?;
            each(count);
            recent += count;
            if since.elapsed() > self.patience * 4 {
                if recent < PACE_MIN {
                    return Err(Failure::Broken(format!(
                        "the server gave {recent} bytes in {:?}",
                        self.patience * 4
                    )));
                }
                (since, recent) = (Instant::now(), 0);
            }
        }
    }
}

/// The error for a status that is not a file.
pub(super) fn refusal(url: &str, status: u16) -> Failure {
    let what = match status {
        401 | 403 => "the server does not give it to everybody",
        404 | 410 => "there is no such file on the server",
        _ => "the server does not give it",
    };
    Failure::Final(anyhow!("{url}: {what} (status {status}): check the address"))
}

fn tls() -> Result<TlsConfig> {
    let found = rustls_native_certs::load_native_certs();
    let roots: Vec<_> = found
        .certs
        .iter()
        .map(|root| Certificate::from_der(root.as_ref()).to_owned())
        .collect();
    if roots.is_empty() {
        return Err(anyhow!(
            "this system trusts no certificates: install its package ca-certificates"
        ));
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

fn head(answer: &Response<Body>) -> Head {
    let headers = answer.headers();
    let status = answer.status().as_u16();
    let (range_start, range_total) = text(headers, &header::CONTENT_RANGE)
        .and_then(|range| parse_range(&range))
        .unzip();
    let length = text(headers, &header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    Head {
        status,
        etag: text(headers, &header::ETAG),
        last_modified: text(headers, &header::LAST_MODIFIED),
        length: if status == 206 {
            range_total.flatten()
        } else {
            length
        },
        range_start,
    }
}

fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// `bytes 40-99/100`: start, and length of the whole if known.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

fn failure(url: &str, error: Error) -> Failure {
    match error {
        Error::Timeout(_) => Failure::Broken("the server does not answer".to_owned()),
        Error::Io(error) if error.kind() == ErrorKind::TimedOut => {
            Failure::Broken("the server does not answer".to_owned())
        }
        Error::Io(error) if error.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>()) => {
            Failure::Broken(error.to_string())
        }
        Error::Protocol(error) => Failure::Broken(error.to_string()),
        Error::ConnectionFailed => Failure::Broken("the server cannot be reached".to_owned()),
        Error::HostNotFound => Failure::Final(anyhow!(
            "{url}: there is no such server: check the address and the network"
        )),
        Error::TooManyRedirects => Failure::Final(anyhow!(
            "{url}: the server sends one around in circles (more than {REDIRECTS_MAX} redirects): check the address"
        )),
        Error::RequireHttpsOnly(to) => Failure::Final(anyhow!(
            "{url} leads to {to}, which is not encrypted: find out why, or name that address yourself"
        )),
        other => Failure::Final(anyhow!("{url}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes 40-99/100", Some((40, Some(100)))),
            ("bytes 40-99/*", Some((40, None))),
            ("bytes */100", None),
            ("40-99/100", None),
            ("", None),
        ] {
            assert_eq!(parse_range(text), expected);
        }
    }
}
