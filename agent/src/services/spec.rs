//! Our words into Swarm's, and back. Pure.

use std::collections::HashMap;

use bollard::models::{
    EndpointPortConfig, EndpointPortConfigProtocolEnum, EndpointPortConfigPublishModeEnum, EndpointSpec,
    Node, NodeSpecAvailabilityEnum, NodeSpecRoleEnum, NodeState, Service, ServiceSpec, ServiceSpecMode,
    ServiceSpecModeReplicated, Task, TaskSpec, TaskSpecContainerSpec, TaskSpecPlacement,
};

use super::definition::{Definition, Port, Protocol, ServiceName, check_node, check_replicas};
use super::seen::{NodeSeen, Overview, ServiceSeen, TaskSeen};

/// The constraint that a service runs on one node only.
const ON_NODE: &str = "node.hostname==";

/// The specification of a new service, or of one that is replaced.
pub(super) fn spec_of(name: &ServiceName, definition: &Definition) -> ServiceSpec {
    let Definition {
        image,
        replicas,
        global,
        command,
        env,
        ports,
        node,
        constraints,
    } = definition;
    let mode = if *global {
        ServiceSpecMode {
            global: Some(HashMap::new()),
            ..ServiceSpecMode::default()
        }
    } else {
        replicated(replicas.unwrap_or(1))
    };
    let container = TaskSpecContainerSpec {
        image: Some(image.clone()),
        args: (!command.is_empty()).then(|| command.clone()),
        env: Some(env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        ..TaskSpecContainerSpec::default()
    };
    let constraints = constraints
        .iter()
        .cloned()
        .chain(node.iter().map(|node| on_node(node)));
    ServiceSpec {
        name: Some(name.as_str().to_owned()),
        task_template: Some(TaskSpec {
            container_spec: Some(container),
            placement: Some(TaskSpecPlacement {
                constraints: Some(constraints.collect()),
                ..TaskSpecPlacement::default()
            }),
            ..TaskSpec::default()
        }),
        mode: Some(mode),
        endpoint_spec: (!ports.is_empty()).then(|| EndpointSpec {
            mode: None,
            ports: Some(ports.iter().map(port_spec).collect()),
        }),
        ..ServiceSpec::default()
    }
}

/// Puts one definition in place of another. The counter of forced restarts must not fall.
pub(super) fn replace(old: &ServiceSpec, mut new: ServiceSpec) -> ServiceSpec {
    let force = old.task_template.as_ref().and_then(|task| task.force_update);
    if let Some(task) = &mut new.task_template {
        task.force_update = force;
    }
    new
}

/// Changes how many tasks there are.
pub(super) fn scale(spec: &mut ServiceSpec, replicas: u32) -> Result<(), String> {
    check_replicas(replicas)?;
    if spec.mode.as_ref().is_some_and(|mode| mode.replicated.is_none()) {
        return Err("this service has one task on every node; it cannot be scaled".to_owned());
    }
    spec.mode = Some(replicated(replicas));
    Ok(())
}

/// Binds a service to one node, or to none.
pub(super) fn move_to(spec: &mut ServiceSpec, node: Option<&str>) -> Result<(), String> {
    if let Some(node) = node {
        check_node(node)?;
    }
    let task = spec.task_template.get_or_insert_with(TaskSpec::default);
    let placement = task.placement.get_or_insert_with(TaskSpecPlacement::default);
    let constraints = placement.constraints.get_or_insert_with(Vec::new);
    constraints.retain(|constraint| node_of(constraint).is_none());
    constraints.extend(node.map(on_node));
    Ok(())
}

/// Starts all tasks anew.
pub(super) fn restart(spec: &mut ServiceSpec) {
    let task = spec.task_template.get_or_insert_with(TaskSpec::default);
    task.force_update = Some(task.force_update.unwrap_or_default() + 1);
}

fn replicated(replicas: u32) -> ServiceSpecMode {
    let replicas = Some(i64::from(replicas));
    ServiceSpecMode {
        replicated: Some(ServiceSpecModeReplicated { replicas }),
        ..ServiceSpecMode::default()
    }
}

fn on_node(name: &str) -> String {
    format!("{ON_NODE}{name}")
}

/// The node of a constraint, as we or people write it.
fn node_of(constraint: &str) -> Option<&str> {
    let (key, value) = constraint.split_once("==")?;
    (key.trim() == "node.hostname").then_some(value.trim())
}

fn port_spec(port: &Port) -> EndpointPortConfig {
    EndpointPortConfig {
        protocol: Some(match port.protocol {
            Protocol::Tcp => EndpointPortConfigProtocolEnum::TCP,
            Protocol::Udp => EndpointPortConfigProtocolEnum::UDP,
        }),
        target_port: Some(i64::from(port.target)),
        published_port: Some(i64::from(port.published)),
        publish_mode: Some(EndpointPortConfigPublishModeEnum::INGRESS),
        ..EndpointPortConfig::default()
    }
}

fn port_of(api: &EndpointPortConfig) -> Option<Port> {
    Some(Port {
        published: u16::try_from(api.published_port?).ok()?,
        target: u16::try_from(api.target_port?).ok()?,
        protocol: match api.protocol {
            Some(EndpointPortConfigProtocolEnum::UDP) => Protocol::Udp,
            _ => Protocol::Tcp,
        },
    })
}

/// All of it, in order.
pub(super) fn overview(nodes: &[Node], services: &[Service], tasks: &[Task]) -> Overview {
    let names = |(id, name): (&Option<String>, Option<&String>)| Some((id.clone()?, name?.clone()));
    let of_services = services.iter().map(|service| {
        (
            &service.id,
            service.spec.as_ref().and_then(|spec| spec.name.as_ref()),
        )
    });
    let of_services: HashMap<_, _> = of_services.filter_map(names).collect();
    let mut nodes: Vec<_> = nodes.iter().filter_map(node_seen).collect();
    let of_nodes: HashMap<_, _> = nodes
        .iter()
        .map(|node| (node.id.clone(), node.hostname.clone()))
        .collect();
    nodes.sort_by(|a, b| a.hostname.cmp(&b.hostname).then_with(|| a.id.cmp(&b.id)));
    let mut tasks: Vec<_> = tasks
        .iter()
        .filter_map(|task| task_seen(task, &of_services, &of_nodes))
        .collect();
    tasks.sort_by(|a, b| {
        let order = a.service.cmp(&b.service).then(a.slot.cmp(&b.slot));
        order.then(b.since.cmp(&a.since)).then_with(|| a.id.cmp(&b.id))
    });
    let mut running = HashMap::<&str, u64>::new();
    for task in tasks.iter().filter(|task| task.is_running()) {
        *running.entry(&task.service).or_default() += 1;
    }
    let mut services: Vec<_> = services.iter().filter_map(service_seen).collect();
    for service in &mut services {
        service.running = running.get(service.name.as_str()).copied().unwrap_or_default();
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    Overview {
        nodes,
        services,
        tasks,
    }
}

/// What is shown of a service. Running tasks are counted elsewhere.
fn service_seen(service: &Service) -> Option<ServiceSeen> {
    let spec = service.spec.as_ref()?;
    let task = spec.task_template.as_ref();
    let container = task.and_then(|task| task.container_spec.as_ref());
    let constraints = task
        .and_then(|task| task.placement.as_ref()?.constraints.clone())
        .unwrap_or_default();
    let replicas = spec
        .mode
        .as_ref()
        .and_then(|mode| mode.replicated.as_ref()?.replicas);
    let ports = spec
        .endpoint_spec
        .as_ref()
        .and_then(|endpoint| endpoint.ports.as_ref());
    Some(ServiceSeen {
        name: spec.name.clone()?,
        image: container
            .and_then(|container| container.image.clone())
            .unwrap_or_default(),
        replicas: replicas.and_then(|count| u64::try_from(count).ok()),
        running: 0,
        ports: ports.into_iter().flatten().filter_map(port_of).collect(),
        node: constraints
            .iter()
            .find_map(|constraint| node_of(constraint))
            .map(str::to_owned),
        constraints: constraints
            .into_iter()
            .filter(|constraint| node_of(constraint).is_none())
            .collect(),
        last_updated: service
            .updated_at
            .as_deref()
            .and_then(epoch_seconds)
            .unwrap_or_default(),
    })
}

/// What is shown of a task. `services` and `nodes` are names by identifier.
fn task_seen(
    task: &Task,
    services: &HashMap<String, String>,
    nodes: &HashMap<String, String>,
) -> Option<TaskSeen> {
    let status = task.status.clone().unwrap_or_default();
    let service = task.service_id.as_ref()?;
    let container = status.container_status.and_then(|status| status.container_id);
    Some(TaskSeen {
        id: task.id.clone()?,
        service: services.get(service).cloned()?,
        slot: task.slot.filter(|slot| *slot != 0),
        node: task
            .node_id
            .as_ref()
            .map(|id| nodes.get(id).unwrap_or(id).clone()),
        state: status.state.map(|state| state.to_string()).unwrap_or_default(),
        desired: task
            .desired_state
            .map(|state| state.to_string())
            .unwrap_or_default(),
        since: status
            .timestamp
            .as_deref()
            .and_then(epoch_seconds)
            .unwrap_or_default(),
        error: status.err.filter(|error| !error.is_empty()),
        container: container.filter(|id| !id.is_empty()),
    })
}

/// What is shown of a node.
fn node_seen(node: &Node) -> Option<NodeSeen> {
    let spec = node.spec.clone().unwrap_or_default();
    let status = node.status.clone().unwrap_or_default();
    let description = node.description.clone().unwrap_or_default();
    let resources = description.resources.unwrap_or_default();
    let leads = node
        .manager_status
        .as_ref()
        .and_then(|raft| raft.leader)
        .unwrap_or_default();
    let part = match spec.role {
        _ if leads => "leader",
        Some(NodeSpecRoleEnum::MANAGER) => "manager",
        _ => "worker",
    };
    Some(NodeSeen {
        id: node.id.clone()?,
        hostname: description.hostname.unwrap_or_default(),
        address: status.addr,
        ready: status.state == Some(NodeState::READY),
        active: spec.availability == Some(NodeSpecAvailabilityEnum::ACTIVE),
        part: part.to_owned(),
        docker: description.engine.and_then(|engine| engine.engine_version),
        architecture: description.platform.and_then(|platform| platform.architecture),
        processors: resources.nano_cpus.map(|nano| nano / 1_000_000_000),
        memory: resources.memory_bytes,
    })
}

/// Seconds since 1970 of a time as Docker writes it (RFC 3339, UTC), such as `2024-05-06T07:08:09.123Z`.
pub(super) fn epoch_seconds(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !text.ends_with('Z') || !(1..=12).contains(&month) {
        return None;
    }
    // Days since 1970 by the calendar whose year begins in March, so that the leap day is the last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    u64::try_from(((days * 24 + hour) * 60 + minute) * 60 + second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(json: &str) -> Definition {
        serde_json::from_str(json).unwrap()
    }

    fn seen(spec: ServiceSpec) -> ServiceSeen {
        let service = Service {
            spec: Some(spec),
            updated_at: Some("2024-02-29T12:00:01.5Z".to_owned()),
            ..Service::default()
        };
        service_seen(&service).unwrap()
    }

    #[test]
    fn a_definition_becomes_a_specification_of_swarms() {
        let definition = definition(
            r#"{"image": "nginx:1", "replicas": 3, "command": ["a", "b c"], "env": {"K": "v=w"}, "node": "n2",
                "ports": [{"published": 8080, "target": 80}], "constraints": ["node.labels.role==node"]}"#,
        );
        let spec = spec_of(&"web".parse().unwrap(), &definition);
        let json = serde_json::to_value(&spec).unwrap();
        let expected = serde_json::json!({
            "Name": "web",
            "TaskTemplate": {
                "ContainerSpec": {"Image": "nginx:1", "Args": ["a", "b c"], "Env": ["K=v=w"]},
                "Placement": {"Constraints": ["node.labels.role==node", "node.hostname==n2"]},
            },
            "Mode": {"Replicated": {"Replicas": 3}},
            "EndpointSpec": {"Ports": [
                {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}
            ]},
        });
        assert_eq!(json, expected);
        let seen = seen(spec);
        assert_eq!(
            serde_json::to_value(seen).unwrap(),
            serde_json::json!({
                "name": "web", "image": "nginx:1", "replicas": 3, "running": 0, "node": "n2",
                "ports": [{"published": 8080, "target": 80, "protocol": "tcp"}],
                "constraints": ["node.labels.role==node"], "last-updated": 1_709_208_001_u64,
            })
        );
    }

    #[test]
    fn changes_leave_the_rest_of_a_specification_alone() {
        let name = "web".parse().unwrap();
        let mut spec = spec_of(&name, &Definition::of_image("a"));
        spec.labels = Some(HashMap::from([("keep".to_owned(), "me".to_owned())]));
        let before = spec.clone();
        scale(&mut spec, 0).unwrap();
        assert_eq!(seen(spec.clone()).replicas, Some(0));
        move_to(&mut spec, Some("n1")).unwrap();
        move_to(&mut spec, Some("n2")).unwrap();
        assert_eq!(seen(spec.clone()).node.as_deref(), Some("n2"));
        move_to(&mut spec, None).unwrap();
        scale(&mut spec, 1).unwrap();
        assert_eq!(spec, before);
        restart(&mut spec);
        restart(&mut spec);
        let replaced = replace(&spec, spec_of(&name, &Definition::of_image("b")));
        assert_eq!(replaced.task_template.unwrap().force_update, Some(2));
    }

    #[test]
    fn what_cannot_be_changed_is_said() {
        let name = "web".parse().unwrap();
        let mut spec = spec_of(&name, &definition(r#"{"image": "a", "global": true}"#));
        let error = scale(&mut spec, 3).unwrap_err();
        assert!(error.contains("one task on every node"), "{error}");
        assert_eq!(seen(spec.clone()).replicas, None);
        assert!(scale(&mut spec, 5000).unwrap_err().contains("more than 1000"));
        assert!(
            move_to(&mut spec, Some("a b"))
                .unwrap_err()
                .contains("no host name")
        );
    }

    #[test]
    fn constraints_written_by_people_are_understood() {
        let mut spec = spec_of(&"web".parse().unwrap(), &Definition::of_image("a"));
        let placement = spec.task_template.as_mut().unwrap().placement.as_mut().unwrap();
        placement.constraints = Some(vec![
            "node.hostname == n7".to_owned(),
            "node.hostname!=n8".to_owned(),
        ]);
        let seen = seen(spec);
        assert_eq!(
            (seen.node.as_deref(), seen.constraints),
            (Some("n7"), vec!["node.hostname!=n8".to_owned()])
        );
    }

    #[test]
    fn docker_writes_times_like_this() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2023-11-14T22:13:20.999999999Z", Some(1_700_000_000)),
            ("2024-02-29T12:00:01.5Z", Some(1_709_208_001)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("0001-01-01T00:00:00Z", None),
            ("2024-02-29T12:00:01+01:00", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(epoch_seconds(text), expected, "{text}");
        }
    }
}
