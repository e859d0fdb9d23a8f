//! `inspect`, `diff` and `verify`: what they say about bases and release images.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use image_builder::{difference, inspect, verify};

use super::fixture::{Fixture, run};

fn builder(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_image-builder"))
        .args(arguments)
        .output()
        .unwrap()
}

fn debugfs(image: &Path, command: &str) {
    run("debugfs", &["-w", "-R", command, &Fixture::root_of(image)]);
}

#[test]
fn a_release_image_shows_what_it_holds() {
    let fixture = Fixture::new();
    fixture.build().unwrap();
    let (base, archive) = (fixture.text("base.img"), fixture.text("out/lab.img.zip"));
    let before = inspect::run(Path::new(&base)).unwrap().to_string();
    for line in [
        "36 MiB, disk signature 1a2b3c4d\n",
        "partition 1: type 0c, 8192 KiB from 4096 KiB: FAT16\n",
        "partition 2: type 83, 24576 KiB from 12288 KiB: ext4, clean, ",
        " has_journal ",
        "system: Test OS 1\n",
        "boot settings: cloud-init (user-data)\n",
        "docker: none\n",
        "agent: none\n",
        "cluster-lab.toml: none\n",
        "preloaded container images: none",
    ] {
        assert!(before.contains(line), "{line:?} is not in {before}");
    }
    let output = builder(&["inspect", &archive]);
    let after = String::from_utf8(output.stdout).unwrap();
    let agent = format!("agent: {}, built at 1700000000\n", env!("CARGO_PKG_VERSION"));
    assert!(
        after.contains(&agent) && after.contains("cluster-lab.toml: version = 1"),
        "{after}"
    );
    let json = builder(&["inspect", "--json", &archive]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["partitions"][1]["file-system"]["kind"], "ext4");
    assert_eq!(json["system"]["Ok"]["merged-usr"], true);
    assert_eq!(json["agent"]["built"], 1_700_000_000);
}

#[test]
fn an_image_that_was_in_use_is_shown_all_the_same() {
    let fixture = Fixture::new();
    debugfs(&fixture.path("base.img"), "feature needs_recovery");
    let text = inspect::run(&fixture.path("base.img")).unwrap().to_string();
    assert!(text.contains("ext4, not unmounted cleanly, "), "{text}");
    assert!(
        text.contains("system: cannot be read: the file system of partition 2 was not"),
        "{text}"
    );
}

#[test]
fn differences_are_told_file_by_file() {
    let fixture = Fixture::new();
    fixture.build().unwrap();
    let (base, image) = (fixture.path("base.img"), fixture.outputs().image);
    let lines = difference::run(&base, &image).unwrap();
    for line in [
        "! /etc/machine-id: content",
        "+ /etc/secret",
        "- /etc/ssh/ssh_host_rsa_key",
        "+ /usr/bin/cluster-lab",
        "+ /usr/lib/systemd/system/lab.service",
        "+ boot:cluster-lab.toml",
    ] {
        assert!(
            lines.iter().any(|found| found == line),
            "{line:?} is not in {lines:?}"
        );
    }
    assert_eq!(
        difference::run(&image, &fixture.outputs().archive).unwrap(),
        [""; 0]
    );

    let changed = fixture.path("changed.img");
    fs::copy(&image, &changed).unwrap();
    debugfs(&changed, "sif /etc/secret mode 0100644");
    debugfs(&changed, "sif /etc/secret uid 8");
    let output = builder(&["diff", image.to_str().unwrap(), changed.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "! /etc/secret: mode 0600 -> 0644, owner 7:0 -> 8:0\n"
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "image-builder: the images differ\n"
    );
}

#[test]
fn an_image_is_checked_against_its_manifest() {
    let fixture = Fixture::new();
    fixture.build().unwrap();
    let (image, archive) = (fixture.outputs().image, fixture.outputs().archive);
    let manifest = fixture.outputs().manifest();
    for file in [&image, &archive] {
        assert_eq!(verify::manifest_of(file), manifest);
        verify::run(file, &manifest).unwrap();
    }
    let output = builder(&["verify", image.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("is the image of its manifest: base.img with "),
        "{said}"
    );

    debugfs(&image, "sif /etc/secret mode 0100644");
    let message = format!("{:#}", verify::run(&image, &manifest).unwrap_err());
    assert!(
        message.ends_with("lab.img is not the image of its manifest: different are /etc/secret"),
        "{message}"
    );
    let message = format!(
        "{:#}",
        verify::run(&fixture.path("base.img"), &manifest).unwrap_err()
    );
    assert!(
        message.contains("different are boot:cluster-lab.toml, ") && message.ends_with(" more"),
        "{message}"
    );
    let message = format!(
        "{:#}",
        verify::run(&image, Path::new("/nonexistent")).unwrap_err()
    );
    assert!(
        message.starts_with("reading the manifest /nonexistent: No such file"),
        "{message}"
    );
}
