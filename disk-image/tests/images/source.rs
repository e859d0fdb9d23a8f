//! Card images as zip, gzip, xz, zstd and bzip2 pack them, whole, damaged and cut short.

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

    /// By a tool that leaves the original; its suffix is the tool's own.
    fn packed(&self, tool: &str, options: &[&str], suffix: &str) -> PathBuf {
        let name = self.path("card.img").display().to_string();
        run(tool, &[options, &["-k", "-q", "-f", &name]].concat());
        let packed = self.path(&format!("{}-{}", options.concat(), suffix));
        std::fs::rename(format!("{name}.{suffix}"), &packed).unwrap();
        packed
    }

    /// All ways of packing streams, with the length that they tell.
    fn streams(&self) -> Vec<(PathBuf, Option<u64>)> {
        let length = Some(3 * MIB);
        vec![
            (self.gzip(), None),
            (self.packed("bzip2", &[], "bz2"), None),
            (self.packed("xz", &["-0"], "xz"), length),
            (
                self.packed("xz", &["-0", "-T2", "--block-size=300000"], "xz"),
                length,
            ),
            (self.packed("xz", &["-0", "--check=none"], "xz"), length),
            (self.packed("zstd", &[], "zst"), length),
            (self.packed("zstd", &["--no-check"], "zst"), length),
            (self.packed("zstd", &["--no-content-size"], "zst"), None),
        ]
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
    ]
    .into_iter()
    .chain(Image::new().streams())
    {
        let source = Source::open(&path).unwrap();
        assert_eq!(source.length(), expected, "{path:?}");
        let mbr = Mbr::parse(source.first_sector(), source.length()).unwrap();
        assert_eq!(mbr.partuuid(1), "1a2b3c4d-01");
        assert!(read(&path).unwrap() == image.bytes, "{path:?}");
    }
}

#[test]
fn several_streams_in_one_file() {
    let image = Image::new();
    let (first, second) = image.bytes.split_at(1_000_000);
    for (tool, suffix, between, length) in [
        ("xz", "xz", &[0; 8][..], Some(3 * MIB)),
        ("xz", "xz", &[], Some(3 * MIB)),
        ("zstd", "zst", &[], Some(3 * MIB)),
        // A skippable frame.
        ("zstd", "zst", b"\x51\x2a\x4d\x18\x03\0\0\0abc", Some(3 * MIB)),
        ("bzip2", "bz2", &[], None),
    ] {
        let mut streams = Vec::new();
        for part in [first, second] {
            let path = image.path("part");
            std::fs::write(&path, part).unwrap();
            run(tool, &["-k", "-q", "-f", path.to_str().unwrap()]);
            streams.extend(std::fs::read(image.path(&format!("part.{suffix}"))).unwrap());
            streams.extend(between);
        }
        let path = image.path("streams");
        std::fs::write(&path, streams).unwrap();
        assert_eq!(Source::open(&path).unwrap().length(), length, "{tool}");
        assert!(read(&path).unwrap() == image.bytes, "{tool}");
    }
}

#[test]
fn what_would_take_all_memory_is_an_error() {
    let image = Image::new();
    let xz = image.packed("xz", &["--lzma2=preset=0,dict=768MiB"], "xz");
    // From a pipe, zstd cannot know that the whole image is smaller than the window that it asks for.
    let zstd = image.path("long.zst");
    let command = format!(
        "cat {} | zstd -1 -q --long=30 -o {}",
        image.path("card.img").display(),
        zstd.display()
    );
    run("sh", &["-c", &command]);
    for path in [xz, zstd] {
        let message = read(&path).map(|bytes| bytes.len()).unwrap_err();
        assert!(message.contains("memory"), "{message}");
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
    let streams = image.streams().into_iter().map(|(path, _)| path);
    for packed in streams.chain([image.zip(&[], &["card.img"])]) {
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
    // Without a check value a wrong bit may look like a right one.
    let streams = image.streams().into_iter().map(|(path, _)| path);
    let streams = streams.filter(|path| {
        !["-0--check=none-xz", "--no-check-zst"]
            .iter()
            .any(|name| path.ends_with(name))
    });
    let deflated = image.path("deflated.zip");
    std::fs::copy(image.zip(&[], &["card.img"]), &deflated).unwrap();
    for packed in streams.chain([deflated, image.zip(&["-0"], &["card.img"])]) {
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
    let taken = "what is taken is a raw .img, or one packed as .zip, .xz, .gz, .zst or .bz2";
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
            file("x.7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
            format!("is packed with 7-Zip, which is not read here: unpack it first; {taken}"),
        ),
        (
            file("x.xz", b"\xfd7zXZ\0xx"),
            "x.xz cannot be unpacked (its end is missing)".to_owned(),
        ),
        (
            file("x.zst", b"\x28\xb5\x2f\xfdxxxx"),
            "x.zst cannot be unpacked (its end is missing)".to_owned(),
        ),
        (
            file("x.bz2", b"BZh9xxxx"),
            "x.bz2 cannot be unpacked (".to_owned(),
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
        Source::open(&image.path("x.7z")),
        Err(SourceError::Format { format: "7-Zip", .. })
    ));
}
