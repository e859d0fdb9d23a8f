//! What runs beside the cluster network: each part, what it is told, and what is heard of it.

use boot_config::Settings;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use super::Options;
use super::departure::Departure;
use crate::api::{self, App};
use crate::consul::run::{self as consul, ConsulStatus};
use crate::docker_endpoint::{self, Nodes};
use crate::engine::configure::Configurator;
use crate::engine::control_plane::ControlPlane;
use crate::engine::docker::Engine;
use crate::engine::plan::{Planner, Timing};
use crate::engine::preload::{self, Preloads};
use crate::engine::run::{self as engine, EngineStatus, Left, Place};
use crate::engine::swarm::Invitation;
use crate::network::role::Leadership;
use crate::network::view::View;
use crate::services;
use crate::status::Role;
use crate::trust::Trust;

/// The parts; they end with this value.
pub(super) struct Parts {
    place: watch::Sender<Place>,
    nodes: watch::Sender<Nodes>,
    /// What is shown of the engine.
    pub(super) engine: watch::Receiver<EngineStatus>,
    /// What is shown of the images that came with the card.
    pub(super) preloads: watch::Receiver<Preloads>,
    /// What is shown of Consul.
    pub(super) consul: watch::Receiver<ConsulStatus>,
    /// For the cluster network.
    pub(super) leadership: watch::Receiver<Leadership>,
    /// For the other members.
    pub(super) invitation: watch::Receiver<Option<Invitation>>,
    tasks: Vec<AbortHandle>,
    sockets: [std::path::PathBuf; 2],
}

/// The engine's ends that others hold.
struct EngineEnds {
    task: JoinHandle<Left>,
    leave: watch::Sender<bool>,
    place: watch::Sender<Place>,
    status: watch::Receiver<EngineStatus>,
    leadership: watch::Receiver<Leadership>,
    invitation: watch::Receiver<Option<Invitation>>,
}

impl Parts {
    /// Starts all parts. The departure is for a node that is stopped.
    ///
    /// # Errors
    /// When there can be no Unix socket for the API.
    pub(super) fn start(
        options: &Options,
        app: &App,
        trust: Option<Trust>,
        hostname: &str,
    ) -> anyhow::Result<(Self, Departure)> {
        let listener = api::unix_listener(&options.socket)?;
        let server = tokio::spawn(api::serve_local(listener, api::router(app)));
        let counting = services::watch(app.swarm.clone(), app.status.clone(), app.events.clone());
        let engine = start_engine(options, app);
        let (missing, preload_task, preloads) = start_preloading(options);
        let (consul_sender, consul) = watch::channel(ConsulStatus::default());
        let consul_ends = consul::Ends {
            engine: Engine::new(options.docker_socket.clone()),
            state: options.state.clone(),
            image: options.settings.consul.image.to_string(),
            master: options.settings.network.master_address,
            node: app.status.clone(),
            preloads: preloads.clone(),
            missing,
            trust,
            status: consul_sender,
        };
        let enabled = options.settings.consul.enabled;
        let consul_task = enabled.then(|| tokio::spawn(consul::run(consul_ends)).abort_handle());
        let (nodes, endpoint_task) = start_endpoint(options, app, hostname);
        let mut tasks = vec![
            server.abort_handle(),
            tokio::spawn(counting).abort_handle(),
            engine.task.abort_handle(),
            preload_task,
            endpoint_task,
        ];
        tasks.extend(consul_task.clone());
        let departure = Departure {
            engine: engine.task,
            leave: engine.leave,
            consul: consul_task,
            docker: Engine::new(options.docker_socket.clone()),
        };
        let parts = Self {
            place: engine.place,
            nodes,
            engine: engine.status,
            preloads,
            consul,
            leadership: engine.leadership,
            invitation: engine.invitation,
            tasks,
            sockets: [options.docker_endpoint.clone(), options.socket.clone()],
        };
        Ok((parts, departure))
    }

