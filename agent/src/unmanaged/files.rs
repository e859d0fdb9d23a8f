//! What each service must be told, and what follows for the file that is there: pure but for looking whether it is
//! installed.

use boot_config::VlanId;

use super::block;
use crate::paths::Paths;

/// Starts every file that is wholly ours.
const HEADER: &str = "# Written by cluster-lab at every start.\n";

/// Who might take the VLAN interface, or the hostname, into its hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// systemd-networkd: our base image, Ubuntu.
    Networkd,
    /// NetworkManager: Raspberry Pi OS from bookworm.
    NetworkManager,
    /// dhcpcd: HypriotOS, Raspberry Pi OS before bookworm.
    Dhcpcd,
    /// cloud-init, which names the node by `user-data`: HypriotOS from 1.7, Raspberry Pi OS from trixie.
    CloudInit,
}

/// How a file changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The file is ours, with this content.
    Whole(String),
    /// These lines are ours in a file of somebody else.
    Block(String),
}

/// What to do with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Keep,
    Write(Vec<u8>),
    Remove,
    /// Somebody else wrote it, so it cannot be ours.
    Foreign,
}

impl Service {
    pub(super) const ALL: [Self; 4] = [
        Self::Networkd,
        Self::NetworkManager,
        Self::Dhcpcd,
        Self::CloudInit,
    ];

    pub(super) fn file(self) -> &'static str {
        match self {
            // The first file that matches an interface decides, so before all others.
            Self::Networkd => "/etc/systemd/network/05-cluster-lab.network",
            Self::NetworkManager => "/etc/NetworkManager/conf.d/cluster-lab.conf",
            Self::Dhcpcd => "/etc/dhcpcd.conf",
            Self::CloudInit => "/etc/cloud/cloud.cfg.d/99-cluster-lab.cfg",
        }
    }

    /// Whether the system has it. Not whether it is enabled: that may change.
    pub(super) fn is_present(self, paths: &Paths) -> bool {
        let places: &[&str] = match self {
            Self::Networkd => &[
                "/lib/systemd/systemd-networkd",
                "/usr/lib/systemd/systemd-networkd",
            ],
            Self::NetworkManager => &["/etc/NetworkManager"],
            Self::Dhcpcd => &["/etc/dhcpcd.conf"],
            Self::CloudInit => &["/etc/cloud/cloud.cfg.d"],
        };
        places.iter().any(|place| paths.at(place).exists())
    }
}

/// What the service must be told for this VLAN (`None`: untagged, there is no interface of ours) and for a node that
/// is named by its settings.
pub(super) fn change(service: Service, vlan: Option<VlanId>, has_hostname: bool) -> Option<Change> {
    let whole = |text: String| Change::Whole(format!("{HEADER}{text}"));
    if service == Service::CloudInit {
        // It would set the name in user-data again at each start, after ours.
        return has_hostname.then(|| whole("preserve_hostname: true\n".to_owned()));
    }
    let pattern = format!("*.{}", vlan?.get());
    Some(match service {
        // Unmanaged= is known since systemd 233; before, the file keeps a later one with DHCP from matching.
        Service::Networkd => whole(format!("[Match]\nName={pattern}\n\n[Link]\nUnmanaged=yes\n")),
        // With += the devices that other files name stay unmanaged too.
        Service::NetworkManager => whole(format!(
            "[keyfile]\nunmanaged-devices+=interface-name:{pattern}\n"
        )),
        // Several denyinterfaces lines add up.
        Service::Dhcpcd => Change::Block(format!("denyinterfaces {pattern}\n")),
        Service::CloudInit => return None,
    })
}

/// What to do with the file as it is (`None`: missing) to get what is wanted (`None`: nothing of ours).
pub(super) fn next(present: Option<&[u8]>, wanted: Option<&Change>, service: Service) -> Next {
    let after = match (present, wanted) {
        (Some(text), Some(Change::Block(lines))) => block::with(text, lines),
        (Some(text), None) if service == Service::Dhcpcd => block::without(text),
        (None, Some(Change::Block(_)) | None) => return Next::Keep,
        (Some(text), _) if !text.starts_with(HEADER.as_bytes()) => {
            return if wanted.is_some() {
                Next::Foreign
            } else {
                Next::Keep
            };
        }
        (_, Some(Change::Whole(text))) => text.clone().into_bytes(),
        (Some(_), None) => return Next::Remove,
    };
    if present == Some(&after) {
        Next::Keep
    } else {
        Next::Write(after)
    }
}
