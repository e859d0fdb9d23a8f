//! `flash verify` of cards that were written earlier.

use std::os::unix::fs::FileExt;

use crate::image::{BOOT_AT, Image, MIB, ROOT_AT};
use crate::system::Loop;
use crate::tools::{flash, run};

#[test]
fn a_card_is_compared_and_its_settings_are_named() {
    let image = Image::new();
    let file = image.used_card("used.img", 24 * MIB);
    let device = Loop::new(&file);
    let source = image.zip();
    let outcome = flash(&["--yes", "--hostname", "n1", "--device", &device.0, &source]);
    assert!(outcome.success, "{}", outcome.stderr);
    let outcome = flash(&["verify", "--device", &device.0, &source]);
    assert_eq!(
        outcome.stdout,
        format!(
            "{} holds {source}: 20.9 MB compared, but for its settings in cluster-lab.secret, cluster-lab.toml, user-data\n",
            device.0
        ),
        "{}",
        outcome.stderr
    );
    let outcome = flash(&["verify", "--device", &image.name("card.img"), &source]);
    assert!(
        outcome.stdout.ends_with("20.9 MB compared\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_card_that_is_not_the_image_any_more() {
    let image = Image::with_files(&[("kernel.img", "kernel"), ("user-data", "#cloud-config\n")]);
    let source = image.name("card.img");
    for (at, expected) in [
        (100, "it differs from the image at byte 100: flash it again"),
        (
            ROOT_AT + 5,
            "it differs from the image at byte 12582917: flash it again",
        ),
        (BOOT_AT + 3, ""),
    ] {
        let card = image.file("card", &image.bytes);
        let file = std::fs::File::options().write(true).open(&card).unwrap();
        file.write_all_at(&[image.bytes[at] ^ 1], at as u64).unwrap();
        let outcome = flash(&["verify", "--device", &card, &source]);
        assert_eq!(outcome.success, expected.is_empty(), "{at}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
    let card = image.file("card", &image.bytes);
    let other = image.file("other", b"Kernel");
    let boot = format!("{card}@@{BOOT_AT}");
    run("mcopy", &["-o", "-i", &boot, &other, "::kernel.img"]);
    let outcome = flash(&["verify", "--device", &card, &source]);
    assert_eq!(
        outcome.error(),
        format!("flash: {card}: kernel.img on its boot partition is not that of the image: flash it again")
    );
    let short = image.file("short", &image.bytes[..15 * MIB]);
    let outcome = flash(&["verify", "--device", &short, &source]);
    assert!(
        outcome.error().contains("reading at byte 12582912 of the card"),
        "{}",
        outcome.stderr
    );
}
