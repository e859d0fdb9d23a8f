//! What `rootfs-overlay/` puts into an image fits the agent and systemd.

#![expect(clippy::unwrap_used, reason = "a test, all of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

use boot_config::{Layer, Settings};

fn overlay() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rootfs-overlay")
}

fn text(path: &str) -> String {
    let file = overlay().join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn units() -> Vec<String> {
    let folder = overlay().join("lib/systemd/system");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_settings_file_shows_the_defaults_and_only_known_keys() {
    let file = text("etc/cluster-lab/cluster.toml");
    assert_eq!(
        boot_config::parse("cluster.toml", &file),
        Ok(Layer::default()),
        "as installed it must say nothing"
    );
    // Comments in words start with "# ", settings that are commented out with "#".
    let shown: String = file
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let layer = boot_config::parse("cluster.toml", &shown).unwrap();
    let network = layer.network.clone();
    assert!(
        network.vlan.is_some() && network.subnet.is_some() && network.master_address.is_some(),
        "{shown}"
    );
    assert_eq!(layer.cluster.open_lab, Some(false));
    let defaults = Settings::default();
    let mut settings = Settings::from_layers([&layer]).unwrap();
    // These have no default; they are examples.
    assert!(settings.hostname.take().is_some());
    assert!(settings.user.take().is_some());
    assert_eq!(settings.network.interface.take().unwrap().as_str(), "eth0");
    assert!(settings.network.dhcp_router.take().is_some());
    assert!(settings.network.dns_forwarders.take().is_some());
    assert_eq!(
        std::mem::take(&mut settings.network.reservations)
            .addresses()
            .count(),
        2
    );
    assert_ne!(settings.docker, defaults.docker);
    settings.docker = defaults.docker.clone();
    assert_eq!(settings, defaults);
}

#[test]
fn every_unit_is_enabled_and_everything_in_the_manifest_is_there() {
    let manifest: toml::Table = text("manifest.toml").parse().unwrap();
    let links = manifest["symlinks"].as_table().unwrap();
    for unit in units() {
        let link = format!("/etc/systemd/system/multi-user.target.wants/{unit}");
        let target = format!("/lib/systemd/system/{unit}");
        assert_eq!(
            links.get(&link).and_then(|target| target.as_str()),
            Some(&*target),
            "{unit}"
        );
    }
    assert_eq!(links.len(), units().len());
    for path in manifest["files"].as_table().unwrap().keys() {
        assert!(overlay().join(path.trim_start_matches('/')).is_file(), "{path}");
    }
}

#[test]
fn systemd_takes_the_units_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let wants = folder.path().join("multi-user.target.wants");
    std::fs::create_dir(&wants).unwrap();
    let mut files = Vec::new();
    for unit in units() {
        // The program itself is not installed where this runs.
        let unit_text =
            text(&format!("lib/systemd/system/{unit}")).replace("/usr/bin/cluster-lab", "/bin/true");
        let file = folder.path().join(&unit);
        std::fs::write(&file, unit_text).unwrap();
        std::os::unix::fs::symlink(&file, wants.join(&unit)).unwrap();
        files.push(file);
    }
    // The target too: an ordering cycle shows only when everything that it wants is put in order.
    let output = Command::new("systemd-analyze")
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display()))
        .args(["verify", "--man=no"])
        .args(&files)
        .arg("multi-user.target")
        .output()
        .expect("systemd-analyze is needed: apt-get install systemd");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("cluster-lab")).collect();
    assert!(ours.is_empty(), "{said}");
    assert!(output.status.success(), "{said}");
}
