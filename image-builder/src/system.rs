//! Which operating system a root file system holds: its name, who manages the network, which Docker it has. From what is
//! there and from dpkg's own record.

use anyhow::{Context as _, Result};
use disk_image::ext4::RootFs;
use serde::Serialize;

/// An operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct System {
    /// `PRETTY_NAME` of os-release.
    pub name: String,
    /// Whether `/bin` and `/lib` are links into `/usr`.
    pub merged_usr: bool,
    /// Whether systemd is there, which starts the agent.
    pub systemd: bool,
    /// Who may manage the network: name and version of each that is installed.
    pub network_managers: Vec<String>,
    /// Docker Engine: package and version.
    pub docker: Option<String>,
}

/// A program that says that something is installed, and the packages that it may come from.
struct Sign {
    name: &'static str,
    files: &'static [&'static str],
    packages: &'static [&'static str],
}

const NETWORK_MANAGERS: [Sign; 5] = [
    Sign {
        name: "NetworkManager",
        files: &["/usr/sbin/NetworkManager"],
        packages: &["network-manager"],
    },
    Sign {
        name: "dhcpcd",
        files: &["/sbin/dhcpcd", "/usr/sbin/dhcpcd", "/usr/lib/dhcpcd5/dhcpcd"],
        packages: &["dhcpcd5", "dhcpcd", "dhcpcd-base"],
    },
    Sign {
        name: "systemd-networkd",
        files: &[
            "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
            "/etc/systemd/system/dbus-org.freedesktop.network1.service",
        ],
        packages: &["systemd"],
    },
    Sign {
        name: "ifupdown",
        files: &["/sbin/ifup", "/usr/sbin/ifup"],
        packages: &["ifupdown", "ifupdown-ng"],
    },
    Sign {
        name: "netplan",
        files: &["/usr/sbin/netplan"],
        packages: &["netplan.io"],
    },
];

const DOCKER: Sign = Sign {
    name: "Docker",
    files: &["/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/bin/docker"],
    packages: &[
        "docker.io",
        "docker-ce",
        "docker-engine",
        "docker-hypriot",
        "moby-engine",
    ],
};

impl System {
    /// Looks at a root file system.
    pub(crate) fn examine(root: &impl RootFs) -> Result<Self> {
        let text = |path: &str| -> Result<Option<String>> {
            let bytes = root.read(&path.parse()?)?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let release = text("/etc/os-release")?.context("it has no /etc/os-release")?;
        let packages = text("/var/lib/dpkg/status")?.unwrap_or_default();
        let there = |path: &str| -> Result<bool> { Ok(root.metadata(&path.parse()?)?.is_some()) };
        let found = |sign: &Sign| -> Result<Option<String>> {
            for file in sign.files {
                if there(file)? {
                    return Ok(Some(describe(sign, &packages)));
                }
            }
            Ok(None)
        };
        let mut network_managers = Vec::new();
        for sign in &NETWORK_MANAGERS {
            network_managers.extend(found(sign)?);
        }
        Ok(Self {
            name: pretty_name(&release),
            merged_usr: root.read_link(&"/lib".parse()?)?.is_some(),
            systemd: there("/lib/systemd")?,
            network_managers,
            docker: found(&DOCKER)?,
        })
    }
}

fn describe(sign: &Sign, status: &str) -> String {
    let package = sign.packages.iter().find_map(|package| {
        let version = installed(status, package)?;
        Some(format!("{} ({package} {version})", sign.name))
    });
    package.unwrap_or_else(|| format!("{} (of no package)", sign.name))
}

/// The version of a package that is fully installed, from the text of dpkg's status file.
fn installed(status: &str, package: &str) -> Option<String> {
    let paragraphs = status.split("\n\n").map(|paragraph| {
        move |key: &str| {
            let mut fields = paragraph.lines().filter_map(|line| line.split_once(": "));
            fields.find(|(name, _)| *name == key).map(|(_, value)| value)
        }
    });
    let mut ours = paragraphs.filter(|field| field("Package") == Some(package));
    let field = ours.find(|field| field("Status").is_some_and(|status| status.ends_with(" installed")))?;
    field("Version").map(str::to_owned)
}

fn pretty_name(release: &str) -> String {
    let value = |key: &str| {
        let mut lines = release.lines().filter_map(|line| line.split_once('='));
        lines
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
    };
    value("PRETTY_NAME")
        .or_else(|| value("ID"))
        .unwrap_or_else(|| "an unnamed system".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_have_a_name() {
        assert_eq!(pretty_name("ID=debian\nPRETTY_NAME=\"Debian 12\"\n"), "Debian 12");
        assert_eq!(pretty_name("ID=x\n"), "x");
        assert_eq!(pretty_name(""), "an unnamed system");
    }

    #[test]
    fn only_what_is_installed_counts() {
        let status = "Package: docker.io\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: docker-ce\nStatus: install \
                      ok installed\nVersion: 5:20.10\nDescription: x\n y: z\n";
        assert_eq!(installed(status, "docker.io"), None);
        assert_eq!(describe(&DOCKER, status), "Docker (docker-ce 5:20.10)");
        assert_eq!(describe(&DOCKER, ""), "Docker (of no package)");
    }
}
