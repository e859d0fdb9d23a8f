//! QEMU's machines as a Pi's stand-ins: the arguments that start one. Pure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::switch::Mac;

/// The program that all machines run in.
pub const QEMU: &str = "qemu-system-arm";
/// What to do when it is missing.
pub const QEMU_REMEDY: &str = "apt-get install qemu-system-arm";

/// Which machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Machine {
    /// QEMU's generic ARM machine with two processors and 1 GiB: virtio disk and network, the quickest.
    Virt,
    /// QEMU's Raspberry Pi 2: SD card behind the Pi's own controller, four processors. Slow, and without a network.
    Raspi2b,
}

/// What a machine starts and what it is connected to.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// Name of the node.
    pub name: String,
    /// Its hardware address.
    pub mac: Mac,
    /// Its card.
    pub card: PathBuf,
    /// Kernel, as the Pi's firmware would load it from the card.
    pub kernel: PathBuf,
    /// Initial file system.
    pub initramfs: Option<PathBuf>,
    /// Device tree; `virt` makes its own.
    pub device_tree: Option<PathBuf>,
    /// Kernel command line.
    pub command_line: String,
    /// Datagram socket of the machine's network.
    pub network: PathBuf,
    /// Datagram socket of its port at the switch.
    pub switch: PathBuf,
    /// Stream socket that QEMU makes for the serial console.
    pub console: PathBuf,
    /// File that gets all that appears there.
    pub console_log: PathBuf,
    /// Stream socket that QEMU makes for its control protocol.
    pub qmp: PathBuf,
}

impl Machine {
    /// The name of the board as `config.txt` has it in its `[filters]`.
    pub fn board(self) -> &'static str {
        "pi2"
    }

    /// Whether the machine needs the card's device tree.
    pub fn needs_device_tree(self) -> bool {
        matches!(self, Self::Raspi2b)
    }

    /// Whether its nodes have a network. A Pi 2 has one behind USB only, and QEMU 7.2's USB controller interrupts the
    /// guest so often that an emulated processor does nothing else ("rcu_sched self-detected stall").
    pub fn has_network(self) -> bool {
        matches!(self, Self::Virt)
    }

    /// What the kernel is told besides what the card says. The driver of a Pi 2's USB controller is left out: what its
    /// interrupts take of the processors (see [`Self::has_network`]) the rest of the boot may wait for without end.
    fn kernel_words(self) -> &'static str {
        match self {
            Self::Virt => "",
            Self::Raspi2b => " modprobe.blacklist=dwc2",
        }
    }

    /// The arguments of [`QEMU`].
    pub fn arguments(self, wiring: &Wiring) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut add = |parts: &[&str]| arguments.extend(parts.iter().map(OsString::from));
        let card = option(&wiring.card);
        add(&[
            "-name",
            &wiring.name,
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-monitor",
            "none",
        ]);
        match self {
            Self::Virt => {
                add(&["-M", "virt", "-cpu", "cortex-a15", "-smp", "2", "-m", "1024"]);
                add(&["-drive", &format!("if=none,id=card,format=raw,file={card}")]);
                add(&["-device", "virtio-blk-device,drive=card"]);
                let (network, switch) = (option(&wiring.network), option(&wiring.switch));
                let wire = format!(
                    "dgram,id=wire,local.type=unix,local.path={network},remote.type=unix,remote.path={switch}"
                );
                add(&["-netdev", &wire]);
                let mac = wiring.mac;
                add(&["-device", &format!("virtio-net-device,netdev=wire,mac={mac}")]);
                // Without a source of randomness the first keys of a node wait for minutes.
                add(&["-device", "virtio-rng-device"]);
            }
            Self::Raspi2b => {
                add(&["-M", "raspi2b"]);
                add(&["-drive", &format!("if=sd,format=raw,file={card}")]);
            }
        }
        let (console, log) = (option(&wiring.console), option(&wiring.console_log));
        add(&[
            "-chardev",
            &format!("socket,id=console,path={console},server=on,wait=off,logfile={log},logappend=on"),
            "-serial",
            "chardev:console",
        ]);
        add(&[
            "-qmp",
            &format!("unix:{},server=on,wait=off", option(&wiring.qmp)),
        ]);
        add(&[
            "-append",
            &format!("{}{}", wiring.command_line, self.kernel_words()),
        ]);
        let files = [
            ("-kernel", Some(&wiring.kernel)),
            ("-initrd", wiring.initramfs.as_ref()),
            ("-dtb", wiring.device_tree.as_ref()),
        ];
        for (flag, file) in files {
            if let Some(file) = file {
                arguments.push(flag.into());
                arguments.push(file.into());
            }
        }
        arguments
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Virt => "virt",
            Self::Raspi2b => "raspi2b",
        })
    }
}

/// A path inside an option of QEMU: commas separate there and are doubled in values.
pub(crate) fn option(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wiring() -> Wiring {
        Wiring {
            name: "cl-node-1".to_owned(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            card: "/a,b/card.img".into(),
            kernel: "/k".into(),
            initramfs: Some("/i".into()),
            device_tree: None,
            command_line: "root=x quiet".to_owned(),
            network: "/s/n".into(),
            switch: "/s/w".into(),
            console: "/s/c".into(),
            console_log: "/l".into(),
            qmp: "/s/q".into(),
        }
    }

    fn text(machine: Machine, wiring: &Wiring) -> String {
        let arguments = machine.arguments(wiring);
        let parts: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
        parts.join(" ")
    }

    #[test]
    fn virt_has_a_virtio_card_and_network() {
        assert_eq!(
            text(Machine::Virt, &wiring()),
            "-name cl-node-1 -nodefaults -no-user-config -display none -monitor none \
             -M virt -cpu cortex-a15 -smp 2 -m 1024 -drive if=none,id=card,format=raw,file=/a,,b/card.img \
             -device virtio-blk-device,drive=card \
             -netdev dgram,id=wire,local.type=unix,local.path=/s/n,remote.type=unix,remote.path=/s/w \
             -device virtio-net-device,netdev=wire,mac=02:00:00:00:00:01 -device virtio-rng-device \
             -chardev socket,id=console,path=/s/c,server=on,wait=off,logfile=/l,logappend=on \
             -serial chardev:console -qmp unix:/s/q,server=on,wait=off -append root=x quiet -kernel /k -initrd /i"
        );
    }

    #[test]
    fn raspi2b_has_an_sd_card_and_a_device_tree() {
        let wiring = Wiring {
            device_tree: Some("/d".into()),
            ..wiring()
        };
        let text = text(Machine::Raspi2b, &wiring);
        let card = "-M raspi2b -drive if=sd,format=raw,file=/a,,b/card.img -chardev";
        assert!(text.contains(card), "{text}");
        let end = "-append root=x quiet modprobe.blacklist=dwc2 -kernel /k -initrd /i -dtb /d";
        assert!(text.ends_with(end), "{text}");
    }
}
