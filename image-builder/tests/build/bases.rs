//! The base is examined before anything is written: what it has is told, what cannot be handled is refused.

use std::fs;

use image_builder::build::{self, Inputs};
use image_builder::progress::Progress;
use image_builder::{difference, inspect};

use super::fixture::{Fixture, run};

fn debugfs(fixture: &Fixture, command: &str) {
    run(
        "debugfs",
        &["-w", "-R", command, &Fixture::root_of(&fixture.path("base.img"))],
    );
}

fn repaired(fixture: &Fixture) -> anyhow::Result<Vec<u8>> {
    let inputs = Inputs {
        repair: true,
        ..fixture.inputs()
    };
    build::run(&inputs, &fixture.outputs(), &Progress::start())?;
    Ok(fs::read(fixture.outputs().image).unwrap())
}

#[test]
fn a_base_that_was_in_use_is_repaired_in_the_copy() {
    let fixture = Fixture::new();
    fixture.build().unwrap();
    let clean = fixture.path("clean.img");
    fs::rename(fixture.outputs().image, &clean).unwrap();
    debugfs(&fixture, "ssv free_blocks_count 5");
    debugfs(&fixture, "feature needs_recovery");
    let base = fs::read(fixture.path("base.img")).unwrap();
    let first = repaired(&fixture).unwrap();
    assert!(
        fs::read(fixture.path("base.img")).unwrap() == base,
        "the base was changed"
    );
    run("e2fsck", &["-fn", &Fixture::root_of(&fixture.outputs().image)]);
    assert_eq!(
        difference::run(&clean, &fixture.outputs().image).unwrap(),
        [""; 0]
    );
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(repaired(&fixture).unwrap() == first, "two repairs differ");
}

#[test]
fn what_cannot_be_repaired_without_asking_is_refused() {
    let fixture = Fixture::new();
    debugfs(&fixture, "clri /etc");
    let message = format!("{:#}", repaired(&fixture).unwrap_err());
    assert!(message.starts_with("repairing a copy of "), "{message}");
    assert!(
        message.contains("needs decisions that only you can make, use a fresh image: "),
        "{message}"
    );
    assert!(!message.contains('\n') && fixture.names_in_out().is_empty());
}

#[test]
fn features_that_writing_would_damage_are_refused() {
    for (feature, expected) in [
        ("quota", "(quota)"),
        ("casefold", "(casefold)"),
        ("FEATURE_R31", "(unknown feature"),
    ] {
        let fixture = Fixture::new();
        debugfs(&fixture, &format!("feature {feature}"));
        let message = format!("{:#}", fixture.build().unwrap_err());
        assert!(
            message
                .contains("the file system of partition 2 has features with which it cannot be changed here")
                && message.contains(expected),
            "{message}"
        );
        let text = inspect::run(&fixture.path("base.img")).unwrap().to_string();
        assert!(text.contains("`build` cannot take it because of: "), "{text}");
    }
}

#[test]
fn a_root_without_inodes_is_refused() {
    let fixture = Fixture::new();
    let output = run("dumpe2fs", &["-h", &Fixture::root_of(&fixture.path("base.img"))]);
    let free = output
        .lines()
        .find_map(|line| line.strip_prefix("Free inodes:"))
        .unwrap();
    let free: usize = free.trim().parse().unwrap();
    for number in 0..free {
        fs::write(fixture.path(&format!("overlay/etc/{number}")), "").unwrap();
    }
    let message = format!("{:#}", fixture.build().unwrap_err());
    assert!(
        message.contains("the root partition is full") || message.contains("more files, and"),
        "{message}"
    );
}

#[test]
fn network_managers_and_docker_are_told() {
    let fixture = Fixture::new();
    for (file, text) in [
        ("NetworkManager", ""),
        ("dockerd", ""),
        (
            "status",
            "Package: network-manager\nStatus: install ok installed\nVersion: 1.42.4-1\n\nPackage: docker.io\nStatus: install ok \
             installed\nVersion: 20.10.24+dfsg1-1\n",
        ),
    ] {
        fs::write(fixture.path(file), text).unwrap();
    }
    for command in [
        "mkdir /usr/sbin",
        "mkdir /usr/bin",
        "mkdir /var",
        "mkdir /var/lib",
        "mkdir /var/lib/dpkg",
    ] {
        debugfs(&fixture, command);
    }
    for (file, path) in [
        ("NetworkManager", "/usr/sbin/NetworkManager"),
        ("dockerd", "/usr/bin/dockerd"),
        ("status", "/var/lib/dpkg/status"),
    ] {
        debugfs(&fixture, &format!("write {} {path}", fixture.text(file)));
    }
    let text = inspect::run(&fixture.path("base.img")).unwrap().to_string();
    for line in [
        "network: NetworkManager (network-manager 1.42.4-1)\n",
        "docker: Docker (docker.io 20.10.24+dfsg1-1)\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
}

#[test]
fn a_system_without_systemd_is_refused() {
    let fixture = Fixture::new();
    debugfs(&fixture, "unlink /lib");
    let message = format!("{:#}", fixture.build().unwrap_err());
    assert!(
        message.ends_with("its system has no systemd, which starts the agent"),
        "{message}"
    );
}
