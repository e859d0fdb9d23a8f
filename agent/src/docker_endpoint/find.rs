//! Which node has what people name.

use std::sync::Arc;

use serde_json::Value;

use super::call::{Answer, Call};
use super::message::{Fault, encode};
use super::nodes::Node;

/// A container that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) node: Arc<Node>,
    pub(super) id: String,
    /// What its engine says of it, when it had to be asked.
    pub(super) inspected: Option<Value>,
}

impl Call {
    /// The container of this name, `node/name`, identifier or beginning of one.
    pub(super) async fn container(&self, reference: &str) -> Result<Found, Fault> {
        let (nodes, name) = match self.nodes.split(reference) {
            Some((node, name)) => (vec![Arc::clone(node)], name),
            None => (self.nodes.all.clone(), reference.trim_start_matches('/')),
        };
        if let Some(node) = self.remembered(name) {
            return Ok(Found {
                node: Arc::clone(node),
                id: name.to_owned(),
                inspected: None,
            });
        }
        let answers = self
            .of(&nodes, &format!("/containers/{}/json", encode(name)))
            .await;
        let (node, inspected) = one(answers, name, "container", |value| {
            closeness(name, value["Id"].as_str(), value["Name"].as_str())
        })?;
        let id = inspected["Id"].as_str().unwrap_or_default().to_owned();
        self.engines().remember(&id, &node);
        Ok(Found {
            node,
            id,
            inspected: Some(inspected),
        })
    }

    /// The node that has what has this identifier, if it was met before.
    pub(super) fn remembered(&self, id: &str) -> Option<&Arc<Node>> {
        let place = self.engines().place(id)?;
        self.nodes.all.iter().find(|node| node.name == place)
    }
}

/// How well what an engine found is what was said: an identifier in full, then a name, then the beginning of an
/// identifier; the less the better. As in the engine itself, but over all of them.
fn closeness(said: &str, id: Option<&str>, name: Option<&str>) -> u8 {
    if id == Some(said) {
        0
    } else if name.map(|name| name.trim_start_matches('/')) == Some(said) {
        1
    } else {
        2
    }
}

/// The one that is meant, of what the nodes have found.
pub(super) fn one(
    answers: Vec<Answer>,
    said: &str,
    kind: &str,
    closeness: impl Fn(&Value) -> u8,
) -> Result<(Arc<Node>, Value), Fault> {
    let mut found = Vec::new();
    let mut silent = Vec::new();
    let mut refusal = None;
    for (node, answer) in answers {
        match answer {
            Ok(value) => found.push((closeness(&value), node, value)),
            Err(fault) if fault.status.is_client_error() => refusal = Some(fault),
            Err(fault) => silent.push((node, fault)),
        }
    }
    let best = found.iter().map(|(closeness, ..)| *closeness).min();
    found.retain(|(closeness, ..)| Some(*closeness) == best);
    if found.len() > 1 {
        let names: Vec<_> = found
            .iter()
            .map(|(_, node, value)| {
                let name = value["Name"].as_str().unwrap_or(said);
                format!("{}/{}", node.name, name.trim_start_matches('/'))
            })
            .collect();
        return Err(Fault::bad(format!(
            "{said} is ambiguous: there are {}; say which",
            names.join(", ")
        )));
    }
    match (found.pop(), refusal, &silent[..]) {
        (Some((_, node, value)), ..) => Ok((node, value)),
        (None, Some(refusal), []) => Err(refusal),
        (None, None, [(_, fault)]) => Err(fault.clone()),
        (None, None, []) => Err(Fault::not_found(format!("No such {kind}: {said}"))),
        (None, _, silent) => {
            let names: Vec<_> = silent.iter().map(|(node, _)| node.name.clone()).collect();
            Err(Fault::not_found(format!(
                "No such {kind}: {said} (not answering: {})",
                names.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use serde_json::json;

    use super::super::nodes::tests::three;
    use super::*;

    #[test]
    fn of_what_the_nodes_find_the_closest_is_meant() {
        let nodes = three();
        let here = |id: &str, name: &str| Ok(json!({"Id": id, "Name": format!("/{name}")}));
        let none = || Err(Fault::not_found("No such container: abc"));
        let away = || Err(Fault::unreachable("node n2 does not answer"));
        for (answers, expected) in [
            ([none(), here("1", "abc"), none()], Ok("m")),
            ([here("abcd", "x"), here("1", "abc"), none()], Ok("m")),
            ([here("abc", "x"), here("1", "abc"), none()], Ok("n1")),
            ([none(), here("1", "abc"), away()], Ok("m")),
            (
                [here("2", "abc"), here("1", "abc"), none()],
                Err("abc is ambiguous: there are n1/abc, m/abc; say which"),
            ),
            (
                [here("abcd", "x"), here("abce", "y"), none()],
                Err("abc is ambiguous: there are n1/x, m/y; say which"),
            ),
            ([none(), none(), none()], Err("No such container: abc")),
            (
                [none(), none(), away()],
                Err("No such container: abc (not answering: n2)"),
            ),
        ] {
            let answers = nodes.all.iter().cloned().zip(answers).collect();
            let found = one(answers, "abc", "container", |value| {
                closeness("abc", value["Id"].as_str(), value["Name"].as_str())
            });
            let found = found
                .map(|(node, _)| node.name.clone())
                .map_err(|fault| fault.message);
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        }
        let alone = vec![(Arc::clone(&nodes.all[2]), away())];
        let fault = one(alone, "abc", "container", |_| 0).unwrap_err();
        assert_eq!(fault.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
