//! What a user types on a booted node: the same commands as in the README.

use std::fmt::Debug;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bed::{Bed, PATIENCE};
use crate::node::says_to_root;
use crate::scenario::{FIRST, SECOND, both};

/// `health` finds nothing wrong on a card from the image, Docker, Swarm and Consul included. There is no internet here.
pub(crate) fn health(bed: &Bed) -> Result<()> {
    for name in [FIRST, SECOND] {
        let statement = format!("{name} is healthy but for the internet");
        let mut failing = Vec::new();
        bed.until(&statement, PATIENCE, |lab| {
            // Its exit status speaks of the internet too.
            let output = lab.run_as_root(name, "cluster-lab health --json")?;
            failing = failures(&output.stdout)?;
            Ok(failing.is_empty().then_some(()))
        })
        .with_context(|| format!("{failing:#?}"))?;
        bed.report.check(&statement, true, "")?;
    }
    let said = both(|name| says_to_root(&bed.lab, name, "cluster-lab dependencies"))?;
    let complete = said
        .iter()
        .all(|said| said.contains("[PASS]   the kernel has 8021q\n"));
    bed.report
        .check("the image has all that Cluster Lab needs", complete, &said)
}

/// The lines of all groups but the internet's that do not pass.
fn failures(health: &str) -> Result<Vec<String>> {
    let health: Value = serde_json::from_str(health).with_context(|| format!("reading '{health}'"))?;
    let groups = health["groups"].as_array().context("no groups")?;
    let names: Vec<_> = groups.iter().filter_map(|group| group["name"].as_str()).collect();
    let mut failing: Vec<String> = ["Networking", "Docker", "Consul", "Swarm"]
        .iter()
        .filter(|name| !names.contains(name))
        .map(|name| format!("{name}: nothing is checked"))
        .collect();
    for group in groups
        .iter()
        .filter(|group| group["name"] != "Internet Connection")
    {
        let checks = group["checks"].as_array().into_iter().flatten();
        failing.extend(
            checks
                .filter(|check| check["pass"] != true)
                .map(ToString::to_string),
        );
    }
    Ok(failing)
}

/// A command runs on all nodes, and the agent's sandbox does not get in its way.
pub(crate) fn exec(bed: &Bed) -> Result<()> {
    let command =
        "cluster-lab exec -- sh -c 'hostname && touch /root/cluster-lab-exec && rm /root/cluster-lab-exec'";
    let said = says_to_root(&bed.lab, FIRST, command)?;
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    let expected = [FIRST, SECOND].map(|name| format!("{name} | {name}"));
    bed.report.check(
        "exec runs on both, as root of the system",
        lines == expected,
        &lines,
    )
}

/// One Docker for both nodes.
pub(crate) fn docker_of_the_cluster(bed: &Bed) -> Result<()> {
    let docker = |name: &str, words: &str| {
        let command = format!("sh -c 'eval \"$(cluster-lab docker-env)\" && docker {words}'");
        says_to_root(&bed.lab, name, &command)
    };
    let check = |statement: &str, holds: bool, seen: &dyn Debug| bed.report.check(statement, holds, seen);
    let info = docker(FIRST, "info")?;
    check("docker info counts both nodes", info.contains("Nodes: 2"), &info)?;
    let listed = docker(SECOND, "ps --format \"{{.Names}}\"")?;
    let consuls = [FIRST, SECOND].map(|name| format!("{name}/cluster_lab_consul"));
    check(
        "docker ps lists the containers of both",
        consuls.iter().all(|name| listed.contains(name)),
        &listed,
    )
}
