//! Connections to engines: this node's by its Unix socket, another node's by the endpoint of its agent.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::PORT;
use super::message::{Body, Fault};
use super::nodes::Node;
use crate::members::Members;

/// With it, a member asks another one's own engine and nothing else.
pub(super) const OWN_ENGINE: HeaderName = HeaderName::from_static("cluster-lab-own-engine");

/// Until a node is connected to; on the same switch it is there within milliseconds.
const CONNECT: Duration = Duration::from_secs(2);
/// A node that could not be connected to is not tried again within this time, so that it slows down nothing.
const ABSENT: Duration = Duration::from_secs(3);
/// Connections to one engine that are kept while nobody uses them.
const IDLE_MAX: usize = 4;

/// The ways to all engines.
pub(super) struct Links {
    socket: PathBuf,
    members: Option<Members>,
    idle: Mutex<HashMap<Option<Ipv4Addr>, Vec<SendRequest<Body>>>>,
    absent: Mutex<HashMap<Ipv4Addr, Instant>>,
}

impl Links {
    /// Docker's socket on this node, and the way to other nodes.
    pub(super) fn new(socket: PathBuf, members: Option<Members>) -> Self {
        Self {
            socket,
            members,
            idle: Mutex::default(),
            absent: Mutex::default(),
        }
    }

    /// Sends a request to the engine of a node. The answer's head is waited for without limit: some take long.
    ///
    /// # Errors
    /// When the engine cannot be reached, or the connection breaks.
    pub(super) async fn send(
        &self,
        node: &Node,
        interface: Option<&str>,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, Fault> {
        let place = if node.is_own { None } else { node.address };
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static("docker"));
        headers.remove(OWN_ENGINE);
        if !node.is_own {
            headers.insert(OWN_ENGINE, HeaderValue::from_static("1"));
        }
        // Kept connections may have ended just now; a request that was not sent is sent on the next one.
        while let Some(mut sender) = self.take(place) {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.answered(place, sender, response)),
                Err(mut error) => match error.take_message() {
                    Some(message) => request = message,
                    None => return Err(broken(node, &error.into_error())),
                },
            }
        }
        let mut sender = self.connect(node, interface).await?;
        match sender.send_request(request).await {
            Ok(response) => Ok(self.answered(place, sender, response)),
            Err(error) => Err(broken(node, &error)),
        }
    }

    fn take(&self, place: Option<Ipv4Addr>) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(&place)?;
        kept.retain(|sender| !sender.is_closed());
        let ready = kept.iter().position(SendRequest::is_ready)?;
        Some(kept.swap_remove(ready))
    }

    fn answered(
        &self,
        place: Option<Ipv4Addr>,
        sender: SendRequest<Body>,
        response: Response<Incoming>,
    ) -> Response<Incoming> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = idle.entry(place).or_default();
            kept.retain(|sender| !sender.is_closed());
            // Others carry answers that are still on their way, some of them for days.
            let idle = kept.iter().filter(|sender| sender.is_ready()).count();
            if idle < IDLE_MAX {
                // It is ready again when the answer's body has been read.
                kept.push(sender);
            }
        }
        response
    }

    async fn connect(&self, node: &Node, interface: Option<&str>) -> Result<SendRequest<Body>, Fault> {
        if node.is_own {
            let connected = UnixStream::connect(&self.socket).await;
            let stream = connected.map_err(|error| {
                Fault::unreachable(format!("Docker does not run on {}: {error}", node.name))
            })?;
            return start(node, stream).await;
        }
        let (Some(address), Some(interface), Some(members)) = (node.address, interface, &self.members) else {
            return Err(Fault::unreachable(format!("{} cannot be reached", node.name)));
        };
        let absent = |error: &str| Fault::unreachable(format!("node {} does not answer: {error}", node.name));
        if self.is_absent(address) {
            return Err(absent("it did not a moment ago"));
        }
        match members
            .dial(SocketAddrV4::new(address, PORT), interface, CONNECT)
            .await
        {
            Ok(stream) => start(node, stream).await,
            Err(error) => {
                let mut all = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
                all.insert(address, Instant::now());
                Err(absent(&error.to_string()))
            }
        }
    }

    fn is_absent(&self, address: Ipv4Addr) -> bool {
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        absent.retain(|_, since| since.elapsed() < ABSENT);
        absent.contains_key(&address)
    }
}

async fn start(
    node: &Node,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Body>, Fault> {
    let begun = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = begun.map_err(|error| broken(node, &error))?;
    // Ends by itself when nobody holds the sender and no answer is being read.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

fn broken(node: &Node, error: &hyper::Error) -> Fault {
    Fault::new(
        StatusCode::BAD_GATEWAY,
        format!("the connection to Docker on {} broke: {error}", node.name),
    )
}
