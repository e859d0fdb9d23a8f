//! What is refused: with a clear message, without touching the input, and without leaving anything half-made.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use image_builder::build::Outputs;

use super::fixture::{Fixture, ROOT_START, run};

/// Breaks a fixture, builds, and expects a message with these parts on one line. Earlier outputs must survive.
fn refused(break_it: impl FnOnce(&Fixture), parts: &[&str]) {
    let fixture = Fixture::new();
    fs::write(fixture.outputs().image, "an earlier image").unwrap();
    break_it(&fixture);
    let base = fs::read(fixture.path("base.img")).unwrap();
    let message = format!("{:#}", fixture.build().unwrap_err());
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert!(!message.contains('\n'), "{message:?}");
    assert_eq!(
        fixture.names_in_out(),
        ["lab.img"],
        "something was left for: {message}"
    );
    assert_eq!(
        fs::read_to_string(fixture.outputs().image).unwrap(),
        "an earlier image"
    );
    assert!(
        fs::read(fixture.path("base.img")).unwrap() == base,
        "the base image was changed"
    );
}

fn zip_base(fixture: &Fixture) {
    // Something that does not pack, so that there is a middle to damage.
    fixture.change_base(|bytes| {
        let mut state = 1_u32;
        for byte in &mut bytes[30 << 20..31 << 20] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = state.to_be_bytes()[0];
        }
    });
    run(
        "zip",
        &["-q", "-j", &fixture.text("base.zip"), &fixture.text("base.img")],
    );
    fs::rename(fixture.path("base.zip"), fixture.path("base.img")).unwrap();
}

#[test]
fn a_damaged_zip() {
    let damage = |fixture: &Fixture| {
        zip_base(fixture);
        fixture.change_base(|bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
        });
    };
    refused(
        damage,
        &[
            "reading the image: ",
            "cannot be unpacked",
            "it is damaged or cut short; download it again",
        ],
    );
}

#[test]
fn a_truncated_zip() {
    let truncate = |fixture: &Fixture| {
        zip_base(fixture);
        fixture.change_base(|bytes| bytes.truncate(bytes.len() / 2));
    };
    refused(
        truncate,
        &[
            "base.img cannot be unpacked",
            "it is damaged or cut short; download it again",
        ],
    );
}

#[test]
fn a_truncated_image() {
    let truncate = |fixture: &Fixture| fixture.change_base(|bytes| bytes.truncate(20 << 20));
    refused(
        truncate,
        &["partition 2 ends at byte 37748736 but there are only 20971520 bytes: the image is cut short"],
    );
}

#[test]
fn no_partition_table() {
    let clear = |fixture: &Fixture| fixture.change_base(|bytes| bytes[..512].fill(0));
    refused(
        clear,
        &["base.img is not a card image: there is no partition table at its start"],
    );
}

#[test]
fn a_gpt() {
    let protect = |fixture: &Fixture| fixture.change_base(|bytes| bytes[0x1be + 4] = 0xee);
    refused(
        protect,
        &[
            "the base image",
            "GPT",
            "only MBR tables, as Raspberry Pi images have, are supported",
        ],
    );
}

#[test]
fn no_boot_partition() {
    let retype = |fixture: &Fixture| fixture.change_base(|bytes| bytes[0x1be + 4] = 0x83);
    refused(
        retype,
        &["the base image", "base.img: it has no FAT boot partition"],
    );
}

#[test]
fn no_ext4() {
    let clear = |fixture: &Fixture| fixture.change_base(|bytes| bytes[ROOT_START as usize..][..8192].fill(0));
    refused(
        clear,
        &["base.img: partition 2 holds no usable ext4 file system (bad magic"],
    );
}

#[test]
fn a_dirty_journal() {
    let mark = |fixture: &Fixture| {
        let base = Fixture::root_of(&fixture.path("base.img"));
        run("debugfs", &["-w", "-R", "feature needs_recovery", &base]);
    };
    refused(
        mark,
        &[
            "the file system of partition 2 was not unmounted cleanly",
            "`e2fsck -fp`",
        ],
    );
}

#[test]
fn a_damaged_root_file_system() {
    // A block in use that its bitmap calls free: only the reference tool sees it.
    let damage = |fixture: &Fixture| {
        let base = Fixture::root_of(&fixture.path("base.img"));
        let block = run("debugfs", &["-R", "bmap /usr/lib/os-release 0", &base]);
        let block = block
            .lines()
            .find(|line| line.parse::<u32>().is_ok())
            .unwrap()
            .to_owned();
        run("debugfs", &["-w", "-R", &format!("freeb {block}"), &base]);
    };
    refused(damage, &["e2fsck finds errors in the root file system"]);
}

#[test]
fn a_full_root_partition() {
    let fill = |fixture: &Fixture| fs::write(fixture.path("overlay/etc/large"), vec![1; 30 << 20]).unwrap();
    refused(
        fill,
        &[
            "the root partition is full: ",
            "KiB are missing; use a base image with more room",
        ],
    );
}

#[test]
fn an_agent_for_this_machine() {
    let replace = |fixture: &Fixture| {
        fs::copy(std::env::current_exe().unwrap(), fixture.path("agent")).unwrap();
    };
    refused(
        replace,
        &[
            "taking the agent",
            "it is built for",
            "a card needs 32-bit ARM: run ci/build-agent",
        ],
    );
}

#[test]
fn an_output_that_is_the_input() {
    for (base, output) in [("base.img", "base.img"), ("base.img.zip", "base.img")] {
        let fixture = Fixture::new();
        fs::copy(fixture.path("base.img"), fixture.path("base.img.zip")).unwrap();
        let before = fs::read(fixture.path(base)).unwrap();
        let outputs = Outputs::from_name(&fixture.path(output)).unwrap();
        let message = format!("{:#}", fixture.build_from(base, &outputs).unwrap_err());
        assert!(
            message.contains("which must not be changed: name another --output"),
            "{message}"
        );
        assert!(
            fs::read(fixture.path(base)).unwrap() == before,
            "the input was changed"
        );
    }
}

#[test]
fn an_overlay_that_leads_out() {
    let link = |fixture: &Fixture| symlink("/etc/passwd", fixture.path("overlay/etc/passwd")).unwrap();
    refused(
        link,
        &[
            "reading the overlay",
            "/etc/passwd of the overlay is a link to /etc/passwd",
        ],
    );
}

#[test]
fn the_program_says_why_on_one_line_and_fails() {
    let fixture = Fixture::new();
    let output = Command::new(env!("CARGO_BIN_EXE_image-builder"))
        .args(["build", "--base", "/nonexistent.img", "--agent"])
        .arg(fixture.path("agent"))
        .arg("--overlay")
        .arg(fixture.path("overlay"))
        .arg("--output")
        .arg(fixture.path("out/lab.img.zip"))
        .env("XDG_CACHE_HOME", fixture.path("cache"))
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors.ends_with("No such file or directory (os error 2)\n"),
        "{errors}"
    );
    assert!(
        errors.contains("\nimage-builder: reading /nonexistent.img: "),
        "{errors}"
    );
    assert!(output.stdout.is_empty() && fixture.names_in_out().is_empty());
}
