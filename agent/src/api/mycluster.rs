//! The three resources of MyCluster, with its paths and its JSON: service, state, stats.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::services::parse_name;
use super::{App, Problem};
use crate::services::{Counters, Definition, NodeSeen, ServiceSeen, TaskSeen};

/// The body of `POST /api/v1/service`. MyCluster took no other keys either.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    service: String,
    image: String,
    replicas: u32,
}

/// A service as MyCluster gave it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ServiceDef {
    service: String,
    image: String,
    replicas: u64,
    last_updated: u64,
}

/// The state as MyCluster gave it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ClusterState {
    #[serde(rename = "cluster.name")]
    name: String,
    #[serde(rename = "cluster.numOfWorkers")]
    count: usize,
    #[serde(rename = "cluster.workers")]
    workers: Vec<Worker>,
    #[serde(rename = "cluster.servicesDef")]
    services: Vec<ServiceDef>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Worker {
    worker: String,
    #[serde(rename = "serviceInstances")]
    instances: Vec<Instance>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Instance {
    image: String,
    #[serde(rename = "numOfRunningContainers")]
    running: u64,
}

/// The counters as MyCluster gave them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Stats {
    #[serde(rename = "cluster.upTime")]
    up_time: String,
    #[serde(rename = "services.totalOfRequests")]
    requests: u64,
    #[serde(rename = "services.totalOfContainers")]
    containers: u64,
    #[serde(rename = "workers.failures")]
    failures: u64,
    #[serde(rename = "containers.relocated")]
    relocated: u64,
}

pub(super) async fn create(
    State(app): State<App>,
    Body(wish): Body<Wish>,
) -> Result<(StatusCode, Json<ClusterState>), Problem> {
    let name = parse_name(&wish.service)?;
    let definition = Definition {
        replicas: Some(wish.replicas),
        ..Definition::of_image(&wish.image)
    };
    app.swarm.put(&name, &definition).await?;
    let state = state(State(app)).await?;
    Ok((StatusCode::CREATED, state))
}

