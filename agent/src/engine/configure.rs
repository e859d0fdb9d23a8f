//! Keeps Docker's configuration file in line with the node's settings and role, and the running engine with the file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boot_config::Docker as Settings;

use super::daemon_config::{Applied, DaemonConfig, Key, Wanted, set_by_flags, set_by_units};
use super::docker::Engine;
use super::service_manager::ServiceManager;
use crate::paths::Paths;

/// An engine that does not take its labels is told again after so long.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How often it is looked whether an engine has forgotten its labels, and the time between.
const FORGET_TRIES: u32 = 20;
const FORGET_PAUSE: Duration = Duration::from_millis(250);

/// Engine label with the node's processor, as `uname -m` calls it.
pub const ARCH_LABEL: &str = "hypriot.arch";
/// Engine label with the node's role, `master` or `node`.
pub const HIERARCHY_LABEL: &str = "hypriot.hierarchy";

/// Where Docker's files are.
#[derive(Clone, Debug)]
pub struct Files {
    /// Its configuration and where the original is kept.
    pub config: DaemonConfig,
    /// The file with its process number.
    pub pid: PathBuf,
    /// `/proc`
    pub proc: PathBuf,
    /// Where it may have been given a command line: units, and files with variables.
    pub units: Vec<PathBuf>,
}

/// What is to be done with the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It follows its file.
    Nothing,
    /// It must read the file again.
    Reload,
    /// It must be started again.
    Restart,
}

/// Keeps one engine's configuration.
#[derive(Debug)]
pub struct Configurator {
    files: Files,
    service_manager: ServiceManager,
    settings: Settings,
    told: Option<Duration>,
}

impl Files {
    /// Those of a system.
    pub fn of(paths: &Paths, state: &Path) -> Self {
        let units = [
            "/lib/systemd/system/docker.service",
            "/etc/systemd/system/docker.service",
            "/lib/systemd/system/docker.service.d",
            "/etc/systemd/system/docker.service.d",
            "/etc/default/docker",
        ];
        Self {
            config: DaemonConfig::new(paths.at("/etc/docker/daemon.json"), state),
            pid: paths.at("/run/docker.pid"),
            proc: "/proc".into(),
            units: units.map(|unit| paths.at(unit)).into(),
        }
    }

    /// What the file is to say.
    pub fn wanted(&self, settings: &Settings, arch: &str, is_master: bool) -> Wanted {
        let Settings {
            labels,
            registry_mirrors,
            insecure_registries,
        } = settings;
        let hierarchy = if is_master { "master" } else { "node" };
        let own = [(ARCH_LABEL, arch), (HIERARCHY_LABEL, hierarchy)];
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let users = labels
            .iter()
            .map(|(key, value)| (key.as_str().to_owned(), value.as_str().to_owned()));
        let texts = |values: &mut dyn Iterator<Item = &str>| values.map(str::to_owned).collect();
        let mut without = set_by_flags(&self.pid, &self.proc);
        without.extend(set_by_units(&self.units));
        Wanted {
            labels: own.into_iter().chain(users).collect(),
            registry_mirrors: texts(&mut registry_mirrors.iter().map(|mirror| mirror.as_str())),
            insecure_registries: texts(&mut insecure_registries.iter().map(|registry| registry.as_str())),
            without,
        }
    }
}

impl Configurator {
    /// For one engine.
    pub fn new(files: Files, service_manager: ServiceManager, settings: Settings) -> Self {
        Self {
            files,
            service_manager,
            settings,
            told: None,
        }
    }

    /// Brings file and engine into line. `labels`: those that it has.
    ///
    /// # Errors
    /// When the file is not what Docker reads, or the engine cannot be told.
    pub async fn bring(&mut self, now: Duration, is_master: bool, labels: &[String]) -> anyhow::Result<()> {
        let wanted = self.files.wanted(&self.settings, &machine(), is_master);
        let applied = self.files.config.apply(&wanted)?;
        let restart = self.files.config.take_restart()?;
        let is_due = self.told.is_none_or(|told| now >= told + TELL_EVERY);
        let in_file = if wanted.without.contains(&Key::Labels) {
            labels.to_vec()
        } else {
            self.files.config.labels()
        };
        match next(applied, restart, is_due, &in_file, labels) {
            Next::Nothing => Ok(()),
            Next::Reload => {
                tracing::info!("Docker reads its configuration again");
                self.told = Some(now);
                self.service_manager.reload().await
            }
            Next::Restart => {
                tracing::info!("Docker is started again for its new configuration");
                self.told = Some(now);
                self.service_manager.restart().await
            }
        }
    }
}

impl Configurator {
    /// Lets the engine forget what it was told, as far as it does without a restart, and puts the user's file back.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub async fn restore(&self, engine: &Engine) -> anyhow::Result<()> {
        let config = &self.files.config;
        let before = config.labels();
        if config.empty()? && engine.report().await.is_ok() {
            let left = config.labels();
            if let Err(error) = self.service_manager.reload().await {
                tracing::warn!("Docker keeps its labels until it is started again: {error:#}");
            } else if before != left {
                // It reads the file some time after it is told to; the next one must not come in between.
                for _ in 0..FORGET_TRIES {
                    match engine.report().await {
                        Ok(report)
                            if next(Applied::Nothing, false, true, &left, &report.labels)
                                != Next::Nothing => {}
                        _ => break,
                    }
                    tokio::time::sleep(FORGET_PAUSE).await;
                }
            }
        }
        config.restore()
    }
}

/// Pure. `is_due`: it was not told a short while ago. `wanted`: the labels in the file; `labels`: those of the engine.
fn next(applied: Applied, restart: bool, is_due: bool, wanted: &[String], labels: &[String]) -> Next {
    let set = |labels: &[String]| labels.iter().cloned().collect::<BTreeSet<_>>();
    if restart {
        Next::Restart
    } else if applied == Applied::Written || (is_due && set(wanted) != set(labels)) {
        Next::Reload
    } else {
        Next::Nothing
    }
}

/// The processor, as `uname -m` calls it.
pub fn machine() -> String {
    let name = nix::sys::utsname::uname();
    name.map_or_else(
        |_| std::env::consts::ARCH.to_owned(),
        |name| name.machine().to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_takes_all_and_a_reload_the_labels() {
        let labels = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>();
        let (one, other) = (labels(&["a=1", "b=1"]), labels(&["b=1", "a=1"]));
        assert_eq!(next(Applied::Written, true, true, &one, &other), Next::Restart);
        assert_eq!(next(Applied::Written, false, false, &one, &other), Next::Reload);
        assert_eq!(next(Applied::Nothing, false, true, &one, &other), Next::Nothing);
        assert_eq!(next(Applied::Nothing, false, true, &one, &[]), Next::Reload);
        assert_eq!(next(Applied::Nothing, false, false, &one, &[]), Next::Nothing);
    }
}
