//! The boot partition against the reference tools: mkfs.vfat makes it, mtools reads it back, fsck.vfat judges it.

use disk_image::fat::{BootPartition, Entry};
use disk_image::timestamp::Timestamp;

use crate::fat_image::{FatImage, OFFSET};
use crate::tools::{MIB, run};

/// 2023-11-14 22:13:20 UTC.
const AT: u64 = 1_700_000_000;

fn both_kinds() -> [FatImage; 2] {
    [
        FatImage::new(16, 32 * MIB, &[]),
        // One sector a cluster: the smallest FAT32 there is, at 34 MiB.
        FatImage::new(32, 40 * MIB, &["-s", "1"]),
    ]
}

#[test]
fn what_is_written_is_read_by_others() {
    for image in both_kinds() {
        let mut file = image.open();
        let boot = BootPartition::open(&mut file, &image.partition).unwrap();
        let long = vec![b'x'; 100_000];
        boot.write("cluster-lab.toml", b"version = 1\n", Timestamp::from_epoch(AT))
            .unwrap();
        boot.write("long", &long, Timestamp::from_epoch(AT)).unwrap();
        boot.write("long", b"short", Timestamp::from_epoch(AT + 60))
            .unwrap();
        boot.write("KERNEL7.IMG", &long, Timestamp::from_epoch(AT))
            .unwrap();
        boot.write("empty", b"", Timestamp::from_epoch(AT)).unwrap();
        boot.close().unwrap();

        let fat = image.mtools_name();
        assert_eq!(run("mtype", &["-i", &fat, "::cluster-lab.toml"]), "version = 1\n");
        assert_eq!(run("mtype", &["-i", &fat, "::long"]), "short");
        assert_eq!(run("mtype", &["-i", &fat, "::kernel7.img"]).len(), 100_000);
        let listing = run("mdir", &["-i", &fat, "::"]);
        assert!(
            listing.contains("2023-11-14  22:13  cluster-lab.toml"),
            "{listing}"
        );
        assert!(listing.contains("2023-11-14  22:14"), "{listing}");
        image.check();
    }
}

#[test]
fn what_others_wrote_is_read_whatever_the_case() {
    for image in both_kinds() {
        let source = image.folder.path().join("user-data");
        std::fs::write(&source, "#cloud-config\n").unwrap();
        image.put(&source, "user-data");
        image.put(&source, "CONFIG.TXT");
        run("mmd", &["-i", &image.mtools_name(), "::overlays"]);

        let mut file = image.open();
        let boot = BootPartition::open(&mut file, &image.partition).unwrap();
        for name in ["user-data", "USER-DATA", "config.txt"] {
            assert_eq!(boot.read(name).unwrap().unwrap(), b"#cloud-config\n", "{name}");
        }
        assert_eq!(boot.read("absent").unwrap(), None);
        let folder = Entry {
            name: "overlays".to_owned(),
            length: 0,
            is_folder: true,
        };
        assert!(boot.list().unwrap().contains(&folder));

        assert!(boot.remove("User-Data").unwrap());
        assert!(!boot.remove("user-data").unwrap());
        boot.write("config.txt", b"new", Timestamp::from_epoch(AT))
            .unwrap();
        boot.close().unwrap();
        let listing = run("mdir", &["-b", "-i", &image.mtools_name(), "::"]);
        assert!(!listing.contains("user-data"), "{listing}");
        assert_eq!(run("mtype", &["-i", &image.mtools_name(), "::CONFIG.TXT"]), "new");
        image.check();
    }
}

#[test]
fn a_full_partition_keeps_the_old_file() {
    for image in both_kinds() {
        let mut file = image.open();
        let boot = BootPartition::open(&mut file, &image.partition).unwrap();
        boot.write("kept", b"old", Timestamp::from_epoch(AT)).unwrap();
        let much = vec![1; 45 << 20];
        for name in ["kept", "new"] {
            let message = boot
                .write(name, &much, Timestamp::from_epoch(AT))
                .unwrap_err()
                .to_string();
            let expected = format!("the boot partition is full: {name} needs 47185920 bytes and ");
            assert!(message.starts_with(&expected), "{message}");
        }
        assert_eq!(boot.read("kept").unwrap().unwrap(), b"old");
        assert_eq!(boot.read("new").unwrap(), None);
        boot.close().unwrap();
        image.check();
    }
}

#[test]
fn a_wrong_count_of_free_clusters_does_not_cost_the_old_file() {
    let image = FatImage::new(32, 40 * MIB, &["-s", "1"]);
    let mut bytes = std::fs::read(&image.path).unwrap();
    // FSInfo is sector 1; its count of free clusters is at 488.
    let count = usize::try_from(OFFSET).unwrap() + 512 + 488;
    bytes[count..count + 4].copy_from_slice(&80_000_u32.to_le_bytes());
    std::fs::write(&image.path, &bytes).unwrap();
    let fill = image.folder.path().join("fill");
    std::fs::write(&fill, vec![1; 39 << 20]).unwrap();
    image.put(&fill, "fill");
    let mut bytes = std::fs::read(&image.path).unwrap();
    bytes[count..count + 4].copy_from_slice(&70_000_u32.to_le_bytes());
    std::fs::write(&image.path, &bytes).unwrap();

    let mut file = image.open();
    let boot = BootPartition::open(&mut file, &image.partition).unwrap();
    boot.write("kept", b"old", Timestamp::from_epoch(AT)).unwrap();
    let message = boot
        .write("kept", &vec![1; 2 << 20], Timestamp::from_epoch(AT))
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("writing kept on the boot partition: "),
        "{message}"
    );
    assert_eq!(boot.read("kept").unwrap().unwrap(), b"old");
}

#[test]
fn names_that_cannot_be_files_are_refused() {
    let image = FatImage::new(16, 32 * MIB, &[]);
    run("mmd", &["-i", &image.mtools_name(), "::overlays"]);
    let mut file = image.open();
    let boot = BootPartition::open(&mut file, &image.partition).unwrap();
    for name in ["overlays", "overlays/x", "a:b", "", &"x".repeat(300)] {
        let message = boot
            .write(name, b"x", Timestamp::from_epoch(AT))
            .unwrap_err()
            .to_string();
        let expected = format!("'{name}' cannot be a file of the boot partition");
        assert!(message.starts_with(&expected), "{message}");
    }
    for message in [
        boot.read("overlays").unwrap_err(),
        boot.remove("overlays").unwrap_err(),
    ] {
        assert!(
            message.to_string().starts_with("'overlays' cannot be a file"),
            "{message}"
        );
    }
}

#[test]
fn what_is_not_fat_is_said_to_be_so() {
    let image = FatImage::new(16, 32 * MIB, &[]);
    let mut bytes = std::fs::read(&image.path).unwrap();
    bytes[usize::try_from(OFFSET).unwrap()..].fill(0);
    std::fs::write(&image.path, bytes).unwrap();
    let Err(error) = BootPartition::open(image.open(), &image.partition) else {
        panic!("zeros are a file system");
    };
    let message = error.to_string();
    assert!(
        message.starts_with("partition 1 holds no usable FAT file system ("),
        "{message}"
    );
}
