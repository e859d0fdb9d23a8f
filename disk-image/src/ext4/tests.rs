//! On real file systems, made by mke2fs and judged by e2fsck and debugfs.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use super::*;

const START: u64 = 1 << 20;
const EPOCH: u64 = 1_700_000_000;
const DEFAULT: Attributes = Attributes {
    mode: 0o644,
    uid: 0,
    gid: 0,
};

/// A file system of so many MiB at 1 MiB of an image.
struct Fixture {
    folder: tempfile::TempDir,
    partition: Partition,
}

fn run(program: &str, arguments: &[&str]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).env("PATH", path).args(arguments).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program} is needed (apt-get install e2fsprogs): {error}"));
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

impl Fixture {
    fn new(mib: u64, features: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let partition = Partition {
            number: 2,
            kind: 0x83,
            start: START,
            length: mib << 20,
        };
        let fixture = Self { folder, partition };
        let tree = fixture.folder.path().join("tree");
        std::fs::create_dir_all(tree.join("usr/lib")).unwrap();
        std::fs::create_dir_all(tree.join("etc")).unwrap();
        std::fs::write(tree.join("usr/lib/os-release"), "ID=test\n").unwrap();
        for (link, target) in [
            ("lib", "usr/lib"),
            ("etc/os-release", "../usr/lib/os-release"),
            ("absolute", "/usr/lib"),
            ("ring", "ring"),
        ] {
            std::os::unix::fs::symlink(target, tree.join(link)).unwrap();
        }
        File::create(fixture.image())
            .unwrap()
            .set_len(START + (mib << 20))
            .unwrap();
        let (image, tree) = (fixture.image(), tree.display().to_string());
        let (image, size) = (image.to_str().unwrap(), format!("{mib}m"));
        let extended = format!("offset={START},root_owner=0:0");
        run(
            "mke2fs",
            &[
                "-q", "-F", "-t", "ext4", "-b", "4096", "-O", features, "-E", &extended, "-d", &tree, image,
                &size,
            ],
        );
        fixture
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn try_open(&self) -> Result<Ext4<File>, Ext4Error> {
        let file = File::options().read(true).write(true).open(self.image()).unwrap();
        Ext4::open(file, &self.partition, EPOCH)
    }

    fn open(&self) -> Ext4<File> {
        self.try_open().unwrap()
    }

    fn at_offset(&self) -> String {
        format!("{}?offset={START}", self.image().display())
    }

    fn debugfs(&self, command: &str) -> String {
        run("debugfs", &["-R", command, &self.at_offset()])
    }

    fn check(&self) {
        run("e2fsck", &["-fn", &self.at_offset()]);
    }
}

fn path(text: &str) -> RootPath {
    text.parse().unwrap()
}

/// Of jessie, bookworm and trixie.
const FEATURE_SETS: [&str; 3] = [
    "^metadata_csum,^64bit",
    "metadata_csum,64bit",
    "metadata_csum_seed,orphan_file",
];

#[test]
fn what_is_written_is_read_by_the_reference_tools() {
    for features in FEATURE_SETS {
        let fixture = Fixture::new(32, features);
        let fs = fixture.open();
        let large: Vec<u8> = (0..9_000_001_u32)
            .map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        fs.make_folder(
            &path("/lib/systemd/system"),
            Attributes {
                mode: 0o700,
                uid: 3,
                gid: 70_000,
            },
        )
        .unwrap();
        fs.write_file(
            &path("/lib/systemd/large"),
            &large,
            Attributes {
                mode: 0o4755,
                uid: 1,
                gid: 2,
            },
        )
        .unwrap();
        fs.write_file(&path("/lib/os-release"), b"ID=other\n", DEFAULT)
            .unwrap();
        fs.write_file(&path("/empty"), b"", DEFAULT).unwrap();
        fs.symlink(&path("/etc/link"), "/lib/systemd/large").unwrap();
        assert!(fs.remove(&path("/ring")).unwrap());
        assert!(!fs.remove(&path("/ring")).unwrap());
        fs.close().unwrap();
        fixture.check();

        let dumped = fixture.folder.path().join("dumped");
        fixture.debugfs(&format!("dump /usr/lib/systemd/large {}", dumped.display()));
        assert!(std::fs::read(dumped).unwrap() == large);
        let stat = fixture.debugfs("stat /usr/lib/systemd/large");
        assert!(
            stat.contains("Mode:  04755") && stat.contains("User:     1   Group:     2"),
            "{stat}"
        );
        let stat = fixture.debugfs("stat /usr/lib/systemd/system");
        assert!(
            stat.contains("Mode:  0700") && stat.contains("Group: 70000"),
            "{stat}"
        );
        assert!(fixture.debugfs("cat /usr/lib/os-release").contains("ID=other"));
        assert!(
            fixture
                .debugfs("stat /etc/link")
                .contains("\"/lib/systemd/large\"")
        );
        assert!(fixture.debugfs("stat /empty").contains("Size: 0"));
    }
}

#[test]
fn links_in_a_path_are_followed_inside() {
    let fixture = Fixture::new(32, FEATURE_SETS[1]);
    let fs = fixture.open();
    for name in ["/etc/os-release", "/lib/os-release", "/absolute/os-release"] {
        assert_eq!(fs.read(&path(name)).unwrap().unwrap(), b"ID=test\n", "{name}");
    }
    assert_eq!(fs.read_link(&path("/lib")).unwrap().as_deref(), Some("usr/lib"));
    assert_eq!(fs.read_link(&path("/lib/os-release")).unwrap(), None);
    assert_eq!(
        fs.metadata(&path("/etc/os-release")).unwrap().unwrap().kind,
        Kind::Symlink
    );
    assert_eq!(fs.metadata(&path("/absent/x")).unwrap(), None);
    assert_eq!(fs.list(&path("/lib")).unwrap(), ["os-release"]);
    assert!(fs.list(&path("/absent")).unwrap().is_empty());
    for (name, message) in [
        (
            "/ring/x",
            "/ring/x of the root file system leads through too many symbolic links",
        ),
        (
            "/lib/os-release/x",
            "/lib/os-release/x of the root file system is not a folder",
        ),
    ] {
        assert_eq!(fs.read(&path(name)).unwrap_err().to_string(), message);
    }
    let message = fs
        .write_file(&path("/lib/new/x"), b"", DEFAULT)
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "looking for the folder of /lib/new/x in the root file system: not found"
    );
    let message = fs
        .write_file(&path("/usr"), b"", DEFAULT)
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "/usr is a folder of the root file system and is not replaced by a file"
    );
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let fixture = Fixture::new(32, FEATURE_SETS[1]);
    let before = std::fs::read(fixture.image()).unwrap();
    let change = || {
        std::fs::write(fixture.image(), &before).unwrap();
        let fs = fixture.open();
        fs.make_folder(&path("/opt/new"), DEFAULT).unwrap();
        fs.write_file(&path("/opt/new/file"), &[7; 100_000], DEFAULT)
            .unwrap();
        fs.symlink(&path("/opt/new/link"), "file").unwrap();
        fs.close().unwrap();
        std::fs::read(fixture.image()).unwrap()
    };
    let first = change();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(first == change(), "two runs differ");
    assert!(first != before);
}

