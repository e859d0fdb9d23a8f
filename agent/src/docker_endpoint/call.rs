//! One request's view of the cluster: the nodes at this moment, and questions to their engines.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{FutureExt, join_all};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use super::Endpoint;
use super::link::Links;
use super::message::{ANSWER_MAX, Body, Fault, empty, full, read};
use super::nodes::{Node, Nodes};
use super::pass::pass;

/// A node's engine that does not answer a question within this time is left out of the cluster's answer.
const ANSWER: Duration = Duration::from_secs(10);
/// What an engine says of itself is asked for again after this time.
const INFO: Duration = Duration::from_secs(5);
/// Things whose node is remembered.
const REMEMBERED_MAX: usize = 8192;

/// The engines, and what is remembered of them.
pub(super) struct Engines {
    pub(super) links: Links,
    /// On which node a container or an exec with this identifier is.
    places: Mutex<HashMap<String, String>>,
    infos: Mutex<HashMap<String, (Instant, Arc<Value>)>>,
    /// Held while a new container is placed.
    pub(super) placing: tokio::sync::Mutex<()>,
}

impl Engines {
    pub(super) fn new(links: Links) -> Self {
        Self {
            links,
            places: Mutex::default(),
            infos: Mutex::default(),
            placing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn remember(&self, id: &str, node: &Node) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= REMEMBERED_MAX {
            places.clear();
        }
        places.insert(id.to_owned(), node.name.clone());
    }

    pub(super) fn place(&self, id: &str) -> Option<String> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(id).cloned()
    }

    pub(super) fn forget(&self, id: &str) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.remove(id);
    }
}

/// A request in work.
pub(super) struct Call {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) nodes: Nodes,
    /// Of the API, such as `/v1.41`; empty when the client leaves it to the engine.
    pub(super) version: String,
}

/// What one node said.
pub(super) type Answer = (Arc<Node>, Result<Value, Fault>);

impl Call {
    pub(super) fn new(endpoint: Arc<Endpoint>, version: String) -> Self {
        let nodes = endpoint.nodes.borrow().clone();
        Self {
            endpoint,
            nodes,
            version,
        }
    }

    pub(super) fn engines(&self) -> &Engines {
        &self.endpoint.engines
    }

    /// This node.
    pub(super) fn own(&self) -> Result<&Arc<Node>, Fault> {
        self.nodes
            .own()
            .ok_or_else(|| Fault::unreachable("this node has only just started"))
    }

    /// Passes the request to the engine beside the agent as it is.
    pub(super) async fn here(&self, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
        self.pass(self.own()?, request, None).await
    }

    /// Passes the request to a node's engine, with another path and query, if one is given.
    pub(super) async fn pass(
        &self,
        node: &Node,
        request: Request<Incoming>,
        path: Option<String>,
    ) -> Result<Response<Body>, Fault> {
        let interface = self.nodes.interface.as_deref();
        pass(&self.engines().links, node, interface, request, path).await
    }

    /// Passes a request of swarm mode to an engine that is a manager: this one, if it is.
    pub(super) async fn manager(&self, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
        let node = self.a_manager().await?;
        self.pass(&node, request, None).await
    }

    /// A node whose engine is a manager of the swarm, this one first. Without one, this node: its engine says why.
    pub(super) async fn a_manager(&self) -> Result<Arc<Node>, Fault> {
        let own = self.own()?;
        let is_manager = |info: &Value| info["Swarm"]["ControlAvailable"] == true;
        if self.info(own).await.is_ok_and(|info| is_manager(&info)) {
            return Ok(Arc::clone(own));
        }
        let mut asks = Vec::new();
        for node in self.nodes.all.iter().filter(|node| !node.is_own) {
            asks.push(self.named_info(Arc::clone(node)).boxed());
        }
        let infos = join_all(asks).await;
        let found = infos
            .into_iter()
            .find(|(_, info)| info.as_ref().is_ok_and(|info| is_manager(info)));
        Ok(found.map_or_else(|| Arc::clone(own), |(node, _)| node))
    }

