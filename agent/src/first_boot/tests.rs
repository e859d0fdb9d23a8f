//! The first boot of a node that is a folder, whose power can fail after each of its effects.

mod power_cut;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Result, bail};
use boot_config::{ClusterSecret, Settings};

use super::root_size::tests::sector;
use super::{Machine, NewFile, PartitionExtent, Ran, Stage, Step, System, run, state};
use crate::durable::Owner;
use crate::paths::Paths;

const MIB: u64 = 1 << 20;
const BUILT: u64 = 1_790_000_000;
/// As the image has it: the key of all cards.
const KEY_OF_ALL: &str = "the key of all cards";

/// Of which the card's secret is made.
const SECRET: u8 = 7;

fn secret_text(byte: u8) -> String {
    let secret = ClusterSecret::from_bytes([byte; 32]);
    format!("{}\n", *secret.render())
}

/// A node in a folder: files are real, programs and the kernel are not, and power fails after some effects.
struct Node {
    folder: tempfile::TempDir,
    paths: Paths,
    machine: Machine,
    effects_until_cut: Option<usize>,
    effects: usize,
    clock: u64,
    has_ssh_keygen: bool,
    owner: Owner,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::below(folder.path());
        let found = folder.path().metadata().unwrap();
        let node = Self {
            owner: (found.uid(), found.gid()),
            folder,
            machine: Machine::new(paths.clone()),
            paths,
            effects_until_cut: None,
            effects: 0,
            clock: 100,
            has_ssh_keygen: true,
        };
        for (path, text) in [
            (
                "/usr/lib/cluster-lab/image.toml",
                &*format!("version = 1\nbuilt = {BUILT}\n"),
            ),
            ("/boot/firmware/cluster-lab.secret", &secret_text(SECRET)),
            ("/etc/hostname", "image\n"),
            ("/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\timage\n"),
            ("/etc/machine-id", ""),
            ("/etc/passwd", "root:x:0:0::/root:/bin/bash\n"),
            ("/etc/group", "sudo:x:27:\ndocker:x:999:\n"),
            ("/etc/skel/.profile", "# skel\n"),
            ("/etc/ssh/sshd_config", "# sshd\n"),
            ("/etc/ssh/ssh_host_rsa_key", KEY_OF_ALL),
            ("/etc/ssh/ssh_host_ed25519_key", KEY_OF_ALL),
            ("/etc/ssh/ssh_host_dsa_key.pub", KEY_OF_ALL),
            ("/var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n"),
            ("/proc/self/mountinfo", "1 0 254:2 / / rw - ext4 /dev/root rw\n"),
            ("/proc/sys/kernel/hostname", "image\n"),
            ("/sys/devices/vda/uevent", "DEVNAME=vda\n"),
            ("/sys/devices/vda/size", &format!("{}\n", 1000 * MIB / 512)),
            ("/sys/devices/vda/vda2/uevent", "MAJOR=254\nDEVNAME=vda2\n"),
            ("/sys/devices/vda/vda2/partition", "2\n"),
            ("/sys/devices/vda/vda2/size", &format!("{}\n", 500 * MIB / 512)),
        ] {
            node.put(path, text);
        }
        node.put_bytes("/dev/vda", &sector(68, 500));
        std::fs::create_dir_all(node.paths.at("/sys/dev/block")).unwrap();
        symlink("../../devices/vda/vda2", node.paths.at("/sys/dev/block/254:2")).unwrap();
        node
    }

    fn put(&self, path: &str, text: &str) {
        self.put_bytes(path, text.as_bytes());
    }

    fn put_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.paths.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.paths.at(path)).unwrap()
    }

    fn append(&self, path: &str, line: &str) {
        self.put(path, &(self.text(path) + line));
    }

    /// An effect happens unless power is off by now.
    fn effect(&mut self) -> Result<()> {
        if self.effects_until_cut == Some(self.effects) {
            bail!("power is off");
        }
        self.effects += 1;
        Ok(())
    }

    fn start(&mut self, stage: Option<Stage>) -> super::Report {
        let paths = self.paths.clone();
        // What the kernel knows starts anew.
        self.put("/proc/sys/kernel/hostname", "localhost\n");
        self.clock = 100;
        run(self, &paths, &settings(), stage, |_| {})
    }

    /// A start that loses power after so many effects, and whether it was over by then.
    fn start_until(&mut self, effects: usize) -> bool {
        (self.effects, self.effects_until_cut) = (0, Some(effects));
        let report = self.start(None);
        self.effects_until_cut = None;
        report.failed.is_empty()
    }

    /// All that a person could see of the finished node, without what is random.
    fn picture(&self) -> BTreeMap<String, String> {
        let mut picture = BTreeMap::new();
        look(self.folder.path(), self.folder.path(), &mut picture);
        picture.retain(|path, _| !path.starts_with("/proc"));
        picture
    }
}

