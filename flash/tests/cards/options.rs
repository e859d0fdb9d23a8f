//! The options of hypriot/flash, and how scripts are told.

use crate::image::{BOOT_AT, Image, MIB, check_boot_partition, on_card};
use crate::tools::{flash, flash_with, run};

const DEVICE_INIT: &str = "# hostname for your device\nhostname: black-pearl\n\n# wifi\nwifi:\n  interfaces:\n    wlan0:\n      \
                           ssid: \"MyNetwork\" # mine\n      password: x\n";

#[test]
fn the_old_options_in_any_order_and_either_form() {
    let image = Image::with_files(&[
        ("device-init.yaml", DEVICE_INIT),
        ("fake-hwclock.data", "2016-01-01 00:00:00\n"),
    ]);
    let source = image.name("card.img");
    let config = image.file("my-config.txt", b"gpu_mem=16\n");
    let extra = image.file("Extra-File.txt", "ä\n".as_bytes());
    let expected = "# hostname for your device\nhostname: n1\n\n# wifi\nwifi:\n  interfaces:\n    wlan0:\n      ssid: \
                    \"Käpt'n $x\" # mine\n      password: \"a\\\"b`&/\\\\cd\"\nclusterlab:\n  service:\n    run_on_boot: \"true\"\n";
    for (number, mixed) in [
        vec![
            "-n",
            "n1",
            "-s",
            "Käpt'n $x",
            "-p",
            "a\"b`&/\\cd",
            "-l",
            "true",
            "-C",
            &config,
            "-F",
            &extra,
            "-f",
            &source,
        ],
        vec![
            &source,
            "--hostname=n1",
            "--ssid=Käpt'n $x",
            "--password=a\"b`&/\\cd",
            "--clusterlab=true",
            &format!("--bootconf={config}"),
            &format!("--file={extra}"),
            "--force",
        ],
    ]
    .into_iter()
    .enumerate()
    {
        let card = image.name(&format!("{number}.card"));
        let environment = [
            ("HOSTNAME", "wrong"),
            ("SSID", "wrong"),
            ("WIFI_PASSWORD", "wrong"),
            ("CLUSTERLAB", "false"),
        ];
        let outcome = flash_with(&environment, &[&["-d", &card][..], &mixed].concat(), b"");
        assert!(outcome.success, "{}", outcome.stderr);
        assert_eq!(on_card(&card, "device-init.yaml"), expected);
        assert_eq!(on_card(&card, "config.txt"), "gpu_mem=16\n");
        assert_eq!(on_card(&card, "Extra-File.txt"), "ä\n");
        let clock = on_card(&card, "fake-hwclock.data");
        assert!(clock.as_str() > "2025" && clock.len() == 20, "{clock}");
        check_boot_partition(&std::fs::read(&card).unwrap());
    }
}

#[test]
fn whole_files_of_cloud_init_with_the_hostname_in_them() {
    let image = Image::with_files(&[
        ("user-data", "#cloud-config\nhostname: black-pearl\n"),
        ("meta-data", "instance-id: old\n"),
        ("config.txt", "# firmware\ngpu_mem=64\n"),
    ]);
    let data = image.file(
        "mine.yml",
        "#cloud-config\n# ü\nhostname: x # here\npackages: [vim]\n".as_bytes(),
    );
    let meta = image.file("meta.yml", b"instance-id: mine\n");
    let (card, source) = (image.name("card"), image.name("card.img"));
    let arguments = [
        "-u",
        &data,
        "-m",
        &meta,
        "-n",
        "n2",
        "--config-txt",
        "gpu_mem=16",
        "-d",
        &card,
        &source,
    ];
    let outcome = flash(&arguments);
    assert!(outcome.success, "{}", outcome.stderr);
    assert_eq!(
        on_card(&card, "user-data"),
        "#cloud-config\n# ü\nhostname: n2 # here\npackages: [vim]\n"
    );
    assert_eq!(on_card(&card, "meta-data"), "instance-id: mine\n");
    assert_eq!(on_card(&card, "config.txt"), "# firmware\ngpu_mem=16\n");

    let wrong = image.file("script", b"#!/bin/sh\n");
    let outcome = flash(&["-u", &wrong, "-d", &image.name("other"), &source]);
    assert!(
        outcome
            .error()
            .starts_with("flash: --userdata: the file does not start with #cloud-config")
    );
    assert!(!image.path("other").exists());
}

