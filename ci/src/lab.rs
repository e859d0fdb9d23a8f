//! One lab: its switch, its router and its nodes, and what can be done to them.

mod power;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::card::Flasher;
use crate::console;
use crate::credentials::Credentials;
use crate::folder::Folder;
use crate::interrupt::Interrupt;
use crate::machine::{Machine, QEMU, QEMU_REMEDY};
use crate::node_status::NodeStatus;
use crate::process::Process;
use crate::record::{Node, Record};
use crate::router;
use crate::serial::Serial;
use crate::ssh::{Output, Ssh};
use crate::switch::control::{Request, State, ask};

/// Name of the router's port at the switch.
pub const UPLINK: &str = "uplink";
/// How long a background process may take until its sockets are there.
const START: Duration = Duration::from_secs(20);
/// How long a node may take for one command: its processor is emulated and may be busy with its boot.
pub const COMMAND: Duration = Duration::from_secs(60);
/// How long a node may take to stop its services.
pub const SHUTDOWN: Duration = Duration::from_secs(120);

/// What a lab is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Asking, and talking to nodes.
    Look,
    /// Starting and ending things: one at a time.
    Change,
}

/// A lab. Where it is made to, everything that runs in it ends with this value.
pub struct Lab {
    folder: Folder,
    record: Record,
    credentials: Credentials,
    /// The program `lab`, whose switch and leash run in the background.
    program: PathBuf,
    ends_with_me: bool,
    tied: bool,
    /// Held by who changes the lab.
    _lock: Option<Flock<File>>,
}

impl Lab {
    /// Makes a new lab with nodes of these names, all off; what an earlier lab left in the folder is removed.
    /// Everything started ends with the value returned, unless [`Self::keep_running`] is called.
    ///
    /// # Errors
    /// When another lab runs in the folder, or it cannot be written.
    pub fn create(folder: Folder, program: PathBuf, machine: Machine, names: &[String]) -> Result<Self> {
        let lock = lock(&folder)?;
        let running = Record::load(&folder.record()).ok().flatten();
        if running.is_some_and(|record| !record.alive().is_empty()) {
            bail!(
                "a lab runs in {} already: look at it with 'ci/lab status' or end it with 'ci/lab down'",
                folder.root().display()
            );
        }
        folder.clear()?;
        folder.make_sockets()?;
        let number = folder.number();
        let nodes = (1..)
            .zip(names)
            .map(|(n, name)| Node::new(name.clone(), number, n));
        let lab = Self {
            record: Record::new(machine, nodes.collect()),
            credentials: Credentials::create(&folder)?,
            folder,
            program,
            ends_with_me: true,
            tied: false,
            _lock: Some(lock),
        };
        lab.save()?;
        Ok(lab)
    }

    /// The lab that runs in the folder. It goes on when the value returned is dropped.
    ///
    /// # Errors
    /// When there is none, or somebody else changes it just now.
    pub fn open(folder: Folder, program: PathBuf, access: Access) -> Result<Self> {
        let lock = match access {
            Access::Look => None,
            Access::Change => Some(lock(&folder)?),
        };
        let record = Record::load(&folder.record())?.with_context(|| {
            format!(
                "no lab runs in {}: start one with 'ci/lab up'",
                folder.root().display()
            )
        })?;
        Ok(Self {
            credentials: Credentials::load(&folder)?,
            record,
            folder,
            program,
            ends_with_me: false,
            tied: false,
            _lock: lock,
        })
    }

    /// Lets the lab go on when this value is dropped.
    pub fn keep_running(&mut self) {
        self.ends_with_me = false;
    }

    /// From now on, what is started dies with the thread that starts it, even when that is killed.
    pub fn tie_to_this_thread(&mut self) {
        self.tied = true;
    }

