//! `GET /metrics`, in Prometheus' text format 0.0.4.

use std::fmt::Write;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::App;
use crate::services::{Overview, ServiceSeen};
use crate::status::Status;

/// What the agent itself costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cost {
    cpu_seconds: f64,
    resident_bytes: u64,
    open_files: usize,
}

pub(super) async fn give(State(app): State<App>) -> Response {
    let overview = app.overview().await;
    let status = app.status.borrow().clone();
    let text = render(&status, overview.as_deref(), cost());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// Clock ticks per second in what the kernel tells programs, on all of Linux's architectures (`USER_HZ`, proc(5)).
const TICKS: f64 = 100.0;

fn cost() -> Cost {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    // User and system time are the 14th and 15th field; the second may have blanks, in parentheses.
    let stat = read("stat");
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok());
    let status = read("status");
    let resident = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    Cost {
        cpu_seconds: ticks.sum::<u64>() as f64 / TICKS,
        resident_bytes: resident.unwrap_or_default() * 1024,
        open_files: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
    }
}

/// The text in the making.
struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, kind: &str, help: &str, samples: &[(Vec<(&str, &str)>, f64)]) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let labels: Vec<_> = labels
                .iter()
                .map(|(key, value)| format!("{key}=\"{}\"", escape(value)))
                .collect();
            let labels = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", labels.join(","))
            };
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.metric(name, kind, help, &[(Vec::new(), value)]);
    }
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn render(status: &Status, overview: Option<&Overview>, cost: Cost) -> String {
    let mut text = Text(String::new());
    let role = status.role.to_string();
    let (swarm, waits) = (status.engine.swarm.to_string(), status.waiting_for.is_some());
    let info = vec![
        ("version", status.version.as_str()),
        ("hostname", &status.hostname),
        ("cluster", &status.cluster),
        ("role", &role),
        ("swarm", &swarm),
        ("docker", status.engine.docker.as_deref().unwrap_or("")),
    ];
    text.metric("cluster_lab_info", "gauge", "What this node is.", &[(info, 1.0)]);
    text.one(
        "cluster_lab_waiting",
        "gauge",
        "Whether the node waits for something.",
        f64::from(u8::from(waits)),
    );
    text.one(
        "cluster_lab_warnings",
        "gauge",
        "Warnings in the status.",
        status.warnings.len() as f64,
    );
    text.one(
        "cluster_lab_peers",
        "gauge",
        "Other nodes on the cluster network, without the master.",
        status.peers.len() as f64,
    );
    if let Some(overview) = overview {
        swarm_metrics(&mut text, overview);
    }
    text.one(
        "process_cpu_seconds_total",
        "counter",
        "Processor time of the agent.",
        cost.cpu_seconds,
    );
    text.one(
        "process_resident_memory_bytes",
        "gauge",
        "Memory of the agent.",
        cost.resident_bytes as f64,
    );
    text.one(
        "process_open_fds",
        "gauge",
        "Open files of the agent.",
        cost.open_files as f64,
    );
    text.0
}

fn swarm_metrics<'a>(text: &mut Text, overview: &'a Overview) {
    let Overview {
        nodes,
        services,
        tasks,
    } = overview;
    let up = nodes.iter().map(|node| {
        let labels = vec![("node", node.hostname.as_str()), ("part", &node.part)];
        (labels, f64::from(u8::from(node.ready)))
    });
    let up: Vec<_> = up.collect();
    text.metric(
        "cluster_lab_node_up",
        "gauge",
        "Whether a node of the swarm answers.",
        &up,
    );
    let of_services = |value: fn(&ServiceSeen, usize) -> f64| {
        let sample = |service: &'a ServiceSeen| {
            (
                vec![("service", service.name.as_str())],
                value(service, nodes.len()),
            )
        };
        services.iter().map(sample).collect::<Vec<_>>()
    };
    let running = of_services(|service, _| service.running as f64);
    text.metric(
        "cluster_lab_service_running",
        "gauge",
        "Tasks of a service that run.",
        &running,
    );
    let wanted = of_services(|service, nodes| service.replicas.unwrap_or(nodes as u64) as f64);
    text.metric(
        "cluster_lab_service_wanted",
        "gauge",
        "Tasks of a service that are to run.",
        &wanted,
    );
    let failed = tasks
        .iter()
        .filter(|task| ["failed", "rejected"].contains(&task.state.as_str()))
        .count();
    text.one(
        "cluster_lab_tasks_failed",
        "gauge",
        "Failed tasks that Swarm remembers.",
        failed as f64,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::example;

    #[test]
    fn the_text_is_prometheus() {
        let overview: Overview = serde_json::from_str(
            r#"{"nodes": [{"id": "1", "hostname": "n1", "ready": false, "active": true, "part": "leader"}],
                "services": [{"name": "web", "image": "a", "replicas": 3, "running": 1, "ports": [], "constraints": [], "last-updated": 0}],
                "tasks": []}"#,
        )
        .unwrap();
        let mut status = example();
        status.cluster = "a \"b\"\\".to_owned();
        let cost = Cost {
            cpu_seconds: 1.5,
            resident_bytes: 4096,
            open_files: 7,
        };
        let expected = r#"# HELP cluster_lab_info What this node is.
# TYPE cluster_lab_info gauge
cluster_lab_info{version="0.1.0",hostname="cl-node-2",cluster="a \"b\"\\",role="node",swarm="swarm worker",docker="20.10.24"} 1
# HELP cluster_lab_waiting Whether the node waits for something.
# TYPE cluster_lab_waiting gauge
cluster_lab_waiting 0
# HELP cluster_lab_warnings Warnings in the status.
# TYPE cluster_lab_warnings gauge
cluster_lab_warnings 1
# HELP cluster_lab_peers Other nodes on the cluster network, without the master.
# TYPE cluster_lab_peers gauge
cluster_lab_peers 1
# HELP cluster_lab_node_up Whether a node of the swarm answers.
# TYPE cluster_lab_node_up gauge
cluster_lab_node_up{node="n1",part="leader"} 0
# HELP cluster_lab_service_running Tasks of a service that run.
# TYPE cluster_lab_service_running gauge
cluster_lab_service_running{service="web"} 1
# HELP cluster_lab_service_wanted Tasks of a service that are to run.
# TYPE cluster_lab_service_wanted gauge
cluster_lab_service_wanted{service="web"} 3
# HELP cluster_lab_tasks_failed Failed tasks that Swarm remembers.
# TYPE cluster_lab_tasks_failed gauge
cluster_lab_tasks_failed 0
# HELP process_cpu_seconds_total Processor time of the agent.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 1.5
# HELP process_resident_memory_bytes Memory of the agent.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 4096
# HELP process_open_fds Open files of the agent.
# TYPE process_open_fds gauge
process_open_fds 7
"#;
        assert_eq!(render(&status, Some(&overview), cost), expected);
    }

    #[test]
    fn the_agents_cost_is_what_the_kernel_says() {
        let cost = cost();
        assert!(cost.resident_bytes > 1 << 20 && cost.open_files >= 3, "{cost:?}");
    }
}