#[test]
fn help_and_version_have_their_old_letters() {
    for letters in [["-v", "--version"], ["-h", "--help"]] {
        for option in letters {
            assert!(
                flash(&[option]).stdout.to_lowercase().contains("flash"),
                "{option}"
            );
        }
    }
}

#[test]
fn scripts_get_events_and_nothing_else() {
    let image = Image::new();
    let (card, source) = (image.used_card("used.img", 24 * MIB), image.name("card.img"));
    let outcome = flash(&["--json", "--yes", "--hostname", "n1", "--device", &card, &source]);
    assert!(outcome.success, "{}", outcome.stderr);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("{\"event\":\"") && line.ends_with('}')),
        "{}",
        outcome.stdout
    );
    let ready = lines.last().unwrap();
    assert!(
        ready.contains("\"event\":\"ready\"") && ready.contains("\"hostname\":\"n1\""),
        "{ready}"
    );
    for (phase, all) in [("writing", 20_971_520), ("verifying", 19_922_944)] {
        let words = format!("\"phase\":\"{phase}\",\"done\":{all},\"total\":{all}");
        assert!(outcome.stdout.contains(&words), "{}", outcome.stdout);
    }
    assert!(!outcome.stderr.contains('%'), "{}", outcome.stderr);

    let outcome = flash(&["--json", "--device", &card, &source]);
    assert!(
        !outcome.success
            && outcome
                .stdout
                .starts_with("{\"event\":\"error\",\"error\":\"everything on "),
        "{}",
        outcome.stdout
    );
    let outcome = flash(&["--quiet", "--open-lab", "--yes", "--device", &card, &source]);
    assert!(
        outcome.success && outcome.stdout.is_empty() && outcome.stderr.is_empty(),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_dry_run_writes_nothing_and_makes_no_secret() {
    let image = Image::new();
    let (card, source) = (image.used_card("used.img", 24 * MIB), image.zip());
    let before = std::fs::read(&card).unwrap();
    let arguments = [
        "--dry-run",
        "--cluster",
        "only-tried",
        "--hostname",
        "n1",
        "--device",
        &card,
        &source,
    ];
    let outcome = flash(&arguments);
    assert!(outcome.success, "{}", outcome.stderr);
    let expected = format!(
        "{source} would be written to {card} (a file of 25.1 MB) as n1 (20.9 MB), settings in cluster-lab.secret, \
         cluster-lab.toml, user-data. Nothing was written.\n"
    );
    assert_eq!(outcome.stdout, expected);
    assert!(std::fs::read(&card).unwrap() == before);
    assert!(!flash(&["secret", "show", "only-tried"]).success);
    let new = image.name("new.img");
    assert!(flash(&["--dry-run", "--device", &new, &source]).success && !image.path("new.img").exists());
    // What would fail, fails.
    assert!(!flash(&["--dry-run", "--hostname", "a_b", "--device", &new, &source]).success);
}

#[test]
fn a_file_that_the_card_has_no_room_for() {
    let image = Image::with_files(&[]);
    let large = image.file("large.bin", &vec![7; 9 * MIB]);
    let outcome = flash(&["-F", &large, "-d", &image.name("card"), &image.name("card.img")]);
    assert!(
        outcome
            .error()
            .contains("the boot partition is full: large.bin needs 9437184 bytes"),
        "{}",
        outcome.stderr
    );
    assert!(
        !run(
            "mdir",
            &[
                "-b",
                "-i",
                &format!("{}@@{BOOT_AT}", image.name("card.img")),
                "::"
            ]
        )
        .contains("large")
    );
}
