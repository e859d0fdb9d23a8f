//! `cluster-lab first-boot --root`: the command as systemd runs it, on a folder instead of a card.

#![expect(clippy::unwrap_used, reason = "a test, all of it")]

use std::path::Path;
use std::process::{Command, Output};

fn put(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

fn first_boot(root: &Path, stage: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cluster-lab"))
        .args(["first-boot", "--root"])
        .arg(root)
        .args(stage)
        .output()
        .unwrap()
}

fn card() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "usr/lib/cluster-lab/image.toml",
        "version = 1\nbuilt = 1\n",
    );
    put(root.path(), "etc/machine-id", "");
    put(root.path(), "boot/firmware/config.txt", "");
    put(root.path(), "dev/console", "");
    root
}

#[test]
fn a_node_with_an_unreadable_boot_partition_comes_up_and_says_so() {
    let card = card();
    put(card.path(), "boot/firmware/cluster-lab.toml", "\0\u{1}garbage");
    put(
        card.path(),
        "boot/firmware/user-data",
        "#cloud-config\nhostname: from-user-data\n",
    );
    let output = first_boot(card.path(), &[]);
    assert!(output.status.success(), "{output:?}");
    let read = |path: &str| std::fs::read_to_string(card.path().join(path)).unwrap();
    for place in [read("dev/console"), read("run/issue.d/cluster-lab.issue")] {
        assert!(
            place.contains("/boot/firmware/cluster-lab.toml line 1: "),
            "{place}"
        );
        assert!(place.contains("; this file is left out"), "{place}");
    }
    assert_eq!(read("etc/hostname"), "from-user-data\n");
    assert!(
        read("dev/console").contains("first boot: machine-id done ("),
        "{}",
        read("dev/console")
    );
    // Nothing is left for the next start.
    let again = first_boot(card.path(), &[]);
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(!said.contains("first boot:"), "{said}");
}

#[test]
fn a_step_that_fails_makes_the_unit_fail_with_one_line() {
    let card = card();
    put(
        card.path(),
        "proc/self/mountinfo",
        "1 0 9:9 / / rw - ext4 /dev/root rw\n",
    );
    let output = first_boot(card.path(), &["--stage", "late"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "cluster-lab: first boot: not done: root-size; the next start tries again\n"
    );
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("first boot: root-size failed: looking at "),
        "{said}"
    );
    assert!(said.contains("first boot: ssh-host-keys not needed ("), "{said}");
}

#[test]
fn a_machine_that_is_not_from_our_image_keeps_its_name() {
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "boot/cluster-lab.toml",
        "version = 1\nhostname = \"other\"\n",
    );
    put(root.path(), "etc/hostname", "mine\n");
    let output = first_boot(root.path(), &[]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let hostname = std::fs::read_to_string(root.path().join("etc/hostname")).unwrap();
    assert_eq!(hostname, "mine\n");
}

#[test]
fn the_cluster_secret_is_taken_and_a_damaged_one_is_left_with_a_warning() {
    let card = card();
    let waiting = "boot/firmware/cluster-lab.secret";
    let secret = boot_config::ClusterSecret::from_bytes([3; 32]);
    put(card.path(), waiting, &format!("{}\r\n", *secret.render()));
    let output = first_boot(card.path(), &["--stage", "early"]);
    assert!(output.status.success(), "{output:?}");
    let read = |path: &str| std::fs::read_to_string(card.path().join(path)).unwrap_or_default();
    assert_eq!(read(waiting), "");
    assert_eq!(
        read("var/lib/cluster-lab/secret"),
        format!("{}\n", *secret.render())
    );
    let said = String::from_utf8(output.stdout).unwrap() + &read("dev/console");
    assert!(said.contains("first boot: cluster-secret done"), "{said}");
    assert!(!said.contains("cluster-secret-1:"), "{said}");

    put(card.path(), waiting, &secret.render()[..50]);
    let output = first_boot(card.path(), &["--stage", "early"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(read(waiting), secret.render()[..50], "nothing is lost");
    assert_eq!(
        read("var/lib/cluster-lab/secret"),
        format!("{}\n", *secret.render())
    );
    for place in [read("dev/console"), read("run/issue.d/cluster-lab.issue")] {
        assert!(
            place.contains("cluster-lab.secret: this is not a cluster secret")
                && place.contains("the secret that this node has is kept"),
            "{place}"
        );
    }
}
