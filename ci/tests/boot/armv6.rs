//! The agent on ARMv6: an emulated Raspberry Pi Zero with Debian's kernel for it, a file system in memory with nothing
//! but busybox and the agent, and a network interface that ends nowhere.
//!
//! Kernel and busybox are Debian packages (armel), fetched once by apt-get into the cache folder
//! `$XDG_CACHE_HOME/cluster-lab/armel`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::console::read_log;
use lab::machine::{QEMU, QEMU_REMEDY};
use lab::process::Process;
use serde_json::Value;

use crate::bed::{Report, named};

const KERNEL_META_PACKAGE: &str = "linux-image-rpi:armel";
const BUSYBOX_PACKAGE: &str = "busybox-static:armel";
/// The interface and its VLAN; in the order in which they are loaded.
const MODULES: [&str; 6] = ["dummy", "llc", "stp", "garp", "mrp", "8021q"];
/// What QEMU's board does not have.
const COMMAND_LINE: &str = "console=ttyAMA0,115200 loglevel=3 rdinit=/init cluster-lab.interface=eth0 \
    initcall_blacklist=bcm2835_power_driver_init,bcm2835_pm_driver_init";
const PATIENCE: Duration = Duration::from_secs(300);
/// A machine that works says its first word after some seconds.
const SILENCE: Duration = Duration::from_secs(90);
const TRIES: u32 = 3;

const INIT: &str = r#"#!/bin/busybox sh
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /var/lib /etc
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; mount -t tmpfs run /run
hostname pi-zero
for module in $(cat /modules); do insmod /lib/$module.ko; done
ip link set lo up
ip link add eth0 type dummy
ip link set eth0 up
mkdir -p /var/lib/cluster-lab
echo cluster-secret-1:000g40r4-0m30e209-185gr38e-1w8124gk-2gahc5rr-34d1p70x-3rft5wf7 > /var/lib/cluster-lab/secret
echo "lab-machine: $(uname -m)"
echo "lab-version: $(cluster-lab --version)"
cluster-lab run > /run/log 2>&1 &
tries=0
while [ $tries -lt 60 ] && ! grep -q '"role": *"master"' /run/status; do
    sleep 1
    cluster-lab status --json > /run/status 2> /run/error
    tries=$((tries + 1))
done 2> /dev/null
echo "lab-memory: $(grep VmRSS /proc/$!/status)"
echo "lab-address: $(ip -4 addr show dev eth0.200 | grep -c 'inet 192.168.200.1/32')"
echo "lab-members: $(grep -c ' 01C8A8C0:0946 00000000:0000 0A ' /proc/net/tcp)"
echo "lab-status: $(tr '\n' ' ' < /run/status)"
tail -n 20 /run/log /run/error
echo "lab-done: "
exec sleep 1000000
"#;

/// A machine that ends with this value.
struct Running(Process);

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill() {
            eprintln!("{error:#}");
        }
    }
}

