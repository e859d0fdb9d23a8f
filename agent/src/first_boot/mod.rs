//! What a new card does once: name, identity, account, keys, size. Power may be cut at any point.
//!
//! Each step leaves a marker when it is done, written last. A step that was interrupted has none and is done again
//! from its beginning; so each can be. A step that failed does not keep the others from running.
//!
//! Steps run only on images that `image-builder` made (they carry a stamp): elsewhere the machine has had its first
//! boot long ago.

mod clock;
mod cluster_secret;
pub mod console;
mod hostname;
mod kernel;
mod machine;
mod machine_id;
mod markers;
mod mounts;
mod outcome;
mod root_size;
mod ssh_host_keys;
mod step;
mod system;
#[cfg(test)]
mod tests;
mod user;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use boot_config::Settings;
use serde::Serialize;

pub use machine::Machine;
pub use markers::{Marker, Markers};
pub use outcome::Outcome;
pub use step::{Observed, Stage, Step, plan};
pub use system::{NewFile, PartitionExtent, Ran, System};

use crate::paths::Paths;

/// How far the first boot is, for the status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct State {
    /// No step is left.
    pub done: bool,
    /// The steps that are done, oldest first.
    pub steps: Vec<DoneStep>,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DoneStep {
    /// Its name.
    pub name: &'static str,
    /// When, in seconds since 1970.
    pub done_at: u64,
}

/// What a run did, a line each for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was done or failed, in order.
    pub lines: Vec<String>,
    /// Names of the steps that failed.
    pub failed: Vec<&'static str>,
}

/// How far the first boot is. On a machine that is not from our image nothing is to be done.
pub fn state(paths: &Paths) -> State {
    let markers = Markers::read(&paths.first_boot_markers());
    let done =
        clock::image_stamp(paths).is_none() || Step::ALL.iter().all(|step| markers.get(*step).is_some());
    let mut steps: Vec<DoneStep> = markers
        .iter()
        .map(|(step, marker)| DoneStep {
            name: step.name(),
            done_at: marker.done_at,
        })
        .collect();
    steps.sort_by_key(|step| step.done_at);
    State { done, steps }
}

/// When this system's image was built, since 1970; zero when it is none of ours.
pub fn image_built(paths: &Paths) -> Duration {
    Duration::from_secs(clock::image_stamp(paths).map_or(0, |stamp| stamp.built))
}

/// Does what is not done yet, of one stage or of all. `say` gets each line as soon as it is known.
pub fn run(
    system: &mut dyn System,
    paths: &Paths,
    settings: &Settings,
    stage: Option<Stage>,
    mut say: impl FnMut(&str),
) -> Report {
    let mut report = Report::default();
    let Some(stamp) = clock::image_stamp(paths) else {
        return report;
    };
    let mut tell = |report: &mut Report, line: String| {
        say(&line);
        report.lines.push(line);
    };
    let mut markers = Markers::read(&paths.first_boot_markers());
    match clock::run(system, &stamp, &markers) {
        Ok(None) => {}
        Ok(Some(_)) => tell(
            &mut report,
            "clock set forward: it was behind this image".to_owned(),
        ),
        Err(error) => {
            tell(&mut report, format!("first boot: clock failed: {error:#}"));
            report.failed.push("clock");
        }
    }
    for step in plan(observe(paths, settings), &markers, stage) {
        let name = step.name();
        let when = if markers.get(step).is_none() {
            "first boot"
        } else {
            "changed settings"
        };
        let began = Instant::now();
        let done = perform(system, paths, settings, step, &markers).and_then(|outcome| {
            mark(system, paths, step, &markers, &outcome).map(|marker| (outcome, marker))
        });
        let seconds = began.elapsed().as_secs_f32();
        match done {
            Ok((outcome, marker)) => {
                markers.insert(step, marker);
                let text = outcome.text();
                let how = if outcome.is_applied() {
                    "done"
                } else {
                    "not needed"
                };
                tell(
                    &mut report,
                    format!("{when}: {name} {how} ({seconds:.1} s): {text}"),
                );
            }
            Err(error) => {
                tell(&mut report, format!("{when}: {name} failed: {error:#}"));
                report.failed.push(name);
            }
        }
    }
    report
}

fn observe(paths: &Paths, settings: &Settings) -> Observed {
    let differs = |name| hostname::differs(name, &hostname::observe(paths));
    Observed {
        other_name: settings.hostname.as_ref().is_some_and(differs),
        user_wanted: settings.user.is_some(),
        new_secret: cluster_secret::observe(paths),
    }
}

fn perform(
    system: &mut dyn System,
    paths: &Paths,
    settings: &Settings,
    step: Step,
    markers: &Markers,
) -> Result<Outcome> {
    match step {
        Step::Hostname => hostname::run(system, paths, settings.hostname.as_ref()),
        Step::MachineId => machine_id::run(system, paths),
        Step::ClusterSecret => cluster_secret::run(system, paths),
        Step::User => user::run(system, paths, settings.user.as_ref()),
        Step::SshHostKeys => ssh_host_keys::make_quick(system, paths),
        Step::RootSize => root_size::run(system, paths),
        // That step takes away the image's keys, and would take away this one.
        Step::SshRsaKey if markers.get(Step::SshHostKeys).is_none() => bail!("waits for ssh-host-keys"),
        Step::SshRsaKey => ssh_host_keys::make_slow(system, paths),
    }
}

/// Leaves the marker. What the step did is on the card by then: its own writes wait for that, and it syncs after
/// programs that may not. A step keeps the time when it was first done.
fn mark(
    system: &mut dyn System,
    paths: &Paths,
    step: Step,
    markers: &Markers,
    outcome: &Outcome,
) -> Result<Marker> {
    let state = paths.state();
    let folder = paths.first_boot_markers();
    let first = markers.get(step).filter(|marker| marker.applied);
    let done_at = first.map_or_else(|| system.now(), |marker| marker.done_at);
    let marker = Marker::new(done_at, outcome.is_applied(), outcome.text());
    for folder in [&state, &folder] {
        if !folder.is_dir() {
            system.make_folder(&as_seen(paths, folder), 0o700, None)?;
        }
    }
    system.write(&NewFile {
        path: as_seen(paths, &folder.join(step.name())),
        bytes: marker.render().into_bytes(),
        mode: 0o600,
        owner: None,
    })?;
    Ok(marker)
}

/// A path below the root as the node sees it.
fn as_seen(paths: &Paths, place: &std::path::Path) -> String {
    let below = place.strip_prefix(paths.root()).unwrap_or(place);
    format!("/{}", below.display())
}
