//! A web server on the loopback address that can behave as badly as real ones.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A file, and how it is served.
#[derive(Clone, Default)]
pub(crate) struct Served {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) etag: &'static str,
    /// Bytes after which each connection breaks.
    pub(crate) cut_after: Option<usize>,
    /// Another Content-Length than the right one.
    pub(crate) claimed: Option<usize>,
    /// The other files of the same server.
    pub(crate) beside: Vec<(String, String)>,
    /// Says nothing more after the head.
    pub(crate) silent: bool,
}

/// Runs until the test ends.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) served: Arc<Mutex<Served>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn new(served: Served) -> Self {
        Self::start(served, None, "http")
    }

    /// With a certificate that the returned file vouches for.
    pub(crate) fn encrypted(served: Served) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (
            Self::start(served, Some(Arc::new(config)), "https"),
            made.cert.pem(),
        )
    }

    fn start(served: Served, tls: Option<Arc<rustls::ServerConfig>>, scheme: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (served, requests) = (Arc::new(Mutex::new(served)), Arc::new(Mutex::new(Vec::new())));
        let (shown, kept) = (Arc::clone(&served), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (served, requests, tls) = (shown.lock().unwrap().clone(), Arc::clone(&kept), tls.clone());
                let stream = stream.unwrap();
                std::thread::spawn(move || match tls {
                    None => serve(stream, &served, &requests),
                    Some(tls) => {
                        let session = rustls::ServerConnection::new(tls).unwrap();
                        serve(rustls::StreamOwned::new(session, stream), &served, &requests);
                    }
                });
            }
        });
        Self {
            address: format!("{scheme}://localhost:{port}"),
            served,
            requests,
        }
    }

    /// The requests for images since the last call: what makes them special.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Served)) {
        change(&mut self.served.lock().unwrap());
    }
}

/// One connection with one request. Errors are those of a peer that has gone.
fn serve(mut stream: impl Read + Write, served: &Served, requests: &Mutex<Vec<String>>) {
    let mut lines = Vec::new();
    for line in BufReader::new(&mut stream).lines() {
        match line {
            Ok(line) if !line.is_empty() => lines.push(line),
            _ => break,
        }
    }
    let header = |name: &str| {
        let found = lines.iter().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        found.unwrap_or_default()
    };
    let path = lines
        .first()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_default();
    if path == "/circle" || path == "/moved" {
        let to = if path == "/moved" { &served.path } else { "/circle" };
        let _ = write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        return;
    }
    let beside = served.beside.iter().find(|(name, _)| *name == path);
    if let Some((_, text)) = beside {
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
        return;
    }
    if path != served.path {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    let etag = served.etag;
    let special = ["range", "if-range", "if-none-match"].map(|name| (name, header(name)));
    let special = special.iter().filter(|(_, value)| !value.is_empty());
    let special: Vec<String> = special.map(|(name, value)| format!("{name}: {value}")).collect();
    requests.lock().unwrap().push(special.join(", "));
    if !etag.is_empty() && header("if-none-match") == etag {
        let _ = write!(
            stream,
            "HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\nConnection: close\r\n\r\n"
        );
        return;
    }
    let all = served.bytes.len();
    let range = header("range");
    let start = range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-'));
    let start = start
        .filter(|_| header("if-range") == etag)
        .map(|start| start.parse::<usize>().unwrap());
    let (status, place) = match start {
        Some(start) => (
            "206 Partial Content",
            format!("Content-Range: bytes {start}-{}/{all}\r\n", all - 1),
        ),
        None => ("200 OK", String::new()),
    };
    let body = &served.bytes[start.unwrap_or(0)..];
    let length = served.claimed.unwrap_or(body.len());
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nETag: {etag}\r\n{place}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    if served.silent {
        let _ = stream.flush();
        std::thread::sleep(Duration::from_secs(20));
    }
    let _ = stream.write_all(&body[..served.cut_after.unwrap_or(usize::MAX).min(body.len())]);
    let _ = stream.flush();
}
