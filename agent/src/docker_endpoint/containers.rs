//! Containers: the list of all nodes', and what is asked of one.

use std::net::Ipv4Addr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::call::Call;
use super::exec;
use super::message::{Body, Fault, encode, json_response, query_parts, render_query};
use super::nodes::Node;

/// The filter that means the node.
const QUERY_NODE: &str = "node";

/// `ps`: of all nodes, with names `node/name`, newest first.
pub(super) async fn list(call: &Call, request: &Request<Incoming>) -> Result<Response<Body>, Fault> {
    let mut parts = query_parts(request.uri().query().unwrap_or_default());
    let wanted = take_node_filter(&mut parts)?;
    let most = parts
        .iter()
        .find(|(key, _)| key == "limit")
        .and_then(|(_, value)| value.parse::<usize>().ok())
        .filter(|most| *most > 0);
    let nodes = call.nodes.all.iter();
    let nodes: Vec<_> = nodes
        .filter(|node| wanted.is_empty() || wanted.iter().any(|name| node.answers_to(name)))
        .cloned()
        .collect();
    let path = format!("/containers/json?{}", render_query(&parts));
    let answers = super::call::sound(call.of(&nodes, &path).await)?;
    let mut all = merged(answers);
    all.truncate(most.unwrap_or(usize::MAX));
    Ok(json_response(StatusCode::OK, &Value::Array(all)))
}