    /// Where it keeps its things.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What it consists of.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The account on its nodes.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A node.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        let nodes = &self.record.nodes;
        nodes.iter().find(|node| node.name == name).with_context(|| {
            let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
            format!(
                "there is no node '{name}' in this lab: it has {}",
                names.join(", ")
            )
        })
    }

    /// Makes the cards of all nodes, as many at a time as there are processors; `tell` hears of each.
    ///
    /// # Errors
    /// As [`Flasher::flash`], or when interrupted.
    pub fn flash(
        &self,
        flasher: &Flasher,
        interrupt: &Interrupt,
        tell: impl Fn(&str, &str) + Sync,
    ) -> Result<()> {
        let flash = |name: &str| -> Result<()> {
            interrupt.check()?;
            tell(name, "writing its card");
            let log = self.folder.process_log(&format!("flash-{name}"));
            flasher.flash(&self.folder.card(name), name, &self.credentials, &log)?;
            interrupt.check()?;
            tell(name, "card written");
            Ok(())
        };
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        for some in self.record.nodes.chunks(at_once) {
            std::thread::scope(|scope| {
                let running: Vec<_> = some
                    .iter()
                    .map(|node| scope.spawn(|| flash(&node.name)))
                    .collect();
                running.into_iter().try_for_each(|one| {
                    one.join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
            })?;
        }
        Ok(())
    }

    /// Starts the switch and the router.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start_network(&mut self) -> Result<()> {
        let mut switch = Command::new(&self.program);
        switch.arg("switch").arg("--dir").arg(self.folder.root());
        self.record.switch = Some(self.start(switch, "switch", "build it with cargo build -p lab")?);
        self.save()?;
        self.wait_for(
            "switch",
            self.record.switch,
            &self.folder.socket("switch.control"),
        )?;
        let mut router = Command::new(QEMU);
        let [machine_end, switch_end] = self.wire(UPLINK);
        let qmp = self.folder.socket("uplink.qmp");
        router::arguments(&mut router, &machine_end, &switch_end, &qmp);
        self.record.router = Some(self.start(router, UPLINK, QEMU_REMEDY)?);
        self.save()?;
        self.wait_for(UPLINK, self.record.router, &qmp)
    }

    /// Ends everything that runs; logs and captures stay. Goes on when something fails, and reports it at the end.
    ///
    /// # Errors
    /// When a process does not end, or sockets cannot be removed.
    pub fn down(&mut self) -> Result<()> {
        let mut failed = Vec::new();
        for name in self.names() {
            self.forget_connection(&name);
        }
        for process in self.record.alive() {
            failed.extend(process.kill().err());
        }
        failed.extend(self.folder.remove_sockets().err());
        for node in &mut self.record.nodes {
            node.process = None;
        }
        self.record.switch = None;
        self.record.router = None;
        if failed.is_empty() {
            failed.extend(std::fs::remove_file(self.folder.record()).err().map(Into::into));
        }
        match failed.into_iter().next() {
            Some(error) => Err(error.context("ending the lab")),
            None => Ok(()),
        }
    }

    /// The names of all nodes.
    pub fn names(&self) -> Vec<String> {
        self.record.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// What the switch knows.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn switch(&self) -> Result<State> {
        ask(&self.folder.socket("switch.control"), &Request::Show)
    }

    /// Unplugs a node's network cable, or plugs it in again.
    ///
    /// # Errors
    /// When the switch does not answer or there is no such node.
    pub fn unplug(&self, name: &str, cut: bool) -> Result<()> {
        let port = self.node(name)?.name.clone();
        ask(
            &self.folder.socket("switch.control"),
            &Request::SetCut { port, cut },
        )?;
        Ok(())
    }

    /// How to reach a node, once it has an uplink address.
    ///
    /// # Errors
    /// When it has none yet, or the switch or the router does not answer.
    pub fn ssh(&self, name: &str) -> Result<Ssh> {
        let node = self.node(name)?;
        let leases = self.switch()?.leases;
        let address = leases
            .get(&node.mac)
            .with_context(|| format!("{name} has no uplink address yet"))?;
        Ok(Ssh {
            user: self.credentials.user.clone(),
            key: self.credentials.private_key.clone(),
            port: router::way_to(&self.folder.socket("uplink.qmp"), *address)?,
            kept: self.ssh_socket(name),
        })
    }

    /// Runs a shell command on a node as the lab's user.
    ///
    /// # Errors
    /// When the node is not reached, or the command takes longer than [`COMMAND`].
    pub fn run(&self, name: &str, command: &str) -> Result<Output> {
        let run = || {
            if self.record.machine.has_network() {
                return self.ssh(name)?.run(command, COMMAND);
            }
            Serial::login(&self.console_socket(name), &self.credentials)?.run(command, COMMAND)
        };
        run().with_context(|| format!("running '{command}' on {name}"))
    }

    /// Runs a shell command on a node as root.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_as_root(&self, name: &str, command: &str) -> Result<Output> {
        // The words have letters and digits only: no quoting.
        let password = &self.credentials.password;
        self.run(name, &format!("echo {password} | sudo -S -p '' -- {command}"))
    }

    /// What a node's agent says.
    ///
    /// # Errors
    /// When the node is not reached, or its agent does not answer.
    pub fn status(&self, name: &str) -> Result<NodeStatus> {
        let command = "cluster-lab status --json";
        let output = self.run(name, command)?;
        if output.status != 0 {
            bail!("{name}: {command}: {}", output.stderr.trim());
        }
        serde_json::from_str(&output.stdout)
            .with_context(|| format!("{name}: reading what {command} says: {}", output.stdout.trim()))
    }

    /// What a node wrote to its console since it was last switched on.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn console(&self, name: &str) -> Result<String> {
        let node = self.node(name)?;
        console::read_log(&self.folder.console_log(name), node.console_from)
    }

    /// The socket of a node's console.
    pub fn console_socket(&self, name: &str) -> PathBuf {
        self.folder.socket(&format!("{name}.console"))
    }

    fn qmp_socket(&self, name: &str) -> PathBuf {
        self.folder.socket(&format!("{name}.qmp"))
    }

    fn ssh_socket(&self, name: &str) -> PathBuf {
        self.folder.socket(&format!("{name}.ssh"))
    }

    fn wire(&self, port: &str) -> [PathBuf; 2] {
        wire(&self.folder, port)
    }

    fn start(&self, command: Command, name: &str, remedy: &str) -> Result<Process> {
        let log = self.folder.process_log(name);
        if !self.tied {
            let mut command = command;
            return Process::start(&mut command, &log, remedy);
        }
        let mut tied = Command::new(&self.program);
        tied.arg("leash")
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        Process::start(&mut tied, &log, "build it with cargo build -p lab")
    }

    fn wait_for(&self, name: &str, process: Option<Process>, socket: &Path) -> Result<()> {
        let start = Instant::now();
        while !socket.exists() {
            let log = self.folder.process_log(name);
            if start.elapsed() > START || !process.is_some_and(|process| process.is_alive()) {
                let words = std::fs::read_to_string(&log).unwrap_or_default();
                let last = words.lines().rev().find(|line| !line.trim().is_empty());
                bail!("{name} does not start: {}", last.unwrap_or("it said nothing"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn forget_connection(&self, name: &str) {
        if self.ssh_socket(name).exists()
            && let Ok(ssh) = self.ssh(name)
        {
            ssh.let_go();
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Node)) -> Result<()> {
        if let Some(node) = self.record.nodes.iter_mut().find(|node| node.name == name) {
            change(node);
        }
        self.save()
    }

    fn save(&self) -> Result<()> {
        self.record.save(&self.folder.record())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.ends_with_me
            && let Err(error) = self.down()
        {
            eprintln!("{error:#}");
        }
    }
}

/// The machine's and the switch's end of a port's wire.
pub fn wire(folder: &Folder, port: &str) -> [PathBuf; 2] {
    ["machine", "switch"].map(|end| folder.socket(&format!("{port}.{end}")))
}

/// Two commands that change a lab at the same time would lose each other's processes.
fn lock(folder: &Folder) -> Result<Flock<File>> {
    let path = folder.lock();
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, _)| {
        anyhow::anyhow!(
            "another command of the lab works in {} just now: try again when it is done",
            folder.root().display()
        )
    })
}