/// Boots it and reads its console.
pub(crate) fn agent_on_a_pi_zero(report: Report) -> Result<()> {
    let agent = named(
        "CLUSTER_LAB_AGENT",
        "target/arm-unknown-linux-musleabi/card/cluster-lab",
        "ci/build-agent",
    )?;
    let folder = report.folder();
    // What an earlier run left would be taken for this one's.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let packages = packages(&folder)?;
    report.say("kernel and busybox are there");
    let kernel = only(&packages.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    let trees = only(&packages.join("usr/lib"), |name| name.starts_with("linux-image-"))?;
    let initramfs = initramfs(&packages, &agent, &folder)?;
    let log = folder.join("console.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command
        .args([
            "leash",
            "--",
            QEMU,
            "-M",
            "raspi0",
            "-nodefaults",
            "-display",
            "none",
        ])
        .args(["-monitor", "none", "-append", COMMAND_LINE])
        .args(["-serial", &format!("file:{}", log.display())])
        .arg("-kernel")
        .arg(&kernel)
        .arg("-dtb")
        .arg(trees.join("bcm2835-rpi-zero.dtb"))
        .arg("-initrd")
        .arg(&initramfs);
    let mut tries = 0;
    let console = loop {
        tries += 1;
        let machine = Running(Process::start(
            &mut command,
            &folder.join("machine.log"),
            QEMU_REMEDY,
        )?);
        match until_done(&machine, &log)? {
            Some(console) => break console,
            None if tries < TRIES => report.say("the emulator hangs: off and on again"),
            None => bail!("the Pi Zero says nothing, {TRIES} times"),
        }
    };
    let said = |key: &str| {
        let mut lines = console.lines().map(str::trim);
        lines
            .find_map(|line| line.strip_prefix(key))
            .unwrap_or_default()
            .trim()
    };
    report.check("it is an ARMv6", said("lab-machine:") == "armv6l", &console)?;
    let version = format!("cluster-lab {}", env!("CARGO_PKG_VERSION"));
    report.check(
        &format!("the agent says that it is {version}"),
        said("lab-version:") == version,
        &console,
    )?;
    let status: Value = serde_json::from_str(said("lab-status:"))
        .with_context(|| format!("reading the agent's status; the console says: {console}"))?;
    let text = |key: &str| status.get(key).and_then(Value::as_str);
    report.check(
        "alone, it is master of 192.168.200.1",
        text("role") == Some("master") && text("address") == Some("192.168.200.1"),
        &status,
    )?;
    report.check(
        "the address is on the VLAN interface",
        said("lab-address:") == "1",
        &console,
    )?;
    report.check(
        "members of its cluster can ask it on port 2374",
        text("trust") == Some("secret") && said("lab-members:") == "1",
        &console,
    )?;
    report.say(&format!("     {}", said("lab-memory:")));
    Ok(())
}

/// The console of a machine that is done, or nothing when it never said a word: under heavy load QEMU's board can hang
/// before the kernel's first line, which says nothing of the agent.
fn until_done(machine: &Running, log: &Path) -> Result<Option<String>> {
    let start = Instant::now();
    loop {
        let console = read_log(log, 0)?;
        if console.contains("lab-done:") {
            return Ok(Some(console));
        }
        if console.is_empty() && start.elapsed() > SILENCE {
            return Ok(None);
        }
        if start.elapsed() > PATIENCE || !machine.0.is_alive() {
            bail!(
                "the Pi Zero is not done after {} s; it says: {console}",
                start.elapsed().as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The packages' files, unpacked.
fn packages(folder: &Path) -> Result<PathBuf> {
    let cache = cache()?.join("cluster-lab/armel");
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    if debs(&cache)?.len() < 2 {
        let depends = run(Command::new("apt-cache").args(["depends", "--important", KERNEL_META_PACKAGE]))
            .context("finding Debian's kernel for ARMv6 (dpkg --add-architecture armel; apt-get update)")?;
        let kernel = depends
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: "))
            .with_context(|| format!("{KERNEL_META_PACKAGE} depends on no kernel: {depends}"))?;
        let kernel = format!("{}:armel", kernel.trim_end_matches(":armel"));
        run(Command::new("apt-get")
            .current_dir(&cache)
            .args(["download", "-q", &kernel, BUSYBOX_PACKAGE]))?;
    }
    let to = folder.join("packages");
    for deb in debs(&cache)? {
        run(Command::new("dpkg").arg("-x").arg(&deb).arg(&to))?;
    }
    Ok(to)
}

fn debs(cache: &Path) -> Result<Vec<PathBuf>> {
    let paths = fs::read_dir(cache)?.map(|entry| Ok(entry?.path()));
    let paths: Vec<_> = paths.collect::<Result<_>>()?;
    Ok(paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "deb"))
        .collect())
}

fn cache() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .context("neither XDG_CACHE_HOME nor HOME says where the cache is")
}

fn initramfs(packages: &Path, agent: &Path, folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    for part in ["bin", "lib"] {
        fs::create_dir_all(root.join(part))?;
    }
    let put = |from: &Path, to: &str| -> Result<()> {
        fs::copy(from, root.join(to)).with_context(|| format!("copying {}", from.display()))?;
        Ok(())
    };
    put(&packages.join("bin/busybox"), "bin/busybox")?;
    put(agent, "bin/cluster-lab")?;
    let modules = only(&packages.join("lib/modules"), |_| true)?;
    for module in MODULES {
        let name = format!("{module}.ko");
        let found = run(Command::new("find").arg(&modules).args(["-name", &name]))?;
        ensure!(
            !found.trim().is_empty(),
            "Debian's kernel for ARMv6 has no module {module}"
        );
        put(Path::new(found.trim()), &format!("lib/{name}"))?;
    }
    fs::write(root.join("modules"), MODULES.join("\n"))?;
    fs::write(root.join("init"), INIT)?;
    for program in ["init", "bin/busybox", "bin/cluster-lab"] {
        fs::set_permissions(root.join(program), fs::Permissions::from_mode(0o755))?;
    }
    let archive = folder.join("initramfs");
    let pack = "find . | cpio --quiet -o -H newc -R 0:0 > \"$1\"";
    run(Command::new("sh")
        .current_dir(&root)
        .args(["-ec", pack, "sh"])
        .arg(&archive))?;
    Ok(archive)
}

/// The one entry of a folder that is meant.
fn only(folder: &Path, is_meant: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<_> = names.collect::<Result<_>>()?;
    match names.iter().filter(|name| is_meant(name)).collect::<Vec<_>>()[..] {
        [name] => Ok(folder.join(name)),
        _ => bail!(
            "{} has not the one entry that was expected: {names:?}",
            folder.display()
        ),
    }
}

fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
