//! The daemon: runs the cluster network, joins what it shows with the rest of the status, and serves that.

mod board;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use boot_config::{ClusterSecret, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use board::{Board, Clock};

use crate::access::Access;
use crate::api::{self, App, Looked};
use crate::consul;
use crate::consul::run::ConsulStatus;
use crate::docker_endpoint::{self, Nodes};
use crate::engine;
use crate::engine::configure::Configurator;
use crate::engine::control_plane::ControlPlane;
use crate::engine::docker::Engine;
use crate::engine::plan::Planner;
use crate::engine::preload::{self, Preloads};
use crate::engine::run::{EngineStatus, Place};
use crate::events::{self, Events};
use crate::members::Members;
use crate::network::dns::forward::Places;
use crate::network::role::Leadership;
use crate::network::run::{Network, Options as NetworkOptions};
use crate::network::view::View;
use crate::services::{self, Swarm};
use crate::status::{FirstBoot, Role};
use crate::stopped::Marker;
use crate::trust::Trust;

/// Name and first boot are looked at so often.
const REFRESH: Duration = Duration::from_secs(5);

/// For Consul to leave and its container to go; a Pi takes some seconds.
const CONSUL_END: Duration = Duration::from_secs(45);
/// It is looked so often whether the node is to stop.
const LOOK_FOR_STOP: Duration = Duration::from_millis(500);

/// What the daemon runs with.
pub struct Options {
    /// All settings.
    pub settings: Settings,
    /// What is wrong with the settings.
    pub warnings: Vec<String>,
    /// The cluster secret, if the node has one.
    pub secret: Option<ClusterSecret>,
    /// State folder, such as `/var/lib/cluster-lab`.
    pub state: PathBuf,
    /// The API's Unix socket.
    pub socket: PathBuf,
    /// Docker Engine's Unix socket.
    pub docker_socket: PathBuf,
    /// Docker Engine's files.
    pub docker_files: engine::configure::Files,
    /// Where Docker Engine's program may be.
    pub docker_programs: Vec<PathBuf>,
    /// Where Docker Engine's data is.
    pub docker_data: PathBuf,
    /// The program that reloads and restarts Docker Engine.
    pub service_manager: engine::service_manager::ServiceManager,
    /// The cluster-wide Docker endpoint's Unix socket.
    pub docker_endpoint: PathBuf,
    /// `/proc`
    pub proc: PathBuf,
    /// `/sys/class/net`
    pub class_net: PathBuf,
    /// `/etc/os-release`
    pub os_release: PathBuf,
    /// How far the first boot is.
    pub first_boot: Box<dyn Fn() -> FirstBoot + Send>,
    /// Whether the HTTP API is served on the cluster address.
    pub http: bool,
    /// Who is asked for names that are not the cluster's.
    pub places: Places,
    /// The hosts file.
    pub hosts: PathBuf,
    /// When this node's image was built, since 1970; zero when that is unknown.
    pub built: Duration,
    /// What is wrong with the settings as they are now and was not at the start.
    pub wrong_settings: Box<dyn Fn() -> Vec<String> + Send>,
}

/// Why the daemon has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The system wants it to.
    BySignal,
    /// To be run again, with the settings as they are now; the role is remembered, and taken again.
    Reload,
    /// The node is stopped: it has left its swarm, but for what these lines say.
    Stopped(Vec<String>),
}

