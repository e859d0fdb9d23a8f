//! `cluster-lab run`

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::config::Config;
use crate::daemon;
use crate::engine::configure::Files as DockerFiles;
use crate::engine::control::Control;
use crate::first_boot;
use crate::network::dns::forward::Places;
use crate::network::dns::resolvers::Files;
use crate::paths::Paths;
use crate::secret::{self, Found};
use crate::status::{FirstBoot, FirstBootStep};

/// Where Consul answers DNS queries on every node.
const CONSUL_DNS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8600));

/// Arguments of `run`. All are for tests: a node needs none.
#[derive(Debug, clap::Args)]
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
    /// Reload and restart Docker Engine with this program, which is given a verb and "docker"
    #[arg(long, value_name = "PROGRAM", default_value = "systemctl", hide = true)]
    docker_control: OsString,
}

/// Runs the daemon until it is told to end.
///
/// # Errors
/// When it cannot start.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    // Memory holds the cluster secret: no core dump, and no debugger of a program that lost root's rights.
    nix::sys::prctl::set_dumpable(false).context("switching core dumps off")?;
    let paths = Paths::below(&args.root);
    let Config {
        settings,
        mut warnings,
    } = match &args.config {
        None => Config::load(&paths),
        Some(file) => only_file(file)?,
    };
    let state = args.state_dir.unwrap_or_else(|| paths.state());
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
    let options = daemon::Options {
        docker_files: DockerFiles::of(&paths, &state),
        docker_control: Control(args.docker_control),
        settings,
        warnings,
        secret,
        state,
        socket: args.socket.unwrap_or_else(|| paths.agent_socket()),
        docker_socket: args
            .docker_socket
            .unwrap_or_else(|| paths.at("/var/run/docker.sock")),
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
        built: first_boot::image_built(&paths),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    runtime.block_on(daemon::run(options))?;
    Ok(ExitCode::SUCCESS)
}

fn only_file(file: &std::path::Path) -> anyhow::Result<Config> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
    let layer = boot_config::parse(&name, &text)?;
    Ok(Config {
        settings: boot_config::Settings::from_layers([&layer])?,
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
