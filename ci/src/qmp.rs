//! QEMU's control protocol (QMP): one command, one answer, over the Unix socket of one machine.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// A connection. QEMU serves one at a time: keep it short.
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

const PATIENCE: Duration = Duration::from_secs(20);

impl Qmp {
    /// Connects to a machine.
    ///
    /// # Errors
    /// When no machine listens there.
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("talking to the machine at {}", socket.display()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut qmp = Self {
            reader: BufReader::new(stream),
        };
        qmp.line()?; // the greeting
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and gives what it returns.
    ///
    /// # Errors
    /// When the machine refuses it or does not answer.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        self.reader
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())
            .with_context(|| format!("asking QEMU for {command}"))?;
        loop {
            let mut answer: Value = serde_json::from_str(&self.line()?).context("reading QEMU's answer")?;
            if let Some(error) = answer.pointer("/error/desc").and_then(Value::as_str) {
                bail!("QEMU refuses {command}: {error}");
            }
            // Events come between question and answer.
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
        }
    }

    /// Runs a command of the human monitor, for what QMP itself lacks; gives its text.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn monitor(&mut self, line: &str) -> Result<String> {
        let text = self.execute("human-monitor-command", json!({ "command-line": line }))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self
            .reader
            .read_line(&mut line)
            .context("waiting for QEMU's answer")?
            == 0
        {
            bail!("QEMU closed its control connection");
        }
        Ok(line)
    }
}