    /// Tells the parts what the cluster network has become.
    pub(super) fn tell(&self, view: &View, hostname: &str) {
        let place = place_of(view);
        self.place
            .send_if_modified(|old| std::mem::replace(old, place.clone()) != place);
        let nodes = Nodes::of_view(view, hostname);
        self.nodes
            .send_if_modified(|old| std::mem::replace(old, nodes.clone()) != nodes);
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        for socket in &self.sockets {
            // Left behind, it would say "connection refused" instead of "not there" to `cluster-lab status`.
            let _ = std::fs::remove_file(socket);
        }
    }
}

fn start_engine(options: &Options, app: &App) -> EngineEnds {
    let (place_sender, place) = watch::channel(Place::default());
    let (status_sender, status) = watch::channel(EngineStatus::default());
    let (invitation_sender, invitation) = watch::channel(None);
    let (leadership_sender, leadership) = watch::channel(Leadership::default());
    let (leave_sender, leave) = watch::channel(false);
    let ends = engine::Ends {
        leave,
        service_manager: options.service_manager.clone(),
        programs: options.docker_programs.clone(),
        data: options.docker_data.clone(),
        socket: options.docker_socket.clone(),
        place,
        status: status_sender,
        invitation: invitation_sender,
        leadership: leadership_sender,
        members: app.members.clone(),
        master: options.settings.network.master_address,
        configurator: Configurator::new(
            options.docker_files.clone(),
            options.service_manager.clone(),
            options.settings.docker.clone(),
        ),
    };
    EngineEnds {
        task: tokio::spawn(engine::run(ends, planner(&options.settings))),
        leave: leave_sender,
        place: place_sender,
        status,
        leadership,
        invitation,
    }
}

fn start_preloading(
    options: &Options,
) -> (
    watch::Sender<Option<String>>,
    AbortHandle,
    watch::Receiver<Preloads>,
) {
    let (status, preloads) = watch::channel(Preloads::default());
    let (missing_sender, missing) = watch::channel(None);
    let task = tokio::spawn(preload::run(preload::Ends {
        engine: Engine::new(options.docker_socket.clone()),
        folder: options.state.join("preload"),
        done: options.state.join("preloaded"),
        status,
        missing,
    }));
    (missing_sender, task.abort_handle(), preloads)
}

fn start_endpoint(options: &Options, app: &App, hostname: &str) -> (watch::Sender<Nodes>, AbortHandle) {
    let (sender, nodes) = watch::channel(Nodes::of_view(&View::default(), hostname));
    let task = tokio::spawn(docker_endpoint::run(docker_endpoint::Options {
        docker_socket: options.docker_socket.clone(),
        socket: options.docker_endpoint.clone(),
        hostname: hostname.to_owned(),
        names: endpoint_names(hostname, &options.settings),
        master_address: options.settings.network.master_address,
        members: app.members.clone(),
        nodes,
    }));
    (sender, task.abort_handle())
}

fn planner(settings: &Settings) -> Planner {
    let timing = Timing {
        rebuild_after: settings.swarm.rebuild_after.get(),
        ..Timing::default()
    };
    Planner::new(timing, ControlPlane::default())
}

/// The names that programs ask the Docker endpoint by.
fn endpoint_names(hostname: &str, settings: &Settings) -> Vec<String> {
    let domain = &settings.network.domain;
    let mut names = vec!["localhost".to_owned()];
    for name in ["cl-master", "master", hostname] {
        names.extend([
            name.to_owned(),
            format!("{name}.{domain}"),
            format!("{name}.local"),
        ]);
    }
    names.retain(|name| !name.is_empty() && name.is_ascii());
    names
}

/// What the engine must know of the cluster network.
fn place_of(view: &View) -> Place {
    let role = match view.role {
        Role::Master => view.node_address.map(|own| (own, true)),
        Role::Node => view.node_address.map(|own| (own, false)),
        Role::Starting | Role::Listening | Role::Claiming => None,
    };
    Place {
        role,
        master: view.master_node,
        peers: view.peers.iter().map(|peer| peer.address).collect(),
        interface: view.interface.as_ref().map(|(name, _)| name.clone()),
    }
}