/// What is asked of one container goes to its engine, under its identifier.
pub(super) async fn one(
    call: &Call,
    name: &str,
    rest: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Fault> {
    let found = call.container(name).await?;
    let query = request.uri().query();
    if rest == "json" && *request.method() == Method::GET {
        let inspected = match found.inspected {
            Some(inspected) if query.is_none() => inspected,
            _ => {
                let path = format!("/containers/{}/json?{}", found.id, query.unwrap_or_default());
                call.json(&found.node, &path).await?
            }
        };
        let inspected = with_node(call, &found.node, inspected).await;
        return Ok(json_response(StatusCode::OK, &inspected));
    }
    let mut path = format!("{}/containers/{}", call.version, encode(&found.id));
    if !rest.is_empty() {
        path = format!("{path}/{rest}");
    }
    let query = match query {
        Some(query) if rest == "rename" => Some(renamed(call, query).await?),
        query => query.map(str::to_owned),
    };
    if let Some(query) = query {
        path = format!("{path}?{query}");
    }
    let (is_removal, makes_exec) = (
        *request.method() == Method::DELETE && rest.is_empty(),
        rest == "exec",
    );
    let response = call.pass(&found.node, request, Some(path)).await?;
    if response.status() == StatusCode::NOT_FOUND || is_removal && response.status().is_success() {
        call.engines().forget(&found.id);
    }
    if makes_exec && response.status().is_success() {
        return exec::made(call, &found.node, response).await;
    }
    Ok(response)
}

/// `commit` names its container in the query.
pub(super) async fn commit(call: &Call, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    let mut parts = query_parts(request.uri().query().unwrap_or_default());
    let named = parts.iter_mut().find(|(key, _)| key == "container");
    let Some((_, container)) = named else {
        return Err(Fault::bad("commit: which container?"));
    };
    let found = call.container(container).await?;
    container.clone_from(&found.id);
    let path = format!("{}/commit?{}", call.version, render_query(&parts));
    call.pass(&found.node, request, Some(path)).await
}

/// A new name is one of the whole cluster.
async fn renamed(call: &Call, query: &str) -> Result<String, Fault> {
    let mut parts = query_parts(query);
    let name = parts.iter().position(|(key, _)| key == "name");
    if let Some(index) = name {
        let name = match call.nodes.split(&parts[index].1) {
            Some((_, name)) => name.to_owned(),
            None => parts[index].1.clone(),
        };
        free(call, &name).await?;
        parts[index].1 = name;
    }
    Ok(render_query(&parts))
}

/// Nothing when no container of the cluster has this name.
pub(super) async fn free(call: &Call, name: &str) -> Result<(), Fault> {
    let name = name.trim_start_matches('/');
    let answers = call
        .of(&call.nodes.all, &format!("/containers/{}/json", encode(name)))
        .await;
    for (node, answer) in answers {
        let Ok(value) = answer else { continue };
        if value["Name"].as_str().map(|name| name.trim_start_matches('/')) == Some(name) {
            return Err(Fault::new(
                StatusCode::CONFLICT,
                format!(
                    "Conflict. The container name \"/{name}\" is already in use by container \"{}\" on node {}. You have \
                     to remove (or rename) that container to be able to reuse that name.",
                    value["Id"].as_str().unwrap_or_default(),
                    node.name
                ),
            ));
        }
    }
    Ok(())
}

/// The nodes that the filter `node` names; the engines do not know it.
fn take_node_filter(parts: &mut [(String, String)]) -> Result<Vec<String>, Fault> {
    let Some((_, text)) = parts.iter_mut().find(|(key, _)| key == "filters") else {
        return Ok(Vec::new());
    };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut filters: Value =
        serde_json::from_str(text).map_err(|error| Fault::bad(format!("invalid filter: {error}")))?;
    let node = filters
        .as_object_mut()
        .and_then(|filters| filters.remove(QUERY_NODE));
    *text = filters.to_string();
    // Old clients send a list, newer ones an object of trues.
    Ok(match node {
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect(),
        Some(Value::Object(names)) => names.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    })
}

fn merged(answers: Vec<(Arc<Node>, Value)>) -> Vec<Value> {
    let mut all = Vec::new();
    for (node, answer) in answers {
        let Value::Array(containers) = answer else {
            continue;
        };
        all.extend(containers.into_iter().map(|container| of_node(&node, container)));
    }
    all.sort_by_key(|container| std::cmp::Reverse(container["Created"].as_i64()));
    all
}

/// An entry of a list, as the cluster shows it.
fn of_node(node: &Node, mut container: Value) -> Value {
    if let Some(names) = container["Names"].as_array_mut() {
        for name in names {
            *name = format!(
                "/{}/{}",
                node.name,
                name.as_str().unwrap_or_default().trim_start_matches('/')
            )
            .into();
        }
    }
    if let (Some(address), Some(ports)) = (node.address, container["Ports"].as_array_mut()) {
        show_ports_of(address, ports);
    }
    container
}

/// "All addresses" of a node are its address, for everybody else.
fn show_ports_of(address: Ipv4Addr, ports: &mut Vec<Value>) {
    ports.retain(|port| port["IP"] != "::");
    for port in ports {
        if port["IP"] == "0.0.0.0" {
            port["IP"] = address.to_string().into();
        }
    }
}

/// Where a container is, as standalone Swarm told it.
async fn with_node(call: &Call, node: &Node, mut inspected: Value) -> Value {
    let info = call.info(node).await.ok();
    let of_info = |key: &str| info.as_ref().map_or(Value::Null, |info| info[key].clone());
    inspected["Node"] = json!({
        "ID": of_info("ID"), "Name": node.name, "IP": node.shown_address(),
        "Addr": format!("{}:{}", node.shown_address(), super::PORT),
        "Cpus": of_info("NCPU"), "Memory": of_info("MemTotal"), "Labels": super::info::labels(info.as_deref()),
    });
    inspected
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::three;
    use super::*;

    #[test]
    fn a_list_is_of_all_nodes_newest_first() {
        let nodes = three();
        let container = |name: &str, created: i64| {
            json!({"Names": [format!("/{name}")], "Created": created,
                "Ports": [{"IP": "0.0.0.0", "PublicPort": 80}, {"IP": "::", "PublicPort": 80}, {"PrivatePort": 1}]})
        };
        let all = merged(vec![
            (
                Arc::clone(&nodes.all[0]),
                json!([container("a", 1), container("b", 3)]),
            ),
            (Arc::clone(&nodes.all[2]), json!([container("c", 2)])),
        ]);
        let names: Vec<_> = all.iter().map(|one| one["Names"][0].as_str().unwrap()).collect();
        assert_eq!(names, ["/n1/b", "/n2/c", "/n1/a"]);
        let ports = json!([{"IP": "192.168.200.22", "PublicPort": 80}, {"PrivatePort": 1}]);
        assert_eq!(all[1]["Ports"], ports);
    }

    #[test]
    fn the_filter_node_is_ours_and_the_others_the_engines() {
        for (filters, nodes, rest) in [
            (
                r#"{"node":["n1","n2"],"name":["x"]}"#,
                &["n1", "n2"][..],
                r#"{"name":["x"]}"#,
            ),
            (r#"{"node":{"n1":true}}"#, &["n1"], "{}"),
            (r#"{"name":{"x":true}}"#, &[], r#"{"name":{"x":true}}"#),
            ("", &[], ""),
        ] {
            let mut parts = [("filters".to_owned(), filters.to_owned())];
            assert_eq!(take_node_filter(&mut parts).unwrap(), nodes, "{filters}");
            assert_eq!(parts[0].1, rest);
        }
        let mut broken = [("filters".to_owned(), "{".to_owned())];
        assert!(take_node_filter(&mut broken).is_err());
    }
}
