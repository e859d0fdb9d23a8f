//! What counts of a file system is enough: written over a used card, it gives a whole file system.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;

use disk_image::mbr::Partition;
use disk_image::{ext4, fat};

use crate::fat_image::FatImage;
use crate::tools::{MIB, run};

/// Writes the ranges of `image` over a card that is full of other bytes, and gives the share that was written.
fn replay(image: &Path, card: &Path, ranges: &[Range<u64>]) -> f64 {
    let length = fs::metadata(image).unwrap().len();
    fs::write(card, vec![0xff; length.try_into().unwrap()]).unwrap();
    let mut source = File::open(image).unwrap();
    let mut target = File::options().write(true).open(card).unwrap();
    let mut written = 0;
    for range in ranges {
        let mut bytes = vec![0; (range.end - range.start).try_into().unwrap()];
        source.seek(SeekFrom::Start(range.start)).unwrap();
        source.read_exact(&mut bytes).unwrap();
        target.seek(SeekFrom::Start(range.start)).unwrap();
        target.write_all(&bytes).unwrap();
        written += range.end - range.start;
    }
    written as f64 / length as f64
}

#[test]
fn an_ext4_over_a_used_card_is_whole() {
    for (options, most) in [
        (
            &["-O", "^64bit,^metadata_csum,^orphan_file", "-b", "4096"][..],
            0.3,
        ),
        (&["-O", "64bit,metadata_csum", "-b", "4096"], 0.3),
        (&["-O", "^64bit,uninit_bg,^metadata_csum", "-b", "1024"], 0.3),
        (&["-O", "meta_bg,^resize_inode", "-b", "1024"], 0.3),
        (&["-O", "sparse_super2", "-b", "1024"], 0.3),
        (&["-O", "^flex_bg", "-b", "1024"], 0.3),
        (&["-O", "bigalloc"], 1.0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("tree/etc")).unwrap();
        fs::write(path("tree/etc/large"), vec![7; 3 << 20]).unwrap();
        fs::write(path("tree/etc/zeros"), vec![0; 1 << 20]).unwrap();
        let (image, tree) = (path("image"), path("tree"));
        File::create(&image).unwrap().set_len(65 * MIB).unwrap();
        let mut arguments = vec![
            "-q",
            "-F",
            "-t",
            "ext4",
            "-E",
            "offset=1048576,lazy_itable_init=1",
        ];
        arguments.extend(options);
        arguments.extend(["-d", tree.to_str().unwrap(), image.to_str().unwrap(), "64m"]);
        run("mke2fs", &arguments);
        let partition = Partition {
            number: 2,
            kind: 0x83,
            start: MIB,
            length: 64 * MIB,
        };
        let disk = File::options().read(true).write(true).open(&image).unwrap();
        let ranges = ext4::in_use(disk, &partition).unwrap();
        let share = replay(&image, &path("card"), &ranges);
        assert!(share <= most, "{options:?}: {share} of it would be written");
        let card = format!("{}?offset={MIB}", path("card").display());
        run("e2fsck", &["-fn", &card]);
        for name in ["large", "zeros"] {
            let dump = format!("dump /etc/{name} {}", path(name).display());
            run("debugfs", &["-R", &dump, &card]);
            let original = fs::read(tree.join("etc").join(name)).unwrap();
            assert!(fs::read(path(name)).unwrap() == original, "{options:?} {name}");
        }
    }
}

#[test]
fn a_fat_over_a_used_card_is_whole() {
    for (bits, length, options) in [
        (12, 8 * MIB, &["-s", "4"][..]),
        (16, 16 * MIB, &["-s", "2"]),
        (32, 40 * MIB, &["-s", "1"]),
    ] {
        let image = FatImage::new(bits, length, options);
        let file = image.folder.path().join("file");
        fs::write(&file, vec![9; 100_001]).unwrap();
        image.put(&file, "kernel.img");
        let ranges = fat::in_use(image.open(), &image.partition).unwrap();
        let card = image.folder.path().join("card");
        let share = replay(&image.path, &card, &ranges);
        assert!(share < 0.2, "FAT{bits}: {share} of it would be written");
        fs::copy(&card, &image.path).unwrap();
        image.check();
        run(
            "mcopy",
            &[
                "-n",
                "-i",
                &image.mtools_name(),
                "::kernel.img",
                card.to_str().unwrap(),
            ],
        );
        assert!(fs::read(&card).unwrap() == vec![9; 100_001], "FAT{bits}");
    }
}

#[test]
fn what_is_no_file_system_has_no_map() {
    let image = FatImage::new(16, 16 * MIB, &[]);
    let disk = image.open();
    let message = ext4::in_use(disk, &image.partition).unwrap_err().to_string();
    assert!(
        message.starts_with("partition 1 holds no usable ext4 file system"),
        "{message}"
    );
    fs::write(&image.path, vec![0; 20 << 20]).unwrap();
    let message = fat::in_use(image.open(), &image.partition)
        .unwrap_err()
        .to_string();
    assert!(message.contains("its boot sector makes no sense"), "{message}");
}
