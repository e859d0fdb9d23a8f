//! Runs `flash` and the reference tools.

use std::io::Write;
use std::process::{Command, Stdio};

/// Where `flash` keeps the secrets of these tests.
pub(crate) const CONFIG_HOME: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/config");

/// What a program did.
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The one line on standard error that says why it failed.
    pub(crate) fn error(&self) -> &str {
        assert!(!self.success, "it succeeded: {}", self.stdout);
        assert_eq!(self.stdout, "", "a failure says nothing on standard output");
        self.stderr.trim_end().lines().last().unwrap_or_default()
    }
}

/// Runs `flash` without a terminal.
pub(crate) fn flash(arguments: &[&str]) -> Outcome {
    flash_with(&[], arguments, b"")
}

/// Runs `flash` with a cache folder of its own and the like.
pub(crate) fn flash_with(environment: &[(&str, &str)], arguments: &[&str], input: &[u8]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flash"));
    execute(command.args(arguments).envs(environment.iter().copied()), input)
}

/// Runs a tool; fails with its whole output when it fails or is not there.
pub(crate) fn run(tool: &str, arguments: &[&str]) -> String {
    run_with_input(tool, arguments, "")
}

pub(crate) fn run_with_input(tool: &str, arguments: &[&str], input: &str) -> String {
    let outcome = execute(Command::new(tool).args(arguments), input.as_bytes());
    assert!(
        outcome.success,
        "{tool} {arguments:?}: {}{}",
        outcome.stdout, outcome.stderr
    );
    outcome.stdout
}

fn execute(command: &mut Command, input: &[u8]) -> Outcome {
    let mut child = command
        // The secrets of who runs the tests are not theirs to touch.
        .env("XDG_CONFIG_HOME", CONFIG_HOME)
        .env_remove("SUDO_UID")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} cannot be run, is it installed? {error}"));
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Outcome {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
