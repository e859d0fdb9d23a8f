//! Docker Engine's API on its Unix socket: this, the files in its folder and `services` are all that import its client.

pub mod containers;
mod images;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use bollard::models::{
    LocalNodeState, Node as ApiNode, NodeSpec, NodeSpecAvailabilityEnum, NodeSpecRoleEnum, NodeState,
    Reachability, SwarmInfo, SwarmInitRequest, SwarmJoinRequest, SwarmSpec, SwarmSpecCaConfig,
    SwarmSpecOrchestration,
};
use bollard::query_parameters::{
    DeleteNodeOptions, LeaveSwarmOptions, ListNodesOptions, ListServicesOptions, UpdateNodeOptionsBuilder,
    UpdateSwarmOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};

use super::configure;
use super::plan::Action;
use super::swarm::{
    ARCH_LABEL, Control, Invitation, LEAVING_LABEL, MANAGER_PORT, Manager, Membership, Node, ROLE_LABEL,
    Raft, Swarm, Token,
};

/// The engine itself gives up a join after 20 s and goes on trying; a Pi's card may be slow.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Managers that do not answer for so long decide nothing.
const MANAGERS_TIMEOUT: Duration = Duration::from_secs(10);
/// A swarm's cards may lie in a cupboard for long: with the engine's 90 days they would come back as strangers.
const CERTIFICATE_EXPIRY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Finished tasks kept per slot; each is written to the cards of all managers.
const TASK_HISTORY: i64 = 2;

/// The engine of this node.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: PathBuf,
}

/// Whether Docker says that there is no such thing.
fn is_missing(error: &bollard::errors::Error) -> bool {
    matches!(
        error,
        bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }
    )
}

/// What the engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its version, such as `20.10.24`.
    pub version: String,
    /// Its labels, `KEY=VALUE`.
    pub labels: Vec<String>,
    /// Its part in a swarm.
    pub swarm: Swarm,
}

impl Engine {
    /// The engine that listens on this socket, which need not be there yet.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Docker itself, for what is done with services.
    pub(crate) async fn client(&self) -> anyhow::Result<Docker> {
        let path: &Path = &self.socket;
        let path = path
            .to_str()
            .context("the path of Docker's socket is not UTF-8")?;
        let docker = Docker::connect_with_unix(path, TIMEOUT.as_secs(), API_DEFAULT_VERSION)?;
        // Engines refuse versions that are too new for them, and the newest those that are too old.
        Ok(docker.negotiate_version().await?)
    }

