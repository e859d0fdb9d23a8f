//! The daemon of this node, as the command line asks it: HTTP on its Unix socket.

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures_util::{Stream, stream};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Method;
use hyper::body::{Bytes, Incoming};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::api::Told;
use crate::http_client::Session;
use crate::paths::Paths;

/// A manager may take its time; the daemon itself gives up before this.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Of an answer that is read as a whole: 100 nodes with 1000 tasks have some 400 KiB.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// Of one line of a stream.
const LINE_MAX: usize = 1024 * 1024;

/// Which daemon; every subcommand that asks it has this.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Socket {
    /// Ask the daemon behind this Unix socket
    #[arg(long, value_name = "PATH", hide = true)]
    socket: Option<PathBuf>,
}

/// The daemon.
#[derive(Clone, Debug)]
pub(super) struct Daemon(PathBuf);

impl Socket {
    /// Runs what asks the daemon.
    pub(super) fn run<T, F: Future<Output = anyhow::Result<T>>>(
        &self,
        work: impl FnOnce(Daemon) -> F,
    ) -> anyhow::Result<T> {
        let socket = self
            .socket
            .clone()
            .unwrap_or_else(|| Paths::default().agent_socket());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting")?;
        runtime.block_on(work(Daemon(socket)))
    }
}

impl Daemon {
    /// Its socket.
    pub(super) fn socket(&self) -> &Path {
        &self.0
    }

    /// Asks for a value.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(Method::GET, path, &()).await
    }

    /// Sends a value and reads the one that comes back.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let (_session, body) = self.send(method, path, body).await?;
        let read = timeout(TIMEOUT, Limited::new(body, BODY_MAX).collect()).await;
        let bytes = read
            .context("waiting for the daemon")?
            .map_err(|error| anyhow!("reading the answer: {error}"))?;
        let bytes = bytes.to_bytes();
        // An answer without a body is null.
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).context("reading the answer; is the daemon of another version?")
    }

    /// Sends a request and gives the answer's lines as they come, each a JSON value.
    pub(super) async fn lines<T: DeserializeOwned, B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<T>> + use<T, B>> {
        let (session, body) = self.send(method, path, body).await?;
        let state = (session, body, Vec::new());
        Ok(stream::try_unfold(
            state,
            |(session, mut body, mut buffer)| async move {
                loop {
                    if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                        let line: Vec<u8> = buffer.drain(..=end).collect();
                        let value = serde_json::from_slice(&line).context("reading a line of the answer")?;
                        return Ok(Some((value, (session, body, buffer))));
                    }
                    match body.frame().await {
                        None => return Ok(None),
                        Some(frame) => {
                            if let Ok(data) = frame.context("the daemon ended")?.into_data() {
                                buffer.extend_from_slice(&data);
                            }
                        }
                    }
                    if buffer.len() > LINE_MAX {
                        bail!("a line of the answer is too long");
                    }
                }
            },
        ))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<(Session, Incoming)> {
        let stream = UnixStream::connect(&self.0).await.with_context(|| {
            format!(
                "the daemon does not run ({}); start it: systemctl start cluster-lab",
                self.0.display()
            )
        })?;
        let mut session = Session::start(stream).await?;
        let body = match method {
            Method::GET | Method::DELETE => Vec::new(),
            _ => serde_json::to_vec(body)?,
        };
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "cluster-lab")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let answer = timeout(TIMEOUT, session.send(request))
            .await
            .context("waiting for the daemon")??;
        let status = answer.status();
        if status.is_success() {
            return Ok((session, answer.into_body()));
        }
        let told = Limited::new(answer.into_body(), BODY_MAX).collect().await;
        let told = told
            .ok()
            .and_then(|body| serde_json::from_slice::<Told>(&body.to_bytes()).ok());
        match told {
            Some(told) => bail!("{}", told.message),
            None => bail!("the daemon answered {status}"),
        }
    }
}

/// Writes to stdout; a reader that has seen enough, such as `head`, is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.context("writing to stdout"),
    }
}

/// Prints a value as JSON, or as its lines for people.
pub(super) fn show<T: Serialize>(
    json: bool,
    value: &T,
    lines: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match json {
        true => print(&(serde_json::to_string_pretty(value)? + "\n")),
        false => print(&lines(value)),
    }
}

/// Columns as wide as their widest word; the last one is not filled up.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&word| word.to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| {
        all.iter()
            .filter_map(|row| row.get(column))
            .map(|word| word.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..head.len())
        .map(|column| width(column).unwrap_or_default())
        .collect();
    let line = |row: &&Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(word, width)| format!("{word:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up() {
        let rows = [
            vec!["web".to_owned(), "nginx".to_owned()],
            vec!["longer".to_owned(), "a".to_owned()],
        ];
        assert_eq!(
            table(&["NAME", "IMAGE"], &rows),
            "NAME    IMAGE\nweb     nginx\nlonger  a\n"
        );
    }
}
