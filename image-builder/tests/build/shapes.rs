//! Bases of all shapes that there are, and of shapes that only somebody hostile makes.

use std::fs;

use image_builder::{inspect, verify};

use super::fixture::{Fixture, Shape, run};

#[test]
fn bases_of_every_age_are_taken() {
    let jessie = "^64bit,^metadata_csum";
    for (name, fat_bits, merged, features, block) in [
        ("jessie", 16, false, jessie, "1024"),
        ("stretch", 32, false, "64bit,^metadata_csum", "4096"),
        ("buster", 32, false, "64bit,metadata_csum", "4096"),
        ("bookworm", 32, true, "64bit,metadata_csum", "4096"),
        (
            "trixie",
            16,
            true,
            "metadata_csum,metadata_csum_seed,orphan_file",
            "4096",
        ),
    ] {
        let shape = Shape {
            fat_bits,
            merged,
            mke2fs: vec!["-O", features, "-b", block],
        };
        let fixture = Fixture::shaped(&shape);
        fixture.build().unwrap();
        let image = fixture.outputs().image;
        let root = format!("{}?offset={}", image.display(), shape.root_start());
        run("e2fsck", &["-fn", &root]);
        let unit = if merged { "/usr/lib" } else { "/lib" };
        let unit = run(
            "debugfs",
            &["-R", &format!("stat {unit}/systemd/system/lab.service"), &root],
        );
        assert!(unit.contains("Type: regular"), "{name}: {unit}");
        verify::run(&image, &fixture.outputs().manifest()).unwrap();
        let report = inspect::run(&image).unwrap().to_string();
        assert!(report.contains(&format!(": FAT{fat_bits}\n")), "{name}: {report}");
        assert!(report.contains("agent: "), "{name}: {report}");
    }
}

/// Type, first sector and number of sectors of both partitions.
type Table = [(u8, u32, u32); 2];

#[test]
fn hostile_partition_tables_are_refused() {
    let tables: [(Table, &str); 7] = [
        (
            [(0x0c, 8192, 16384), (0x83, 20000, 49152)],
            "partitions 1 and 2 overlap",
        ),
        (
            [(0x0c, 8192, 16384), (0x83, 24576, u32::MAX)],
            "partition 2 ends at byte ",
        ),
        (
            [(0x0c, u32::MAX, u32::MAX), (0x83, 24576, 49152)],
            "partition 1 ends at byte ",
        ),
        (
            [(0x0c, 0, 16384), (0x83, 24576, 49152)],
            "partition 1 starts at the partition table",
        ),
        (
            [(0x0c, 8192, 0), (0x83, 24576, 49152)],
            "partition 1 has a length of zero",
        ),
        (
            [(0x83, 8192, 16384), (0x83, 24576, 49152)],
            "it has no FAT boot partition",
        ),
        (
            [(0x0c, 8192, 16384), (0x82, 24576, 49152)],
            "it has no Linux partition",
        ),
    ];
    for (table, expected) in tables {
        let fixture = Fixture::new();
        fixture.change_base(|bytes| {
            for (number, (kind, start, length)) in table.iter().enumerate() {
                let entry = &mut bytes[0x1be + 16 * number..][..16];
                entry[4] = *kind;
                entry[8..12].copy_from_slice(&start.to_le_bytes());
                entry[12..16].copy_from_slice(&length.to_le_bytes());
            }
        });
        let message = format!("{:#}", fixture.build().unwrap_err());
        assert!(message.contains(expected), "{message:?}, not {expected:?}");
        assert!(
            !message.contains('\n') && fixture.names_in_out().is_empty(),
            "{message}"
        );
    }
}

#[test]
fn archives_that_are_cut_short_are_refused() {
    for (tool, suffix) in [("xz", "xz"), ("gzip", "gz"), ("zstd", "zst"), ("bzip2", "bz2")] {
        let fixture = Fixture::new();
        let base = fixture.text("base.img");
        let fast = if tool == "zstd" { "-q" } else { "-1" };
        run(tool, &[fast, &base]);
        let packed = fs::read(format!("{base}.{suffix}")).unwrap();
        fs::write(&base, &packed[..packed.len() * 2 / 3]).unwrap();
        let message = format!("{:#}", fixture.build().unwrap_err());
        assert!(
            message.contains("it is damaged or cut short; download it again"),
            "{tool}: {message}"
        );
        assert!(fixture.names_in_out().is_empty(), "{tool}");
    }
}