    /// What the engine is in.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn report(&self) -> anyhow::Result<Report> {
        let docker = self.client().await?;
        let info = docker.info().await.context("asking Docker for its state")?;
        let swarm = match info.swarm {
            Some(swarm) => self.swarm(&docker, swarm).await,
            None => Swarm::Out,
        };
        Ok(Report {
            version: info.server_version.unwrap_or_default(),
            labels: info.labels.unwrap_or_default(),
            swarm,
        })
    }

    async fn swarm(&self, docker: &Docker, info: SwarmInfo) -> Swarm {
        let pending = info.local_node_state == Some(LocalNodeState::PENDING);
        match info.local_node_state {
            Some(LocalNodeState::ACTIVE | LocalNodeState::PENDING) => {}
            Some(LocalNodeState::LOCKED) => return Swarm::Locked,
            Some(LocalNodeState::ERROR) => return Swarm::Failed(info.error.unwrap_or_default()),
            _ => return Swarm::Out,
        }
        let control = if info.control_available == Some(true) {
            match tokio::time::timeout(MANAGERS_TIMEOUT, manager(docker)).await {
                Ok(Ok(manager)) => Control::Manager(manager),
                Ok(Err(error)) => {
                    tracing::debug!("the swarm's managers: {error:#}");
                    Control::NoQuorum
                }
                Err(_) => {
                    tracing::debug!("the swarm's managers do not answer");
                    Control::NoQuorum
                }
            }
        } else if pending {
            Control::Pending
        } else {
            Control::Worker
        };
        Swarm::In(Membership {
            node: info.node_id.unwrap_or_default(),
            address: info.node_addr.and_then(|address| address.parse().ok()),
            managers: info.remote_managers.map_or(0, |managers| managers.len()),
            control,
        })
    }

    /// Does one thing.
    ///
    /// # Errors
    /// When the engine refuses or does not answer.
    pub async fn apply(&self, action: &Action) -> anyhow::Result<()> {
        let docker = self.client().await?;
        match action {
            Action::Init(address) => init(&docker, *address, false).await.context("making the swarm"),
            Action::InitFromState(address) => init(&docker, *address, true)
                .await
                .context("making the swarm anew from this manager's state"),
            Action::Join(address, invitation) => join(&docker, *address, invitation)
                .await
                .with_context(|| format!("joining the swarm at {}", invitation.manager)),
            Action::Leave => {
                let options = LeaveSwarmOptions { force: true };
                docker
                    .leave_swarm(Some(options))
                    .await
                    .context("leaving the swarm")
            }
            Action::Promote(node) => {
                let role = NodeSpecRoleEnum::MANAGER;
                change(&docker, node, |spec| spec.role = Some(role)).await
            }
            Action::Demote(node) => {
                let role = NodeSpecRoleEnum::WORKER;
                change(&docker, node, |spec| spec.role = Some(role)).await
            }
            Action::Label(node, labels) => {
                let set = |spec: &mut NodeSpec| {
                    let present = spec.labels.get_or_insert_with(HashMap::new);
                    present.extend(labels.clone());
                };
                change(&docker, node, set).await
            }
            Action::Retire(node) => {
                let retire = |spec: &mut NodeSpec| {
                    spec.availability = Some(NodeSpecAvailabilityEnum::DRAIN);
                    let labels = spec.labels.get_or_insert_with(HashMap::new);
                    labels.insert(LEAVING_LABEL.to_owned(), "true".to_owned());
                };
                change(&docker, node, retire).await
            }
            Action::Unretire(node) => {
                let unretire = |spec: &mut NodeSpec| {
                    spec.availability = Some(NodeSpecAvailabilityEnum::ACTIVE);
                    spec.labels.get_or_insert_with(HashMap::new).remove(LEAVING_LABEL);
                };
                change(&docker, node, unretire).await
            }
            Action::Remove(node) => docker
                .delete_node(node, Some(DeleteNodeOptions { force: true }))
                .await
                .with_context(|| format!("removing the node {node} from the swarm")),
        }
    }
}

async fn init(docker: &Docker, address: Ipv4Addr, force_new_cluster: bool) -> anyhow::Result<()> {
    let expiry = i64::try_from(CERTIFICATE_EXPIRY.as_nanos()).unwrap_or(i64::MAX);
    let spec = SwarmSpec {
        name: Some("default".to_owned()),
        orchestration: Some(SwarmSpecOrchestration {
            task_history_retention_limit: Some(TASK_HISTORY),
        }),
        ca_config: Some(SwarmSpecCaConfig {
            node_cert_expiry: Some(expiry),
            ..SwarmSpecCaConfig::default()
        }),
        ..SwarmSpec::default()
    };
    let request = SwarmInitRequest {
        listen_addr: Some(end_point(address)),
        advertise_addr: Some(end_point(address)),
        data_path_addr: Some(address.to_string()),
        force_new_cluster: Some(force_new_cluster),
        spec: Some(spec),
        ..SwarmInitRequest::default()
    };
    docker.init_swarm(request).await?;
    // The first manager's own certificate was issued before its swarm knew for how long.
    if !force_new_cluster && let Err(error) = renew_certificates(docker).await {
        tracing::warn!("this manager's certificate is valid for 90 days until it is renewed: {error:#}");
    }
    Ok(())
}

