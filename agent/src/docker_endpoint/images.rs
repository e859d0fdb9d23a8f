//! Images: every node has its own, so a list is of all nodes', and what changes one changes it on every node that has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::call::{Call, sound};
use super::message::{Body, Fault, encode, json_response};
use super::nodes::Node;

/// Removing an image from a card takes a while.
const REMOVE: Duration = Duration::from_secs(120);

/// `images`: each once, however many nodes have it.
pub(super) async fn list(call: &Call, request: &Request<Incoming>) -> Result<Response<Body>, Fault> {
    let path = format!("/images/json?{}", request.uri().query().unwrap_or_default());
    let answers = sound(call.of(&call.nodes.all, &path).await)?;
    Ok(json_response(StatusCode::OK, &Value::Array(merged(answers))))
}

/// What is asked of one image.
pub(super) async fn one(
    call: &Call,
    name: &str,
    rest: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Fault> {
    match (request.method(), rest) {
        (&Method::DELETE, "") | (&Method::POST, "tag") => everywhere(call, name, request).await,
        _ => {
            let node = call.image(name).await?;
            call.pass(&node, request, None).await
        }
    }
}

impl Call {
    /// A node that has an image, this one first.
    pub(super) async fn image(&self, name: &str) -> Result<Arc<Node>, Fault> {
        let answers = self
            .of(&self.nodes.all, &format!("/images/{}/json", encode(name)))
            .await;
        let mut refusal = Fault::not_found(format!("No such image: {name}"));
        for (node, answer) in answers {
            match answer {
                Ok(_) => return Ok(node),
                Err(fault) if fault.status != StatusCode::NOT_FOUND && fault.status.is_client_error() => {
                    refusal = fault
                }
                Err(_) => {}
            }
        }
        Err(refusal)
    }
}

/// Asks every node that has the image, and tells what all of them did.
async fn everywhere(call: &Call, name: &str, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    let method = request.method().clone();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path = path
        .strip_prefix(call.version.as_str())
        .unwrap_or(path)
        .to_owned();
    let mut done = Vec::new();
    let (mut status, mut found) = (StatusCode::OK, false);
    for (node, answer) in call.ask_all(&call.nodes.all, &method, &path, REMOVE).await {
        match answer {
            Ok((answered, body)) if answered.is_success() => {
                status = answered;
                let list = serde_json::from_slice::<Value>(&body).unwrap_or_default();
                done.extend(list.as_array().cloned().unwrap_or_default());
                found = true;
            }
            // Not every node has it.
            Ok((StatusCode::NOT_FOUND, _)) => {}
            Ok((answered, body)) => {
                let Fault { status, message } = Fault::of_answer(answered, &body);
                return Err(Fault::new(status, format!("{}: {message}", node.name)));
            }
            Err(fault) => tracing::debug!("docker endpoint: {}: {}", node.name, fault.message),
        }
    }
    if !found {
        return Err(Fault::not_found(format!("No such image: {name}")));
    }
    if method == Method::POST {
        let mut response = Response::new(super::message::empty());
        *response.status_mut() = status;
        return Ok(response);
    }
    // Three nodes that untag one image untag it once.
    let mut once: Vec<Value> = Vec::new();
    for entry in done {
        if !once.contains(&entry) {
            once.push(entry);
        }
    }
    Ok(json_response(status, &once.into()))
}

/// By identifier, with the names of all nodes, newest first.
fn merged(answers: Vec<(Arc<Node>, Value)>) -> Vec<Value> {
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for (_, answer) in answers {
        let Value::Array(images) = answer else { continue };
        for image in images {
            let id = image["Id"].as_str().unwrap_or_default().to_owned();
            match all.get_mut(&id) {
                None => {
                    all.insert(id, image);
                }
                Some(known) => {
                    for key in ["RepoTags", "RepoDigests"] {
                        known[key] = union(&known[key], &image[key]);
                    }
                }
            }
        }
    }
    let mut all: Vec<Value> = all.into_values().collect();
    all.sort_by_key(|image| std::cmp::Reverse(image["Created"].as_i64()));
    all
}

/// Without `<none>:<none>` where there are real names.
fn union(one: &Value, other: &Value) -> Value {
    let both = [one, other].into_iter().filter_map(Value::as_array).flatten();
    let mut names: Vec<&Value> = Vec::new();
    for name in both {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let is_real = |name: &&Value| !name.as_str().unwrap_or_default().starts_with("<none>");
    if names.iter().any(is_real) {
        names.retain(is_real);
    }
    json!(names)
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::three;
    use super::*;

    #[test]
    fn an_image_that_several_nodes_have_is_listed_once_with_all_its_names() {
        let nodes = three();
        let image =
            |id: &str, created: i64, tags: &[&str]| json!({"Id": id, "Created": created, "RepoTags": tags});
        let all = merged(vec![
            (
                Arc::clone(&nodes.all[0]),
                json!([image("1", 5, &["a:1"]), image("2", 9, &["<none>:<none>"])]),
            ),
            (
                Arc::clone(&nodes.all[1]),
                json!([image("1", 5, &["a:1", "b:1"]), image("2", 9, &["c:1"])]),
            ),
        ]);
        assert_eq!(all.len(), 2);
        assert_eq!(
            (&all[0]["RepoTags"], &all[1]["RepoTags"]),
            (&json!(["c:1"]), &json!(["a:1", "b:1"]))
        );
    }
}
