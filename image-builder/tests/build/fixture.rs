//! Small but real base images, made by the reference tools when a test runs.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use image_builder::build::{self, BootChanges, Inputs, Outputs};
use image_builder::progress::Progress;

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const BOOT_START: u64 = 4 * MIB;
pub(crate) const ROOT_START: u64 = 12 * MIB;
const ROOT_MIB: u64 = 24;
pub(crate) const EPOCH: u64 = 1_700_000_000;

/// Runs a tool that must succeed; says what it said.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    run_with(program, arguments, "")
}

fn run_with(program: &str, arguments: &[&str], input: &str) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut child = Command::new(program)
        .env("PATH", path)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{program} is needed (apt-get install e2fsprogs dosfstools mtools fdisk zip unzip bmap-tools minisign): {error}"
            )
        });
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

/// A folder with a base image, an agent and an overlay.
pub(crate) struct Fixture {
    folder: tempfile::TempDir,
}

/// What a base looks like.
pub(crate) struct Shape {
    pub(crate) fat_bits: u8,
    /// Whether `/lib` is a link to `/usr/lib`.
    pub(crate) merged: bool,
    /// Options of mke2fs.
    pub(crate) mke2fs: Vec<&'static str>,
}

impl Shape {
    /// FAT32 has at least 65525 clusters.
    fn boot_mib(&self) -> u64 {
        if self.fat_bits == 32 { 40 } else { 8 }
    }

    pub(crate) fn root_start(&self) -> u64 {
        BOOT_START + self.boot_mib() * MIB
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::shaped(&Shape {
            fat_bits: 16,
            merged: true,
            mke2fs: Vec::new(),
        })
    }

    pub(crate) fn shaped(shape: &Shape) -> Self {
        let fixture = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for folder in [
            "out",
            "tree/etc/ssh",
            "tree/usr/lib/systemd/system",
            "overlay/etc",
            "overlay/lib/systemd/system",
        ] {
            fs::create_dir_all(fixture.path(folder)).unwrap();
        }
        let write = |name: &str, text: &str| fs::write(fixture.path(name), text).unwrap();
        write("tree/usr/lib/os-release", "PRETTY_NAME=\"Test OS 1\"\n");
        std::os::unix::fs::symlink("../usr/lib/os-release", fixture.path("tree/etc/os-release")).unwrap();
        if shape.merged {
            std::os::unix::fs::symlink("usr/lib", fixture.path("tree/lib")).unwrap();
        } else {
            fs::create_dir_all(fixture.path("tree/lib/systemd/system")).unwrap();
        }
        write("tree/etc/machine-id", "0123456789abcdef\n");
        write("tree/etc/ssh/ssh_host_rsa_key", "of every card\n");
        write("user-data", "#cloud-config\nhostname: test\n");
        write("overlay/etc/secret", "hidden\n");
        write("overlay/lib/systemd/system/lab.service", "[Unit]\n");
        write(
            "overlay/manifest.toml",
            "version = 1\nblank = [\"/etc/machine-id\"]\nremove = [\"/etc/ssh/ssh_host_*\"]\n\
             [files.\"/etc/secret\"]\nmode = \"0600\"\nuid = 7\n\
             [symlinks]\n\"/etc/systemd/system/multi-user.target.wants/lab.service\" = \"/lib/systemd/system/lab.service\"\n",
        );
        // Head of a 32-bit little-endian ELF file for ARM.
        let mut agent = b"\x7fELF\x01\x01\x01".to_vec();
        agent.resize(16, 0);
        agent.extend([2, 0, 40, 0]);
        agent.resize(100_000, 0x5a);
        fs::write(fixture.path("agent"), agent).unwrap();
        fixture.make_base(shape);
        fixture
    }

    fn make_base(&self, shape: &Shape) {
        let root_start = shape.root_start();
        let boot = self.text("boot.fat");
        fs::File::create(&boot)
            .unwrap()
            .set_len(root_start - BOOT_START)
            .unwrap();
        let (bits, cluster) = (
            shape.fat_bits.to_string(),
            if shape.fat_bits == 32 { "1" } else { "2" },
        );
        run("mkfs.vfat", &["-F", &bits, "-s", cluster, &boot]);
        run("mcopy", &["-i", &boot, &self.text("user-data"), "::"]);
        let base = self.text("base.img");
        fs::File::create(&base)
            .unwrap()
            .set_len(root_start + ROOT_MIB * MIB)
            .unwrap();
        let (sectors, root_sector) = (shape.boot_mib() * 2048, root_start / 512);
        let table = format!(
            "label: dos\nlabel-id: 0x1a2b3c4d\nstart=8192, size={sectors}, type=c\nstart={root_sector}, type=83\n"
        );
        run_with(
            "sfdisk",
            &["--quiet", "--no-reread", "--no-tell-kernel", &base],
            &table,
        );
        let mut image = fs::File::options().write(true).open(&base).unwrap();
        image.seek(SeekFrom::Start(BOOT_START)).unwrap();
        image.write_all(&fs::read(&boot).unwrap()).unwrap();
        let extended = format!("offset={root_start},root_owner=0:0");
        let (tree, size) = (self.text("tree"), format!("{ROOT_MIB}m"));
        let mut arguments = vec!["-q", "-F", "-t", "ext4", "-E", &extended];
        arguments.extend(&shape.mke2fs);
        arguments.extend(["-d", &tree, &base, &size]);
        run("mke2fs", &arguments);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn inputs(&self) -> Inputs {
        Inputs {
            base: self.path("base.img"),
            agent: self.path("agent"),
            overlays: vec![self.path("overlay")],
            preload: Vec::new(),
            boot: BootChanges::default(),
            repair: false,
            epoch: EPOCH,
        }
    }

    pub(crate) fn outputs(&self) -> Outputs {
        Outputs::from_name(&self.path("out/lab.img")).unwrap()
    }

    pub(crate) fn build(&self) -> anyhow::Result<()> {
        build::run(&self.inputs(), &self.outputs(), &Progress::start())
    }

    /// Builds from the base image of this name.
    pub(crate) fn build_from(&self, base: &str, outputs: &Outputs) -> anyhow::Result<()> {
        let inputs = Inputs {
            base: self.path(base),
            ..self.inputs()
        };
        build::run(&inputs, outputs, &Progress::start())
    }

    /// Changes the bytes of the base image.
    pub(crate) fn change_base(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path("base.img")).unwrap();
        change(&mut bytes);
        fs::write(self.path("base.img"), bytes).unwrap();
    }

    /// The root partition of an image, as debugfs and e2fsck take it.
    pub(crate) fn root_of(image: &Path) -> String {
        format!("{}?offset={ROOT_START}", image.display())
    }

    pub(crate) fn names_in_out(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("out")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}