/// Lets all nodes have their certificates issued anew, by a new authority.
async fn renew_certificates(docker: &Docker) -> anyhow::Result<()> {
    let swarm = docker.inspect_swarm().await?;
    let version = swarm
        .version
        .and_then(|version| version.index)
        .unwrap_or_default();
    let mut spec = swarm.spec.unwrap_or_default();
    let authority = spec.ca_config.get_or_insert_with(SwarmSpecCaConfig::default);
    authority.force_rotate = Some(authority.force_rotate.unwrap_or_default() + 1);
    let options = UpdateSwarmOptionsBuilder::new()
        .version(i64::try_from(version).unwrap_or(i64::MAX))
        .build();
    docker.update_swarm(spec, options).await?;
    Ok(())
}

async fn join(docker: &Docker, address: Ipv4Addr, invitation: &Invitation) -> anyhow::Result<()> {
    let request = SwarmJoinRequest {
        listen_addr: Some(end_point(address)),
        advertise_addr: Some(end_point(address)),
        data_path_addr: Some(address.to_string()),
        remote_addrs: Some(vec![end_point(invitation.manager)]),
        join_token: Some(invitation.worker_token.0.clone()),
    };
    Ok(docker.join_swarm(request).await?)
}

fn end_point(address: Ipv4Addr) -> String {
    format!("{address}:{MANAGER_PORT}")
}

async fn manager(docker: &Docker) -> anyhow::Result<Manager> {
    let nodes = docker.list_nodes(None::<ListNodesOptions>).await?;
    let swarm = docker.inspect_swarm().await?;
    let services = docker.list_services(None::<ListServicesOptions>).await?;
    let tokens = swarm.join_tokens.context("the swarm has no join tokens")?;
    Ok(Manager {
        worker_token: Token(tokens.worker.unwrap_or_default()),
        services: services.len(),
        nodes: nodes.into_iter().filter_map(node).collect(),
    })
}

fn node(api: ApiNode) -> Option<Node> {
    let spec = api.spec.unwrap_or_default();
    let status = api.status.unwrap_or_default();
    let wants_manager = spec.role == Some(NodeSpecRoleEnum::MANAGER);
    let raft = api.manager_status.map_or(Raft::default(), |raft| Raft {
        reachable: raft.reachability == Some(Reachability::REACHABLE),
        leader: raft.leader.unwrap_or_default(),
        member: true,
    });
    let description = api.description.unwrap_or_default();
    let engine_labels = description.engine.and_then(|engine| engine.labels);
    Some(Node {
        id: api.id?,
        hostname: description.hostname.unwrap_or_default(),
        address: status.addr.and_then(|address| address.parse().ok()),
        ready: status.state == Some(NodeState::READY),
        manager: wants_manager.then_some(raft),
        labels: spec.labels.unwrap_or_default().into_iter().collect(),
        told: told(engine_labels.unwrap_or_default()),
    })
}

/// What an engine's labels say of its node. Those of the agent's own namespace are not repeated, but for the processor.
fn told(labels: HashMap<String, String>) -> BTreeMap<String, String> {
    let of_node = labels.into_iter().filter_map(|(key, value)| match key.as_str() {
        configure::ARCH_LABEL => Some((ARCH_LABEL.to_owned(), value)),
        ROLE_LABEL | LEAVING_LABEL => None,
        _ if key.starts_with("hypriot.") => None,
        _ => Some((key, value)),
    });
    of_node.collect()
}

/// Changes what a node is to be; the engine refuses when somebody else has changed it in between.
async fn change(docker: &Docker, node: &str, change: impl FnOnce(&mut NodeSpec)) -> anyhow::Result<()> {
    let changed = async {
        let api = docker.inspect_node(node).await?;
        let mut spec = api.spec.unwrap_or_default();
        spec.availability = spec.availability.or(Some(NodeSpecAvailabilityEnum::ACTIVE));
        change(&mut spec);
        let version = api.version.and_then(|version| version.index).unwrap_or_default();
        let options = UpdateNodeOptionsBuilder::new()
            .version(i64::try_from(version).unwrap_or(i64::MAX))
            .build();
        docker.update_node(node, spec, options).await?;
        anyhow::Ok(())
    };
    changed
        .await
        .with_context(|| format!("changing the node {node} of the swarm"))
}
