//! Where things are on a node, below a root that tests replace.

use std::path::{Path, PathBuf};

/// The files of one node. On a node the root is `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self::below("/")
    }
}

impl Paths {
    /// Where the boot partition is mounted: our base image and recent Raspberry Pi OS, then all others.
    pub const BOOT_FOLDERS: [&str; 2] = ["/boot/firmware", "/boot"];

    /// The cluster secret in the state folder.
    pub const SECRET: &str = "secret";

    /// The files below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether these are the files of the running system, so that its kernel is the one to talk to.
    pub fn is_running_system(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The place of an absolute path of the node.
    pub fn at(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// Settings that come with the image or are the administrator's.
    pub fn etc_settings(&self) -> PathBuf {
        self.at("/etc/cluster-lab/cluster.toml")
    }

    /// What `image-builder` writes into every release image.
    pub fn image_stamp(&self) -> PathBuf {
        self.at("/usr/lib/cluster-lab/image.toml")
    }

    /// What a node must remember over a restart.
    pub fn state(&self) -> PathBuf {
        self.at("/var/lib/cluster-lab")
    }

    /// The cluster secret, for root only.
    pub fn secret(&self) -> PathBuf {
        self.state().join(Self::SECRET)
    }

    /// One marker file per first-boot step that is done.
    pub fn first_boot_markers(&self) -> PathBuf {
        self.state().join("first-boot")
    }

    /// Where Docker Engine's program may be.
    pub fn docker_programs(&self) -> Vec<PathBuf> {
        ["/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd"]
            .map(|place| self.at(place))
            .into()
    }

    /// The cluster-wide Docker endpoint's Unix socket.
    pub fn docker_endpoint(&self) -> PathBuf {
        self.at("/run/cluster-lab/docker.sock")
    }

    /// The HTTP API's Unix socket.
    pub fn agent_socket(&self) -> PathBuf {
        self.at("/run/cluster-lab/agent.sock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_lies_below_the_root() {
        let paths = Paths::below("/tmp/x");
        assert_eq!(paths.at("/etc/hosts"), Path::new("/tmp/x/etc/hosts"));
        assert_eq!(
            paths.first_boot_markers(),
            Path::new("/tmp/x/var/lib/cluster-lab/first-boot")
        );
        assert!(!paths.is_running_system() && Paths::default().is_running_system());
        assert_eq!(
            Paths::default().agent_socket(),
            Path::new("/run/cluster-lab/agent.sock")
        );
    }
}