fn look(root: &Path, folder: &Path, picture: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("/{}", path.strip_prefix(root).unwrap().display());
        let found = path.symlink_metadata().unwrap();
        let mode = found.permissions().mode() & 0o7777;
        if found.is_symlink() {
            picture.insert(name, format!("-> {}", path.read_link().unwrap().display()));
        } else if found.is_dir() {
            picture.insert(name, format!("{mode:o}"));
            look(root, &path, picture);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let random = name.ends_with("machine-id");
            let content = if random {
                format!("{} bytes", bytes.len())
            } else {
                format!("{bytes:?}")
            };
            picture.insert(name, format!("{mode:o} {content}"));
        }
    }
}

fn settings() -> Settings {
    let text = "version = 1\nhostname = \"cl-node-1\"\n[user]\nname = \"pi\"\n\
        password-hash = \"$6$salt$hash\"\nssh-authorized-keys = [\"ssh-ed25519 A me\"]\n";
    Settings::from_layers([&boot_config::parse("f", text).unwrap()]).unwrap()
}

impl System for Node {
    fn write(&mut self, file: &NewFile) -> Result<()> {
        self.effect()?;
        self.machine.write(file)
    }
    fn make_folder(&mut self, path: &str, mode: u32, owner: Option<Owner>) -> Result<()> {
        self.effect()?;
        self.machine.make_folder(path, mode, owner)
    }
    fn remove(&mut self, path: &str) -> Result<()> {
        self.effect()?;
        self.machine.remove(path)
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        self.effect()?;
        self.machine.rename(from, to)
    }
    fn link(&mut self, target: &str, path: &str) -> Result<()> {
        // Two effects: the old one is gone before the link is there.
        self.remove(path)?;
        self.effect()?;
        self.machine.link(target, path)
    }
    fn copy_folder(&mut self, from: &str, to: &str, owner: Owner) -> Result<()> {
        self.effect()?;
        self.machine.copy_folder(from, to, owner)
    }
    fn run(&mut self, program: &str, args: &[&str], input: &str) -> Result<Ran> {
        let last = *args.last().unwrap();
        match program {
            "ssh-keygen" if !self.has_ssh_keygen => return Ok(Ran::Missing),
            "ssh-keygen" => {
                assert!(
                    !self.paths.at(last).exists(),
                    "ssh-keygen would ask whether to overwrite {last}"
                );
                self.effect()?;
                self.put(last, "own key");
                self.effect()?;
                self.put(&format!("{last}.pub"), "own key");
            }
            // In the order in which shadow's useradd does it, with power failing in between.
            "useradd" => {
                assert!(
                    !self.text("/etc/passwd").contains("pi:"),
                    "useradd fails for a user that exists"
                );
                // The real owner of the files, so that the test needs no privileges.
                let (user, group) = self.owner;
                self.effect()?;
                self.append(
                    "/etc/passwd",
                    &format!("pi:x:{user}:{group}::/home/pi:/bin/bash\n"),
                );
                self.effect()?;
                self.append("/etc/group", &format!("pi:x:{group}:\n"));
                self.effect()?;
                self.put("/home/pi/.profile", "# skel\n");
            }
            "groupadd" => {
                self.effect()?;
                self.append("/etc/group", &format!("pi:x:{}:\n", args[3]));
            }
            "chpasswd" => {
                self.effect()?;
                assert_eq!(input, "pi:$6$salt$hash\n");
                assert!(!args.iter().any(|arg| arg.contains("hash")));
                self.put("/etc/shadow", input);
            }
            "usermod" => {
                self.effect()?;
                match args[2..] {
                    ["-p", "*", "pi"] => self.put("/etc/shadow", "pi:*\n"),
                    ["-a", "-G", groups @ "sudo,docker", "pi"] => self.put("/groups-of-pi", groups),
                    _ => bail!("{args:?} was not expected"),
                }
            }
            "resize2fs" => {
                self.effect()?;
                let size = self.text("/sys/devices/vda/vda2/size");
                self.put("/file-system-size", &size);
            }
            other => bail!("{other} was not expected"),
        }
        Ok(Ran::Done)
    }
    fn set_hostname(&mut self, name: &str) -> Result<()> {
        self.effect()?;
        self.put("/proc/sys/kernel/hostname", &format!("{name}\n"));
        Ok(())
    }
    fn set_clock(&mut self, seconds: u64) -> Result<()> {
        self.effect()?;
        self.clock = seconds;
        Ok(())
    }
    fn detach_mount(&mut self, path: &str) -> Result<()> {
        bail!("nothing is mounted at {path}")
    }
    fn write_partition_table(&mut self, disk: &str, sector: &disk_image::mbr::Sector) -> Result<()> {
        self.effect()?;
        self.put_bytes(disk, sector);
        Ok(())
    }
    fn resize_partition(&mut self, extent: &PartitionExtent) -> Result<()> {
        self.effect()?;
        assert_eq!(
            (&*extent.disk, extent.number, extent.start),
            ("/dev/vda", 2, 68 * MIB)
        );
        self.put(
            "/sys/devices/vda/vda2/size",
            &format!("{}\n", extent.length / 512),
        );
        Ok(())
    }
    fn sync(&mut self) -> Result<()> {
        self.effect()
    }
    fn random_id(&mut self) -> Result<String> {
        self.machine.random_id()
    }
    fn now(&self) -> u64 {
        self.clock
    }
}

