//! Settings against the files of each generation of images.

use super::*;
use crate::settings::Options;

fn options(hostname: Option<&str>, user: Option<&str>) -> Options {
    Options {
        hostname: hostname.map(str::to_owned),
        user: user.map(str::to_owned),
        ..Options::default()
    }
}

fn plan(wanted: &Wanted, files: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
    let edits = wanted.plan(|name| {
        let file = files.iter().find(|(file, _)| *file == name);
        Ok(file.map(|(_, text)| text.as_bytes().to_owned()))
    })?;
    Ok(edits
        .into_iter()
        .map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap()))
        .collect())
}

#[test]
fn every_format_that_the_image_has_is_told() {
    let wanted = options(Some("CL-node-1"), None).check().unwrap();
    for (files, expected) in [
        (
            vec![("user-data", "#cloud-config\n")],
            ("user-data", "#cloud-config\nhostname: cl-node-1\n"),
        ),
        (
            vec![("device-init.yaml", "hostname: x\n")],
            ("device-init.yaml", "hostname: cl-node-1\n"),
        ),
        (
            vec![("occidentalis.txt", "")],
            ("occidentalis.txt", "hostname=cl-node-1\n"),
        ),
        (
            vec![(FILE_NAME, "version = 1\n[cluster]\nname = \"lab\"\n")],
            (
                FILE_NAME,
                "# Settings of this card. Read at every start of cluster-lab; edit here and reboot.\n\
                 version = 1\nhostname = \"cl-node-1\"\n\n[cluster]\nname = \"lab\"\n",
            ),
        ),
    ] {
        let edits = plan(&wanted, &files).unwrap();
        assert!(
            edits.contains(&(expected.0.to_owned(), expected.1.to_owned())),
            "{edits:?}"
        );
        assert!(
            edits
                .iter()
                .any(|(name, text)| name == FILE_NAME && text.contains("cl-node-1"))
        );
    }
}

#[test]
fn what_the_image_cannot_take_is_an_error() {
    let named = options(Some("a"), None).check().unwrap();
    let mut with_user = options(None, Some("pi"));
    with_user.user_password_hash = Some("$6$salt$hash".to_owned());
    let with_user = with_user.check().unwrap();
    for (wanted, files, expected) in [
        (
            &named,
            vec![],
            "--hostname: this image would not read it, its boot partition has none of cluster-lab.toml, user",
        ),
        (
            &named,
            vec![("user-data", "#!/bin/sh\n")],
            "user-data of the image: it does not start with #cloud-config",
        ),
        (
            &named,
            vec![(FILE_NAME, "version = 2\n")],
            "in the image: cluster-lab.toml line 1 (version): version 2",
        ),
        (
            &with_user,
            vec![("device-init.yaml", "")],
            "--user: this image would not read it, its boot partition has none of cluster-lab.toml, user-data",
        ),
    ] {
        let message = format!("{:#}", plan(wanted, &files).unwrap_err());
        assert!(message.starts_with(expected), "{message}");
    }
    let message = named.plan(|_| Ok(Some(vec![0xff]))).unwrap_err().to_string();
    assert_eq!(
        message,
        "user-data of the image is not UTF-8 text, so nothing can be set in it"
    );
}

#[test]
fn raspberry_pi_os_is_told_by_a_script() {
    let mut options = options(Some("n1"), Some("pi"));
    options.user_password_hash = Some("$6$salt$hash".to_owned());
    let wanted = options.check().unwrap();
    let line = "root=PARTUUID=1-02 quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n";
    let edits = plan(&wanted, &[("cmdline.txt", line)]).unwrap();
    let names: Vec<&str> = edits.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [FILE_NAME, "cmdline.txt", "firstrun.sh"]);
    assert!(
        edits[1].1.contains("firstboot systemd.run=/boot/firstrun.sh "),
        "{}",
        edits[1].1
    );
    assert!(edits[2].1.contains("hostname='n1'\n") && edits[2].1.contains("hash='$6$salt$hash'\n"));
    // With the agent in it, the agent does it all, without one more start.
    let edits = plan(&wanted, &[("cmdline.txt", line), (FILE_NAME, "version = 1\n")]).unwrap();
    assert_eq!(edits.len(), 1);
}

#[test]
fn values_with_any_character_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("id.pub");
    let line = "ssh-ed25519 AAAA Jürgen's \"key\" \\ $(x) `y`";
    std::fs::write(&file, format!("# mine\n{line}\n\n")).unwrap();
    let mut options = options(Some("n"), Some("pi"));
    options.ssh_key = vec![file];
    let edits = plan(&options.check().unwrap(), &[(FILE_NAME, "version = 1\n")]).unwrap();
    let layer = boot_config::parse(FILE_NAME, &edits[0].1).unwrap();
    assert_eq!(layer.user.unwrap().ssh_authorized_keys, [line]);
}

