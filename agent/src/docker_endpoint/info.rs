//! `info` and `version`: the cluster as one engine, in the form that standalone Swarm had.

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::message::{Body, Fault, json_response};
use super::scheduler::Strategy;

const FILTERS: &str = "health, port, dependency, affinity, constraint";

/// What is summed over the nodes.
const SUMS: [&str; 7] = [
    "Containers",
    "ContainersRunning",
    "ContainersPaused",
    "ContainersStopped",
    "Images",
    "NCPU",
    "MemTotal",
];

/// `info`
pub(super) async fn info(call: &Call) -> Result<Response<Body>, Fault> {
    let infos = call.of(&call.nodes.all, "/info").await;
    // Only managers tell of the swarm as a whole.
    let swarm = match call.a_manager().await {
        Ok(manager) => call.info(&manager).await.ok().map(|info| info["Swarm"].clone()),
        Err(_) => None,
    };
    let own = infos.iter().find(|(node, _)| node.is_own);
    let mut whole = match own {
        Some((_, Ok(info))) => info.clone(),
        Some((_, Err(fault))) => return Err(fault.clone()),
        None => json!({}),
    };
    for key in SUMS {
        let known = infos
            .iter()
            .filter_map(|(_, info)| info.as_ref().ok()?[key].as_i64());
        whole[key] = known.sum::<i64>().into();
    }
    let lines = lines(&infos, Strategy::default());
    // Current command lines have forgotten the first, and show the second below "Storage Driver".
    whole["SystemStatus"] = json!(lines);
    whole["DriverStatus"] = json!(lines);
    if let Some(swarm) = swarm.filter(|swarm| !swarm.is_null()) {
        whole["Swarm"] = swarm;
    }
    let mut warnings: Vec<Value> = whole["Warnings"].as_array().cloned().unwrap_or_default();
    let silent = infos.iter().filter_map(|(_, info)| info.as_ref().err());
    warnings.extend(silent.map(|fault| Value::from(format!("WARNING: {}", fault.message))));
    whole["Warnings"] = warnings.into();
    Ok(json_response(StatusCode::OK, &whole))
}

/// `version`: the engine's beside the agent, and the agent's own.
pub(super) async fn version(call: &Call) -> Result<Response<Body>, Fault> {
    let mut version = call.json(call.own()?, "/version").await?;
    if let Some(components) = version["Components"].as_array_mut() {
        let details = json!({"Nodes": call.nodes.all.len().to_string()});
        components
            .push(json!({"Name": "Cluster Lab", "Version": env!("CARGO_PKG_VERSION"), "Details": details}));
    }
    Ok(json_response(StatusCode::OK, &version))
}

fn lines(infos: &[Answer], strategy: Strategy) -> Vec<[String; 2]> {
    let pair = |key: &str, value: &str| [key.to_owned(), value.to_owned()];
    let mut lines = vec![
        pair("Role", "primary"),
        pair("Strategy", &strategy.to_string()),
        pair("Filters", FILTERS),
        pair("Nodes", &infos.len().to_string()),
    ];
    let mut sorted: Vec<_> = infos.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    for (node, info) in sorted {
        lines.push([
            format!(" {}", node.name),
            format!("{}:{}", node.shown_address(), super::PORT),
        ]);
        let info = match info {
            Ok(info) => info,
            Err(fault) => {
                lines.push(pair("  └ Status", &format!("Unreachable: {}", fault.message)));
                continue;
            }
        };
        let memory = info["MemTotal"].as_i64().unwrap_or_default();
        lines.extend([
            pair(
                "  └ Containers",
                &info["Containers"].as_i64().unwrap_or_default().to_string(),
            ),
            pair(
                "  └ Reserved CPUs",
                &format!("0 / {}", info["NCPU"].as_i64().unwrap_or_default()),
            ),
            pair("  └ Reserved Memory", &format!("0 B / {}", size(memory))),
            pair("  └ Labels", &shown(&labels(Some(info)))),
        ]);
    }
    lines
}

/// What constraints are compared with: the engine's labels and what it says of its system.
pub(super) fn labels(info: Option<&Value>) -> serde_json::Map<String, Value> {
    let mut labels = serde_json::Map::new();
    let Some(info) = info else { return labels };
    for (name, key) in [
        ("kernelversion", "KernelVersion"),
        ("operatingsystem", "OperatingSystem"),
        ("ostype", "OSType"),
        ("storagedriver", "Driver"),
        ("architecture", "Architecture"),
    ] {
        if let Some(value) = info[key].as_str() {
            labels.insert(name.to_owned(), value.into());
        }
    }
    for label in info["Labels"].as_array().into_iter().flatten() {
        let (key, value) = label
            .as_str()
            .and_then(|label| label.split_once('='))
            .unwrap_or_default();
        if !key.is_empty() {
            labels.insert(key.to_owned(), value.into());
        }
    }
    labels
}

fn shown(labels: &serde_json::Map<String, Value>) -> String {
    let label = |(key, value): (&String, &Value)| format!("{key}={}", value.as_str().unwrap_or_default());
    labels.iter().map(label).collect::<Vec<_>>().join(", ")
}

/// Four digits and a binary unit, as Docker shows sizes.
#[expect(clippy::cast_precision_loss, reason = "it is shown with four digits")]
fn size(bytes: i64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let digits = if value >= 1000.0 || unit == "B" {
        0
    } else {
        3 - value.log10().max(0.0) as usize
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text} {unit}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::nodes::tests::three;
    use super::*;

    #[test]
    fn sizes_are_shown_as_docker_does() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_019_006_976, "971.8 MiB"),
            (1 << 30, "1 GiB"),
            (3_048_000_000, "2.839 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn the_nodes_are_listed_as_in_standalone_swarm() {
        let nodes = three();
        let info = json!({"Containers": 3, "NCPU": 4, "MemTotal": 1_019_006_976_i64, "Driver": "overlay2",
            "KernelVersion": "4.1", "Labels": ["hypriot.arch=armv7l"]});
        let away = Err(Fault::unreachable("node n2 does not answer"));
        let infos = [
            (Arc::clone(&nodes.all[0]), Ok(info.clone())),
            (Arc::clone(&nodes.all[1]), Ok(info)),
            (Arc::clone(&nodes.all[2]), away),
        ];
        let text: Vec<String> = lines(&infos, Strategy::default())
            .iter()
            .map(|[key, value]| format!("{key}: {value}"))
            .collect();
        assert_eq!(
            text.join("\n"),
            "Role: primary
Strategy: spread
Filters: health, port, dependency, affinity, constraint
Nodes: 3
 m: 192.168.200.20:2378
  └ Containers: 3
  └ Reserved CPUs: 0 / 4
  └ Reserved Memory: 0 B / 971.8 MiB
  └ Labels: hypriot.arch=armv7l, kernelversion=4.1, storagedriver=overlay2
 n1: 192.168.200.21:2378
  └ Containers: 3
  └ Reserved CPUs: 0 / 4
  └ Reserved Memory: 0 B / 971.8 MiB
  └ Labels: hypriot.arch=armv7l, kernelversion=4.1, storagedriver=overlay2
 n2: 192.168.200.22:2378
  └ Status: Unreachable: node n2 does not answer"
        );
    }
}
