//! Runs the reference tools (dosfstools, mtools, util-linux, zip, gzip).

use std::io::Write;
use std::process::{Command, Stdio};

pub(crate) const MIB: u64 = 1024 * 1024;

/// Runs a tool; fails with its whole output when it fails or is not there.
pub(crate) fn run(tool: &str, arguments: &[&str]) -> String {
    run_with_input(tool, arguments, "")
}

pub(crate) fn run_with_input(tool: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(tool)
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{tool} cannot be run, is it installed? {error}"));
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{tool} {arguments:?}: {text}");
    text
}