fn everything() -> Wanted {
    Options {
        user_password_hash: Some("$6$salt$hash".to_owned()),
        ssid: Some("Käpt'n".to_owned()),
        password: Some("pa'ss\"w&".to_owned()),
        wifi_country: Some("de".to_owned()),
        uplink_address: Some("192.168.1.20/24".to_owned()),
        time_zone: Some("Europe/Berlin".to_owned()),
        locale: Some("de_DE.UTF-8".to_owned()),
        ..options(Some("n1"), Some("pi"))
    }
    .check()
    .unwrap()
}

fn names(edits: &[(String, String)]) -> Vec<&str> {
    edits.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn every_generation_of_images_takes_all_that_it_knows() {
    let pi_os = "quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n";
    let ubuntu = [
        ("cmdline.txt", "root=LABEL=writable\n"),
        ("user-data", "#cloud-config\n# x\n"),
        ("meta-data", "instance-id: cloud-image\n"),
        ("network-config", "version: 2\n"),
    ];
    for (files, changed) in [
        (
            &ubuntu[..],
            &[
                "cluster-lab.toml",
                "cmdline.txt",
                "meta-data",
                "network-config",
                "user-data",
            ][..],
        ),
        (
            &[("cmdline.txt", pi_os)],
            &["cluster-lab.toml", "cmdline.txt", "firstrun.sh"],
        ),
        (
            &[("cmdline.txt", pi_os), (FILE_NAME, "version = 1\n")],
            &["cluster-lab.toml", "cmdline.txt", "firstrun.sh"],
        ),
    ] {
        let edits = plan(&everything(), files).unwrap();
        assert_eq!(names(&edits), changed);
        let line = &edits.iter().find(|(name, _)| name == COMMAND_LINE).unwrap().1;
        assert!(line.contains(" cfg80211.ieee80211_regdom=DE"), "{line}");
        assert_eq!(line.lines().count(), 1);
        assert_eq!(line.contains(" ds=nocloud;i=flash-"), files.len() == 4, "{line}");
        assert!(
            !edits.iter().any(|(_, text)| text.contains("pa'ss")),
            "the passphrase is not on the card"
        );
    }
}

#[test]
fn a_setting_that_nobody_would_read_is_an_error() {
    let all = everything();
    let only = |change: fn(&mut Wanted, Wanted)| {
        let mut wanted = Wanted::default();
        change(&mut wanted, everything());
        wanted
    };
    let user_data = ("user-data", "#cloud-config\n");
    for (wanted, files, expected) in [
        (
            &only(|w, all| w.wifi = all.wifi),
            vec![user_data],
            "--ssid: this image would not read it",
        ),
        (
            &only(|w, all| w.uplink = all.uplink),
            vec![("device-init.yaml", "")],
            "--uplink-address: ",
        ),
        (
            &only(|w, all| w.time_zone = all.time_zone),
            vec![(FILE_NAME, "version = 1\n")],
            "--time-zone: ",
        ),
        (
            &only(|w, all| w.locale = all.locale),
            vec![("rpi-preseed.toml", "")],
            "--locale: ",
        ),
        (
            &only(|w, all| w.country = all.country),
            vec![user_data],
            "--wifi-country: ",
        ),
        (
            &only(|w, _| w.run_cluster_lab = Some(false)),
            vec![(FILE_NAME, "version = 1\n")],
            "--clusterlab: ",
        ),
        (
            &only(|w, _| w.config = Some(vec![])),
            vec![user_data],
            "--config: this image would not",
        ),
        (&all, vec![("device-init.yaml", "")], "--user: "),
    ] {
        let message = plan(wanted, &files).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
    }
    for (file, option) in [
        ("user-data", "--userdata"),
        ("network-config", "--network-config"),
    ] {
        let mut wanted = Wanted::default();
        wanted.files.insert(file.to_owned(), b"#cloud-config\n".to_vec());
        let message = plan(&wanted, &[(FILE_NAME, "version = 1\n")])
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with(&format!("{option}: this image would not read it")),
            "{message}"
        );
    }
}

#[test]
fn the_clock_is_set_where_there_is_one_and_nothing_else_is_touched() {
    let edits = plan(
        &Wanted::default(),
        &[
            ("fake-hwclock.data", "old"),
            ("rpi-preseed.toml", "[["),
            user_data(),
        ],
    );
    let edits = edits.unwrap();
    assert_eq!(names(&edits), ["fake-hwclock.data"]);
    assert!(edits[0].1.starts_with("20") && edits[0].1.len() == "2026-01-31 23:59:58\n".len());
}

fn user_data() -> (&'static str, &'static str) {
    ("user-data", "#!/bin/sh\n")
}
