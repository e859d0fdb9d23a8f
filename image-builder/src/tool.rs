//! Programs of other packages: run with a clear error when one is missing or fails.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

/// A program and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    /// Name of the executable.
    pub(crate) name: &'static str,
    /// What to install when it is missing.
    pub(crate) package: &'static str,
}

/// What a program said.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Its standard output, then its standard error.
    pub(crate) text: String,
}

impl Tool {
    /// A command that finds the tool in the system folders too: on Debian an ordinary user's PATH lacks /usr/sbin.
    pub(crate) fn command(self) -> Command {
        let mut path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
        path.push(":/usr/sbin:/sbin");
        let mut command = Command::new(self.name);
        command
            .env("PATH", path)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// Runs the command to its end and returns what it said, whatever its exit code.
    pub(crate) fn outcome(self, command: &mut Command) -> Result<Outcome> {
        let output = command.output().map_err(|error| self.cannot_start(error))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Outcome {
            code: output.status.code(),
            text,
        })
    }

    /// Runs the command; anything but exit code 0 is an error with the last line it said.
    pub(crate) fn run(self, command: &mut Command) -> Result<String> {
        let outcome = self.outcome(command)?;
        if outcome.code != Some(0) {
            bail!("{} failed: {}", self.name, last_line(&outcome.text));
        }
        Ok(outcome.text)
    }

    /// Runs the command and gives each line of its standard error to `line` as it comes.
    pub(crate) fn follow(self, command: &mut Command, mut line: impl FnMut(&str)) -> Result<()> {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.cannot_start(error))?;
        let errors = child.stderr.take().context("a piped child has no pipe")?;
        for text in BufReader::new(errors).split(b'\n') {
            line(&String::from_utf8_lossy(
                &text.context("reading a program's messages")?,
            ));
        }
        let status = child.wait().context("waiting for a program")?;
        if status.success() {
            Ok(())
        } else {
            Err(anyhow!("{} failed ({status})", self.name))
        }
    }

    fn cannot_start(self, error: std::io::Error) -> anyhow::Error {
        let Self { name, package } = self;
        match error.kind() {
            ErrorKind::NotFound => anyhow!("{name} is not installed: apt-get install {package}"),
            _ => anyhow!("{name} does not start: {error}"),
        }
    }
}

fn last_line(text: &str) -> &str {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing")
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_names_its_package() {
        let tool = Tool {
            name: "no-such-tool",
            package: "some-package",
        };
        let message = tool.run(&mut tool.command()).unwrap_err().to_string();
        assert_eq!(
            message,
            "no-such-tool is not installed: apt-get install some-package"
        );
    }

    #[test]
    fn a_failing_tool_is_quoted() {
        let shell = Tool {
            name: "sh",
            package: "dash",
        };
        let message = shell
            .run(shell.command().args(["-c", "echo why; echo; exit 3"]))
            .unwrap_err()
            .to_string();
        assert_eq!(message, "sh failed: why");
        let mut lines = Vec::new();
        let script = ["-c", "echo a >&2; echo b >&2; exit 1"];
        let message = shell
            .follow(shell.command().args(script), |line| lines.push(line.to_owned()))
            .unwrap_err();
        assert_eq!(message.to_string(), "sh failed (exit status: 1)");
        assert_eq!(lines, ["a", "b"]);
    }
}
