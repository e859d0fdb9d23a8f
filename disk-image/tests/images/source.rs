//! Card images as zip and gzip pack them, whole, damaged and cut short.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use disk_image::mbr::Mbr;
use disk_image::source::{Source, SourceError};

use crate::tools::{MIB, run, run_with_input};

/// An image of 3 MiB that does not compress to nothing, with a partition table by sfdisk.
struct Image {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Image {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card.img");
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 28).to_le_bytes()[0]
        });
        let mut bytes: Vec<u8> = noise.take(usize::try_from(3 * MIB).unwrap()).collect();
        bytes[..512].fill(0);
        std::fs::write(&path, bytes).unwrap();
        let table = "label: dos\nlabel-id: 0x1a2b3c4d\nstart=2048, size=2048, type=c\n";
        run_with_input("sfdisk", &["-q", path.to_str().unwrap()], table);
        let bytes = std::fs::read(&path).unwrap();
        Self { folder, bytes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn zip(&self, options: &[&str], entries: &[&str]) -> PathBuf {
        let archive = self.path("card.img.zip");
        // zip would add to an archive that is there.
        let _ = std::fs::remove_file(&archive);
        let entries: Vec<String> = entries
            .iter()
            .map(|name| self.path(name).display().to_string())
            .collect();
        let mut arguments = vec!["-q", "-j"];
        arguments.extend(options);
        arguments.push(archive.to_str().unwrap());
        arguments.extend(entries.iter().map(String::as_str));
        run("zip", &arguments);
        archive
    }

    fn gzip(&self) -> PathBuf {
        run("gzip", &["-k", self.path("card.img").to_str().unwrap()]);
        self.path("card.img.gz")
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut source = Source::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    source
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[test]
fn every_packing_gives_the_same_bytes() {
    let image = Image::new();
    let gzip = image.gzip();
    let twice = image.path("two-members.gz");
    let (first, second) = image.bytes.split_at(1_000_000);
    let mut members = Vec::new();
    for part in [first, second] {
        let path = image.path("part");
        std::fs::write(&path, part).unwrap();
        run("gzip", &["-fk", path.to_str().unwrap()]);
        members.extend(std::fs::read(image.path("part.gz")).unwrap());
    }
    std::fs::write(&twice, members).unwrap();
    std::fs::write(image.path("notes.txt"), "x").unwrap();
    let length = Some(3 * MIB);
    for (path, expected) in [
        (image.path("card.img"), length),
        (image.zip(&[], &["notes.txt", "card.img"]), length),
        (image.zip(&["-0"], &["card.img"]), length),
        (gzip, None),
        (twice, None),
    ] {
        let source = Source::open(&path).unwrap();
        assert_eq!(source.length(), expected, "{path:?}");
        let mbr = Mbr::parse(source.first_sector(), source.length()).unwrap();
        assert_eq!(mbr.partuuid(1), "1a2b3c4d-01");
        assert!(read(&path).unwrap() == image.bytes, "{path:?}");
    }
}

#[test]
fn the_content_decides_not_the_name() {
    let image = Image::new();
    let odd = image.path("card.zip");
    std::fs::copy(image.gzip(), &odd).unwrap();
    assert!(read(&odd).unwrap() == image.bytes);
}

#[test]
fn cut_short_is_an_error_wherever_the_cut_is() {
    let image = Image::new();
    for packed in [image.zip(&[], &["card.img"]), image.gzip()] {
        let whole = std::fs::read(&packed).unwrap();
        let cut = image.path("cut");
        for length in [20, 600, whole.len() / 2, whole.len() - 1, whole.len() - 9] {
            std::fs::write(&cut, &whole[..length]).unwrap();
            let message = read(&cut).unwrap_err();
            assert!(
                message.contains("cut cannot be unpacked ("),
                "{packed:?} {length}: {message}"
            );
            assert!(
                message.ends_with("): it is damaged or cut short; download it again"),
                "{message}"
            );
        }
    }
}

#[test]
fn one_wrong_bit_is_an_error() {
    let image = Image::new();
    for packed in [
        image.zip(&[], &["card.img"]),
        image.zip(&["-0"], &["card.img"]),
        image.gzip(),
    ] {
        let mut bytes = std::fs::read(&packed).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let damaged = image.path("damaged");
        std::fs::write(&damaged, bytes).unwrap();
        let message = read(&damaged).unwrap_err();
        assert!(
            message.contains("damaged cannot be unpacked ("),
            "{packed:?}: {message}"
        );
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error() {
    struct Shrinks(Cursor<Vec<u8>>);
    impl Read for Shrinks {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }
    impl std::io::Seek for Shrinks {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            Ok(self.0.seek(to)? + u64::from(matches!(to, std::io::SeekFrom::End(_))))
        }
    }
    let mut source = Source::from_reader("x.img", Shrinks(Cursor::new(Image::new().bytes))).unwrap();
    let error = source.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "x.img cannot be unpacked (3145728 of 3145729 bytes): it is damaged or cut short; download it again"
    );
}

#[test]
fn what_is_no_card_image_is_refused_with_what_would_be_taken() {
    let image = Image::new();
    std::fs::write(image.path("b.img"), &image.bytes).unwrap();
    std::fs::write(image.path("._b.img"), "x").unwrap();
    std::fs::write(image.path("notes.txt"), "x").unwrap();
    std::fs::write(image.path("text.img"), "x".repeat(600)).unwrap();
    run("gzip", &["-k", image.path("text.img").to_str().unwrap()]);
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(image.path(name), bytes).unwrap();
        image.path(name)
    };
    let taken = "what is taken is a raw .img, or one packed as .zip or .gz";
    let no_table = format!("is not a card image: there is no partition table at its start; {taken}");
    let several = image.zip(&[], &["card.img", "b.img", "._b.img"]);
    let several = std::fs::read(several).unwrap();
    let encrypted = std::fs::read(image.zip(&["-P", "x"], &["card.img"])).unwrap();
    let bzip2 = std::fs::read(image.zip(&["-Z", "bzip2"], &["card.img"])).unwrap();
    let without = image.zip(&[], &["notes.txt"]);
    for (path, expected) in [
        (file("empty", b""), no_table.clone()),
        (file("short", b"x"), no_table.clone()),
        (image.path("text.img"), no_table.clone()),
        (image.path("text.img.gz"), no_table),
        (
            file("x.xz", b"\xfd7zXZ\0xx"),
            format!("is packed with xz, which is not read here: unpack it first; {taken}"),
        ),
        (
            file("x.zst", b"\x28\xb5\x2f\xfdxxxx"),
            "is packed with zstd, which".to_owned(),
        ),
        (
            file("x.bz2", b"BZh9xxxx"),
            "is packed with bzip2, which".to_owned(),
        ),
        (without, "there is no .img file in ".to_owned()),
        (
            file("several.zip", &several),
            "(card.img, b.img): unpack the one you want".to_owned(),
        ),
        (
            file("encrypted.zip", &encrypted),
            "encrypted: pack it anew".to_owned(),
        ),
        (
            file("bzip2.zip", &bzip2),
            "neither stored nor deflated".to_owned(),
        ),
        (image.path("absent.img"), "No such file".to_owned()),
        (image.path("."), "Is a directory".to_owned()),
    ] {
        let message = Source::open(&path).unwrap_err().to_string();
        assert!(message.contains(&expected), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    assert!(matches!(
        Source::open(&image.path("x.xz")),
        Err(SourceError::Format { format: "xz", .. })
    ));
}
