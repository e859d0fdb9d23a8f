//! Reloads or restarts Docker Engine, by the system's service manager: a D-Bus client of our own for two words a month
//! would be far larger.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;

/// A restart stops all containers, each of which has 10 s.
const TIMEOUT: Duration = Duration::from_secs(180);

/// The service manager's program, which takes a verb and the service.
#[derive(Clone, Debug)]
pub struct ServiceManager(pub OsString);

impl ServiceManager {
    /// Lets the engine read its configuration again.
    ///
    /// # Errors
    /// When the service manager refuses.
    pub async fn reload(&self) -> anyhow::Result<()> {
        self.run("reload").await
    }

    /// Starts the engine again.
    ///
    /// # Errors
    /// When the service manager refuses.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.run("restart").await
    }

    /// What the service manager says of the engine, such as `LoadState` and `masked`; nothing where it cannot tell.
    pub async fn show(&self) -> Vec<(String, String)> {
        let properties = "--property=LoadState,ActiveState,SubState,Result,UnitFileState";
        let mut command = self.command("show");
        let output = tokio::time::timeout(TIMEOUT, command.arg(properties).output()).await;
        let Ok(Ok(output)) = output else { return Vec::new() };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.0);
        command
            .args([verb, "docker"])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, verb: &str) -> anyhow::Result<()> {
        let shown = format!("{} {verb} docker", self.0.display());
        let output = tokio::time::timeout(TIMEOUT, self.command(verb).output())
            .await
            .with_context(|| format!("'{shown}' has not ended within {} s", TIMEOUT.as_secs()))?
            .with_context(|| format!("starting '{shown}'"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().next().unwrap_or("it does not say why").to_owned();
            bail!("'{shown}' failed: {line}");
        }
        Ok(())
    }
}
