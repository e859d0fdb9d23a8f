//! Networks and volumes: those of one node are called `node/name`, those of the whole cluster by their name.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::call::{Call, sound};
use super::find::one as the_one;
use super::message::{Body, Fault, REQUEST_MAX, encode, full, json_response, read};
use super::nodes::Node;

/// An engine makes a network or a volume within this time.
const CREATE: Duration = Duration::from_secs(60);

/// `network ls`
pub(super) async fn networks(call: &Call, request: &Request<Incoming>) -> Result<Response<Body>, Fault> {
    let path = format!("/networks?{}", request.uri().query().unwrap_or_default());
    let answers = sound(call.of(&call.nodes.all, &path).await)?;
    Ok(json_response(StatusCode::OK, &Value::Array(merged(answers))))
}

/// `volume ls`
pub(super) async fn volumes(call: &Call, request: &Request<Incoming>) -> Result<Response<Body>, Fault> {
    let path = format!("/volumes?{}", request.uri().query().unwrap_or_default());
    let (mut volumes, mut warnings) = (Vec::new(), Vec::new());
    for (node, answer) in sound(call.of(&call.nodes.all, &path).await)? {
        let list = |key: &str| answer[key].as_array().cloned().unwrap_or_default();
        volumes.extend(list("Volumes").into_iter().map(|volume| of_node(&node, volume)));
        warnings.extend(list("Warnings"));
    }
    volumes.sort_by_key(|volume| volume["Name"].as_str().map(str::to_owned));
    let all = json!({"Volumes": volumes, "Warnings": warnings});
    Ok(json_response(StatusCode::OK, &all))
}

/// `network create`: an overlay is the swarm's, and containers may join it; anything else is this node's, or that of
/// the node that is named.
pub(super) async fn create_network(call: &Call, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    let mut body = object(request).await?;
    let node = if body["Driver"] == "overlay" {
        body["Attachable"] = true.into();
        call.a_manager().await?
    } else {
        take_node(call, &mut body)?
    };
    make(call, &node, "/networks/create", &body).await
}

/// `volume create`: on this node, or on the one that is named.
pub(super) async fn create_volume(call: &Call, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    let mut body = object(request).await?;
    let node = take_node(call, &mut body)?;
    make(call, &node, "/volumes/create", &body).await
}

/// What is asked of one network.
pub(super) async fn network(
    call: &Call,
    name: &str,
    rest: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Fault> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    // A container joins a network where it is.
    if !rest.is_empty() {
        let (parts, body) = request.into_parts();
        let body = read(body, REQUEST_MAX).await?;
        let mut body: Value = serde_json::from_slice(&body).map_err(|error| Fault::bad(error.to_string()))?;
        let container = call
            .container(body["Container"].as_str().unwrap_or_default())
            .await?;
        body["Container"] = container.id.into();
        let name = call.nodes.split(name).map_or(name, |(_, name)| name);
        let path = format!("/networks/{}/{rest}", encode(name));
        let body = Some(Bytes::from(body.to_string()));
        let (status, answer) = call
            .ask(&container.node, parts.method, &path, body, CREATE)
            .await?;
        return raw(status, answer);
    }
    let (node, found) = call.network(name, &query).await?;
    let id = found["Id"].as_str().unwrap_or_default();
    let is_shared = found["Scope"] == "swarm";
    if *request.method() == Method::GET {
        let found = if is_shared { found } else { of_node(&node, found) };
        return Ok(json_response(StatusCode::OK, &found));
    }
    let node = if is_shared { call.a_manager().await? } else { node };
    let path = format!("{}/networks/{}?{query}", call.version, encode(id));
    call.pass(&node, request, Some(path)).await
}

