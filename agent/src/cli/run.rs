//! `cluster-lab run`

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use boot_config::Settings;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::stop;
use crate::config::Config;
use crate::daemon::{self, Ended};
use crate::engine::configure::Files as DockerFiles;
use crate::engine::service_manager::ServiceManager;
use crate::first_boot;
use crate::network::dns::forward::Places;
use crate::network::dns::resolvers::Files;
use crate::paths::Paths;
use crate::secret::{self, Found};
use crate::status::{FirstBoot, FirstBootStep};
use crate::stopped::Marker;

/// Where Consul answers DNS queries on every node.
const CONSUL_DNS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8600));

/// It is looked so often whether a stopped node is to start.
const LOOK_FOR_START: Duration = Duration::from_millis(500);

/// Arguments of `run`. All are for tests: a node needs none.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Read the settings of the system below this folder
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
    /// Use this file as the only source of settings
    #[arg(long, value_name = "FILE", hide = true)]
    config: Option<PathBuf>,
    /// Keep the state here
    #[arg(long, value_name = "DIR", hide = true)]
    state_dir: Option<PathBuf>,
    /// Serve the API on this Unix socket
    #[arg(long, value_name = "PATH", hide = true)]
    socket: Option<PathBuf>,
    /// Where Docker Engine listens
    #[arg(long, value_name = "PATH", hide = true)]
    docker_socket: Option<PathBuf>,
    /// Reload, restart and look at Docker Engine with this program
    #[arg(long, value_name = "PROGRAM", default_value = "systemctl", hide = true)]
    service_manager: OsString,
}

/// Runs the daemon until it is told to end.
///
/// # Errors
/// When it cannot start.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    // Memory holds the cluster secret: no core dump, and no debugger of a program that lost root's rights.
    nix::sys::prctl::set_dumpable(false).context("switching core dumps off")?;
    let paths = Paths::below(&args.root);
    let state = args.state_dir.clone().unwrap_or_else(|| paths.state());
    let marker = Marker::new(&state);
    let mut before = None;
    loop {
        if let Some(stopped) = marker.read() {
            if !stopped.done {
                // Another daemon was to do it and did not come to its end.
                marker.write(&stop::put_back(&paths, &state, stopped.notes))?;
            }
            tracing::info!("this node is stopped: 'cluster-lab start' starts it");
            if !runtime()?.block_on(started(&marker))? {
                return Ok(ExitCode::SUCCESS);
            }
        }
        let options = options(&args, &paths, &state, before.take().as_ref())?;
        let settings = options.settings.clone();
        match runtime()?.block_on(daemon::run(options))? {
            Ended::BySignal => return Ok(ExitCode::SUCCESS),
            Ended::Reload => before = Some(settings),
            Ended::Stopped(notes) => marker.write(&stop::put_back(&paths, &state, notes))?,
        }
    }
}

/// Waits until the node is started; false: the system wants the daemon to end.
async fn started(marker: &Marker) -> anyhow::Result<bool> {
    let mut terminate = signal(SignalKind::terminate()).context("waiting for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for signals")?;
    let started = async {
        while marker.read().is_some() {
            tokio::time::sleep(LOOK_FOR_START).await;
        }
    };
    tokio::select! {
        () = started => Ok(true),
        _ = terminate.recv() => Ok(false),
        _ = interrupt.recv() => Ok(false),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")
}

fn load(args: &Args, paths: &Paths) -> anyhow::Result<Config> {
    match &args.config {
        None => Ok(Config::load(paths)),
        Some(file) => only_file(file),
    }
}

/// A line for each changed setting that is read by the first boot's steps only.
fn needs_reboot(before: &Settings, now: &Settings) -> Vec<String> {
    let changed = [
        ("hostname", before.hostname != now.hostname),
        ("user", before.user != now.user),
    ];
    let lines = changed.into_iter().filter(|(_, changed)| *changed);
    lines
        .map(|(key, _)| format!("{key} has been changed: reboot this node to use it"))
        .collect()
}

/// `before`: the settings that were used until a reload.
fn options(
    args: &Args,
    paths: &Paths,
    state: &Path,
    before: Option<&Settings>,
) -> anyhow::Result<daemon::Options> {
    let Config {
        settings,
        mut warnings,
    } = load(args, paths)?;
    let known = warnings.clone();
    warnings.extend(
        before
            .map(|before| needs_reboot(before, &settings))
            .unwrap_or_default(),
    );
    let secret = match secret::read(&state.join(Paths::SECRET)) {
        Found::Secret(secret) => Some(secret),
        Found::Nothing => None,
        Found::Damaged(line) => {
            warnings.push(format!("{line}; flash this card again"));
            None
        }
    };
    if secret.is_some() && settings.cluster.open_lab {
        warnings.push("open-lab = true is not used: this card has a cluster secret".to_owned());
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let markers = paths.clone();
    Ok(daemon::Options {
        docker_files: DockerFiles::of(paths, state),
        service_manager: ServiceManager(args.service_manager.clone()),
        docker_programs: paths.docker_programs(),
        docker_data: paths.at("/var/lib/docker"),
        settings,
        warnings,
        secret,
        state: state.to_owned(),
        socket: args.socket.clone().unwrap_or_else(|| paths.agent_socket()),
        docker_socket: args
            .docker_socket
            .clone()
            .unwrap_or_else(|| paths.at("/var/run/docker.sock")),
        docker_endpoint: paths.docker_endpoint(),
        proc: "/proc".into(),
        class_net: "/sys/class/net".into(),
        os_release: paths.at("/etc/os-release"),
        first_boot: Box::new(move || first_boot_status(&markers)),
        http: true,
        places: Places {
            files: Files {
                system: paths.at("/etc/resolv.conf"),
                resolved: paths.at("/run/systemd/resolve/resolv.conf"),
            },
            consul: CONSUL_DNS,
            forwarders: None,
        },
        hosts: paths.at("/etc/hosts"),
        built: first_boot::image_built(paths),
        wrong_settings: Box::new({
            let (args, paths) = (args.clone(), paths.clone());
            move || match load(&args, &paths) {
                Ok(config) => config
                    .warnings
                    .into_iter()
                    .filter(|line| !known.contains(line))
                    .collect(),
                Err(error) => vec![format!("{error:#}")],
            }
        }),
    })
}

pub(super) fn only_file(file: &Path) -> anyhow::Result<Config> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
    let layer = boot_config::parse(&name, &text)?;
    Ok(Config {
        settings: Settings::from_layers([&layer])?,
        warnings: Vec::new(),
    })
}

fn first_boot_status(paths: &Paths) -> FirstBoot {
    let state = first_boot::state(paths);
    let step = |step: first_boot::DoneStep| FirstBootStep {
        name: step.name.to_owned(),
        done_at: step.done_at,
    };
    FirstBoot {
        done: state.done,
        steps: state.steps.into_iter().map(step).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reload_does_not_change_is_said() {
        let before = Settings::default();
        let mut now = before.clone();
        now.network.dhcp_dns = true;
        assert_eq!(needs_reboot(&before, &now), [""; 0]);
        now.hostname = "other".parse().ok();
        assert_eq!(
            needs_reboot(&before, &now),
            ["hostname has been changed: reboot this node to use it"]
        );
    }
}
