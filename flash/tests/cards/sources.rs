//! Images in every packing, from files and from standard input, and signed.

use crate::image::{Image, MIB};
use crate::tools::{flash, flash_with, run, run_with_input};

#[test]
fn every_packing_makes_the_same_card() {
    let image = Image::with_files(&[]);
    for (tool, options, suffix) in [
        ("xz", &["-0", "-T2", "--block-size=1MiB"][..], "xz"),
        ("zstd", &["-q"], "zst"),
        ("bzip2", &[], "bz2"),
    ] {
        let name = image.name("card.img");
        run(tool, &[options, &["-k", "-f", &name]].concat());
        // The content decides.
        let odd = image.name("odd.zip");
        std::fs::rename(format!("{name}.{suffix}"), &odd).unwrap();
        let card = image.name(&format!("{suffix}.card"));
        let outcome = flash(&["--device", &card, &odd]);
        assert!(outcome.success, "{}", outcome.stderr);
        run("cmp", &[&card, &name]);
    }
}

#[test]
fn from_standard_input() {
    let image = Image::with_files(&[]);
    let cache = image.name("cache");
    let environment = [("XDG_CACHE_HOME", cache.as_str())];
    let packed = std::fs::read(image.zip()).unwrap();
    let card = image.name("new.img");
    let outcome = flash_with(&environment, &["--device", &card, "-"], &packed);
    assert!(outcome.success, "{}", outcome.stderr);
    run("cmp", &[&card, &image.name("card.img")]);
    // A pipe that broke.
    let used = image.used_card("used.img", 24 * MIB);
    let outcome = flash_with(
        &environment,
        &["--yes", "--device", &used, "-"],
        &packed[..packed.len() / 2],
    );
    assert!(
        outcome.error().contains("standard input cannot be unpacked ("),
        "{}",
        outcome.stderr
    );
    assert!(std::fs::read(&used).unwrap()[600] == 0xaa);
    let command = format!(
        "{} --device {} - <{}",
        env!("CARGO_BIN_EXE_flash"),
        image.name("redirected.img"),
        image.zip()
    );
    run("sh", &["-c", &command]);
    run("cmp", &[&image.name("redirected.img"), &image.name("card.img")]);
    // Nothing is left behind.
    assert_eq!(
        std::fs::read_dir(image.path("cache/cluster-lab/images"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn signed_images_and_others() {
    let image = Image::with_files(&[]);
    let source = image.zip();
    let (public, secret, other) = (image.name("key.pub"), image.name("key"), image.name("other.pub"));
    run(
        "minisign",
        &["-G", "-W", "-p", &other, "-s", &image.name("other")],
    );
    run("minisign", &["-G", "-W", "-p", &public, "-s", &secret]);
    let card = image.used_card("used.img", 24 * MIB);
    let flash = |key: &str| flash(&["--yes", "--minisign-key", key, "--device", &card, &source]);
    let outcome = flash(&public);
    assert!(
        outcome.error().contains("reading its signature"),
        "{}",
        outcome.stderr
    );
    run_with_input("minisign", &["-S", "-s", &secret, "-m", &source], "\n");
    let outcome = flash(&other);
    assert!(
        outcome
            .error()
            .contains("is not signed with the key of --minisign-key ("),
        "{}",
        outcome.stderr
    );
    let outcome = flash("nonsense");
    assert!(
        outcome.error().contains("not a minisign public key"),
        "{}",
        outcome.stderr
    );
    assert!(std::fs::read(&card).unwrap()[600] == 0xaa);
    let key = std::fs::read_to_string(&public).unwrap();
    assert!(flash(key.lines().nth(1).unwrap()).success);
    let mut bytes = std::fs::read(&source).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&source, bytes).unwrap();
    assert!(flash(&public).error().contains("is not signed"));
}