#[test]
fn a_new_card_gets_everything_of_its_own() {
    let mut node = Node::new();
    let report = node.start(None);
    assert_eq!(report.failed, [""; 0], "{:?}", report.lines);
    assert_eq!(node.text("/etc/hostname"), "cl-node-1\n");
    assert_eq!(
        node.text("/etc/hosts"),
        "127.0.0.1\tlocalhost\n127.0.1.1\tcl-node-1\n"
    );
    assert_eq!(node.text("/etc/machine-id").len(), 33);
    let dbus = node.paths.at("/var/lib/dbus/machine-id").read_link().unwrap();
    assert_eq!(dbus, Path::new("/etc/machine-id"));
    for kind in ["rsa", "ed25519", "ecdsa"] {
        assert_eq!(node.text(&format!("/etc/ssh/ssh_host_{kind}_key")), "own key");
    }
    assert!(!node.paths.at("/etc/ssh/ssh_host_dsa_key.pub").exists());
    assert_eq!(node.text("/file-system-size"), format!("{}\n", 932 * MIB / 512));
    assert_eq!(node.text("/home/pi/.ssh/authorized_keys"), "ssh-ed25519 A me\n");
    assert_eq!(node.text("/groups-of-pi"), "sudo,docker");
    assert!(
        report.lines[0].starts_with("clock set forward"),
        "{:?}",
        report.lines
    );
    assert!(
        report.lines[1].starts_with("first boot: hostname done ("),
        "{:?}",
        report.lines
    );
    assert_eq!(node.text("/var/lib/cluster-lab/secret"), secret_text(SECRET));
    let mode = node.paths.secret().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert!(!node.paths.at("/boot/firmware/cluster-lab.secret").exists());
    let said = report.lines.concat();
    assert!(!said.contains("cluster-secret-1"), "{said}");
    let state = state(&node.paths);
    assert!(state.done);
    assert_eq!(state.steps.len(), Step::ALL.len());
    assert!(state.steps.iter().all(|step| step.done_at == BUILT), "{state:?}");
}

#[test]
fn who_has_only_a_key_needs_no_password_for_sudo() {
    let rule = "/etc/sudoers.d/cluster-lab-pi";
    for has_password in [true, false] {
        let mut node = Node::new();
        node.put("/etc/sudoers.d/README", "");
        let paths = node.paths.clone();
        let mut settings = settings();
        if let Some(user) = settings.user.as_mut().filter(|_| !has_password) {
            user.password_hash = None;
        }
        let report = run(&mut node, &paths, &settings, None, |_| {});
        assert_eq!(report.failed, [""; 0], "{:?}", report.lines);
        assert_eq!(paths.at(rule).exists(), !has_password);
        if !has_password {
            assert_eq!(node.text(rule), "pi ALL=(ALL:ALL) NOPASSWD: ALL\n");
        }
    }
}

