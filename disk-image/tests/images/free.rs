//! What is called free can be anything: file systems with junk there are sound and have all their files, as the
//! reference tools see it.

use disk_image::free::FreeMap;
use disk_image::mbr::{Mbr, Partition};

use crate::tools::run;

const STEP: usize = 64 * 1024;
const MIB: usize = 1024 * 1024;
const START: usize = MIB;

/// A disk with one partition, which a tool makes; the folder has a file to look for.
fn disk(kind: u8, length: usize, make: &dyn Fn(&str, &str)) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("large"), content()).unwrap();
    let part = folder.path().join("part");
    std::fs::write(&part, vec![0; length]).unwrap();
    make(part.to_str().unwrap(), files.to_str().unwrap());
    let mut disk = vec![0; START];
    disk[446 + 4] = kind;
    let sectors = |bytes: usize| u32::try_from(bytes / 512).unwrap().to_le_bytes();
    disk[446 + 8..446 + 12].copy_from_slice(&sectors(START));
    disk[446 + 12..446 + 16].copy_from_slice(&sectors(length));
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk.extend(std::fs::read(part).unwrap());
    disk
}

fn content() -> Vec<u8> {
    (0..3 * MIB + 1234)
        .map(|at| (at / 3 % 251 + 1).to_le_bytes()[0])
        .collect()
}

/// Fills what is free with junk; gives the partition as a file, and how many steps were free.
fn with_junk(mut disk: Vec<u8>) -> (tempfile::NamedTempFile, usize) {
    let sector: [u8; 512] = disk[..512].try_into().unwrap();
    let table = Mbr::parse(&sector, Some(disk.len() as u64)).unwrap();
    let mut map = FreeMap::new(&table);
    let mut count = 0;
    let length = disk.len();
    for block in (0..length).step_by(4 * MIB) {
        let end = (block + 4 * MIB).min(length);
        map.observe(block as u64, &disk[block..end]);
        for step in (block..end).step_by(STEP) {
            let until = (step + STEP).min(end);
            if map.is_free(step as u64, until as u64) {
                disk[step..until].fill(0xa5);
                count += 1;
            }
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &disk[START..]).unwrap();
    (file, count)
}

#[test]
fn ext4_of_every_shape() {
    for (options, length, least) in [
        // As image-builder and Debian make them.
        (&[][..], 64 * MIB, 600),
        (&["-O", "64bit,metadata_csum"], 64 * MIB, 600),
        (&["-O", "^64bit,^metadata_csum,^flex_bg"], 64 * MIB, 600),
        (&["-b", "1024"], 40 * MIB, 300),
        // Older and newer ones.
        (
            &["-O", "^64bit,uninit_bg,^metadata_csum", "-b", "1024"],
            64 * MIB,
            600,
        ),
        (&["-O", "^flex_bg", "-b", "1024"], 64 * MIB, 600),
        (&["-O", "sparse_super2", "-b", "1024"], 64 * MIB, 500),
        // Descriptors all over the place, which are not looked for.
        (&["-O", "meta_bg,^resize_inode", "-b", "1024"], 64 * MIB, 0),
        // Bits that are not blocks.
        (&["-O", "bigalloc"], 64 * MIB, 0),
    ] {
        let make = |part: &str, files: &str| {
            let fixed = [
                "-q",
                "-F",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0",
                "-d",
                files,
            ];
            run("mkfs.ext4", &[&fixed[..], options, &[part]].concat());
        };
        let (part, count) = with_junk(disk(0x83, length, &make));
        assert!(
            count >= least && (least > 0 || count == 0),
            "{options:?}: {count} free"
        );
        let name = part.path().to_str().unwrap();
        run("e2fsck", &["-f", "-n", name]);
        let copy = tempfile::tempdir().unwrap();
        let out = copy.path().join("large");
        run(
            "debugfs",
            &["-R", &format!("dump /large {}", out.display()), name],
        );
        assert!(std::fs::read(out).unwrap() == content(), "{options:?}");
    }
}

#[test]
fn fat_of_both_sizes() {
    for (bits, length, least) in [("16", 32 * MIB, 300), ("32", 40 * MIB, 300), ("12", 4 * MIB, 0)] {
        let make = |part: &str, files: &str| {
            run(
                "mkfs.vfat",
                &["-F", bits, "-s", if bits == "12" { "8" } else { "1" }, part],
            );
            run("mcopy", &["-i", part, &format!("{files}/large"), "::large"]);
        };
        let (part, count) = with_junk(disk(0xc, length, &make));
        assert!(
            count >= least && (least > 0 || count == 0),
            "{bits}: {count} free"
        );
        let name = part.path().to_str().unwrap();
        run("fsck.vfat", &["-n", name]);
        let copy = tempfile::tempdir().unwrap();
        let out = copy.path().join("large");
        run("mcopy", &["-i", name, "::large", out.to_str().unwrap()]);
        assert!(std::fs::read(out).unwrap() == content(), "{bits}");
    }
}

#[test]
fn nothing_is_free_that_is_not_sure() {
    let make = |part: &str, files: &str| {
        run("mkfs.ext4", &["-q", "-F", "-d", files, part]);
    };
    let whole = disk(0x83, 16 * MIB, &make);
    let superblock = START + 1024;
    for (what, at, value) in [
        (
            "a journal to be replayed",
            superblock + 96,
            whole[superblock + 96] | 0x4,
        ),
        ("an unknown feature", superblock + 98, 0x80),
        ("no superblock", superblock + 56, 0),
        ("blocks of 1 PiB", superblock + 24, 40),
        ("groups without blocks", superblock + 33, 0),
    ] {
        let mut damaged = whole.clone();
        damaged[at] = value;
        if what == "groups without blocks" {
            damaged[superblock + 32..superblock + 36].fill(0);
        }
        assert_eq!(with_junk(damaged).1, 0, "{what}");
    }
    // A group whose bitmap says something else than its descriptor.
    let mut other = whole.clone();
    other[START + 2048 + 0xc] ^= 1;
    let (less, all) = (with_junk(other).1, with_junk(whole).1);
    assert!(0 < less && less < all, "{less} of {all}");
    // Any first bytes at all.
    let mut state = 1_u32;
    for _ in 0..200 {
        let mut noise = vec![0; START + 8192];
        for byte in &mut noise[START..] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24).to_le_bytes()[0];
        }
        noise[superblock + 56..superblock + 58].copy_from_slice(&[0x53, 0xef]);
        noise[superblock + 96..superblock + 104].fill(0);
        let table = Partition {
            number: 1,
            kind: 0x83,
            start: START as u64,
            length: 64 * MIB as u64,
        };
        let mut map = FreeMap::new(&Mbr {
            signature: 0,
            partitions: vec![table],
        });
        map.observe(0, &noise);
        assert!(!map.is_free(START as u64, START as u64 + 4096));
    }
}
