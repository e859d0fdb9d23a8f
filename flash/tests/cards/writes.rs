//! Cards that become good ones.

use std::os::unix::fs::MetadataExt;

use crate::image::{BOOT_AT, Image, MIB, ROOT_AT, check_boot_partition, on_card};
use crate::system::Loop;
use crate::tools::{flash, run, run_with_input};

/// A password whose characters have led other tools astray.
const PASSWORD: &str = "pä'ss\"w&o/r$d \\ `x` $(y)";

fn settings(image: &Image) -> Vec<String> {
    let key = image.file("id.pub", "ssh-ed25519 AAAA Jürgen's \"key\"\n".as_bytes());
    let password = image.file("password", format!("{PASSWORD}\n").as_bytes());
    [
        "--hostname",
        "CL-node-1",
        "--user",
        "pi",
        "--ssh-key",
        &key,
        "--user-password-file",
        &password,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Everything but the boot partition is the image's, and the settings are where they are looked for.
fn check_card(image: &Image, card: &str) {
    let bytes = std::fs::read(card).unwrap();
    assert!(bytes[..BOOT_AT] == image.bytes[..BOOT_AT], "partition table");
    assert!(
        bytes[ROOT_AT..image.bytes.len()] == image.bytes[ROOT_AT..],
        "root partition"
    );
    check_boot_partition(&bytes);
    assert_eq!(
        on_card(card, "user-data"),
        "#cloud-config\n# käptn's \"own\"\nhostname: cl-node-1\n"
    );
    let toml = on_card(card, "cluster-lab.toml");
    assert!(
        toml.contains("\nversion = 1\nhostname = \"cl-node-1\"\n\n[user]\nname = \"pi\"\n"),
        "{toml}"
    );
    assert!(
        toml.contains("Jürgen's \\\"key\\\"") || toml.contains("Jürgen's \"key\""),
        "{toml}"
    );
    let hash = toml.split('"').find(|word| word.starts_with("$6$")).unwrap();
    let salt = hash.split('$').nth(2).unwrap();
    let expected = run_with_input("openssl", &["passwd", "-6", "-salt", salt, "-stdin"], PASSWORD);
    assert_eq!(hash, expected.trim());
}

#[test]
fn a_new_virtual_card_is_sparse_and_has_the_settings() {
    let image = Image::new();
    let card = image.name("new.img");
    let settings = settings(&image);
    let mut arguments: Vec<&str> = settings.iter().map(String::as_str).collect();
    let source = image.zip();
    arguments.extend(["--card-size", "64M", "--device", &card, &source]);
    let outcome = flash(&arguments);
    assert!(outcome.success, "{}", outcome.stderr);
    let expected = format!("cl-node-1: {card} (a new file) is ready: 20.9 MB written and read back in ");
    assert!(outcome.stdout.starts_with(&expected), "{}", outcome.stdout);
    assert!(
        outcome.stderr.contains("writing: 100 % of 20.9 MB\n"),
        "{}",
        outcome.stderr
    );
    check_card(&image, &card);
    let meta = std::fs::metadata(&card).unwrap();
    assert_eq!(meta.len(), 64 * MIB as u64);
    assert!(meta.blocks() * 512 < 12 * MIB as u64, "{} blocks", meta.blocks());
}

#[test]
fn a_used_virtual_card_keeps_its_size_and_nothing_else() {
    let image = Image::new();
    let card = image.used_card("used.img", 30 * MIB);
    let settings = settings(&image);
    let mut arguments: Vec<&str> = settings.iter().map(String::as_str).collect();
    let source = image.gzip();
    arguments.extend(["--yes", "--device", &card, &source]);
    let outcome = flash(&arguments);
    assert!(outcome.success, "{}", outcome.stderr);
    check_card(&image, &card);
    let bytes = std::fs::read(&card).unwrap();
    assert_eq!(bytes.len(), 30 * MIB);
    assert!(
        bytes[image.bytes.len()..].iter().all(|&byte| byte == 0),
        "beyond the image"
    );
}

#[test]
fn without_settings_the_card_is_the_image() {
    let image = Image::with_files(&[]);
    for (number, source) in [image.name("card.img"), image.zip(), image.gzip()]
        .iter()
        .enumerate()
    {
        let card = image.name(&format!("{number}.card"));
        let outcome = flash(&["--device", &card, source]);
        assert!(outcome.success, "{}", outcome.stderr);
        run("cmp", &[&card, &image.name("card.img")]);
    }
}

#[test]
fn a_block_device_is_overwritten_also_where_the_image_is_zero() {
    let image = Image::new();
    let file = image.used_card("used.img", 24 * MIB);
    let device = Loop::new(&file);
    let settings = settings(&image);
    let mut arguments: Vec<&str> = settings.iter().map(String::as_str).collect();
    let source = image.zip();
    arguments.extend(["--yes", "--device", &device.0, &source]);
    let outcome = flash(&arguments);
    assert!(outcome.success, "{}", outcome.stderr);
    run("sync", &[&file]);
    check_card(&image, &file);
    let bytes = std::fs::read(&file).unwrap();
    assert!(
        bytes[image.bytes.len()..].iter().all(|&byte| byte == 0xaa),
        "beyond the image"
    );
}

#[test]
fn at_a_terminal_it_asks_and_takes_only_yes() {
    let image = Image::new();
    for (answer, written) in [("y\n", false), ("\n", false), ("yes\n", true)] {
        let card = image.used_card("used.img", 24 * MIB);
        let before = std::fs::read(&card).unwrap();
        let command = format!(
            "{} --device {card} {}",
            env!("CARGO_BIN_EXE_flash"),
            image.name("card.img")
        );
        let said = run_with_input("script", &["-qc", &command, "/dev/null"], answer);
        // The terminal shows the answer when it comes, which may be in the middle of the question.
        let said = said.replacen(&answer.replace('\n', "\r\n"), "", 1);
        assert!(
            said.contains(&format!("Everything on {card} (a file of 25.1 MB) will be lost.")),
            "{said}"
        );
        assert_eq!(said.contains("is ready"), written, "{said}");
        assert_eq!(said.contains("flash: nothing was written"), !written, "{said}");
        assert_eq!(std::fs::read(&card).unwrap() != before, written);
    }
}

#[test]
fn the_help_shows_how() {
    let outcome = flash(&["--help"]);
    assert!(outcome.success);
    for words in [
        "--hostname cl-node-1",
        "--device /dev/sdb cluster-lab.img.zip",
        "--user-password-file",
        "--card-size 4G",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
}

#[test]
fn what_the_file_systems_call_free_is_left_out_and_the_rest_is_sound() {
    let image = Image::with_files(&[]);
    let root = image.file("root", &vec![0; 8 * MIB]);
    let files = image.path("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("large"), vec![7; MIB]).unwrap();
    run("mkfs.ext4", &["-q", "-F", "-d", files.to_str().unwrap(), &root]);
    let mut bytes = image.bytes.clone();
    bytes[ROOT_AT..].copy_from_slice(&std::fs::read(&root).unwrap());
    let source = image.file("with-ext4.img", &bytes);
    let on_root = |card: &str| {
        let card = std::fs::read(card).unwrap();
        image.file("root-of-card", &card[ROOT_AT..bytes.len()]);
        run("e2fsck", &["-f", "-n", &image.name("root-of-card")]);
        card[ROOT_AT..bytes.len()]
            .iter()
            .filter(|&&byte| byte == 0xaa)
            .count()
    };
    let file = image.used_card("used.img", 24 * MIB);
    let device = Loop::new(&file);
    let outcome = flash(&["--yes", "--device", &device.0, &source]);
    assert!(outcome.success, "{}", outcome.stderr);
    assert!(on_root(&device.0) > 3 * MIB, "free blocks were written");
    let verified = flash(&["verify", "--device", &device.0, &source]);
    assert!(verified.success, "{}", verified.stderr);
    let outcome = flash(&["--yes", "--whole", "--device", &device.0, &source]);
    assert!(outcome.success, "{}", outcome.stderr);
    run("cmp", &["-n", &bytes.len().to_string(), &device.0, &source]);
}