#[test]
fn a_full_root_partition_says_what_is_missing() {
    let fixture = Fixture::new(16, FEATURE_SETS[1]);
    let fs = fixture.open();
    let free = fs.free().unwrap();
    let message = fs
        .write_file(&path("/large"), &vec![1; 20 << 20], DEFAULT)
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("the root partition is full: /large needs 20971520 bytes and "),
        "{message}"
    );
    assert!(
        message.ends_with("are free; use a larger base image"),
        "{message}"
    );
    assert!(free < 16 << 20);
}

#[test]
fn a_file_system_in_use_is_refused() {
    let fixture = Fixture::new(32, FEATURE_SETS[1]);
    run(
        "debugfs",
        &["-w", "-R", "feature needs_recovery", &fixture.at_offset()],
    );
    let message = fixture.try_open().unwrap_err().to_string();
    assert!(
        message.starts_with("the file system of partition 2 was not unmounted cleanly"),
        "{message}"
    );
    assert!(
        message.contains("repair a copy of the partition with `e2fsck -fp`"),
        "{message}"
    );
}

#[test]
fn what_is_no_ext4_is_refused() {
    let fixture = Fixture::new(32, FEATURE_SETS[1]);
    File::create(fixture.image())
        .unwrap()
        .set_len(START + (32 << 20))
        .unwrap();
    let message = fixture.try_open().unwrap_err().to_string();
    assert!(
        message.starts_with("partition 2 holds no usable ext4 file system (bad magic"),
        "{message}"
    );
}
