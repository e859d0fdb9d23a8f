//! A switch and machines on it, as network namespaces: a bridge in a namespace of its own, and one namespace per
//! machine with its wired interface `cl0`. Everything ends with the values here, also when a test fails.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A switch without machines.
pub(crate) struct Switch {
    namespace: Namespace,
    folder: tempfile::TempDir,
    ports: AtomicU32,
}

/// A machine on a switch.
pub(crate) struct Machine {
    pub(crate) name: String,
    port: String,
    mac: String,
    switch: String,
    namespace: Namespace,
    folder: PathBuf,
    agent: Option<Child>,
}

/// A program in a machine; killed at the end.
pub(crate) struct Running(pub(crate) Child);

struct Namespace(String);

/// The test fails, and does not pass by skipping, where it cannot run.
fn require_root() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let root = status
        .lines()
        .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"));
    assert!(root, "this test makes network namespaces: run it as root");
}

/// Runs a command and returns its stdout; fails the test when it fails.
pub(crate) fn command(words: &str) -> String {
    let output = output(words);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "'{words}' failed ({}): {error}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn output(words: &str) -> Output {
    let mut words = words.split_whitespace();
    let program = words.next().expect("a command");
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{program} does not start (is it installed?): {error}"))
}

/// Tries until it succeeds, or fails the test with what was seen last.
pub(crate) fn eventually<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(reason) => assert!(
                start.elapsed() < limit,
                "not within {limit:?}: {what}; last: {reason}"
            ),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Namespace {
    fn new(label: &str) -> Self {
        let name = format!(
            "cl{}-{}-{label}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        command(&format!("ip netns add {name}"));
        let namespace = Self(name);
        namespace.ip("link set lo up");
        namespace
    }

    fn ip(&self, words: &str) -> String {
        command(&format!("ip -n {} {words}", self.0))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Switch {
    pub(crate) fn new() -> Self {
        require_root();
        let namespace = Namespace::new("switch");
        // Forwards at once, as a port without spanning tree does.
        namespace.ip("link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0");
        namespace.ip("link set br0 up");
        Self {
            namespace,
            folder: tempfile::tempdir().expect("a folder"),
            ports: AtomicU32::new(0),
        }
    }

    /// A machine of an open lab with a cable to the switch. The hardware address ends with the number of its port.
    pub(crate) fn machine(&self, name: &str) -> Machine {
        let number = self.ports.fetch_add(1, Ordering::Relaxed) + 1;
        let namespace = Namespace::new(name);
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(folder.join("root/etc")).expect("a folder");
        let machine = Machine {
            name: name.to_owned(),
            port: format!("p{number}"),
            mac: format!("02:00:00:00:00:{number:02x}"),
            switch: self.namespace.0.clone(),
            namespace,
            folder,
            agent: None,
        };
        machine.set_open_lab(true);
        machine.plug();
        machine
    }

    /// Gives a machine of another switch the interface `up0` with a cable to this one.
    pub(crate) fn uplink(&self, machine: &Machine) {
        let port = format!("u{}", self.ports.fetch_add(1, Ordering::Relaxed) + 1);
        self.namespace.ip(&format!(
            "link add {port} type veth peer name up0 netns {}",
            machine.namespace.0
        ));
        self.namespace.ip(&format!("link set {port} master br0 up"));
        machine.ip("link set up0 up");
    }
}

impl Machine {
    fn set_open_lab(&self, open_lab: bool) {
        let config = format!(
            "version = 1\n[cluster]\nopen-lab = {open_lab}\n[network]\ninterface = \"cl0\"\nvlan = \"off\"\n\
             [swarm]\nrebuild-after = 5\n"
        );
        std::fs::write(self.file("cluster.toml"), config).expect("a file");
    }

    /// Adds lines to the section `[network]` of its settings.
    pub(crate) fn add_settings(&self, lines: &str) {
        let file = self.file("cluster.toml");
        let settings = std::fs::read_to_string(&file).expect("a file");
        let settings = settings.replace("[swarm]", &format!("{lines}[swarm]"));
        std::fs::write(file, settings).expect("a file");
    }

    /// Adds a section to its settings.
    pub(crate) fn add_section(&self, section: &str) {
        let file = self.file("cluster.toml");
        let settings = std::fs::read_to_string(&file).expect("a file");
        std::fs::write(file, settings + section).expect("a file");
    }

    /// Makes it a machine of a lab that is not open, with a secret made of this byte.
    pub(crate) fn close(&self, secret: Option<u8>) {
        self.set_open_lab(false);
        let state = self.file("state");
        std::fs::create_dir_all(&state).expect("a folder");
        if let Some(byte) = secret {
            let secret = boot_config::ClusterSecret::from_bytes([byte; 32]);
            std::fs::write(state.join("secret"), secret.render().as_bytes()).expect("a file");
        }
    }

    /// Puts in an interface with a cable to the switch.
    pub(crate) fn plug(&self) {
        let Self {
            port,
            mac,
            switch,
            namespace,
            ..
        } = self;
        command(&format!(
            "ip -n {switch} link add {port} type veth peer name cl0 address {mac} netns {}",
            namespace.0
        ));
        self.connect();
        command(&format!("ip -n {switch} link set {port} up"));
        namespace.ip("link set cl0 up");
    }

    /// Takes the interface out.
    pub(crate) fn unplug(&self) {
        self.namespace.ip("link del cl0");
    }

    /// Cuts the cable: no carrier.
    pub(crate) fn cut(&self) {
        command(&format!("ip -n {} link set {} down", self.switch, self.port));
    }

    /// Mends the cable.
    pub(crate) fn mend(&self) {
        command(&format!("ip -n {} link set {} up", self.switch, self.port));
    }

    /// Keeps the carrier but passes nothing on, as a switch does while it checks for loops.
    pub(crate) fn isolate(&self) {
        command(&format!("ip -n {} link set {} nomaster", self.switch, self.port));
    }

    /// Ends `isolate`.
    pub(crate) fn connect(&self) {
        command(&format!(
            "ip -n {} link set {} master br0",
            self.switch, self.port
        ));
    }

    /// `ip` in this machine.
    pub(crate) fn ip(&self, words: &str) -> String {
        self.namespace.ip(words)
    }

    /// The IPv4 addresses of the wired interface, with prefix.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let lines = self.ip("-4 -o addr show dev cl0");
        lines
            .lines()
            .filter_map(|line| line.split_whitespace().nth(3))
            .map(str::to_owned)
            .collect()
    }

    /// A file of this machine.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The machine's network, as `nsenter` takes it.
    pub(crate) fn network(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.namespace.0)
    }

    /// A command that runs in this machine and dies with the test.
    pub(crate) fn inside(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.namespace.0,
            "setpriv",
            "--pdeathsig",
            "KILL",
            "--",
        ]);
        command.arg(program.as_ref()).stdin(Stdio::null());
        command
    }

    /// Starts the agent, with the name of the machine as host name.
    pub(crate) fn start(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file("log"))
            .expect("a log");
        let mut command = self.inside("unshare");
        command.args(["--uts", "sh", "-c", r#"hostname "$0" && exec "$@""#, &self.name]);
        command
            .args([env!("CARGO_BIN_EXE_cluster-lab"), "run", "--config"])
            .arg(self.file("cluster.toml"));
        // Files of the system, such as resolv.conf, are the machine's and not the test machine's.
        command.arg("--root").arg(self.file("root"));
        command
            .arg("--state-dir")
            .arg(self.file("state"))
            .arg("--socket")
            .arg(self.file("socket"));
        // Never this machine's own Docker.
        command.arg("--docker-socket").arg(self.file("docker.sock"));
        command.arg("--service-manager").arg(self.file("service-manager"));
        command.env("RUST_LOG", "cluster_lab=debug").stderr(log);
        self.agent = Some(command.spawn().expect("the agent starts"));
    }

    /// Kills the agent as a power cut would.
    pub(crate) fn kill(&mut self) {
        drop(self.agent.take().map(Running));
    }

    /// Sends a signal to the agent, such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let agent = self.agent.as_ref().expect("an agent");
        command(&format!("kill -{signal} {}", agent.id()));
    }

    /// Ends the agent as systemd does; whether it ended well.
    pub(crate) fn stop(&mut self) -> bool {
        let Some(mut agent) = self.agent.take() else {
            return false;
        };
        command(&format!("kill -TERM {}", agent.id()));
        let ended = eventually("the agent ends", Duration::from_secs(5), || {
            match agent.try_wait() {
                Ok(Some(status)) => Ok(status.success()),
                other => Err(format!("{other:?}")),
            }
        });
        drop(Running(agent));
        ended
    }

    /// Runs a function whose threads and sockets are in this machine.
    pub(crate) fn run_inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = std::fs::File::open(self.network()).expect("a namespace");
        let enter = || {
            nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)
                .expect("entering the namespace");
            work()
        };
        // A thread of its own: it ends in the namespace.
        std::thread::scope(|scope| scope.spawn(enter).join().expect("the work is done"))
    }

    /// What `cluster-lab status` prints, or its error.
    pub(crate) fn status_output(&self, json: bool) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cluster-lab"));
        command
            .arg("status")
            .args(json.then_some("--json"))
            .arg("--socket")
            .arg(self.file("socket"));
        command.output().expect("the command starts")
    }

    /// What another subcommand says on this machine; it must succeed.
    pub(crate) fn command(&self, verb: &str, words: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cluster-lab"));
        command.arg(verb).arg("--root").arg(self.file("root"));
        command.arg("--state-dir").arg(self.file("state"));
        command.arg("--socket").arg(self.file("socket"));
        let output = command.args(words).output().expect("the command starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{verb}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `cluster-lab status --json`
    pub(crate) fn status(&self) -> Result<Value, String> {
        let output = self.status_output(true);
        if !output.status.success() {
            return Err(format!(
                "{}: {}",
                self.name,
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{}: {error}", self.name))
    }

    /// What the agent logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let mut report = format!("--- {} has {:?} and logged:\n", self.name, self.addresses());
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(60)..] {
                let _ = writeln!(report, "    {line}");
            }
            eprintln!("{report}");
        }
    }
}
