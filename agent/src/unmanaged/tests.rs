//! Files of whole systems, as they are before, during and after.

use std::collections::BTreeMap;

use boot_config::Settings;

use super::{apply, restore};
use crate::paths::Paths;

const DHCPCD: &[u8] = b"hostname\r\n# static\ninterface eth0\nstatic ip_address=10.0.0.2/24";

fn settings(text: &str) -> Settings {
    Settings::from_layers([&boot_config::parse("f", &format!("version = 1\n{text}")).unwrap()]).unwrap()
}

fn system(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Paths) {
    let root = tempfile::tempdir().unwrap();
    let paths = Paths::below(root.path());
    for (name, content) in files {
        let path = paths.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    (root, paths)
}

fn all_managers() -> (tempfile::TempDir, Paths) {
    system(&[
        ("/lib/systemd/systemd-networkd", b""),
        ("/etc/NetworkManager/NetworkManager.conf", b"[main]\n"),
        ("/etc/dhcpcd.conf", DHCPCD),
        ("/etc/cloud/cloud.cfg.d/05_logging.cfg", b"#\n"),
    ])
}

fn files(paths: &Paths) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![paths.root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(paths.root()).unwrap().display().to_string();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn every_manager_is_told_and_all_is_taken_back_byte_for_byte() {
    let (_guard, paths) = all_managers();
    let before = files(&paths);
    for _ in 0..2 {
        assert_eq!(apply(&paths, &settings("hostname = \"a\"")), [""; 0]);
        let told = files(&paths);
        let text = |name: &str| String::from_utf8(told[name].clone()).unwrap();
        assert!(
            text("etc/systemd/network/05-cluster-lab.network")
                .ends_with("[Match]\nName=*.200\n\n[Link]\nUnmanaged=yes\n")
        );
        assert!(
            text("etc/NetworkManager/conf.d/cluster-lab.conf")
                .ends_with("[keyfile]\nunmanaged-devices+=interface-name:*.200\n")
        );
        assert!(text("etc/dhcpcd.conf").starts_with("# cluster-lab begin"));
        assert!(text("etc/dhcpcd.conf").contains("\ndenyinterfaces *.200\n# cluster-lab end\nhostname\r\n"));
        assert!(text("etc/cloud/cloud.cfg.d/99-cluster-lab.cfg").ends_with("preserve_hostname: true\n"));
        assert_eq!(told.len(), before.len() + 3);
    }
    assert_eq!(restore(&paths), [""; 0]);
    assert_eq!(files(&paths), before);
}

#[test]
fn a_changed_vlan_is_followed_and_none_removes_the_files() {
    let (_guard, paths) = all_managers();
    let before = files(&paths);
    apply(&paths, &settings(""));
    apply(&paths, &settings("[network]\nvlan = 7"));
    let told = files(&paths);
    for name in ["etc/systemd/network/05-cluster-lab.network", "etc/dhcpcd.conf"] {
        let text = String::from_utf8(told[name].clone()).unwrap();
        assert!(text.contains("*.7\n") && !text.contains("*.200"), "{text}");
    }
    apply(&paths, &settings("[network]\nvlan = \"off\""));
    assert_eq!(files(&paths), before);
}

#[test]
fn a_system_without_these_managers_gets_no_files() {
    let (_guard, paths) = system(&[("/etc/hosts", b"x")]);
    assert_eq!(apply(&paths, &settings("hostname = \"a\"")), [""; 0]);
    assert_eq!(files(&paths).len(), 1);
}

#[test]
fn a_file_of_somebody_else_is_left_alone_and_said() {
    let file = "/etc/NetworkManager/conf.d/cluster-lab.conf";
    let (_guard, paths) = system(&[(file, b"[keyfile]\n")]);
    let before = files(&paths);
    let warnings = apply(&paths, &settings(""));
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with(&format!(
        "{file} was not written by cluster-lab and is left alone"
    )));
    assert_eq!(restore(&paths), [""; 0]);
    assert_eq!(files(&paths), before);
}
