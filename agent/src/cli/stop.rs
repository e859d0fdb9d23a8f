//! `cluster-lab stop`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::require_root;
use crate::engine::configure::Files as DockerFiles;
use crate::http_client;
use crate::network::hosts;
use crate::paths::Paths;
use crate::stopped::{Marker, Stopped};
use crate::unmanaged;

/// Handing a manager's part over takes a Pi up to a minute and a half.
const TIMEOUT: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(300);

const EXAMPLES: &str = "Examples:
  cluster-lab stop                 leave the cluster until 'cluster-lab start'
  cluster-lab stop && poweroff     take this node out of the lab for good

Services on this node start again on the others, a manager hands its part over first. Docker's daemon.json, /etc/hosts and
the network managers' files are as they were before, byte for byte.";

/// Arguments of `stop`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Work on the system below this folder
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
    /// Where the state is
    #[arg(long, value_name = "DIR", hide = true)]
    state_dir: Option<PathBuf>,
    /// Where the daemon listens
    #[arg(long, value_name = "PATH", hide = true)]
    socket: Option<PathBuf>,
}

/// Leaves the cluster and puts every file back.
///
/// # Errors
/// When it is not done in time, or something could not be put back.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    require_root("stop")?;
    let paths = Paths::below(&args.root);
    let state = args.state_dir.clone().unwrap_or_else(|| paths.state());
    let socket = args.socket.clone().unwrap_or_else(|| paths.agent_socket());
    let marker = Marker::new(&state);
    if marker.read().is_some_and(|stopped| stopped.done) {
        println!("this node is stopped already");
        return Ok(ExitCode::SUCCESS);
    }
    marker.write(&Stopped::new(false, Vec::new()))?;
    let stopped = match wait(&marker, &socket)? {
        Some(stopped) => stopped,
        None => {
            let notes =
                vec!["the daemon did not run: if this node is in a swarm it is still in it".to_owned()];
            let stopped = put_back(&paths, &state, notes);
            marker.write(&stopped)?;
            stopped
        }
    };
    for note in &stopped.notes {
        println!("note: {note}");
    }
    println!("this node is stopped and stays so ('cluster-lab start' starts it)");
    Ok(ExitCode::SUCCESS)
}

/// Waits until the daemon has done it; nothing: there is none.
fn wait(marker: &Marker, socket: &Path) -> anyhow::Result<Option<Stopped>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    let start = Instant::now();
    let mut said = None;
    let mut silent = 0;
    while start.elapsed() < TIMEOUT {
        match marker.read() {
            Some(stopped) if stopped.done => return Ok(Some(stopped)),
            Some(_) => {}
            None => bail!("this node was started again meanwhile"),
        }
        match runtime.block_on(http_client::status_of_daemon(socket)) {
            Ok(status) => {
                silent = 0;
                let doing = status
                    .engine
                    .waiting_for
                    .filter(|doing| doing.starts_with("leaving"));
                if doing.is_some() && doing != said {
                    eprintln!("{}", doing.as_deref().unwrap_or_default());
                    said = doing;
                }
            }
            Err(_) => silent += 1,
        }
        // The last thing that a daemon does, without its socket, takes a moment.
        if silent > 30 {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
    bail!(
        "not stopped within {} s; the daemon goes on with it: 'cluster-lab status' tells how far it is",
        TIMEOUT.as_secs()
    )
}

/// Puts back what the daemon and the first boot have changed, as far as it is not yet.
pub(super) fn put_back(paths: &Paths, state: &Path, mut notes: Vec<String>) -> Stopped {
    if let Err(error) = DockerFiles::of(paths, state).config.restore() {
        notes.push(format!("Docker's configuration: {error:#}"));
    }
    if let Err(error) = hosts::take_out(&paths.at("/etc/hosts")) {
        notes.push(format!("the nodes' names: {error:#}"));
    }
    notes.extend(unmanaged::restore(paths));
    Stopped::new(true, notes)
}
