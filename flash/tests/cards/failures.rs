//! What goes wrong while a card is written: the card must not boot, and the exit code must say so.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::image::{Image, MIB};
use crate::system::{Loop, Mount};
use crate::tools::{flash, run};

const NO_TABLE: &str = "(it has no partition table now and does not boot): ";

/// Neither the kernel nor a Pi finds a partition.
fn check_no_table(card: &str) {
    let start = &std::fs::read(card).unwrap()[..512];
    assert!(
        start.iter().all(|&byte| byte == 0),
        "the card has a partition table"
    );
}

#[test]
fn a_damaged_or_cut_archive_leaves_a_card_that_does_not_boot() {
    let image = Image::new();
    for packed in [image.zip(), image.gzip()] {
        let whole = std::fs::read(&packed).unwrap();
        let mut damaged = whole.clone();
        let late = whole.len() - 100_000;
        damaged[late] ^= 4;
        for bytes in [damaged.as_slice(), &whole[..late]] {
            let source = image.file("bad", bytes);
            let card = image.used_card("used.img", 24 * MIB);
            let outcome = flash(&["--yes", "--device", &card, &source]);
            let error = outcome.error();
            assert!(error.contains("bad cannot be unpacked ("), "{error}");
            assert!(
                error.contains("it is damaged or cut short; download it again"),
                "{error}"
            );
            // A zip archive without its end is noticed before anything is written.
            if error.contains(" was not written to the end ") {
                assert!(error.contains(NO_TABLE), "{error}");
                check_no_table(&card);
            }
        }
    }
}

#[test]
fn a_new_file_is_removed_again() {
    let image = Image::new();
    let packed = std::fs::read(image.gzip()).unwrap();
    let source = image.file("cut.gz", &packed[..packed.len() - 100_000]);
    let card = image.name("new.img");
    let outcome = flash(&["--device", &card, &source]);
    assert!(
        outcome
            .error()
            .contains("was not written to the end (it was removed again): "),
        "{}",
        outcome.stderr
    );
    assert!(!image.path("new.img").exists());
}

#[test]
fn a_full_disk_behind_a_virtual_card() {
    let image = Image::new();
    let small = Mount::new("tmpfs", "size=6M", "none");
    let card = small.path().join("card.img");
    std::fs::write(&card, "").unwrap();
    std::fs::File::options()
        .write(true)
        .open(&card)
        .unwrap()
        .set_len(24 * MIB as u64)
        .unwrap();
    let card = card.to_str().unwrap();
    let outcome = flash(&["--yes", "--device", card, &image.name("card.img")]);
    let error = outcome.error();
    assert!(error.contains("no space left at byte "), "{error}");
    assert!(
        error.contains("of the card: use a larger card, or make room where its file is"),
        "{error}"
    );
    assert!(error.contains(NO_TABLE), "{error}");
    check_no_table(card);
}

#[test]
fn interrupted_in_the_middle() {
    let image = Image::new();
    let long = image.name("long.img");
    run("cp", &[&image.name("card.img"), &long]);
    run("truncate", &["-s", "1G", &long]);
    let file = image.used_card("used.img", 24 * MIB);
    run("truncate", &["-s", "1G", &file]);
    let device = Loop::new(&file);
    let mut child = Command::new(env!("CARGO_BIN_EXE_flash"))
        // Without a secret: the first line is then not that one was made.
        .args(["--yes", "--open-lab", "--device", &device.0, &long])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("writing: 10 % of 1.0 GB"));
    run("kill", &["-INT", &child.id().to_string()]);
    let last = lines.last().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(
        last.ends_with(&format!("{NO_TABLE}interrupted; then flash it again")),
        "{last}"
    );
    check_no_table(&device.0);
}
