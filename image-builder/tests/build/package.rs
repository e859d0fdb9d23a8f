//! `image-builder deb`: what dpkg itself says about the package, and what is left when it has come and gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image_builder::deb::{self, Architecture, Inputs};

use super::fixture::{EPOCH, Fixture, run};

fn package(fixture: &Fixture, name: &str) -> anyhow::Result<PathBuf> {
    let inputs = Inputs {
        agent: fixture.path("agent"),
        overlay: fixture.path("overlay"),
        architecture: Architecture::Armhf,
        epoch: EPOCH,
    };
    let output = fixture.path(name);
    deb::run(&inputs, &output)?;
    Ok(output)
}

/// A fixture with something in it that only a card needs.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fs::write(
        fixture.path("overlay/lib/systemd/system/card.service"),
        "[Unit]\n",
    )
    .unwrap();
    let manifest = fixture.path("overlay/manifest.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let text = text.replace(
        "version = 1\n",
        "version = 1\ncards-only = [\"/lib/systemd/system/card.service\"]\n",
    ) + "\"/etc/systemd/system/multi-user.target.wants/card.service\" = \"/lib/systemd/system/card.service\"\n";
    fs::write(manifest, text).unwrap();
    fixture
}

#[test]
fn dpkg_reads_the_package() {
    let fixture = fixture();
    let file = package(&fixture, "lab.deb").unwrap();
    let file = file.to_str().unwrap();
    let info = run("dpkg-deb", &["--info", file]);
    for line in [
        "Package: cluster-lab",
        "Architecture: armhf",
        "Recommends: docker.io",
        "Provides: hypriot-cluster-lab",
    ] {
        assert!(info.contains(line), "{line:?} is not in {info}");
    }
    assert!(!info.contains("Depends: libc6"), "{info}");
    assert_eq!(run("dpkg-deb", &["--info", file, "conffiles"]), "/etc/secret\n");
    assert!(
        run("dpkg-deb", &["--info", file, "postinst"]).contains("systemctl --quiet enable lab.service\n")
    );
    let contents = run("dpkg-deb", &["--contents", file]);
    for line in [
        "drwxr-xr-x root/root         0 2023-11-14 22:13 usr/bin/\n",
        "-rwxr-xr-x root/root    100000 2023-11-14 22:13 usr/bin/cluster-lab\n",
        " lib/systemd/system/lab.service\n",
        "-rw------- 7/0 ",
    ] {
        assert!(contents.contains(line), "{line:?} is not in {contents}");
    }
    for only_on_cards in ["card.service", "wants", "machine-id", "image.toml"] {
        assert!(
            !contents.contains(only_on_cards),
            "{only_on_cards} is in {contents}"
        );
    }
}

#[test]
fn the_same_input_makes_the_same_package() {
    let fixture = fixture();
    let first = fs::read(package(&fixture, "first.deb").unwrap()).unwrap();
    let touched = Command::new("touch")
        .arg(fixture.path("overlay/etc/secret"))
        .status();
    assert!(touched.unwrap().success());
    assert!(first == fs::read(package(&fixture, "second.deb").unwrap()).unwrap());
}

#[test]
fn an_agent_for_another_machine_is_refused() {
    let fixture = fixture();
    fs::copy(std::env::current_exe().unwrap(), fixture.path("agent")).unwrap();
    let message = format!("{:#}", package(&fixture, "lab.deb").unwrap_err());
    assert!(message.contains("it is built for "), "{message}");
    assert!(!fixture.path("lab.deb").exists());
}

/// All names and contents below a folder, without what dpkg itself writes down.
fn listing(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if path.strip_prefix(root).unwrap().starts_with("var/lib/dpkg") {
                continue;
            }
            let content = if kind.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            };
            if kind.is_dir() {
                waiting.push(path.clone());
            }
            found.push((path, content));
        }
    }
    found.sort();
    found
}

/// A root with nothing but a shell and systemctl, to which dpkg changes its root for the package's scripts.
fn system(root: &Path) {
    for folder in [
        "var/lib/dpkg/updates",
        "var/lib/dpkg/info",
        "etc/systemd/system",
        "usr/bin",
        "bin",
        "dev",
        "lib/systemd/system",
    ] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for name in ["status", "available"] {
        fs::write(root.join("var/lib/dpkg").join(name), "").unwrap();
    }
    fs::write(root.join("etc/hostname"), "mine\n").unwrap();
    // dpkg removes folders that are empty.
    fs::write(root.join("lib/systemd/system/multi-user.target"), "[Unit]\n").unwrap();
    fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
    for name in ["sh", "rm"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    run("mknod", &[root.join("dev/null").to_str().unwrap(), "c", "1", "3"]);
    let libraries = run("ldd", &["/usr/bin/systemctl"]);
    let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.chain(["/usr/bin/systemctl"]) {
        let copy = root.join(file.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
}

#[test]
fn a_package_comes_and_goes_without_a_trace() {
    let fixture = fixture();
    fs::write(
        fixture.path("overlay/lib/systemd/system/lab.service"),
        "[Service]\nExecStart=/usr/bin/cluster-lab run\n[Install]\nWantedBy=multi-user.target\n",
    )
    .unwrap();
    let file = package(&fixture, "lab.deb").unwrap();
    let root = fixture.path("system");
    system(&root);
    let before = listing(&root);
    let dpkg = |arguments: &[&str]| {
        let instance = format!("--root={}", root.display());
        let mut all = vec![
            &*instance,
            "--log=/dev/null",
            "--force-architecture",
            "--force-bad-path",
        ];
        all.extend(arguments);
        run("dpkg", &all)
    };
    let enabled = root.join("etc/systemd/system/multi-user.target.wants/lab.service");
    dpkg(&["--install", file.to_str().unwrap()]);
    assert_eq!(fs::read(root.join("usr/bin/cluster-lab")).unwrap().len(), 100_000);
    assert!(enabled.is_symlink(), "the unit is not enabled");
    fs::create_dir_all(root.join("var/lib/cluster-lab/leases")).unwrap();
    fs::write(root.join("etc/secret"), "edited\n").unwrap();
    dpkg(&["--remove", "cluster-lab"]);
    assert_eq!(fs::read_to_string(root.join("etc/secret")).unwrap(), "edited\n");
    assert!(!root.join("usr/bin/cluster-lab").exists() && !enabled.is_symlink());
    dpkg(&["--purge", "cluster-lab"]);
    let left: Vec<_> = listing(&root).into_iter().map(|(path, _)| path).collect();
    let expected: Vec<_> = before.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(left, expected);
    assert!(listing(&root) == before, "a file has another content");
}
