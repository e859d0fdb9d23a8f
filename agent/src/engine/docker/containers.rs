//! The one kind of container that the agent itself runs, and what runs for the swarm on this node.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Context;
use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerUpdateBody, EndpointPortConfigProtocolEnum,
    EndpointPortConfigPublishModeEnum, HostConfig, HostConfigLogConfig, LocalNodeState, PortSummaryTypeEnum,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder, ListNodesOptions,
    ListServicesOptions, LogsOptionsBuilder, RemoveContainerOptionsBuilder, RestartContainerOptions,
    StartContainerOptions, StopContainerOptionsBuilder,
};
use futures_util::StreamExt;

use super::{Engine, is_missing};

/// Seconds until a container that does not end is killed.
const STOP_WAIT: i32 = 15;
const SERVICE_LABEL: &str = "com.docker.swarm.service.name";
const TASK_LABEL: &str = "com.docker.swarm.task.id";

/// A container in the host's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// Its image.
    pub image: String,
    /// The arguments of the image's program.
    pub arguments: Vec<String>,
    /// Labels.
    pub labels: Vec<(&'static str, String)>,
    /// Folders of the node that it sees, and where; whether it may write there.
    pub folders: Vec<(PathBuf, &'static str, bool)>,
}

/// A container as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Identifier of its image.
    pub image: String,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// Whether it runs.
    pub running: bool,
    /// Whether Docker waits before it starts it again.
    pub restarting: bool,
    /// How often Docker started it again.
    pub restarts: i64,
}

/// A swarm's task that runs on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its identifier.
    pub id: String,
    /// The service it belongs to.
    pub service: String,
    /// Ports of the node that lead to it, without those of the swarm's routing mesh; TCP only.
    pub ports: Vec<u16>,
}

/// This node's part in a swarm, as the engine tells it without asking other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The node's identifier; another one after it left and joined again.
    pub node: String,
    /// Whether it is a manager.
    pub manager: bool,
    /// Addresses of all managers that it knows, itself among them if it is one.
    pub managers: Vec<Ipv4Addr>,
}

impl Engine {
    /// The node's part in its swarm, if it is in one.
    ///
    /// # Errors
    /// When Docker does not answer.
    pub async fn swarm_part(&self) -> anyhow::Result<Option<Part>> {
        let info = self
            .client()
            .await?
            .info()
            .await
            .context("asking Docker for its state")?;
        let Some(swarm) = info
            .swarm
            .filter(|swarm| swarm.local_node_state == Some(LocalNodeState::ACTIVE))
        else {
            return Ok(None);
        };
        let address = |peer: bollard::models::PeerNode| {
            let address = peer.addr?;
            address.split(':').next()?.parse().ok()
        };
        let mut managers: Vec<_> = swarm
            .remote_managers
            .unwrap_or_default()
            .into_iter()
            .filter_map(address)
            .collect();
        managers.sort();
        Ok(swarm.node_id.filter(|id| !id.is_empty()).map(|node| Part {
            node,
            manager: swarm.control_available == Some(true),
            managers,
        }))
    }

