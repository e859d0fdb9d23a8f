//! `cluster-lab first-boot`: run by the system at every start, before the network. What only a new card needs is done
//! once; the rest (clock, a changed name, files for the network managers, warnings) is looked at each time.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use boot_config::Settings;

use crate::config::Config;
use crate::engine::configure::{Files, machine};
use crate::first_boot::{self, Machine, Stage, console};
use crate::network::memory::Memory;
use crate::paths::Paths;
use crate::stopped::Marker;
use crate::unmanaged;

/// Arguments of `first-boot`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do only what belongs to this part of the start of the system
    #[arg(long, value_enum)]
    stage: Option<Stage>,
    /// Work on the system below this folder
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

/// Does what is not done. Everything is tried before the first failure is reported.
///
/// # Errors
/// When a step failed.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let paths = Paths::below(&args.root);
    let config = Config::load(&paths);
    let say = |line: &str| {
        println!("{line}");
        console::say(&paths, line);
    };
    let mut failed = Vec::new();
    // Before the steps: they may take long, and these are quick.
    if args.stage.is_none_or(|stage| stage == Stage::Early) {
        let mut warnings = config.warnings.clone();
        if Marker::new(&paths.state()).read().is_none() {
            warnings.extend(unmanaged::apply(&paths, &config.settings));
            warnings.extend(configure_docker(&paths, &config.settings));
        }
        for warning in &warnings {
            say(&format!("cluster-lab: warning: {warning}"));
        }
        if let Err(error) = console::keep(&paths, &warnings) {
            say(&format!("cluster-lab: warning: {error:#}"));
            failed.push("warnings");
        }
    }
    let mut machine = Machine::new(paths.clone());
    let report = first_boot::run(&mut machine, &paths, &config.settings, args.stage, say);
    failed.extend(report.failed);
    if !failed.is_empty() {
        bail!(
            "first boot: not done: {}; the next start tries again",
            failed.join(", ")
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Before Docker starts, so that it need not be started again for what the cluster tells it. As master or node: what it
/// was last.
fn configure_docker(paths: &Paths, settings: &Settings) -> Option<String> {
    if !paths.docker_programs().iter().any(|program| program.exists()) {
        return None;
    }
    let was_master = Memory::open(&paths.state()).is_ok_and(|memory| memory.role().master == Some(true));
    let files = Files::of(paths, &paths.state());
    let wanted = files.wanted(&settings.docker, &machine(), was_master);
    let applied = files.config.apply(&wanted);
    let done = applied.and_then(|_| files.config.take_restart());
    done.err()
        .map(|error| format!("Docker's configuration: {error:#}"))
}
