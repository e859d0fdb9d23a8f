//! `image-builder build` on small real images: what it makes, judged by independent readers, and what it refuses.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod artefacts;
mod bad_input;
mod bases;
mod fixture;
mod look;
mod package;
mod recipes;
mod shapes;

use std::fs;
use std::process::Command;

use fixture::{BOOT_START, Fixture, run};

#[test]
fn independent_readers_agree_with_the_release_image() {
    let fixture = Fixture::new();
    let base = fs::read(fixture.path("base.img")).unwrap();
    fixture.build().unwrap();
    assert!(
        fs::read(fixture.path("base.img")).unwrap() == base,
        "the base image was changed"
    );

    let image = fixture.outputs().image;
    let built = fs::read(&image).unwrap();
    let root = Fixture::root_of(&image);
    run("e2fsck", &["-fn", &root]);
    let debugfs = |command: &str| run("debugfs", &["-R", command, &root]);
    assert!(debugfs("cat /usr/lib/systemd/system/lab.service").contains("[Unit]"));
    let stat = debugfs("stat /etc/secret");
    assert!(
        stat.contains("Mode:  0600") && stat.contains("User:     7"),
        "{stat}"
    );
    let stat = debugfs("stat /usr/bin/cluster-lab");
    assert!(
        stat.contains("Mode:  0755") && stat.contains("Size: 100000"),
        "{stat}"
    );
    assert!(debugfs("stat /etc/machine-id").contains("Size: 0"));
    assert!(!debugfs("ls /etc/ssh").contains("ssh_host_rsa_key"));
    let link = debugfs("stat /etc/systemd/system/multi-user.target.wants/lab.service");
    assert!(link.contains("/lib/systemd/system/lab.service"), "{link}");
    let stamp = debugfs("cat /usr/lib/cluster-lab/image.toml");
    assert!(
        stamp.contains("version = 1\nrelease = \"") && stamp.contains("\nbuilt = 1700000000\n"),
        "{stamp}"
    );

    let boot = format!("{}@@{BOOT_START}", image.display());
    assert!(run("mtype", &["-i", &boot, "::user-data"]).starts_with("#cloud-config"));
    assert!(run("mtype", &["-i", &boot, "::cluster-lab.toml"]).contains("version = 1\n"));
    let before_boot = ..BOOT_START as usize;
    assert!(
        built[before_boot] == base[before_boot],
        "the partition table was changed"
    );

    let archive = fixture.outputs().archive;
    run("unzip", &["-t", archive.to_str().unwrap()]);
    let unpacked = Command::new("unzip").arg("-p").arg(&archive).output().unwrap();
    assert!(unpacked.stdout == built, "the archive holds another image");
}

#[test]
fn the_same_input_makes_the_same_image_and_archive() {
    let fixture = Fixture::new();
    let build = || {
        fixture.build().unwrap();
        let outputs = fixture.outputs();
        (
            fs::read(outputs.image).unwrap(),
            fs::read(outputs.archive).unwrap(),
        )
    };
    let first = build();
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert!(first == build(), "two runs differ");
}

#[test]
fn packed_base_images_are_taken() {
    let fixture = Fixture::new();
    fixture.build().unwrap();
    let expected = fs::read(fixture.outputs().image).unwrap();
    run(
        "zip",
        &["-q", "-j", &fixture.text("base.zip"), &fixture.text("base.img")],
    );
    run("gzip", &["-k", &fixture.text("base.img")]);
    for packed in ["base.zip", "base.img.gz"] {
        fs::rename(fixture.path(packed), fixture.path("base.img")).unwrap();
        fixture.build().unwrap();
        assert!(fs::read(fixture.outputs().image).unwrap() == expected, "{packed}");
    }
}
