//! The swarm's tasks on this node as services of its Consul: pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::docker::containers::Task;

/// What services of ours have before the task's identifier; others are nobody's business but their makers'.
const PREFIX: &str = "swarm-";

/// A service as `PUT /v1/agent/service/register` takes it, and `GET /v1/agent/services` gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Service {
    #[serde(rename = "ID", alias = "Id")]
    pub(super) id: String,
    #[serde(rename = "Name", alias = "Service")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) port: u16,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) deregister: Vec<String>,
    pub(super) register: Vec<Service>,
}

/// Takes away what does not run any more, then adds what is missing or different.
pub(super) fn changes(tasks: &[Task], mesh: &BTreeMap<String, Vec<u16>>, registered: &[Service]) -> Changes {
    let wanted: Vec<_> = tasks.iter().map(|task| service(task, mesh)).collect();
    let is_gone = |id: &&String| id.starts_with(PREFIX) && wanted.iter().all(|service| service.id != **id);
    Changes {
        deregister: registered
            .iter()
            .map(|service| &service.id)
            .filter(is_gone)
            .cloned()
            .collect(),
        register: wanted
            .iter()
            .filter(|service| !registered.contains(service))
            .cloned()
            .collect(),
    }
}

/// Every port is a tag too: Consul has one port per service.
fn service(task: &Task, mesh: &BTreeMap<String, Vec<u16>>) -> Service {
    let mut ports = task.ports.clone();
    ports.extend(mesh.get(&task.service).into_iter().flatten());
    ports.sort_unstable();
    ports.dedup();
    let mut tags = vec!["swarm".to_owned()];
    tags.extend(ports.iter().map(|port| format!("port-{port}")));
    Service {
        id: format!("{PREFIX}{}", task.id),
        name: name(&task.service),
        tags,
        port: ports.first().copied().unwrap_or_default(),
    }
}

/// As a DNS label: Consul answers for `NAME.service.consul`, and Swarm allows underscores and dots (`stack_web`).
fn name(service: &str) -> String {
    let label = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    service.chars().map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_come_and_go_with_their_tasks() {
        let task = |id: &str, ports: &[u16]| Task {
            id: id.to_owned(),
            service: "My_web".to_owned(),
            ports: ports.to_vec(),
        };
        let mesh = BTreeMap::from([("My_web".to_owned(), vec![80])]);
        let first = changes(&[task("a", &[8080]), task("b", &[])], &mesh, &[]);
        assert_eq!(first.deregister, [""; 0]);
        let [a, b] = &first.register[..] else {
            panic!("{first:?}");
        };
        assert_eq!((a.name.as_str(), a.port), ("my-web", 80));
        assert_eq!(a.tags, ["swarm", "port-80", "port-8080"]);
        assert_eq!(b.id, "swarm-b");
        let other = Service {
            id: "mine".to_owned(),
            ..b.clone()
        };
        let registered = [a.clone(), b.clone(), other];
        let next = changes(&[task("b", &[])], &mesh, &registered);
        assert_eq!(next.deregister, ["swarm-a"]);
        assert_eq!(next.register, []);
        assert_eq!(
            changes(&[task("b", &[])], &BTreeMap::new(), &registered).register[0].port,
            0
        );
    }

    #[test]
    fn consuls_own_words_are_read() {
        let json = r#"{"ID":"swarm-x","Service":"web","Tags":["swarm"],"Meta":{},"Port":0,"Address":"","Weights":{}}"#;
        let service: Service = serde_json::from_str(json).unwrap();
        assert_eq!((service.name.as_str(), service.id.as_str()), ("web", "swarm-x"));
    }
}
