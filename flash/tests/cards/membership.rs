//! The cluster secret: on every card of a cluster the same, nowhere else, and never shown unasked.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use crate::image::{BOOT_AT, Image, on_card};
use crate::tools::{flash, run};

const FILE: &str = "cluster-lab.secret";
const LINE: &str = "cluster-secret-1:";

fn write(image: &Image, card: &str, more: &[&str]) -> crate::tools::Outcome {
    let (card, source) = (image.name(card), image.name("card.img"));
    let mut arguments = vec!["--yes", "--device", &card];
    arguments.extend(more);
    arguments.push(&source);
    flash(&arguments)
}

fn files(card: &str) -> String {
    run("mdir", &["-b", "-i", &format!("{card}@@{BOOT_AT}"), "::"])
}

#[test]
fn all_cards_of_a_cluster_have_its_secret_and_nothing_shows_it() {
    let image = Image::new();
    let mut secrets = Vec::new();
    for (card, cluster) in [("a", "red"), ("b", "red"), ("c", "blue")] {
        let outcome = write(&image, card, &["--hostname", card, "--cluster", cluster]);
        assert!(outcome.success, "{}", outcome.stderr);
        assert!(
            !outcome.stdout.contains(LINE) && !outcome.stderr.contains(LINE),
            "{}{}",
            outcome.stdout,
            outcome.stderr
        );
        let toml = on_card(&image.name(card), "cluster-lab.toml");
        assert!(
            toml.contains(&format!("[cluster]\nname = \"{cluster}\"\n")),
            "{toml}"
        );
        secrets.push(on_card(&image.name(card), FILE));
    }
    assert!(secrets[0].starts_with(LINE) && secrets[0].ends_with('\n'));
    assert!(secrets[0] == secrets[1] && secrets[0] != secrets[2]);
    let shown = flash(&["secret", "show", "red"]);
    assert!(shown.stdout == secrets[0], "{}", shown.stderr);
}

#[test]
fn a_card_without_other_settings_gets_it_too() {
    let image = Image::new();
    assert!(write(&image, "plain", &[]).success);
    let own = on_card(&image.name("plain"), "cluster-lab.toml");
    assert_eq!(own, "version = 1\n", "its settings are the image's");
    let secret = on_card(&image.name("plain"), FILE);
    assert_eq!(
        secret,
        flash(&["secret", "show"]).stdout,
        "of the cluster of the default name"
    );
}

#[test]
fn an_open_lab_has_none() {
    let image = Image::new();
    let outcome = write(&image, "open", &["--open-lab", "--cluster", "open"]);
    assert!(outcome.success, "{}", outcome.stderr);
    let toml = on_card(&image.name("open"), "cluster-lab.toml");
    assert!(
        toml.contains("[cluster]\nname = \"open\"\nopen-lab = true\n"),
        "{toml}"
    );
    assert!(!files(&image.name("open")).contains(FILE));
    let shown = flash(&["secret", "show", "open"]);
    assert!(
        shown
            .error()
            .starts_with("flash: there is no secret of cluster open in "),
        "{}",
        shown.stderr
    );
}

#[test]
fn other_images_get_none() {
    let image = Image::with_files(&[("user-data", "#cloud-config\n")]);
    assert!(write(&image, "foreign", &["--hostname", "a"]).success);
    assert!(!files(&image.name("foreign")).contains(FILE));
    for option in [&["--open-lab"][..], &["--cluster", "x"]] {
        let outcome = write(&image, "foreign2", option);
        assert_eq!(
            outcome.error(),
            "flash: --cluster, --open-lab: this is no image of Cluster Lab, its boot partition has no cluster-lab.toml"
        );
    }
}

#[test]
fn an_image_whose_boot_partition_nobody_can_read_is_still_copied() {
    let mut image = Image::with_files(&[]);
    image.bytes[BOOT_AT..BOOT_AT + 512].fill(0xaa);
    std::fs::write(image.path("card.img"), &image.bytes).unwrap();
    assert!(write(&image, "copy", &[]).success);
    run("cmp", &[&image.name("copy"), &image.name("card.img")]);
    assert!(!write(&image, "asked", &["--cluster", "x"]).success);
}

#[test]
fn a_new_secret_is_made_only_when_asked_for() {
    let image = Image::new();
    assert!(write(&image, "before", &["--cluster", "turned"]).success);
    let refused = flash(&["secret", "rotate", "turned"]);
    assert_eq!(
        refused.error(),
        "flash: The present secret of cluster turned will be lost, and all of its cards must be flashed again; there is no terminal to ask at: add --yes if that is meant"
    );
    let rotated = flash(&["secret", "rotate", "turned", "--yes"]);
    assert!(
        rotated.stdout.contains("flash all of its cards again") && !rotated.stdout.contains(LINE),
        "{}{}",
        rotated.stdout,
        rotated.stderr
    );
    assert!(write(&image, "after", &["--cluster", "turned"]).success);
    let of = |card| on_card(&image.name(card), FILE);
    assert_ne!(of("before"), of("after"));
}

#[test]
fn behind_sudo_it_is_kept_by_and_for_who_called_sudo() {
    let image = Image::new();
    let home = tempfile::tempdir().unwrap();
    // A user that every system has.
    let (user, group) = (65_534, 65_534);
    chown(home.path(), Some(user), Some(group)).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_flash"))
        .args(["--device", &image.name("card"), &image.name("card.img")])
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .env("SUDO_UID", user.to_string())
        .output()
        .unwrap();
    assert!(
        status.status.success(),
        "{}",
        String::from_utf8_lossy(&status.stderr)
    );
    let folder = home.path().join("config/cluster-lab");
    for (path, mode) in [
        (folder.clone(), 0o700),
        (folder.join("cluster-lab.secret"), 0o600),
    ] {
        let found = path.metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (user, group), "{}", path.display());
        assert_eq!(found.permissions().mode() & 0o777, mode);
    }
    let card = std::fs::metadata(image.path("card")).unwrap();
    assert_eq!(card.uid(), 0, "the card itself is written as root");
}