/// What is asked of one volume.
pub(super) async fn volume(
    call: &Call,
    name: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Fault> {
    let (nodes, plain) = where_to_look(call, name);
    let answers = call.of(&nodes, &format!("/volumes/{}", encode(plain))).await;
    let (node, found) = the_one(answers, plain, "volume", |_| 0)?;
    if *request.method() == Method::GET {
        return Ok(json_response(StatusCode::OK, &of_node(&node, found)));
    }
    let query = request.uri().query().unwrap_or_default();
    let path = format!("{}/volumes/{}?{query}", call.version, encode(plain));
    call.pass(&node, request, Some(path)).await
}

impl Call {
    /// The network of this name or identifier, and a node that knows it. One of the swarm is known to several.
    async fn network(&self, name: &str, query: &str) -> Result<(Arc<Node>, Value), Fault> {
        let (nodes, plain) = where_to_look(self, name);
        let path = format!("/networks/{}?{query}", encode(plain));
        let mut answers = self.of(&nodes, &path).await;
        let is_shared =
            |answer: &Result<Value, Fault>| matches!(answer, Ok(network) if network["Scope"] == "swarm");
        if let Some(shared) = answers.iter().position(|(_, answer)| is_shared(answer)) {
            answers = vec![answers.swap_remove(shared)];
        }
        the_one(answers, plain, "network", |network| {
            u8::from(network["Id"] != plain) + u8::from(network["Id"] != plain && network["Name"] != plain)
        })
    }
}

fn where_to_look<'a>(call: &Call, name: &'a str) -> (Vec<Arc<Node>>, &'a str) {
    match call.nodes.split(name) {
        Some((node, plain)) => (vec![Arc::clone(node)], plain),
        None => (call.nodes.all.clone(), name),
    }
}

async fn object(request: Request<Incoming>) -> Result<Value, Fault> {
    let body = read(request.into_body(), REQUEST_MAX).await?;
    let body: Value = serde_json::from_slice(&body).map_err(|error| Fault::bad(error.to_string()))?;
    if body.is_object() {
        Ok(body)
    } else {
        Err(Fault::bad("the settings are an object"))
    }
}

/// The node that a new thing's name begins with, and else this one.
fn take_node(call: &Call, body: &mut Value) -> Result<Arc<Node>, Fault> {
    let name = body["Name"].as_str().unwrap_or_default();
    let Some((node, plain)) = call.nodes.split(name) else {
        return Ok(Arc::clone(call.own()?));
    };
    let (node, plain) = (Arc::clone(node), plain.to_owned());
    body["Name"] = plain.into();
    Ok(node)
}

async fn make(call: &Call, node: &Node, path: &str, body: &Value) -> Result<Response<Body>, Fault> {
    let body = Some(Bytes::from(body.to_string()));
    let (status, answer) = call.ask(node, Method::POST, path, body, CREATE).await?;
    raw(status, answer)
}

fn raw(status: StatusCode, answer: Bytes) -> Result<Response<Body>, Fault> {
    if !status.is_success() {
        return Err(Fault::of_answer(status, &answer));
    }
    let mut response = Response::new(full(answer));
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}

/// Networks of the swarm once, those of nodes under their names.
fn merged(answers: Vec<(Arc<Node>, Value)>) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for (node, answer) in answers {
        let Value::Array(networks) = answer else { continue };
        for network in networks {
            if network["Scope"] != "swarm" {
                all.push(of_node(&node, network));
            } else if all.iter().all(|known| known["Id"] != network["Id"]) {
                all.push(network);
            }
        }
    }
    all
}

fn of_node(node: &Node, mut thing: Value) -> Value {
    if let Some(name) = thing["Name"].as_str() {
        thing["Name"] = format!("{}/{name}", node.name).into();
    }
    thing
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::three;
    use super::*;

    #[test]
    fn networks_of_the_swarm_are_listed_once_and_those_of_nodes_under_their_names() {
        let nodes = three();
        let network = |id: &str, name: &str, scope: &str| json!({"Id": id, "Name": name, "Scope": scope});
        let all = merged(vec![
            (
                Arc::clone(&nodes.all[0]),
                json!([network("1", "bridge", "local"), network("9", "my-net", "swarm")]),
            ),
            (
                Arc::clone(&nodes.all[2]),
                json!([network("2", "bridge", "local"), network("9", "my-net", "swarm")]),
            ),
        ]);
        let names: Vec<_> = all
            .iter()
            .map(|network| network["Name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["n1/bridge", "my-net", "n2/bridge"]);
    }
}
