//! Which devices `flash` takes for cards.

use crate::image::{Image, MIB};
use crate::system::Loop;
use crate::tools::{flash, run};

#[test]
fn a_card_is_listed_with_its_partitions() {
    let image = Image::new();
    let device = Loop::new(&image.name("card.img"));
    for arguments in [&["list"][..], &["--list"]] {
        let outcome = flash(arguments);
        assert!(outcome.success, "{}", outcome.stderr);
        let expected = format!(
            "{}  20.9 MB  loop\n    1: FAT \"BOOT\", 8.3 MB\n    2: unknown, 8.3 MB\n",
            device.0
        );
        assert!(outcome.stdout.contains(&expected), "{}", outcome.stdout);
        assert!(
            outcome.stdout.contains("holds the running system ("),
            "{}",
            outcome.stdout
        );
    }
    let outcome = flash(&["list", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let card = list
        .as_array()
        .unwrap()
        .iter()
        .find(|card| card["device"] == device.0.as_str())
        .unwrap();
    assert_eq!(
        (&card["partitions"][0]["label"], &card["size"]),
        (&"BOOT".into(), &(20 * MIB).into())
    );
    assert!(card["refused"].is_null());
}

#[test]
fn what_may_be_somebodys_data_is_refused() {
    let image = Image::new();
    let source = image.name("card.img");
    // What blkid takes for LUKS: its mark, the version, and a cipher.
    let mut bytes = vec![0; 24 * MIB];
    bytes[..8].copy_from_slice(b"LUKS\xba\xbe\0\x01");
    let luks = image.file("luks", &bytes);
    assert!(run("blkid", &["-p", "-o", "export", &luks]).contains("TYPE=crypto_LUKS"));
    let device = Loop::new(&luks);
    let outcome = flash(&["--yes", "--device", &device.0, &source]);
    let expected = format!("flash: {} has data of LUKS encryption on ", device.0);
    assert!(outcome.error().starts_with(&expected), "{}", outcome.stderr);
    assert!(
        outcome.error().contains("erase that first (wipefs --all /dev/"),
        "{}",
        outcome.stderr
    );
    run("wipefs", &["--all", "-q", &device.0]);
    let outcome = flash(&["--yes", "--device", &device.0, &source]);
    assert!(outcome.success, "{}", outcome.stderr);

    let large = image.file("large", b"");
    run("truncate", &["-s", "300G", &large]);
    let device = Loop::new(&large);
    let outcome = flash(&["--yes", "--device", &device.0, &source]);
    assert_eq!(
        outcome.error(),
        format!(
            "flash: {} holds 322.1 GB, more than the 274.8 GB that is taken for a card; if it is the right one, add \
             --max-size 300G",
            device.0
        )
    );
    let outcome = flash(&["--yes", "--max-size", "300G", "--device", &device.0, &source]);
    assert!(outcome.success, "{}", outcome.stderr);
}
