//! A real Docker Engine in a machine: its own processes, mounts and name, beside the agent that is in the machine too.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::SOON;
use super::switch::{Machine, Running, eventually};

/// The name of the one image that there is: busybox, from this machine's Debian package.
pub(crate) const IMAGE: &str = "busybox";

/// What starts an engine, and reloads and restarts it when it is told to through the pipe `control`, as systemd does:
/// `$0` is the host name, `$1` the machine's folder. The sysctl is what the image sets, too. An engine keeps its
/// sockets, its process number and what it mounts for networks below /run, so each has its own.
const START: &str = r#"hostname "$0" && mount -t tmpfs tmpfs /run && sysctl -qw net.ipv4.ip_nonlocal_bind=1 || exit
start() {
    dockerd --config-file "$1/root/etc/docker/daemon.json" --data-root "$1/docker" -H "unix://$1/docker.sock" &
}
start "$1"
exec 3<>"$1/control"
while read -r verb <&3; do
    echo "$verb" >>"$1/control.log"
    case $verb in
    reload) kill -HUP $! ;;
    restart) kill $!; wait $!; start "$1" ;;
    esac
done"#;
/// What the agent is told is the service manager: `$1` is the verb.
const CONTROL: &str = "#!/bin/sh\ncase $1 in reload | restart) echo \"$1\" >\"${0%/*}/control\" ;; esac\n";
/// So that an engine whose configuration is not what is tested need not be started again for its log limits.
const CONFIGURATION: &str = r#"{"log-driver": "json-file"}"#;

/// A running engine; all its processes end with it.
pub(crate) struct Docker {
    socket: PathBuf,
    data: PathBuf,
    process: Option<Running>,
}

impl Docker {
    /// Starts the engine of a machine and waits until it answers.
    pub(crate) fn start(machine: &Machine) -> Self {
        let docker = Self::begin(machine);
        docker.wait();
        docker
    }

    /// Starts the engine of a machine.
    pub(crate) fn begin(machine: &Machine) -> Self {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(machine.file("docker.log"))
            .expect("a log");
        let configuration = machine.file("root/etc/docker/daemon.json");
        if !configuration.exists() {
            std::fs::create_dir_all(machine.file("root/etc/docker")).expect("a folder");
            std::fs::write(configuration, CONFIGURATION).expect("a file");
        }
        let control = machine.file("service-manager");
        std::fs::write(&control, CONTROL).expect("a file");
        std::fs::set_permissions(&control, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        let pipe = machine.file("control");
        let _ = std::fs::remove_file(&pipe);
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "nsenter"]);
        command.arg(format!("--net={}", machine.network().display()));
        // Whatever the engine starts is in this namespace of processes, which ends with its first one.
        command.args([
            "unshare",
            "--mount",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]);
        command
            .args(["sh", "-c", START, &machine.name])
            .arg(machine.file(""));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self {
            socket: machine.file("docker.sock"),
            data: machine.file("docker"),
            process: Some(Running(command.spawn().expect("the engine starts"))),
        }
    }

    /// Waits until it answers.
    pub(crate) fn wait(&self) {
        eventually("Docker answers", SOON, || self.run("version"));
    }

    /// Whether it was not cut off.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Ends it and takes all that it knows, as flashing the card anew does.
    pub(crate) fn wipe(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.data).expect("the engine's data");
    }

    /// What `docker` prints, the words separated by spaces.
    pub(crate) fn run(&self, words: &str) -> Result<String, String> {
        let mut command = Command::new("docker");
        command.arg("-H").arg(format!("unix://{}", self.socket.display()));
        let output = command
            .args(words.split_whitespace())
            .stdin(Stdio::null())
            .output()
            .expect("docker is installed (apt-get install docker.io)");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(format!(
                "docker {words}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ))
        }
    }

    /// Makes [`IMAGE`].
    pub(crate) fn make_image(&self) {
        let socket = self.socket.display();
        let make = format!(
            "set -e; folder=$(mktemp -d); trap 'rm -rf $folder' EXIT; mkdir $folder/bin; \
             cp /bin/busybox $folder/bin/; ln -s busybox $folder/bin/sh; ln -s busybox $folder/bin/sleep; \
             tar -C $folder -c . | docker -H unix://{socket} import --change 'CMD [\"sleep\", \"100000\"]' - {IMAGE} >&2"
        );
        let output = Command::new("sh").args(["-c", &make]).output().expect("sh");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