/// Runs until SIGTERM, SIGINT, or SIGHUP with sound settings, or until the node is stopped, then takes down what was set up.
///
/// # Errors
/// When the daemon cannot start: no permission, no Unix socket, no state folder.
pub async fn run(mut options: Options) -> anyhow::Result<Ended> {
    let clock = Clock::start(&options.proc)?;
    let trust = Trust::decide(options.secret.take(), &options.settings.cluster);
    let mut board = Board::new(&options, trust.as_ref(), &clock);
    let (status_sender, status) = watch::channel(Arc::new(board.status.clone()));
    let (view_sender, mut view) = watch::channel(View::default());

    let listener = api::unix_listener(&options.socket)?;
    let hostname = board.status.hostname.clone();
    let members = trust.clone().map(|trust| Members::new(trust, &hostname));
    let app = App {
        status: status.clone(),
        members: members.clone(),
        swarm: Swarm::new(options.docker_socket.clone()),
        access: Access::open(&options.state),
        events: Events::default(),
        looked: Looked::default(),
    };
    let server = tokio::spawn(api::serve_local(listener, api::router(&app)));
    let counting = tokio::spawn(services::watch(
        app.swarm.clone(),
        status.clone(),
        app.events.clone(),
    ));

    let (place_sender, place) = watch::channel(Place::default());
    let (engine_sender, mut engine) = watch::channel(EngineStatus::default());
    let (invitation_sender, invitation) = watch::channel(None);
    let (leadership_sender, leadership) = watch::channel(Leadership::default());
    let (leave_sender, leave) = watch::channel(false);
    let ends = engine::run::Ends {
        leave,
        service_manager: options.service_manager.clone(),
        programs: options.docker_programs.clone(),
        data: options.docker_data.clone(),
        socket: options.docker_socket.clone(),
        place,
        status: engine_sender,
        invitation: invitation_sender,
        leadership: leadership_sender,
        members: members.clone(),
        master: options.settings.network.master_address,
        configurator: Configurator::new(
            options.docker_files.clone(),
            options.service_manager.clone(),
            options.settings.docker.clone(),
        ),
    };
    let engine_task = tokio::spawn(engine::run::run(ends, planner(&options.settings)));

    let (preload_sender, mut preloads) = watch::channel(Preloads::default());
    let (missing_sender, missing) = watch::channel(None);
    let preload_task = tokio::spawn(preload::run(preload::Ends {
        engine: Engine::new(options.docker_socket.clone()),
        folder: options.state.join("preload"),
        done: options.state.join("preloaded"),
        status: preload_sender,
        missing,
    }));
    let (consul_sender, mut consul) = watch::channel(ConsulStatus::default());
    let consul_ends = consul::run::Ends {
        engine: Engine::new(options.docker_socket.clone()),
        state: options.state.clone(),
        image: options.settings.consul.image.to_string(),
        master: options.settings.network.master_address,
        node: status.clone(),
        preloads: preloads.clone(),
        missing: missing_sender,
        trust,
        status: consul_sender,
    };
    let consul_task = options
        .settings
        .consul
        .enabled
        .then(|| tokio::spawn(consul::run::run(consul_ends)));
    let (nodes_sender, nodes) = watch::channel(Nodes::of_view(&View::default(), &hostname));
    let endpoint = docker_endpoint::Options {
        docker_socket: options.docker_socket.clone(),
        socket: options.docker_endpoint.clone(),
        hostname: hostname.clone(),
        names: endpoint_names(&hostname, &options.settings),
        master_address: options.settings.network.master_address,
        members: members.clone(),
        nodes,
    };
    let endpoint_task = tokio::spawn(docker_endpoint::run(endpoint));

    let network = NetworkOptions {
        members,
        leadership,
        web_routes: api::router(&app),
        member_routes: api::member_router(&app, invitation),
        ..network_options(&options, &hostname)
    };
    let network = Network::new(network, view_sender)?;
    let mut terminate = signal(SignalKind::terminate()).context("waiting for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for signals")?;
    let mut hangup = signal(SignalKind::hangup()).context("waiting for signals")?;
    let marker = Marker::new(&options.state);
    let consul_end = consul_task.as_ref().map(tokio::task::JoinHandle::abort_handle);
    let consul_engine = Engine::new(options.docker_socket.clone());
    let mut stop = std::pin::pin!(async move {
        while marker.read().is_none() {
            tokio::time::sleep(LOOK_FOR_STOP).await;
        }
        tracing::info!("this node is stopped: leaving the cluster");
        // First: Docker may end with the swarm.
        let mut notes = Vec::new();
        if let Some(task) = consul_end {
            task.abort();
            match tokio::time::timeout(CONSUL_END, consul::run::end(&consul_engine)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::info!("consul: {error:#}"),
                Err(_) => notes
                    .push("Consul's container is still there: Docker did not remove it in time".to_owned()),
            }
        }
        leave_sender.send_replace(true);
        if let Ok(left) = engine_task.await {
            notes.extend(left.leave().await);
        }
        notes
    });
    // The network stays until the node has left: the others must hear of it.
    let (end_sender, end) = tokio::sync::oneshot::channel::<()>();
    let mut end_sender = Some(end_sender);
    let end = async move {
        let _ = end.await;
        tracing::info!("ending");
    };
    let mut ended = None;
    let mut network = std::pin::pin!(network.run(end));
    let mut refresh = tokio::time::interval(REFRESH);
    loop {
        tokio::select! {
            () = &mut network => break,
            _ = terminate.recv(), if end_sender.is_some() => {
                ended = ended.or(Some(Ended::BySignal));
                end_sender = None;
            }
            _ = interrupt.recv(), if end_sender.is_some() => {
                ended = ended.or(Some(Ended::BySignal));
                end_sender = None;
            }
            _ = hangup.recv(), if end_sender.is_some() => {
                let wrong = (options.wrong_settings)();
                for line in &wrong {
                    tracing::warn!("the settings are not taken: {line}");
                }
                board.refuse(&wrong);
                if wrong.is_empty() {
                    ended = ended.or(Some(Ended::Reload));
                    end_sender = None;
                }
            }
            notes = &mut stop, if ended.is_none() => {
                ended = Some(Ended::Stopped(notes));
                end_sender = None;
            }
            changed = view.changed() => {
                if changed.is_ok() {
                    let view = view.borrow_and_update();
                    board.show(&view, &clock);
                    let place = place_of(&view);
                    place_sender.send_if_modified(|old| std::mem::replace(old, place.clone()) != place);
                    let nodes = Nodes::of_view(&view, &hostname);
                    nodes_sender.send_if_modified(|old| std::mem::replace(old, nodes.clone()) != nodes);
                }
            }
            changed = engine.changed(), if ended.is_none() => {
                if changed.is_ok() {
                    board.status.engine = engine.borrow_and_update().clone();
                }
            }
            Ok(()) = preloads.changed() => {
                board.status.preloads = preloads.borrow_and_update().clone();
            }
            Ok(()) = consul.changed() => {
                board.status.consul = Some(consul.borrow_and_update().clone());
            }
            _ = refresh.tick() => board.refresh(&options),
        }
        status_sender.send_if_modified(|shown| {
            let changed = **shown != board.status;
            if changed {
                app.events.add(events::of_status(shown, &board.status));
                *shown = Arc::new(board.status.clone());
            }
            changed
        });
    }
    server.abort();
    counting.abort();
    preload_task.abort();
    if let Some(task) = consul_task {
        task.abort();
    }
    endpoint_task.abort();
    let _ = std::fs::remove_file(&options.docker_endpoint);
    // Left behind, it would say "connection refused" instead of "not there" to `cluster-lab status`.
    let _ = std::fs::remove_file(&options.socket);
    Ok(ended.unwrap_or(Ended::BySignal))
}

