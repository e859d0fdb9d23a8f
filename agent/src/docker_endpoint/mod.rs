//! The cluster-wide Docker endpoint: Docker's own API, as every node's engine has it, for the whole cluster. `docker -H
//! cl-master:2378 ps` lists the containers of all nodes, `run` places one on the best of them, and whatever is asked of
//! one container is passed on to the engine that has it.
//!
//! Every agent answers for the whole cluster, so nothing depends on the master. A request's route is decided from method
//! and path (`route`); the cluster's answers are put together from those of all engines (`containers`, `info`, ...); the
//! rest is passed on to one engine without being looked into (`pass`). Other nodes' engines are reached through their
//! agents' endpoints: no engine listens on a network.
//!
//! Who may: over the network, whoever has a certificate of the cluster's authority, over mutual TLS. Who may use this is
//! root on every node; there is no plain HTTP on any address, as every program on a node and every page in a browser
//! that reaches a port of 127.0.0.1 would be root then. On the node itself there is a Unix socket for the group `docker`,
//! who are root there anyway.

mod call;
mod containers;
mod copy;
mod create;
mod exec;
mod find;
mod images;
mod info;
mod link;
mod listen;
mod message;
mod nodes;
mod pass;
mod places;
mod route;
mod scheduler;
mod stream;
mod usage;
mod wish;

use std::path::PathBuf;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::sync::watch;

pub use listen::run;
pub use nodes::{Node, Nodes};

use crate::members::Members;
use call::{Call, Engines};
use link::{Links, OWN_ENGINE};
use message::{Body, Fault, json_response};
use route::Route;

/// TCP port; the original Cluster Lab's and standalone Swarm's.
pub const PORT: u16 = 2378;

/// What the endpoint runs with.
pub struct Options {
    /// Docker's socket on this node.
    pub docker_socket: PathBuf,
    /// The endpoint's own socket.
    pub socket: PathBuf,
    /// This node's name.
    pub hostname: String,
    /// Further names that the endpoint is asked for by, such as those of the master.
    pub names: Vec<String>,
    /// The address of whoever is master.
    pub master_address: std::net::Ipv4Addr,
    /// The channel to other nodes; without one, the endpoint is this node's engine behind its socket.
    pub members: Option<Members>,
    /// The nodes.
    pub nodes: watch::Receiver<Nodes>,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A program on this node.
    Socket,
    /// Another agent.
    Member,
    /// A person's program, somewhere.
    Person,
}

struct Endpoint {
    engines: Engines,
    nodes: watch::Receiver<Nodes>,
    members: Option<Members>,
}

impl Endpoint {
    fn new(options: &Options) -> Self {
        Self {
            engines: Engines::new(Links::new(options.docker_socket.clone(), options.members.clone())),
            nodes: options.nodes.clone(),
            members: options.members.clone(),
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, origin: Origin) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = self.route(request, origin).await;
        answer.unwrap_or_else(|fault| {
            tracing::debug!(
                "docker endpoint: {method} {path}: {} {}",
                fault.status,
                fault.message
            );
            fault.into_response()
        })
    }

    async fn route(
        self: Arc<Self>,
        request: Request<Incoming>,
        origin: Origin,
    ) -> Result<Response<Body>, Fault> {
        let asked = route::decide(request.method(), request.uri().path());
        let own_only = origin == Origin::Member && request.headers().contains_key(OWN_ENGINE);
        let call = Call::new(Arc::clone(&self), asked.version);
        if own_only {
            return call.here(request).await;
        }
        match asked.route {
            Route::Info => info::info(&call).await,
            Route::Version => info::version(&call).await,
            Route::Containers => containers::list(&call, &request).await,
            Route::Container(name, rest) => containers::one(&call, &name, &rest, request).await,
            Route::Commit => containers::commit(&call, request).await,
            Route::Create => create::create(&call, request).await,
            Route::Exec(id) => exec::pass_on(&call, &id, request).await,
            Route::Events => stream::events(&call, request).await,
            Route::DiskUsage => usage::disk(&call, &request).await,
            Route::Prune(_) => usage::prune(&call, request).await,
            Route::Images => images::list(&call, &request).await,
            Route::Image(name, rest) => images::one(&call, &name, &rest, request).await,
            Route::ImageCreate => stream::pull(&call, request).await,
            Route::Networks => places::networks(&call, &request).await,
            Route::NetworkCreate => places::create_network(&call, request).await,
            Route::Network(name, rest) => places::network(&call, &name, &rest, request).await,
            Route::Volumes => places::volumes(&call, &request).await,
            Route::VolumeCreate => places::create_volume(&call, request).await,
            Route::Volume(name) => places::volume(&call, &name, request).await,
            // Built, loaded and saved on this node; others copy from it what they run.
            Route::Build | Route::ImageLoad | Route::ImagesSave | Route::Ping | Route::Here => {
                call.here(request).await
            }
            Route::Swarm => call.manager(request).await,
            Route::Certificate => self.certificate(origin),
        }
    }

    /// Who may use the socket may do so from elsewhere, too.
    fn certificate(&self, origin: Origin) -> Result<Response<Body>, Fault> {
        if origin != Origin::Socket {
            return Err(Fault::new(
                StatusCode::FORBIDDEN,
                "certificates are given on a node's socket only",
            ));
        }
        let Some(members) = &self.members else {
            return Err(Fault::unreachable(
                "this node has no cluster secret: flash this card again",
            ));
        };
        let files = members.trust().person();
        let files =
            files.map_err(|error| Fault::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))?;
        let value = serde_json::to_value(&files).unwrap_or_default();
        Ok(json_response(StatusCode::OK, &value))
    }
}
