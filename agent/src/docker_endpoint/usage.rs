//! Disk usage, and the removal of what is not used: every node's, summed.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::call::{Call, sound};
use super::message::{Body, Fault, json_response};
use super::nodes::Node;

/// A slow card with many layers takes minutes.
const PATIENCE: Duration = Duration::from_secs(600);

/// `system df`
pub(super) async fn disk(call: &Call, request: &Request<Incoming>) -> Result<Response<Body>, Fault> {
    summed_answer(call, request).await
}

/// `prune`
pub(super) async fn prune(call: &Call, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    summed_answer(call, &request).await
}

async fn summed_answer(call: &Call, request: &Request<Incoming>) -> Result<Response<Body>, Fault> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path = path.strip_prefix(call.version.as_str()).unwrap_or(path);
    let answers = call
        .ask_all(&call.nodes.all, request.method(), path, PATIENCE)
        .await;
    let read = |(node, answer): (Arc<Node>, Result<(StatusCode, hyper::body::Bytes), Fault>)| {
        let answer = answer.and_then(|(status, body)| match status.is_success() {
            true => Ok(serde_json::from_slice::<Value>(&body).unwrap_or_default()),
            false => Err(Fault::of_answer(status, &body)),
        });
        (node, answer)
    };
    let answers = sound(answers.into_iter().map(read).collect())?;
    Ok(json_response(StatusCode::OK, &summed(answers)))
}

/// Numbers are added and lists put together, whatever they are called: no engine's version is left behind.
fn summed(answers: Vec<(Arc<Node>, Value)>) -> Value {
    let mut whole = serde_json::Map::new();
    for (node, answer) in answers {
        let Value::Object(answer) = answer else { continue };
        for (key, value) in answer {
            let value = of_node(&node, &key, value);
            let known = whole.remove(&key).unwrap_or(Value::Null);
            whole.insert(key, sum(known, value));
        }
    }
    Value::Object(whole)
}

fn sum(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Null, value) | (value, Value::Null) => value,
        (Value::Array(mut one), Value::Array(other)) => {
            one.extend(other);
            Value::Array(one)
        }
        (one, other) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => json!(one + other),
            _ => one,
        },
    }
}

/// Containers and volumes have the names that lists give them.
fn of_node(node: &Node, key: &str, mut value: Value) -> Value {
    let named = |name: &Value| {
        json!(format!(
            "{}/{}",
            node.name,
            name.as_str().unwrap_or_default().trim_start_matches('/')
        ))
    };
    for entry in value.as_array_mut().into_iter().flatten() {
        match key {
            "Containers" => {
                for name in entry["Names"].as_array_mut().into_iter().flatten() {
                    *name = json!(format!("/{}", named(name).as_str().unwrap_or_default()));
                }
            }
            "Volumes" => entry["Name"] = named(&entry["Name"]),
            "VolumesDeleted" | "NetworksDeleted" => *entry = named(entry),
            _ => {}
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::three;
    use super::*;

    #[test]
    fn what_the_nodes_use_is_summed() {
        let nodes = three();
        let answer = |size: i64, name: &str| {
            json!({"LayersSize": size, "Images": null, "Volumes": [{"Name": name}],
                "Containers": [{"Names": [format!("/{name}")]}], "VolumesDeleted": [name]})
        };
        let whole = summed(vec![
            (Arc::clone(&nodes.all[0]), answer(5, "a")),
            (Arc::clone(&nodes.all[2]), answer(7, "b")),
        ]);
        let expected = json!({"LayersSize": 12, "Images": null, "Volumes": [{"Name": "n1/a"}, {"Name": "n2/b"}],
            "Containers": [{"Names": ["/n1/a"]}, {"Names": ["/n2/b"]}], "VolumesDeleted": ["n1/a", "n2/b"]});
        assert_eq!(whole, expected);
    }
}