    /// Sends a question and reads the answer, within a time.
    pub(super) async fn ask(
        &self,
        node: &Node,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        limit: Duration,
    ) -> Result<(StatusCode, Bytes), Fault> {
        let mut request = Request::new(body.map_or_else(empty, full));
        *request.method_mut() = method;
        let path = format!("{}{path}", self.version);
        *request.uri_mut() = path
            .parse()
            .map_err(|error| Fault::bad(format!("{path}: {error}")))?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        let interface = self.nodes.interface.as_deref();
        let answered = async {
            let response = self.engines().links.send(node, interface, request).await?;
            let status = response.status();
            Ok((status, read(response.into_body(), ANSWER_MAX).await?))
        };
        timeout(limit, answered)
            .await
            .unwrap_or_else(|_| Err(silent(node, limit)))
    }

    /// The same of these nodes, at the same time.
    pub(super) async fn ask_all(
        &self,
        nodes: &[Arc<Node>],
        method: &Method,
        path: &str,
        limit: Duration,
    ) -> Vec<(Arc<Node>, Result<(StatusCode, Bytes), Fault>)> {
        let mut asks = Vec::new();
        for node in nodes {
            asks.push(self.named_ask(Arc::clone(node), method, path, limit).boxed());
        }
        join_all(asks).await
    }

    async fn named_ask(
        &self,
        node: Arc<Node>,
        method: &Method,
        path: &str,
        limit: Duration,
    ) -> (Arc<Node>, Result<(StatusCode, Bytes), Fault>) {
        let answer = self.ask(&node, method.clone(), path, None, limit).await;
        (node, answer)
    }

    /// The JSON that a node answers to a GET.
    pub(super) async fn json(&self, node: &Node, path: &str) -> Result<Value, Fault> {
        let (status, body) = self.ask(node, Method::GET, path, None, ANSWER).await?;
        if !status.is_success() {
            return Err(Fault::of_answer(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| {
            Fault::new(
                StatusCode::BAD_GATEWAY,
                format!("Docker on {}: {error}", node.name),
            )
        })
    }

    async fn named_json(&self, node: Arc<Node>, path: &str) -> Answer {
        let answer = self.json(&node, path).await;
        (node, answer)
    }

    async fn named_info(&self, node: Arc<Node>) -> (Arc<Node>, Result<Arc<Value>, Fault>) {
        let info = self.info(&node).await;
        (node, info)
    }

    /// The same of these nodes, at the same time.
    pub(super) async fn of(&self, nodes: &[Arc<Node>], path: &str) -> Vec<Answer> {
        // Boxed, in a loop: else the compiler does not see that the future may change threads.
        let mut asks = Vec::new();
        for node in nodes {
            asks.push(self.named_json(Arc::clone(node), path).boxed());
        }
        join_all(asks).await
    }

    /// What a node's engine says of itself; some seconds old.
    pub(super) async fn info(&self, node: &Node) -> Result<Arc<Value>, Fault> {
        let known = |infos: &HashMap<String, (Instant, Arc<Value>)>| {
            let (at, info) = infos.get(&node.name)?;
            (at.elapsed() < INFO).then(|| Arc::clone(info))
        };
        let infos = &self.engines().infos;
        if let Some(info) = known(&infos.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(info);
        }
        let info = Arc::new(self.json(node, "/info").await?);
        let mut infos = infos.lock().unwrap_or_else(PoisonError::into_inner);
        infos.retain(|_, (at, _)| at.elapsed() < INFO);
        infos.insert(node.name.clone(), (Instant::now(), Arc::clone(&info)));
        Ok(info)
    }
}

/// The answers there are. When the question itself was wrong, every node says so, and one of them is enough; when
/// nobody answers, why.
pub(super) fn sound<T>(answers: Vec<(Arc<Node>, Result<T, Fault>)>) -> Result<Vec<(Arc<Node>, T)>, Fault> {
    let mut sound = Vec::with_capacity(answers.len());
    let mut silent = None;
    for (node, answer) in answers {
        match answer {
            Ok(value) => sound.push((node, value)),
            Err(fault) if fault.status.is_client_error() => return Err(fault),
            Err(fault) => {
                tracing::debug!("docker endpoint: {}: {}", node.name, fault.message);
                silent.get_or_insert(fault);
            }
        }
    }
    match silent {
        Some(fault) if sound.is_empty() => Err(fault),
        _ => Ok(sound),
    }
}

fn silent(node: &Node, limit: Duration) -> Fault {
    Fault::unreachable(format!(
        "node {} does not answer within {} s",
        node.name,
        limit.as_secs()
    ))
}
