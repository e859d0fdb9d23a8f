//! Answers that are streams of JSON lines of several nodes, as one: what happens, and how images are pulled.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::{FutureExt, join_all};
use futures_util::stream::{self, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::call::{Call, sound};
use super::message::{ANSWER_MAX, Body, Fault, boxed, empty, query_parts, read};
use super::nodes::Node;

/// A line that is longer is passed over.
const LINE_MAX: usize = 1024 * 1024;

/// What a line of a node looks like to the cluster's users.
type Change = fn(&Node, Value) -> Value;

/// `events`: of all nodes, as they come.
pub(super) async fn events(call: &Call, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    let (parts, _) = request.into_parts();
    of_all(call, &parts, event).await
}

/// `pull` on all nodes; what comes in the request itself (`import`) is this node's.
pub(super) async fn pull(call: &Call, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    let query = query_parts(request.uri().query().unwrap_or_default());
    if !query
        .iter()
        .any(|(key, value)| key == "fromImage" && !value.is_empty())
    {
        return call.here(request).await;
    }
    let (parts, _) = request.into_parts();
    of_all(call, &parts, progress).await
}

async fn of_all(call: &Call, parts: &Parts, change: Change) -> Result<Response<Body>, Fault> {
    let mut asks = Vec::new();
    for node in &call.nodes.all {
        asks.push(begun(call, Arc::clone(node), parts).boxed());
    }
    let begun = sound(join_all(asks).await)?;
    let lines = begun
        .into_iter()
        .map(|(node, body)| lines(node, body, change).boxed());
    let body = StreamBody::new(
        stream::select_all(lines).map(|line| Ok::<_, std::convert::Infallible>(Frame::data(line))),
    );
    let mut response = Response::new(boxed(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

/// The same request to one node, up to the beginning of its answer.
async fn begun(call: &Call, node: Arc<Node>, parts: &Parts) -> (Arc<Node>, Result<Incoming, Fault>) {
    let mut request = Request::new(empty());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    for (name, value) in &parts.headers {
        // Credentials for registries.
        if name.as_str().starts_with("x-") {
            request.headers_mut().insert(name, value.clone());
        }
    }
    let interface = call.nodes.interface.as_deref();
    let answer = match call.engines().links.send(&node, interface, request).await {
        Ok(response) if response.status() == StatusCode::OK => Ok(response.into_body()),
        Ok(response) => {
            let status = response.status();
            let body = read(response.into_body(), ANSWER_MAX).await;
            Err(Fault::of_answer(status, &body.unwrap_or_default()))
        }
        Err(fault) => Err(fault),
    };
    (node, answer)
}

/// The lines of a body, each changed.
fn lines(node: Arc<Node>, body: Incoming, change: Change) -> impl stream::Stream<Item = Bytes> + Send {
    let state = (node, body, Vec::new(), VecDeque::new());
    stream::unfold(state, move |(node, mut body, mut rest, mut ready)| async move {
        loop {
            if let Some(line) = ready.pop_front() {
                return Some((line, (node, body, rest, ready)));
            }
            let data = match body.frame().await {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(_)) | None => return None,
            };
            rest.extend_from_slice(&data);
            for line in whole_lines(&mut rest) {
                if let Ok(value) = serde_json::from_slice::<Value>(&line) {
                    ready.push_back(Bytes::from(format!("{}\n", change(&node, value))));
                }
            }
        }
    })
}

/// Takes the lines that have ended.
fn whole_lines(rest: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else {
        if rest.len() > LINE_MAX {
            rest.clear();
        }
        return Vec::new();
    };
    let after = rest.split_off(end + 1);
    let whole = std::mem::replace(rest, after);
    whole
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

/// With the node, as standalone Swarm told it.
fn event(node: &Node, mut event: Value) -> Value {
    if event["Actor"]["Attributes"].is_object() {
        event["Actor"]["Attributes"]["node.name"] = node.name.as_str().into();
        event["Actor"]["Attributes"]["node.addr"] = node.shown_address().into();
    }
    event["node"] = json!({"Name": node.name, "Addr": node.shown_address()});
    event
}

/// Progress is shown per node and layer.
fn progress(node: &Node, mut line: Value) -> Value {
    let (key, separator) = if line["id"].is_string() {
        ("id", " ")
    } else {
        ("status", ": ")
    };
    if let Some(text) = line[key].as_str() {
        line[key] = format!("{}{separator}{text}", node.name).into();
    }
    if let Some(error) = line["error"].as_str() {
        let error = format!("{}: {error}", node.name);
        line["errorDetail"]["message"] = error.as_str().into();
        line["error"] = error.into();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::three;
    use super::*;

    #[test]
    fn lines_are_taken_when_they_have_ended() {
        let mut rest = Vec::new();
        let mut taken = Vec::new();
        for part in ["{\"a\"", ":1}\r\n{}\n{", "}", "\n"] {
            rest.extend_from_slice(part.as_bytes());
            taken.extend(whole_lines(&mut rest));
        }
        let text: Vec<_> = taken
            .iter()
            .map(|line| String::from_utf8_lossy(line).trim().to_owned())
            .collect();
        assert_eq!(text, ["{\"a\":1}", "{}", "{}"]);
        assert!(rest.is_empty());
    }

    #[test]
    fn a_line_tells_its_node() {
        let node = &three().all[2];
        for (line, expected) in [
            (
                json!({"status": "Pulling", "id": "a1"}),
                json!({"status": "Pulling", "id": "n2 a1"}),
            ),
            (json!({"status": "Done"}), json!({"status": "n2: Done"})),
            (
                json!({"error": "no"}),
                json!({"error": "n2: no", "errorDetail": {"message": "n2: no"}, "id": null, "status": null}),
            ),
        ] {
            let changed = progress(node, line);
            for (key, value) in expected.as_object().unwrap() {
                assert_eq!(&changed[key], value);
            }
        }
        let event = event(node, json!({"Actor": {"Attributes": {"name": "web"}}}));
        assert_eq!(event["Actor"]["Attributes"]["node.name"], "n2");
    }
}
