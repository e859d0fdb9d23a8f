//! `create`: a new container on the node that suits it best.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt, join_all};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;

use super::call::Call;
use super::containers::free;
use super::message::{Body, Fault, REQUEST_MAX, full, query_parts, read, render_query};
use super::nodes::Node;
use super::scheduler::{Candidate, Resident, Strategy, choose};
use super::wish::{RESERVED_CPUS, RESERVED_MEMORY, Wish};

/// An engine makes a container within this time; a card may be slow.
const CREATE: Duration = Duration::from_secs(120);

/// Answers the request.
pub(super) async fn create(call: &Call, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    let mut parts = query_parts(request.uri().query().unwrap_or_default());
    let body = read(request.into_body(), REQUEST_MAX).await?;
    let mut body: Value = serde_json::from_slice(&body).map_err(|error| Fault::bad(error.to_string()))?;
    if !body.is_object() {
        return Err(Fault::bad("the settings of a container are an object"));
    }
    let wish = Wish::take(&mut body)?;
    if let Some((_, name)) = parts
        .iter_mut()
        .find(|(key, name)| key == "name" && !name.is_empty())
    {
        if let Some((_, plain)) = call.nodes.split(name) {
            *name = plain.to_owned();
        }
        free(call, name).await?;
    }
    let image = body["Image"].as_str().unwrap_or_default().to_owned();
    let path = format!("/containers/create?{}", render_query(&parts));
    let body = Bytes::from(body.to_string());
    // One at a time: the next one counts this one.
    let _turn = call.engines().placing.lock().await;
    let node = place(call, &wish).await?;
    let make = || call.ask(&node, Method::POST, &path, Some(body.clone()), CREATE);
    let (mut status, mut answer) = make().await?;
    // Else the client pulls it, on all nodes, and asks again.
    if status == StatusCode::NOT_FOUND && !image.is_empty() && call.copy_image(&image, &node).await? {
        (status, answer) = make().await?;
    }
    if !status.is_success() {
        return Err(Fault::of_answer(status, &answer));
    }
    let made: Value = serde_json::from_slice(&answer).unwrap_or_default();
    if let Some(id) = made["Id"].as_str() {
        call.engines().remember(id, &node);
    }
    let mut response = Response::new(full(answer));
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(
        "content-type",
        hyper::header::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

/// The node that suits it best.
async fn place(call: &Call, wish: &Wish) -> Result<Arc<Node>, Fault> {
    let mut looks = Vec::new();
    for node in &call.nodes.all {
        looks.push(named_candidate(call, Arc::clone(node)).boxed());
    }
    let looked = join_all(looks).await;
    let (nodes, candidates): (Vec<Arc<Node>>, Vec<_>) = looked
        .into_iter()
        .filter_map(|(node, candidate)| Some((node, candidate.ok()?)))
        .unzip();
    let pick = |count: usize| rand::random_range(0..count.max(1));
    match choose(Strategy::default(), wish, &candidates, pick) {
        Ok(index) => Ok(Arc::clone(&nodes[index])),
        Err(why) => Err(Fault::new(StatusCode::CONFLICT, why)),
    }
}

async fn named_candidate(call: &Call, node: Arc<Node>) -> (Arc<Node>, Result<Candidate, Fault>) {
    let candidate = candidate(call, &node).await;
    (node, candidate)
}

/// A node as the scheduler sees it.
pub(super) async fn candidate(call: &Call, node: &Node) -> Result<Candidate, Fault> {
    let (info, containers, images) = tokio::try_join!(
        call.info(node).boxed(),
        call.json(node, "/containers/json?all=1").boxed(),
        call.json(node, "/images/json").boxed()
    )?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = super::info::labels(Some(&info));
    let images = images.as_array().into_iter().flatten().flat_map(|image| {
        let names = image["RepoTags"].as_array().into_iter().flatten();
        names.map(text).chain([text(&image["Id"])]).collect::<Vec<_>>()
    });
    let is_master = node.is_master.then(|| "cl-master".to_owned());
    Ok(Candidate {
        name: node.name.clone(),
        aliases: is_master.into_iter().chain([node.shown_address()]).collect(),
        labels: labels
            .iter()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
        residents: containers
            .as_array()
            .into_iter()
            .flatten()
            .map(resident)
            .collect(),
        images: images.collect(),
        cpus: info["NCPU"].as_i64().unwrap_or_default() * 1_000_000_000,
        memory: info["MemTotal"].as_i64().unwrap_or_default(),
    })
}

fn resident(container: &Value) -> Resident {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&container["Names"][0]);
    let labels = container["Labels"].as_object().into_iter().flatten();
    let ports = container["Ports"].as_array().into_iter().flatten();
    let ports = ports.filter_map(|port| {
        Some(format!(
            "{}/{}",
            port["PublicPort"].as_u64()?,
            port["Type"].as_str()?
        ))
    });
    let amount = |label: &str| {
        container["Labels"][label]
            .as_str()
            .and_then(|amount| amount.parse().ok())
    };
    Resident {
        id: text(&container["Id"]),
        name: name.trim_start_matches('/').to_owned(),
        labels: labels.map(|(key, value)| (key.clone(), text(value))).collect(),
        ports: ports.collect(),
        cpus: amount(RESERVED_CPUS).unwrap_or_default(),
        memory: amount(RESERVED_MEMORY).unwrap_or_default(),
    }
}