    /// A container by its name.
    ///
    /// # Errors
    /// When Docker does not answer.
    pub async fn container(&self, name: &str) -> anyhow::Result<Option<Container>> {
        let docker = self.client().await?;
        let found = match docker
            .inspect_container(name, None::<InspectContainerOptions>)
            .await
        {
            Ok(found) => found,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("looking at the container {name}")),
        };
        let state = found.state.unwrap_or_default();
        Ok(Some(Container {
            image: found.image.unwrap_or_default(),
            labels: found.config.and_then(|config| config.labels).unwrap_or_default(),
            running: state.running == Some(true) && state.restarting != Some(true),
            restarting: state.restarting == Some(true),
            restarts: found.restart_count.unwrap_or_default(),
        }))
    }

    /// Makes and starts a container.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn run_container(&self, spec: &Spec) -> anyhow::Result<()> {
        let docker = self.client().await?;
        let options = CreateContainerOptionsBuilder::new().name(spec.name).build();
        docker
            .create_container(Some(options), body(spec))
            .await
            .with_context(|| format!("making the container {}", spec.name))?;
        start(&docker, spec.name).await
    }

    /// Starts a container that has ended.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn start_container(&self, name: &str) -> anyhow::Result<()> {
        start(&self.client().await?, name).await
    }

    /// Ends a container and starts it again.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn restart_container(&self, name: &str) -> anyhow::Result<()> {
        let docker = self.client().await?;
        docker
            .restart_container(name, None::<RestartContainerOptions>)
            .await
            .with_context(|| format!("restarting the container {name}"))
    }

    /// Lets a container be when it ends by itself.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn restart_no_more(&self, name: &str) -> anyhow::Result<()> {
        let docker = self.client().await?;
        let update = ContainerUpdateBody {
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            ..ContainerUpdateBody::default()
        };
        let updated = docker.update_container(name, update).await;
        updated.with_context(|| format!("changing the container {name}"))
    }

    /// The addresses of the swarm's nodes; only a manager knows them.
    ///
    /// # Errors
    /// When this is no manager, or there is no majority.
    pub async fn swarm_nodes(&self) -> anyhow::Result<Vec<Ipv4Addr>> {
        let docker = self.client().await?;
        let nodes = docker.list_nodes(None::<ListNodesOptions>).await?;
        let address = |node: bollard::models::Node| node.status?.addr?.parse().ok();
        Ok(nodes.into_iter().filter_map(address).collect())
    }

    /// Whether this node leads the swarm.
    ///
    /// # Errors
    /// When this is no manager, or there is no majority.
    pub async fn leads_swarm(&self, node: &str) -> anyhow::Result<bool> {
        let docker = self.client().await?;
        let own = docker.inspect_node(node).await?;
        Ok(own
            .manager_status
            .is_some_and(|status| status.leader == Some(true)))
    }

    /// The TCP ports at which the swarm's routing mesh has each service; only a manager knows them.
    ///
    /// # Errors
    /// When this is no manager, or there is no majority.
    pub async fn mesh_ports(&self) -> anyhow::Result<BTreeMap<String, Vec<u16>>> {
        let docker = self.client().await?;
        let services = docker.list_services(None::<ListServicesOptions>).await?;
        let mut mesh = BTreeMap::new();
        for service in services {
            let Some(name) = service.spec.and_then(|spec| spec.name) else {
                continue;
            };
            let ports = service
                .endpoint
                .and_then(|endpoint| endpoint.ports)
                .unwrap_or_default();
            let tcp = ports.into_iter().filter(|port| {
                port.protocol == Some(EndpointPortConfigProtocolEnum::TCP)
                    && port.publish_mode != Some(EndpointPortConfigPublishModeEnum::HOST)
            });
            let ports = tcp
                .filter_map(|port| u16::try_from(port.published_port?).ok())
                .collect();
            mesh.insert(name, ports);
        }
        Ok(mesh)
    }

    /// Ends a container and forgets it; one that is not there is no error.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn remove_container(&self, name: &str) -> anyhow::Result<()> {
        let docker = self.client().await?;
        let stop = StopContainerOptionsBuilder::new().t(STOP_WAIT).build();
        let remove = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        for done in [
            docker.stop_container(name, Some(stop)).await,
            docker.remove_container(name, Some(remove)).await,
        ] {
            match done {
                Err(error) if !is_missing(&error) => {
                    return Err(error).with_context(|| format!("removing the container {name}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The last lines that a container said.
    ///
    /// # Errors
    /// When Docker does not answer.
    pub async fn last_words(&self, name: &str) -> anyhow::Result<String> {
        let docker = self.client().await?;
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .tail("40")
            .build();
        let mut lines = std::pin::pin!(docker.logs(name, Some(options)));
        let mut text = String::new();
        while let Some(line) = lines.next().await {
            text.push_str(&line.context("reading what a container said")?.to_string());
        }
        Ok(text)
    }

    /// The swarm's tasks that run on this node.
    ///
    /// # Errors
    /// When Docker does not answer.
    pub async fn tasks(&self) -> anyhow::Result<Vec<Task>> {
        let docker = self.client().await?;
        let filters = HashMap::from([
            ("label".to_owned(), vec![TASK_LABEL.to_owned()]),
            ("status".to_owned(), vec!["running".to_owned()]),
        ]);
        let options = ListContainersOptionsBuilder::new().filters(&filters).build();
        let found = docker
            .list_containers(Some(options))
            .await
            .context("listing the containers")?;
        Ok(found.into_iter().filter_map(task).collect())
    }
}

fn task(container: ContainerSummary) -> Option<Task> {
    let labels = container.labels?;
    let mut ports: Vec<u16> = container
        .ports
        .unwrap_or_default()
        .into_iter()
        .filter(|port| port.typ == Some(PortSummaryTypeEnum::TCP))
        .filter_map(|port| port.public_port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    Some(Task {
        id: labels.get(TASK_LABEL)?.clone(),
        service: labels.get(SERVICE_LABEL)?.clone(),
        ports,
    })
}

async fn start(docker: &Docker, name: &str) -> anyhow::Result<()> {
    docker
        .start_container(name, None::<StartContainerOptions>)
        .await
        .with_context(|| format!("starting the container {name}"))
}

fn body(spec: &Spec) -> ContainerCreateBody {
    let bind = |(folder, inside, writable): &(PathBuf, &str, bool)| {
        let mode = if *writable { "rw" } else { "ro" };
        format!("{}:{inside}:{mode}", folder.display())
    };
    // What a container says is written to the card.
    let log = HostConfigLogConfig {
        typ: Some("json-file".to_owned()),
        config: Some(HashMap::from(
            [("max-size", "1m"), ("max-file", "2")].map(|(key, value)| (key.to_owned(), value.to_owned())),
        )),
    };
    let restart = RestartPolicy {
        name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
        maximum_retry_count: None,
    };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: Some(spec.arguments.clone()),
        labels: Some(
            spec.labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        ),
        host_config: Some(HostConfig {
            network_mode: Some("host".to_owned()),
            restart_policy: Some(restart),
            binds: Some(spec.folders.iter().map(bind).collect()),
            log_config: Some(log),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}
