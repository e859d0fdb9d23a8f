//! A node's power: on, off by its button, cut.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use serde_json::json;

use super::{Lab, SHUTDOWN};
use crate::card::read_bootable;
use crate::machine::{Machine, QEMU, QEMU_REMEDY, Wiring};
use crate::process::Process;
use crate::qmp::Qmp;

impl Lab {
    /// Switches a node on; does nothing when it is on.
    ///
    /// # Errors
    /// When its card cannot be read or QEMU does not start.
    pub fn power_on(&mut self, name: &str) -> Result<()> {
        let node = self.node(name)?.clone();
        if node.is_on() {
            return Ok(());
        }
        let machine = self.record.machine;
        let card = self.folder.card(name);
        let bootable = read_bootable(&card, machine, &self.folder.boot_files(name))?;
        let [network, switch] = self.wire(name);
        let (console, qmp) = (self.console_socket(name), self.qmp_socket(name));
        let log = self.folder.console_log(name);
        for old in [&network, &console, &qmp] {
            // What a machine that was cut off left behind would be taken for the new one's.
            let _ = std::fs::remove_file(old);
        }
        let console_from = std::fs::metadata(&log).map_or(0, |log| log.len());
        let wiring = Wiring {
            name: name.to_owned(),
            mac: node.mac,
            card,
            kernel: bootable.kernel,
            initramfs: bootable.initramfs,
            device_tree: bootable.device_tree,
            command_line: bootable.command_line,
            network,
            switch,
            console,
            console_log: log,
            qmp: qmp.clone(),
        };
        let mut command = Command::new(QEMU);
        command.args(machine.arguments(&wiring));
        let process = self.start(command, &format!("machine-{name}"), QEMU_REMEDY)?;
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.change(name, |node| {
            node.process = Some(process);
            node.powered_on = Some(now.as_secs());
            node.console_from = console_from;
        })?;
        self.wait_for(&format!("machine-{name}"), Some(process), &qmp)
    }

    /// Cuts a node's power; does nothing when it is off.
    ///
    /// # Errors
    /// When the machine cannot be ended.
    pub fn power_cut(&mut self, name: &str) -> Result<()> {
        let node = self.node(name)?;
        if let Some(process) = node.process {
            process.kill()?;
        }
        self.forget_connection(name);
        self.change(name, |node| node.process = None)
    }

    /// Presses a node's power button and waits until it has stopped its services and is off.
    ///
    /// # Errors
    /// When it is not off after [`SHUTDOWN`]; it is left on then.
    pub fn power_off(&mut self, name: &str) -> Result<()> {
        self.press_power_button(name)?;
        self.until_off(name)
    }

    /// Presses a node's power button; does nothing when it is off.
    ///
    /// # Errors
    /// When the machine does not take it.
    pub fn press_power_button(&self, name: &str) -> Result<()> {
        if !self.node(name)?.is_on() {
            return Ok(());
        }
        match self.record.machine {
            Machine::Virt => {
                Qmp::connect(&self.qmp_socket(name))?.execute("system_powerdown", json!({}))?;
            }
            // A Pi has no power button.
            Machine::Raspi2b => {
                self.run_as_root(name, "systemctl --no-block poweroff")?;
            }
        }
        Ok(())
    }

    /// Waits until a node whose power button was pressed has stopped its services and is off.
    ///
    /// # Errors
    /// When it is not off after [`SHUTDOWN`]; it is left on then.
    pub fn until_off(&mut self, name: &str) -> Result<()> {
        let Some(process) = self.node(name)?.process.filter(Process::is_alive) else {
            return Ok(());
        };
        let start = Instant::now();
        while process.is_alive() && !self.console(name)?.contains("reboot: Power down") {
            if start.elapsed() > SHUTDOWN {
                bail!(
                    "{name} is not off after {} s: see 'ci/lab console {name}', or cut its power with 'ci/lab power cut {name}'",
                    SHUTDOWN.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // A Pi stands still when it has powered down, it cannot switch itself off.
        process.wait(Duration::from_secs(2));
        self.power_cut(name)
    }
}
