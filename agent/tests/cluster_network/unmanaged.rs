//! The network managers of the base images leave the VLAN interface alone: the real ones, with the files that the agent
//! writes for them. The interface only has a VLAN's name here (the kernel has no 802.1Q), and a DHCP server waits behind
//! it for whoever takes it up; without our files they all do.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use boot_config::Settings;
use cluster_lab::paths::Paths;
use cluster_lab::unmanaged;

use super::SOON;
use super::switch::{Machine, Running, Switch, eventually};

/// What `ci/network-managers` makes.
const UNPACKED: &str = "target/lab/network-managers";

/// Runs `$3` below a root of its own: the system's files, what is unpacked in `$1` laid over them, and the machine's `/etc`
/// from `$2` over both. With a read-only `/sys` the managers know that no udev runs here and do not wait for it.
const WITH_A_ROOT_OF_ITS_OWN: &str = r#"
mount --make-rprivate / && mount -t tmpfs tmpfs /mnt && mkdir /mnt/up /mnt/work /mnt/root || exit 1
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work /mnt/root || exit 1
tar -C "$1" -c . | tar -C /mnt/root -x --keep-directory-symlink || exit 1
cp -a "$2/." /mnt/root/etc && rm -f /mnt/root/etc/network/interfaces || exit 1
cd /mnt/root && mount -t proc proc proc && mount -t sysfs -o ro sysfs sys && mount -t tmpfs tmpfs run || exit 1
mount --rbind /dev dev && mkdir -p run/dbus run/NetworkManager || exit 1
exec chroot . sh -c "$3""#;

/// A manager of networks, and the file that tells it to take up every interface.
struct Manager {
    /// For messages.
    name: &'static str,
    /// How it is started.
    start: &'static str,
    /// A file below `/etc`, its mode, and what is in it.
    file: (&'static str, u32, &'static str),
}

const NETWORK_MANAGER: Manager = Manager {
    name: "NetworkManager",
    start: "dbus-daemon --system --nofork --nopidfile & sleep 1; exec NetworkManager --no-daemon",
    file: (
        "NetworkManager/system-connections/all.nmconnection",
        // It reads no connection that others may read.
        0o600,
        "[connection]\nid=all\ntype=ethernet\nmulti-connect=3\n[ipv4]\nmethod=auto\n[ipv6]\nmethod=disabled\n",
    ),
};

const DHCPCD: Manager = Manager {
    name: "dhcpcd",
    start: "exec dhcpcd --nobackground --ipv4only --noarp",
    file: ("dhcpcd.conf", 0o644, "hostname\nclientid\npersistent\nnodev\n"),
};

const NETWORKD: Manager = Manager {
    name: "systemd-networkd",
    start: "mkdir -p run/systemd/netif && chown systemd-network run/systemd/netif; exec /lib/systemd/systemd-networkd",
    file: (
        "systemd/network/80-all.network",
        0o644,
        "[Match]\nName=*\n\n[Network]\nDHCP=ipv4\n",
    ),
};

/// A DHCP server for `network`.0/24 on the switch.
fn dhcp_server(switch: &Switch, name: &str, network: &str) -> (Machine, Running) {
    let server = switch.machine(name);
    server.ip(&format!("addr add {network}.1/24 dev cl0"));
    let mut dnsmasq = server.inside("dnsmasq");
    dnsmasq.args(["--no-daemon", "--port=0", "--interface=cl0", "--bind-interfaces"]);
    dnsmasq.args(["--conf-file=/dev/null", "--user=root", "--dhcp-authoritative"]);
    dnsmasq.arg(format!("--dhcp-range={network}.50,{network}.60,5m"));
    dnsmasq.arg(format!("--dhcp-leasefile={}", server.file("leases").display()));
    dnsmasq.stdout(Stdio::null()).stderr(Stdio::null());
    (server, Running(dnsmasq.spawn().expect("dnsmasq starts")))
}

fn unpacked() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(UNPACKED);
    assert!(
        root.join("complete").exists(),
        "{UNPACKED} is missing: run ci/network-managers"
    );
    root.join("root").canonicalize().expect("a folder")
}

/// Starts the manager with `etc` as its files.
fn start(manager: &Manager, machine: &Machine, etc: &Path) -> Running {
    let log = std::fs::File::create(machine.file("manager.log")).expect("a log");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "nsenter"]);
    command.arg(format!("--net={}", machine.network().display()));
    command.args([
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    command.args(["sh", "-c", WITH_A_ROOT_OF_ITS_OWN, "sh"]);
    command.arg(unpacked()).arg(etc).arg(manager.start);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log);
    Running(command.spawn().expect("the manager starts"))
}

fn has_address(machine: &Machine, interface: &str, network: &str) -> Result<(), String> {
    let shown = machine.ip(&format!("-4 -o addr show dev {interface}"));
    if shown.contains(&format!("inet {network}.")) {
        return Ok(());
    }
    let log = std::fs::read_to_string(machine.file("manager.log")).unwrap_or_default();
    Err(format!("{interface} has '{shown}'; {log}"))
}

fn leases(server: &Machine) -> String {
    std::fs::read_to_string(server.file("leases")).unwrap_or_default()
}

/// Without our file the manager takes the VLAN interface up; with it, only the other one.
fn leaves_the_vlan_interface_alone(manager: &Manager) {
    let (uplink, cluster) = (Switch::new(), Switch::new());
    let _router = dhcp_server(&uplink, "router", "192.168.1");
    let (rival, _dnsmasq) = dhcp_server(&cluster, "rival", "192.168.200");
    for told in [false, true] {
        let machine = uplink.machine(if told { "told" } else { "untold" });
        cluster.uplink(&machine);
        machine.ip("link set up0 down");
        machine.ip("link set up0 name cl0.200");
        machine.ip("link set cl0.200 up");
        let root = machine.file("managed");
        let file = root.join("etc").join(manager.file.0);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(&file, manager.file.2).expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(manager.file.1)).expect("a mode");
        if told {
            // networkd is taken for present where its program is.
            std::fs::create_dir_all(root.join("lib/systemd")).expect("a folder");
            std::fs::write(root.join("lib/systemd/systemd-networkd"), "").expect("a file");
            let warnings = unmanaged::apply(&Paths::below(&root), &Settings::default());
            assert!(warnings.is_empty(), "{}: {warnings:?}", manager.name);
        }
        let before = leases(&rival);
        let _manager = start(manager, &machine, &root.join("etc"));
        let what = format!("{} takes up an interface", manager.name);
        eventually(&what, SOON, || has_address(&machine, "cl0", "192.168.1"));
        if told {
            // It has the one, and has had as long for the other again.
            std::thread::sleep(Duration::from_secs(5));
            assert_eq!(machine.ip("-4 -o addr show dev cl0.200"), "", "{}", manager.name);
            assert_eq!(leases(&rival), before, "{}", manager.name);
        } else {
            eventually(&what, SOON, || has_address(&machine, "cl0.200", "192.168.200"));
        }
    }
}

#[test]
fn network_manager_leaves_the_vlan_interface_alone() {
    leaves_the_vlan_interface_alone(&NETWORK_MANAGER);
}

#[test]
fn dhcpcd_leaves_the_vlan_interface_alone() {
    leaves_the_vlan_interface_alone(&DHCPCD);
}

#[test]
fn systemd_networkd_leaves_the_vlan_interface_alone() {
    leaves_the_vlan_interface_alone(&NETWORKD);
}
