//! Several cards at once.

use crate::image::{Image, MIB, check_boot_partition, on_card};
use crate::system::{Loop, Mount};
use crate::tools::flash;

#[test]
fn each_card_gets_its_own_name() {
    let image = Image::new();
    let files = ["one", "two"].map(|name| image.used_card(name, 24 * MIB));
    let (first, second) = (Loop::new(&files[0]), Loop::new(&files[1]));
    let third = image.name("three.img");
    let source = image.zip();
    let devices = ["--device", &first.0, "--device", &second.0, "--device", &third];
    let outcome = flash(
        &[
            &["--yes", "--hostname", "cl-node-{1..3}"][..],
            &devices,
            &[&source],
        ]
        .concat(),
    );
    assert!(outcome.success, "{}", outcome.stderr);
    assert_eq!(outcome.stdout.lines().count(), 3);
    for (number, card) in [&first.0, &second.0, &third].iter().enumerate() {
        let name = format!("cl-node-{}", number + 1);
        assert!(
            outcome.stdout.contains(&format!("{name}: {card}")),
            "{}",
            outcome.stdout
        );
        let data = on_card(card, "user-data");
        assert!(data.ends_with(&format!("\nhostname: {name}\n")), "{data}");
        check_boot_partition(&std::fs::read(card).unwrap());
    }
    assert!(
        outcome
            .stderr
            .contains(&format!("{third}: writing: 100 % of 20.9 MB\n")),
        "{}",
        outcome.stderr
    );
}

#[test]
fn an_image_of_an_odd_length_is_written_to_the_last_byte() {
    let image = Image::new();
    let mut bytes = image.bytes.clone();
    bytes.extend([0x5a; 512]);
    let odd = image.file("odd.img", &bytes);
    for count in [1, 2] {
        let cards: Vec<_> = (0..count)
            .map(|number| image.used_card(&format!("odd-{count}-{number}"), 24 * MIB))
            .collect();
        let devices = cards.iter().flat_map(|card| ["--device", card]);
        let outcome = flash(
            &["--yes"]
                .into_iter()
                .chain(devices)
                .chain([&*odd])
                .collect::<Vec<_>>(),
        );
        assert!(outcome.success, "{}", outcome.stderr);
        for card in &cards {
            let written = std::fs::read(card).unwrap();
            assert!(written[20 * MIB..][..512] == [0x5a; 512]);
        }
    }
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let image = Image::with_files(&[]);
    let small = Mount::new("tmpfs", "size=6M", "none");
    let full = small.path().join("card.img");
    std::fs::File::create(&full)
        .unwrap()
        .set_len(24 * MIB as u64)
        .unwrap();
    let full = full.to_str().unwrap();
    let good = image.used_card("good.img", 24 * MIB);
    let outcome = flash(&["--yes", "--device", full, "--device", &good, &image.zip()]);
    assert!(!outcome.success);
    assert!(
        outcome.stdout.starts_with(&format!("{good} is ready: ")),
        "{}",
        outcome.stdout
    );
    let failure = format!("flash: {full} was not written to the end (it has no partition table now");
    assert!(outcome.stderr.contains(&failure), "{}", outcome.stderr);
    let last = format!("flash: 1 of 2 cards failed, see above: {full}; the others are ready\n");
    assert!(outcome.stderr.ends_with(&last), "{}", outcome.stderr);
    assert!(std::fs::read(&good).unwrap()[..image.bytes.len()] == image.bytes);
    assert!(std::fs::read(full).unwrap()[..512].iter().all(|&byte| byte == 0));
}

#[test]
fn names_and_cards_must_match() {
    let image = Image::new();
    let card = image.used_card("one", 24 * MIB);
    let source = image.name("card.img");
    let outcome = flash(&["--yes", "--device", &card, "--device", &card, &source]);
    assert!(
        outcome.error().contains(" is named twice: name each card once"),
        "{}",
        outcome.stderr
    );
    let outcome = flash(&["--yes", "--hostname", "n{1..2}", "--device", &card, &source]);
    assert!(
        outcome
            .error()
            .contains("stands for 2 names and there are 1 card"),
        "{}",
        outcome.stderr
    );
    assert!(std::fs::read(&card).unwrap()[600] == 0xaa);
}