#[test]
fn an_account_of_the_image_does_not_keep_the_password_that_everybody_knows() {
    let mut node = Node::new();
    let (user, group) = node.owner;
    node.append(
        "/etc/passwd",
        &format!("pi:x:{user}:{group}::/home/pi:/bin/bash\n"),
    );
    node.append("/etc/group", &format!("pi:x:{group}:\n"));
    node.put("/etc/shadow", "pi:$6$published$hash\n");
    let paths = node.paths.clone();
    let mut settings = settings();
    if let Some(user) = &mut settings.user {
        user.password_hash = None;
    }
    let report = run(&mut node, &paths, &settings, None, |_| {});
    assert_eq!(report.failed, [""; 0], "{:?}", report.lines);
    assert_eq!(node.text("/etc/shadow"), "pi:*\n");
}

#[test]
fn a_newer_secret_replaces_the_old_one_and_a_damaged_one_does_not() {
    let mut node = Node::new();
    node.start(None);
    let kept = |node: &Node| node.text("/var/lib/cluster-lab/secret");
    node.put("/boot/cluster-lab.secret", &secret_text(SECRET)[..40]);
    assert_eq!(node.start(None).lines.len(), 2);
    assert_eq!(kept(&node), secret_text(SECRET));
    assert!(node.paths.at("/boot/cluster-lab.secret").exists(), "it is left");

    node.put("/boot/cluster-lab.secret", &secret_text(8));
    let mut cut = 0;
    while !node.start_until(cut) {
        assert!(
            [SECRET, 8].map(secret_text).contains(&kept(&node)),
            "cut after {cut} effects"
        );
        cut += 1;
    }
    assert_eq!(kept(&node), secret_text(8));
    assert!(!node.paths.at("/boot/cluster-lab.secret").exists());

    // The one it has, flashed again: nothing is written but the marker.
    node.put("/boot/cluster-lab.secret", &secret_text(8));
    assert_eq!(node.start(None).failed, [""; 0]);
    assert!(!node.paths.at("/boot/cluster-lab.secret").exists());
}

#[test]
fn a_second_start_only_sets_what_the_kernel_forgot() {
    let mut node = Node::new();
    node.start(None);
    let before = node.picture();
    let report = node.start(None);
    assert_eq!(report.lines.len(), 2, "{:?}", report.lines);
    assert!(
        report.lines[1].starts_with("changed settings: hostname done"),
        "{:?}",
        report.lines
    );
    assert_eq!(node.picture(), before);
}

#[test]
fn a_step_that_fails_does_not_keep_the_others_from_running() {
    let mut node = Node::new();
    node.put_bytes("/dev/vda", &[0; 512]);
    let report = node.start(None);
    assert_eq!(report.failed, ["root-size"]);
    let line = report
        .lines
        .iter()
        .find(|line| line.contains("root-size"))
        .unwrap();
    assert!(
        line.starts_with(
            "first boot: root-size failed: reading the partition table of /dev/vda: there is no"
        ),
        "{line}"
    );
    let state = state(&node.paths);
    assert!(!state.done);
    assert_eq!(state.steps.len(), Step::ALL.len() - 1);
}

#[test]
fn without_an_ssh_server_there_is_nothing_to_do_for_it() {
    let mut node = Node::new();
    node.has_ssh_keygen = false;
    let report = node.start(None);
    assert_eq!(report.failed, [""; 0]);
    assert!(
        report
            .lines
            .iter()
            .any(|line| line.ends_with("ssh-keygen is not installed")),
        "{:?}",
        report.lines
    );
    assert_eq!(node.text("/etc/ssh/ssh_host_rsa_key"), KEY_OF_ALL);
}

#[test]
fn each_stage_does_its_share() {
    let mut node = Node::new();
    for (stage, done) in [(Stage::Early, 3), (Stage::Late, 6), (Stage::Background, 7)] {
        assert_eq!(node.start(Some(stage)).failed, [""; 0]);
        assert_eq!(state(&node.paths).steps.len(), done, "{stage:?}");
    }
}

#[test]
fn a_machine_that_is_not_from_our_image_is_left_alone() {
    let mut node = Node::new();
    std::fs::remove_file(node.paths.image_stamp()).unwrap();
    let before = node.picture();
    assert_eq!(node.start(None), super::Report::default());
    assert_eq!(node.picture(), before);
    assert!(state(&node.paths).done);
}
