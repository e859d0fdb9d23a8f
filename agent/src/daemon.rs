//! The daemon: runs the cluster network, joins what it shows with the rest of the status, and serves that.

mod board;
mod departure;
mod parts;
mod signals;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use boot_config::{ClusterSecret, Settings};
use tokio::sync::watch;

use board::{Board, Clock};
use parts::Parts;
use signals::{Signals, Wish};

use crate::access::Access;
use crate::api::{self, App, Looked};
use crate::engine;
use crate::events::{self, Events};
use crate::members::Members;
use crate::network::dns::forward::Places;
use crate::network::role::Leadership;
use crate::network::run::{Network, Options as NetworkOptions};
use crate::network::view::View;
use crate::services::Swarm;
use crate::status::{FirstBoot, Status};
use crate::stopped::Marker;
use crate::trust::Trust;

/// Name and first boot are looked at so often.
const REFRESH: Duration = Duration::from_secs(5);

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
    let hostname = board.status.hostname.clone();
    let (shown, status) = watch::channel(Arc::new(board.status.clone()));
    let app = App {
        status,
        members: trust.clone().map(|trust| Members::new(trust, &hostname)),
        swarm: Swarm::new(options.docker_socket.clone()),
        access: Access::open(&options.state),
        events: Events::default(),
        looked: Looked::default(),
    };
    let (mut parts, departure) = Parts::start(&options, &app, trust, &hostname)?;
    let network = NetworkOptions {
        members: app.members.clone(),
        leadership: parts.leadership.clone(),
        web_routes: api::router(&app),
        member_routes: api::member_router(&app, parts.invitation.clone()),
        ..network_options(&options, &hostname)
    };
    let (view_sender, mut view) = watch::channel(View::default());
    let network = Network::new(network, view_sender)?;
    let mut signals = Signals::new()?;
    let mut stop = std::pin::pin!(departure.when_stopped(Marker::new(&options.state)));
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
            wish = signals.next(), if end_sender.is_some() => {
                let wrong = match wish {
                    Wish::End => Vec::new(),
                    Wish::Reload => (options.wrong_settings)(),
                };
                board.refuse(&wrong);
                if wrong.is_empty() {
                    ended = ended.or(Some(wish.into()));
                    end_sender = None;
                }
            }
            notes = &mut stop, if ended.is_none() => {
                ended = Some(Ended::Stopped(notes));
                end_sender = None;
            }
            Ok(()) = view.changed() => {
                let view = view.borrow_and_update();
                board.show(&view, &clock);
                parts.tell(&view, &hostname);
            }
            Ok(()) = parts.engine.changed(), if ended.is_none() => {
                board.status.engine = parts.engine.borrow_and_update().clone();
            }
            Ok(()) = parts.preloads.changed() => {
                board.status.preloads = parts.preloads.borrow_and_update().clone();
            }
            Ok(()) = parts.consul.changed() => {
                board.status.consul = Some(parts.consul.borrow_and_update().clone());
            }
            _ = refresh.tick() => board.refresh(&options),
        }
        publish(&shown, &board.status, &app.events);
    }
    Ok(ended.unwrap_or(Ended::BySignal))
}

/// Shows a status that has changed, and what has happened with it.
fn publish(shown: &watch::Sender<Arc<Status>>, status: &Status, log: &Events) {
    shown.send_if_modified(|shown| {
        let changed = **shown != *status;
        if changed {
            log.add(events::of_status(shown, status));
            *shown = Arc::new(status.clone());
        }
        changed
    });
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
