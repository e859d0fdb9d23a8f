//! The agent's binary for all Pis, run on an emulated ARM1176 (Pi 1 and Zero): an instruction that this processor does
//! not have ends it with SIGILL. What `readelf -A` says of a static binary is not reliable, so it is run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn agent() -> PathBuf {
    let built =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/arm-unknown-linux-musleabi/card/cluster-lab");
    std::env::var_os("CLUSTER_LAB_ARM_AGENT").map_or(built, PathBuf::from)
}

fn on_a_pi_zero(arguments: &[&str]) -> Output {
    let agent = agent();
    assert!(
        agent.exists(),
        "{} is missing: make it with ci/build-agent",
        agent.display()
    );
    Command::new("qemu-arm-static")
        .args(["-cpu", "arm1176"])
        .arg(agent)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!("qemu-arm-static is needed (apt-get install qemu-user-static): {error}")
        })
}

#[test]
fn the_agent_for_all_pis_runs_on_armv6() {
    let output = on_a_pi_zero(&["--version"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("cluster-lab {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn on_armv6_too_a_failure_is_one_line_and_an_exit_status() {
    let output = on_a_pi_zero(&["status", "--socket", "/nonexistent/agent.sock"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        message.starts_with("cluster-lab: the daemon does not run"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 1, "{message}");
}
