//! What lies beside the image: read by the programs that users have for it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use image_builder::build::{self, Outputs};
use image_builder::progress::Progress;
use image_builder::release::{Content, Manifest};

use super::fixture::{EPOCH, Fixture, run};

/// A fixture with an unencrypted signing key, built.
fn signed() -> (Fixture, Outputs) {
    let fixture = Fixture::new();
    run(
        "minisign",
        &[
            "-G",
            "-W",
            "-p",
            &fixture.text("lab.pub"),
            "-s",
            &fixture.text("lab.key"),
        ],
    );
    let outputs = Outputs {
        sign_key: Some(fixture.path("lab.key")),
        publish_url: Some("https://example.org/lab/".to_owned()),
        ..fixture.outputs()
    };
    build::run(&fixture.inputs(), &outputs, &Progress::start()).unwrap();
    (fixture, outputs)
}

#[test]
fn checksums_and_signatures_are_those_of_the_files() {
    let (fixture, outputs) = signed();
    let mut expected: Vec<_> = outputs
        .all()
        .iter()
        .map(|name| name.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    expected.sort();
    let mut names = fixture.names_in_out();
    names.sort();
    assert_eq!(names, expected);
    assert_eq!(names.len(), 14);
    for name in ["lab.img.sha256", "lab.img.zip.sha256"] {
        let check = Command::new("sha256sum")
            .args(["--check", "--strict", name])
            .current_dir(fixture.path("out"))
            .output()
            .unwrap();
        assert!(check.status.success(), "{check:?}");
    }
    for name in ["lab.img", "lab.img.zip", "lab.img.bmap", "lab.img.manifest.json"] {
        let file = fixture.text(&format!("out/{name}"));
        let said = run("minisign", &["-V", "-p", &fixture.text("lab.pub"), "-m", &file]);
        let comment = format!("Trusted comment: timestamp:1700000000\tfile:{name}\n");
        assert!(said.contains(&comment), "{said}");
    }
}

#[test]
fn a_card_written_by_bmaptool_is_whole() {
    let (fixture, outputs) = signed();
    let (map, image, card) = (
        fixture.text("out/lab.img.bmap"),
        fixture.text("out/lab.img"),
        fixture.text("card"),
    );
    run("bmaptool", &["copy", "--bmap", &map, &image, &card]);
    let card_root = Fixture::root_of(&fixture.path("card"));
    run("e2fsck", &["-fn", &card_root]);
    let read = |root: &str| run("debugfs", &["-R", "cat /usr/bin/cluster-lab", root]);
    assert!(read(&card_root) == read(&Fixture::root_of(&outputs.image)));
    let before_boot = ..4 << 20;
    assert!(fs::read(&card).unwrap()[before_boot] == fs::read(&image).unwrap()[before_boot]);

    let text = fs::read_to_string(&map).unwrap();
    let number = |tag: &str| -> u64 {
        let (_, rest) = text.split_once(&format!("<{tag}> ")).unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    let (mapped, all) = (number("MappedBlocksCount"), number("BlocksCount"));
    assert!(mapped < all / 2, "{mapped} of {all} blocks: the map is of no use");
    fs::write(&map, text.replace("</bmap>", "</bmap> ")).unwrap();
    let changed = Command::new("bmaptool")
        .args(["copy", "--bmap", &map, &image, &card])
        .output()
        .unwrap();
    assert!(!changed.status.success(), "a changed map is taken");
}

#[test]
fn the_manifest_names_everything_that_was_added() {
    let fixture = Fixture::new();
    fixture.build().unwrap();
    let manifest = Manifest::parse(&fs::read_to_string(fixture.outputs().manifest()).unwrap()).unwrap();
    let sum = |name: &str| run("sha256sum", &[&fixture.text(name)])[..64].to_owned();
    assert_eq!(manifest.base.sha256.to_string(), sum("base.img"));
    assert_eq!(manifest.image.sha256.to_string(), sum("out/lab.img"));
    assert_eq!(manifest.removed, ["/etc/ssh/ssh_host_*"]);
    assert_eq!(manifest.emptied, ["/etc/machine-id"]);
    let entry = |path: &str| manifest.root.iter().find(|entry| entry.path == path).unwrap();
    let secret = entry("/etc/secret");
    let access = secret.access.clone().unwrap();
    assert_eq!((access.mode.as_str(), access.owner, access.group), ("0600", 7, 0));
    let Content::File { length, sha256 } = &entry("/usr/bin/cluster-lab").content else {
        panic!("the agent is no file");
    };
    assert_eq!((*length, sha256.to_string()), (100_000, sum("agent")));
    let link = entry("/etc/systemd/system/multi-user.target.wants/lab.service");
    assert!(
        matches!(&link.content, Content::Symlink { target } if target == "/lib/systemd/system/lab.service")
    );
    assert_eq!(manifest.boot[0].path, "cluster-lab.toml");
    let text = fs::read_to_string(fixture.outputs().manifest()).unwrap();
    assert!(
        !text.contains(&fixture.text("")),
        "it tells the folders of this machine"
    );
}

#[test]
fn imager_and_auditors_are_told_the_same() {
    let (fixture, outputs) = signed();
    let json =
        |name: &Path| -> serde_json::Value { serde_json::from_slice(&fs::read(name).unwrap()).unwrap() };
    let manifest = Manifest::parse(&fs::read_to_string(outputs.manifest()).unwrap()).unwrap();
    let image = manifest.image.sha256.to_string();
    let archive = run("sha256sum", &[&fixture.text("out/lab.img.zip")])[..64].to_owned();
    let offer = &json(&outputs.imager())["os_list"][0];
    assert_eq!(offer["url"], "https://example.org/lab/lab.img.zip");
    assert_eq!(
        (&offer["extract_sha256"], &offer["image_download_sha256"]),
        (&image.into(), &archive.into())
    );
    assert_eq!(
        offer["image_download_size"],
        fs::metadata(&outputs.archive).unwrap().len()
    );
    assert_eq!(
        (&offer["release_date"], &offer["init_format"]),
        (&"2023-11-14".into(), &"cloudinit".into())
    );
    let bill = json(&outputs.bill_of_materials());
    assert_eq!(bill["spdxVersion"], "SPDX-2.3");
    assert_eq!(bill["creationInfo"]["created"], "2023-11-14T22:13:20Z");
    let packages = bill["packages"].as_array().unwrap();
    let agent = packages
        .iter()
        .find(|package| package["name"] == "/usr/bin/cluster-lab")
        .unwrap();
    let sum = run("sha256sum", &[&fixture.text("agent")])[..64].to_owned();
    assert_eq!(agent["checksums"][0]["checksumValue"], sum);
    let ids: std::collections::BTreeSet<_> = packages
        .iter()
        .map(|package| package["SPDXID"].as_str())
        .collect();
    assert_eq!(ids.len(), packages.len(), "an identifier is used twice");
}

#[test]
fn without_an_archive_the_image_is_the_same() {
    let fixture = Fixture::new();
    fixture.build().unwrap();
    let image = fs::read(fixture.outputs().image).unwrap();
    for name in fixture.names_in_out() {
        fs::remove_file(fixture.path("out").join(name)).unwrap();
    }
    let outputs = Outputs {
        no_archive: true,
        ..fixture.outputs()
    };
    build::run(&fixture.inputs(), &outputs, &Progress::start()).unwrap();
    assert!(fs::read(&outputs.image).unwrap() == image);
    assert_eq!(fixture.names_in_out().len(), outputs.all().len());
    assert!(!outputs.archive.exists() && outputs.all().iter().all(|file| file.exists()));
}

#[test]
fn a_wrong_key_leaves_nothing() {
    let fixture = Fixture::new();
    fs::write(fixture.path("lab.key"), "no key\n").unwrap();
    let outputs = Outputs {
        sign_key: Some(fixture.path("lab.key")),
        ..fixture.outputs()
    };
    let message = format!(
        "{:#}",
        build::run(&fixture.inputs(), &outputs, &Progress::start()).unwrap_err()
    );
    assert!(message.starts_with("signing lab.img with "), "{message}");
    assert!(fixture.names_in_out().is_empty());
}

/// Killed at any moment, the builder leaves complete files only, and in truth none.
#[test]
fn a_killed_builder_leaves_nothing_half_made() {
    let fixture = Fixture::new();
    fixture.build().unwrap();
    let complete = |name: &str| fs::read(fixture.path("out").join(name)).unwrap();
    let expected: Vec<_> = fixture
        .names_in_out()
        .into_iter()
        .map(|name| (complete(&name), name))
        .collect();
    for (_, name) in &expected {
        fs::remove_file(fixture.path("out").join(name)).unwrap();
    }
    for step in 0..12 {
        let mut builder = Command::new(env!("CARGO_BIN_EXE_image-builder"))
            .args([
                "build",
                "--base",
                &fixture.text("base.img"),
                "--agent",
                &fixture.text("agent"),
            ])
            .args([
                "--overlay",
                &fixture.text("overlay"),
                "--output",
                &fixture.text("out/lab.img"),
            ])
            .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
            .env("XDG_CACHE_HOME", fixture.path("cache"))
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(step * 60));
        let _ = builder.kill();
        builder.wait().unwrap();
        for name in fixture.names_in_out() {
            let whole = expected
                .iter()
                .any(|(bytes, known)| *known == name && *bytes == complete(&name));
            assert!(whole, "{name} is half made");
            fs::remove_file(fixture.path("out").join(name)).unwrap();
        }
    }
}
