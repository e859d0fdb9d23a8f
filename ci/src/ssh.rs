//! Commands on a node, through OpenSSH. One connection per node is kept for a minute, so that asking often costs little.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How to reach a node.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// The account.
    pub user: String,
    /// Its key.
    pub key: PathBuf,
    /// Port on this machine's loopback.
    pub port: u16,
    /// Socket of the kept connection.
    pub kept: PathBuf,
}

/// What a command left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit status.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// ssh's own failures.
const NOT_REACHED: i32 = 255;

impl Ssh {
    /// The command line that a person would use.
    pub fn command_line(&self) -> Vec<String> {
        let mut words: Vec<String> = ["ssh", "-F", "/dev/null", "-i"].map(str::to_owned).to_vec();
        words.push(self.key.display().to_string());
        // A node's host key is new with each flash, and the way to it does not leave this machine.
        let options =
            "StrictHostKeyChecking=no UserKnownHostsFile=/dev/null LogLevel=ERROR IdentitiesOnly=yes";
        for option in options.split(' ') {
            words.extend(["-o".to_owned(), option.to_owned()]);
        }
        words.extend([
            "-p".to_owned(),
            self.port.to_string(),
            format!("{}@127.0.0.1", self.user),
        ]);
        words
    }

    /// Runs a shell command on the node.
    ///
    /// # Errors
    /// When the node is not reached, or the command takes longer than `patience`.
    pub fn run(&self, command: &str, patience: Duration) -> Result<Output> {
        let words = self.command_line();
        let (program, arguments) = words.split_first().context("an empty command line")?;
        // Files, not pipes: the kept connection goes on in the background and would hold a pipe open.
        let [stdout, stderr] = [tempfile::tempfile()?, tempfile::tempfile()?];
        let mut child = Command::new(program)
            .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=20"])
            .args(["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"])
            .args(["-o", "ControlMaster=auto", "-o", "ControlPersist=60"])
            .arg("-o")
            .arg(format!("ControlPath={}", self.kept.display()))
            .args(arguments)
            .arg(command)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .spawn()
            .context("starting ssh (apt-get install openssh-client)")?;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if start.elapsed() > patience {
                child.kill()?;
                child.wait()?;
                bail!("'{command}' is not done after {} s", patience.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let output = Output {
            status: status.code().unwrap_or(NOT_REACHED),
            stdout: whole(stdout)?,
            stderr: whole(stderr)?,
        };
        if output.status == NOT_REACHED {
            bail!("the node's SSH server is not reached: {}", output.stderr.trim());
        }
        Ok(output)
    }

    /// Gives the kept connection up, if there is one.
    pub fn let_go(&self) {
        if self.kept.exists() {
            let words = self.command_line();
            // A connection to a machine that is gone answers nothing worth knowing.
            let _ = Command::new("ssh")
                .args(["-O", "exit", "-o"])
                .arg(format!("ControlPath={}", self.kept.display()))
                .args(words.iter().skip(1))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            let _ = std::fs::remove_file(&self.kept);
        }
    }
}

fn whole(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
