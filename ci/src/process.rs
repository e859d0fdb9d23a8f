//! Background processes of a lab: started apart from the terminal, found again by a later command, and ended by number.
//!
//! A number alone may meanwhile be another process: the start time from /proc tells (proc(5), field 22 of stat).

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process that was started by some command of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Process {
    pid: i32,
    /// In clock ticks since boot.
    started: u64,
}

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

impl Process {
    /// Starts `command` in a process group of its own (Ctrl-C at the terminal is not for it), its output in `log`.
    ///
    /// # Errors
    /// When it cannot be started; `remedy` says what to do if its program is missing.
    pub fn start(command: &mut Command, log: &Path, remedy: &str) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening {}", log.display()))?;
        let spawned = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn();
        let child = match spawned {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("{program} is not there: {remedy}")
            }
            other => other.with_context(|| format!("starting {program}"))?,
        };
        let pid = i32::try_from(child.id()).context("process number")?;
        let started =
            start_time(pid).with_context(|| format!("{program} ended at once, see {}", log.display()))?;
        Ok(Self { pid, started })
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs (one that ended and was not waited for does not).
    pub fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }

    /// Ends it at once, as if its power were cut, and waits until it is gone.
    ///
    /// # Errors
    /// When it may not be ended or does not go.
    pub fn kill(&self) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let doing = || format!("ending process {}", self.pid);
        match kill(Pid::from_raw(self.pid), Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => return Err(error).with_context(doing),
        }
        if self.wait(PATIENCE) {
            Ok(())
        } else {
            bail!("{}: it is still there after {PATIENCE:?}", doing())
        }
    }

    /// Waits until it has ended, and says whether it has.
    pub fn wait(&self, patience: Duration) -> bool {
        let start = Instant::now();
        while self.is_alive() {
            if start.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

/// When a process was started; `None` when there is none of that number, or only what is left of one that ended.
fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, which may itself have blanks and brackets.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_its_process_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let process = Process::start(Command::new("sleep").arg("60"), &log, "").unwrap();
        assert!(process.is_alive());
        let another = Process {
            started: process.started + 1,
            ..process
        };
        assert!(!another.is_alive());
        another.kill().unwrap();
        assert!(process.is_alive());
        process.kill().unwrap();
        assert!(!process.is_alive());
        process.kill().unwrap();
    }

    #[test]
    fn says_what_to_do_when_the_program_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let error = Process::start(
            &mut Command::new("no-such-program"),
            &folder.path().join("log"),
            "apt-get install it",
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "no-such-program is not there: apt-get install it"
        );
    }
}
