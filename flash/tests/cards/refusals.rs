//! What is refused before a byte is written.

use crate::image::{Image, MIB};
use crate::system::{Loop, Mount};
use crate::tools::{flash, run, run_with_input};

/// Flashes a used card, which must stay as it is; gives the error.
fn refused(image: &Image, arguments: &[&str], source: &str) -> String {
    let card = image.used_card("used.img", 24 * MIB);
    let before = std::fs::read(&card).unwrap();
    let outcome = flash(&[arguments, &["--yes", "--device", &card, source]].concat());
    assert!(
        std::fs::read(&card).unwrap() == before,
        "the card was written to: {}",
        outcome.stderr
    );
    outcome.error().to_owned()
}

#[test]
fn settings_and_images_that_cannot_be() {
    let image = Image::new();
    let good = image.name("card.img");
    let plain = Image::with_files(&[]);
    let script = Image::with_files(&[("user-data", "#!/bin/sh\n")]);
    let no_table = image.file("no-table.img", &image.bytes[4 * MIB..]);
    let text = image.file("text.img", &[b'x'; 1024]);
    let cut = image.file("cut.img", &image.bytes[..15 * MIB]);
    let gpt = image.file("gpt.img", &[0; 8 * MIB]);
    run_with_input("sfdisk", &["-q", &gpt], "label: gpt\nsize=1024\n");
    let filled = Image::with_files(&[
        ("cluster-lab.toml", "version = 1\n"),
        ("fill", &"x".repeat(8_270_000)),
    ]);
    let key = image.file("many.pub", "ssh-ed25519 AAAA x\n".repeat(3000).as_bytes());
    let user = ["--user", "pi", "--ssh-key", &key];
    for (arguments, source, expected) in [
        (
            &["--hostname", "a_b"][..],
            &good,
            "flash: --hostname: 'a_b' is not a host name: 1 to 63 letters",
        ),
        (
            &["--hostname", "ä"],
            &good,
            "flash: --hostname: 'ä' is not a host name",
        ),
        (
            &["--user", "pi"],
            &good,
            "flash: --user pi alone could not log in: add --ssh-key",
        ),
        (
            &["--hostname", "a"],
            &plain.name("card.img"),
            "flash: --hostname: this image would not read it",
        ),
        (
            &["--hostname", "a"],
            &script.name("card.img"),
            "flash: user-data of the image: it does not start with",
        ),
        (
            &user,
            &plain.name("card.img"),
            "flash: --user: this image would not read it",
        ),
        (
            &user,
            &filled.name("card.img"),
            "flash: the boot partition is full: cluster-lab.toml needs 66",
        ),
        (&[], &no_table, "there is no partition table"),
        (
            &[],
            &text,
            "text.img is not a card image: there is no partition table at its start; what is taken is",
        ),
        (
            &[],
            &cut,
            "cut.img: partition 2 ends at byte 20971520 but there are only 15728640 bytes",
        ),
        (
            &[],
            &gpt,
            "gpt.img: the disk has a GPT partition table; only MBR tables",
        ),
        (
            &[],
            &image.name("absent.img"),
            "absent.img: No such file or directory",
        ),
        (
            &["--card-size", "1G"],
            &good,
            "--card-size is for a new file, and ",
        ),
    ] {
        let message = refused(&image, arguments, source);
        assert!(message.contains(expected), "{message}");
        assert!(message.starts_with("flash: "), "{message}");
    }
}

#[test]
fn a_card_that_is_too_small() {
    let image = Image::new();
    let card = image.file("small.img", &[0xaa; 19 * MIB]);
    for source in [image.zip(), image.gzip()] {
        let outcome = flash(&["--yes", "--device", &card, &source]);
        assert_eq!(
            outcome.error(),
            format!(
                "flash: the image needs 20.9 MB (20971520 bytes) and {card} (a file of 19.9 MB) holds 19922944 bytes: \
                 use a larger card"
            )
        );
    }
    assert!(std::fs::read(&card).unwrap() == [0xaa; 19 * MIB]);
    let new = image.name("new.img");
    let outcome = flash(&["--card-size", "1M", "--device", &new, &image.name("card.img")]);
    assert!(
        outcome.error().contains("holds 1048576 bytes"),
        "{}",
        outcome.stderr
    );
    assert!(!image.path("new.img").exists());
}

#[test]
fn nobody_is_there_to_ask() {
    let image = Image::new();
    let card = image.used_card("used.img", 24 * MIB);
    let outcome = flash(&["--device", &card, &image.name("card.img")]);
    assert_eq!(
        outcome.error(),
        format!(
            "flash: everything on {card} (a file of 25.1 MB) would be lost, and there is no terminal to ask at: \
             add --yes if that is meant"
        )
    );
    assert!(std::fs::read(&card).unwrap()[600] == 0xaa);
}

#[test]
fn what_is_no_card() {
    let image = Image::new();
    let good = image.name("card.img");
    let folder = image.folder.path().to_str().unwrap();
    for (device, expected) in [
        (
            "/dev/null",
            "/dev/null is neither a block device nor a file: cards are called like /dev/sdb",
        ),
        (folder, "is neither a block device nor a file"),
        ("/dev/sdzz", "there is no device /dev/sdzz: is the card inserted?"),
        (
            &good,
            "is the image itself: name the card with --device and the image last",
        ),
        ("/nowhere/card.img", "No such file or directory"),
    ] {
        let message = flash(&["--yes", "--device", device, &good]).error().to_owned();
        assert!(message.contains(expected), "{message}");
    }
    assert!(std::fs::read(&good).unwrap() == image.bytes);
}

#[test]
fn a_mounted_device_and_the_file_behind_it() {
    let image = Image::new();
    let file = image.file("card", &vec![0; 24 * MIB]);
    run("mkfs.ext4", &["-q", &file]);
    let device = Loop::new(&file);
    let outcome = flash(&["--yes", "--device", &file, &image.name("card.img")]);
    let expected = format!(
        "{file} is in use as {0}: detach it first (losetup -d {0})",
        device.0
    );
    assert!(outcome.error().contains(&expected), "{}", outcome.stderr);

    let mount = Mount::new("ext4", "rw", &device.0);
    let outcome = flash(&["--yes", "--device", &device.0, &image.name("card.img")]);
    let expected = format!(
        "is mounted at {0}; unmount it first (umount {0})",
        mount.path().display()
    );
    assert!(outcome.error().contains(&expected), "{}", outcome.stderr);
    drop(mount);

    let read_only = Loop(
        run("losetup", &["-r", "-f", "--show", &image.name("card.img")])
            .trim()
            .to_owned(),
    );
    let outcome = flash(&["--yes", "--device", &read_only.0, &image.name("card.img")]);
    assert!(
        outcome.error().contains(" is read-only: move the lock switch"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn the_disk_of_the_running_system() {
    let image = Image::new();
    let source = run("findmnt", &["-no", "SOURCE", "/"]);
    let source = source.trim().split('[').next().unwrap_or_default();
    let device = run("realpath", &["-e", source]);
    // Twice safe: if the check did not hold, there would be nobody to say yes.
    let outcome = flash(&["--device", device.trim(), &image.name("card.img")]);
    let expected = "holds the running system (";
    assert!(outcome.error().contains(expected), "{}", outcome.stderr);
}