pub(super) async fn get(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<ServiceDef>, Problem> {
    // A name that no service can have is one that none has.
    let unknown = || Problem::NotFound(format!("there is no service '{name}'"));
    let parsed = name.parse().map_err(|_| unknown())?;
    Ok(Json(service_def(&app.swarm.service(&parsed).await?)))
}

pub(super) async fn remove(State(app): State<App>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    app.swarm.remove(&parse_name(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn state(State(app): State<App>) -> Result<Json<ClusterState>, Problem> {
    let name = app.status.borrow().cluster.clone();
    let (nodes, services, tasks) = (
        app.swarm.nodes().await?,
        app.swarm.services().await?,
        app.swarm.tasks().await?,
    );
    Ok(Json(cluster_state(name, &nodes, &services, &tasks)))
}

pub(super) async fn stats(State(app): State<App>) -> Result<Json<Stats>, Problem> {
    let tasks = app.swarm.tasks().await?;
    let tally = app.swarm.tally().await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let up = now.saturating_sub(Duration::from_secs(tally.since));
    Ok(Json(count(&tally.counters, &tasks, up)))
}

fn count(counters: &Counters, tasks: &[TaskSeen], up: Duration) -> Stats {
    Stats {
        up_time: python_timedelta(up),
        requests: counters.requests,
        containers: tasks.iter().filter(|task| task.is_running()).count() as u64,
        failures: counters.failures,
        relocated: counters.relocated,
    }
}

fn service_def(service: &ServiceSeen) -> ServiceDef {
    ServiceDef {
        service: service.name.clone(),
        image: service.image.clone(),
        replicas: service.replicas.unwrap_or(service.running),
        last_updated: service.last_updated,
    }
}

/// Workers are the nodes that can work now.
fn cluster_state(
    name: String,
    nodes: &[NodeSeen],
    services: &[ServiceSeen],
    tasks: &[TaskSeen],
) -> ClusterState {
    let image_of = |name: &str| {
        services
            .iter()
            .find(|service| service.name == name)
            .map(|found| found.image.clone())
    };
    let worker = |node: &NodeSeen| {
        let mut images = BTreeMap::<String, u64>::new();
        let here = tasks
            .iter()
            .filter(|task| task.is_running() && task.node.as_deref() == Some(&node.hostname));
        for image in here.filter_map(|task| image_of(&task.service)) {
            *images.entry(image).or_default() += 1;
        }
        let instances = images
            .into_iter()
            .map(|(image, running)| Instance { image, running });
        Worker {
            worker: node.hostname.clone(),
            instances: instances.collect(),
        }
    };
    let workers: Vec<_> = nodes.iter().filter(|node| node.ready).map(worker).collect();
    ClusterState {
        name,
        count: workers.len(),
        workers,
        services: services.iter().map(service_def).collect(),
    }
}

/// As Python prints a `timedelta`.
fn python_timedelta(time: Duration) -> String {
    let seconds = time.as_secs();
    let days = match seconds / 86_400 {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        days => format!("{days} days, "),
    };
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!(
        "{days}{hours}:{minutes:02}:{:02}.{:06}",
        seconds % 60,
        time.subsec_micros()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, image: &str) -> ServiceSeen {
        ServiceSeen {
            name: name.to_owned(),
            image: image.to_owned(),
            replicas: Some(3),
            running: 2,
            ports: Vec::new(),
            node: None,
            constraints: Vec::new(),
            last_updated: 1_700_000_000,
        }
    }

    fn node(name: &str, ready: bool) -> NodeSeen {
        NodeSeen {
            id: name.to_owned(),
            hostname: name.to_owned(),
            address: None,
            ready,
            active: true,
            part: "worker".to_owned(),
            docker: None,
            architecture: None,
            processors: None,
            memory: None,
        }
    }

    fn task(service: &str, node: &str, desired: &str) -> TaskSeen {
        TaskSeen {
            id: "t".to_owned(),
            service: service.to_owned(),
            slot: Some(1),
            node: Some(node.to_owned()),
            state: "running".to_owned(),
            desired: desired.to_owned(),
            since: 0,
            error: None,
            container: None,
        }
    }

    #[test]
    fn the_json_is_myclusters() {
        let nodes = [node("n1", true), node("n2", true), node("n3", false)];
        // MyCluster cut the second name at its dot.
        let services = [
            service("web", "nginx"),
            service("hello", "r.example/hello.world:1.0"),
        ];
        let tasks = [
            task("web", "n1", "running"),
            task("web", "n1", "running"),
            task("hello", "n1", "running"),
            task("web", "n2", "shutdown"),
            task("web", "n3", "running"),
        ];
        let state = cluster_state("lab".to_owned(), &nodes, &services, &tasks);
        assert_eq!(
            serde_json::to_value(state).unwrap(),
            serde_json::json!({
                "cluster.name": "lab", "cluster.numOfWorkers": 2,
                "cluster.workers": [
                    {"worker": "n1", "serviceInstances": [
                        {"image": "nginx", "numOfRunningContainers": 2},
                        {"image": "r.example/hello.world:1.0", "numOfRunningContainers": 1}]},
                    {"worker": "n2", "serviceInstances": []}],
                "cluster.servicesDef": [
                    {"service": "web", "image": "nginx", "replicas": 3, "last_updated": 1_700_000_000},
                    {"service": "hello", "image": "r.example/hello.world:1.0", "replicas": 3, "last_updated": 1_700_000_000}],
            })
        );
        let mut counters = Counters::default();
        (counters.requests, counters.failures) = (2, 1);
        let stats = count(&counters, &tasks, Duration::from_micros(225_060_206));
        assert_eq!(
            serde_json::to_value(stats).unwrap(),
            serde_json::json!({
                "cluster.upTime": "0:03:45.060206", "services.totalOfRequests": 2, "services.totalOfContainers": 4,
                "workers.failures": 1, "containers.relocated": 0,
            })
        );
    }

    #[test]
    fn a_time_is_printed_as_python_does() {
        for (seconds, expected) in [
            (0, "0:00:00.000000"),
            (86_399, "23:59:59.000000"),
            (90_061, "1 day, 1:01:01.000000"),
            (200_000, "2 days, 7:33:20.000000"),
        ] {
            assert_eq!(python_timedelta(Duration::from_secs(seconds)), expected);
        }
    }
}
