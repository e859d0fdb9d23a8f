//! `image-builder build --recipe`, and that the same inputs make the same bytes wherever and by whomever it is done.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use super::fixture::{BOOT_START, EPOCH, Fixture, run};

const BUILDER: &str = env!("CARGO_BIN_EXE_image-builder");
/// Debian's `nobody`.
const NOBODY: u32 = 65534;

fn builder(fixture: &Fixture, arguments: &[&str]) -> Output {
    Command::new(BUILDER)
        .args(arguments)
        .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
        .env("XDG_CACHE_HOME", fixture.path("cache"))
        .output()
        .unwrap()
}

#[test]
fn a_recipe_says_everything_and_flags_win() {
    let fixture = Fixture::new();
    for (name, text) in [
        ("config.txt", "[pi4]\narm_boost=1\n"),
        ("cmdline.txt", "root=/dev/mmcblk0p2 quiet\n"),
    ] {
        fs::write(fixture.path(name), text).unwrap();
        let boot = format!("{}@@{BOOT_START}", fixture.text("base.img"));
        run("mcopy", &["-i", &boot, &fixture.text(name), "::"]);
    }
    fs::create_dir_all(fixture.path("second/etc")).unwrap();
    fs::write(fixture.path("second/etc/secret"), "of the second overlay\n").unwrap();
    fs::write(fixture.path("second/manifest.toml"), "version = 1\n").unwrap();
    let recipe = fixture.text("lab.toml");
    let sum = &run("sha256sum", &[&fixture.text("base.img")])[..64].to_owned();
    let text = format!(
        "version = 1\nbase = \"base.img\"\nbase-sha256 = \"{sum}\"\nagent = \"agent\"\noverlays = [\"overlay\", \
         \"second\"]\noutput = \"out/other.img\"\n[boot]\nconfig = {{ gpu_mem = 16 }}\ncommand-line = \
         [\"cgroup_enable=memory\", \"quiet\"]\n[settings]\nversion = 1\nhostname = \"cl-node-9\"\n"
    );
    fs::write(&recipe, &text).unwrap();
    let said = builder(&fixture, &["recipe", "check", &recipe]);
    assert!(said.status.success(), "{said:?}");
    let said = builder(
        &fixture,
        &[
            "build",
            "--recipe",
            &recipe,
            "--output",
            &fixture.text("out/lab.img.zip"),
        ],
    );
    assert!(said.status.success(), "{said:?}");
    assert!(!fixture.path("out/other.img").exists(), "the flag did not win");

    let image = fixture.outputs().image;
    let boot = format!("{}@@{BOOT_START}", image.display());
    let file = |name: &str| run("mtype", &["-i", &boot, &format!("::{name}")]);
    assert!(file("config.txt").ends_with("[all]\ngpu_mem=16\n"));
    assert_eq!(
        file("cmdline.txt"),
        "root=/dev/mmcblk0p2 quiet cgroup_enable=memory\n"
    );
    assert!(file("cluster-lab.toml").contains("hostname = \"cl-node-9\""));
    let secret = run("debugfs", &["-R", "cat /etc/secret", &Fixture::root_of(&image)]);
    assert!(secret.contains("of the second overlay"), "{secret}");
    let manifest = fs::read_to_string(fixture.outputs().manifest()).unwrap();
    assert!(manifest.contains("\"path\": \"config.txt\"") && manifest.contains("\"path\": \"cmdline.txt\""));

    fs::write(&recipe, text.replace("\"agent\"", "\"gone\"")).unwrap();
    let said = builder(&fixture, &["recipe", "check", &recipe]);
    let errors = String::from_utf8(said.stderr).unwrap();
    assert!(
        errors.contains("lab.toml line 4: ") && errors.contains("gone is not there"),
        "{errors}"
    );
    fs::write(&recipe, text.replace(sum, &"0".repeat(64))).unwrap();
    let said = builder(&fixture, &["build", "--recipe", &recipe]);
    let errors = String::from_utf8(said.stderr).unwrap();
    assert!(
        errors.contains("it is not the file that was asked for: its SHA-256 is "),
        "{errors}"
    );
}

/// Copies a folder's files in reverse order, later and with other permissions.
fn copy_otherwise(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for entry in entries.iter().rev() {
        let copy = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy_otherwise(entry, &copy);
        } else {
            fs::copy(entry, &copy).unwrap();
            fs::set_permissions(&copy, PermissionsExt::from_mode(0o775)).unwrap();
        }
    }
    fs::set_permissions(to, PermissionsExt::from_mode(0o777)).unwrap();
}

#[test]
fn the_same_inputs_make_the_same_bytes_for_everybody() {
    let fixture = Fixture::new();
    let first = builder(
        &fixture,
        &[
            "build",
            "--base",
            &fixture.text("base.img"),
            "--agent",
            &fixture.text("agent"),
            "--overlay",
            &fixture.text("overlay"),
            "--output",
            &fixture.text("out/lab.img"),
        ],
    );
    assert!(first.status.success(), "{first:?}");

    let elsewhere = tempfile::tempdir().unwrap();
    let there = elsewhere.path().join("a folder of another name");
    fs::set_permissions(elsewhere.path(), PermissionsExt::from_mode(0o755)).unwrap();
    copy_otherwise(&fixture.path("overlay"), &there.join("overlay"));
    fs::set_permissions(&there, PermissionsExt::from_mode(0o777)).unwrap();
    for name in ["base.img", "agent"] {
        fs::copy(fixture.path(name), there.join(name)).unwrap();
    }
    fs::copy(BUILDER, there.join("builder")).unwrap();
    let script = "umask 077; exec taskset --cpu-list 0 ./builder build --base base.img --agent ./agent --overlay \
                  overlay/ --output lab.img.zip";
    let mut second = Command::new("sh");
    second
        .args(["-c", script])
        .current_dir(&there)
        .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
        .env("XDG_CACHE_HOME", there.join("cache"))
        .env("TZ", "Pacific/Kiritimati")
        .env("LC_ALL", "C.UTF-8")
        .env("USER", "somebody");
    // Another user, where this one may become one.
    if run("id", &["-u"]).trim() == "0" {
        second.uid(NOBODY).gid(NOBODY);
    }
    let second = second.output().unwrap();
    assert!(second.status.success(), "{second:?}");
    for name in fixture.names_in_out() {
        let (ours, theirs) = (
            fs::read(fixture.path("out").join(&name)),
            fs::read(there.join(&name)),
        );
        assert!(ours.unwrap() == theirs.unwrap(), "{name} differs");
    }
    assert_eq!(fixture.names_in_out().len(), 7);
}