fn planner(settings: &Settings) -> Planner {
    let timing = engine::plan::Timing {
        rebuild_after: settings.swarm.rebuild_after.get(),
        ..engine::plan::Timing::default()
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

fn network_options(options: &Options, hostname: &str) -> NetworkOptions {
    let mut hasher = DefaultHasher::new();
    (hostname, std::process::id(), std::time::SystemTime::now()).hash(&mut hasher);
    NetworkOptions {
        settings: options.settings.network.clone(),
        state: options.state.clone(),
        class_net: options.class_net.clone(),
        hostname: hostname.to_owned(),
        os: os_name(&options.os_release),
        http: options.http,
        members: None,
        web_routes: Router::new(),
        member_routes: Router::new(),
        leadership: watch::channel(Leadership::default()).1,
        places: options.places.clone(),
        hosts: options.hosts.clone(),
        built: options.built,
        seed: hasher.finish(),
    }
}

/// `ID` of os-release, such as `debian`.
fn os_name(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let id = text.lines().find_map(|line| line.strip_prefix("ID="));
    id.unwrap_or("linux")
        .trim_matches(['"', '\''])
        .chars()
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_named_by_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("os-release");
        for (text, expected) in [
            ("NAME=x\nID=\"raspbian\"\n", "raspbian"),
            ("ID=debian", "debian"),
            ("", "linux"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(os_name(&file), expected);
        }
        assert_eq!(os_name(&folder.path().join("missing")), "linux");
    }
}
