//! What a system must have before Cluster Lab can work on it: its kernel's features and a Docker Engine.

use boot_config::Vlan;

use super::{Group, check};
use crate::paths::Paths;

/// What the kernel must have: its module's name, and what for.
const KERNEL: [(&str, &str); 5] = [
    ("8021q", "the cluster network (or set vlan = \"off\")"),
    ("bridge", "Docker's networks"),
    ("veth", "Docker's networks"),
    ("overlay", "Docker's images"),
    ("vxlan", "networks over several nodes"),
];

/// What was seen of a system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// Those of [`KERNEL`] that are there.
    features: Vec<&'static str>,
    /// Whether the kernel came with a list of its modules. Without one, what is built in need not show.
    lists_modules: bool,
    docker: bool,
}

impl System {
    /// Looks at a system.
    pub fn look(paths: &Paths) -> Self {
        let release = read(paths, "/proc/sys/kernel/osrelease");
        let folder = format!("/lib/modules/{}", release.trim());
        let listed = ["modules.builtin", "modules.dep"].map(|list| read(paths, &format!("{folder}/{list}")));
        let devices = read(paths, "/proc/filesystems");
        let has = |module: &str| {
            paths.at(&format!("/sys/module/{module}")).exists()
                || devices.split_whitespace().any(|name| name == module)
                || listed.iter().any(|list| list.contains(&format!("/{module}.ko")))
        };
        let features = KERNEL.iter().map(|(module, _)| *module);
        Self {
            features: features.filter(|module| has(module)).collect(),
            lists_modules: listed.iter().any(|list| !list.is_empty()),
            docker: paths.docker_programs().iter().any(|program| program.exists()),
        }
    }
}

/// The checks.
pub fn group(system: &System, vlan: Vlan) -> Group {
    let wanted = KERNEL
        .iter()
        .filter(|(module, _)| *module != "8021q" || vlan != Vlan::Off);
    let mut checks = vec![check(
        "docker is installed",
        system.docker,
        "apt-get install docker.io",
    )];
    checks.extend(wanted.map(|(module, purpose)| {
        let seen = system.features.contains(module);
        let trust = if seen || system.lists_modules {
            ""
        } else {
            " (it does not tell: taken on trust)"
        };
        check(
            format!("the kernel has {module}{trust}"),
            seen || !system.lists_modules,
            format!("needed for {purpose}: take a kernel with it"),
        )
    }));
    Group {
        name: "Required software",
        checks,
    }
}

fn read(paths: &Paths, file: &str) -> String {
    std::fs::read_to_string(paths.at(file)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{is_healthy, render};

    #[test]
    fn what_is_built_in_loaded_or_can_be_loaded_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("proc/sys/kernel/osrelease", "6.1\n");
        write("lib/modules/6.1/modules.builtin", "kernel/net/bridge/bridge.ko\n");
        write("lib/modules/6.1/modules.dep", "kernel/drivers/net/veth.ko.xz:\n");
        write("sys/module/vxlan/version", "");
        write("proc/filesystems", "nodev\tproc\nnodev\toverlay\n\text4\n");
        write("usr/bin/dockerd", "");
        let system = System::look(&Paths::below(folder.path()));
        assert_eq!(system.features, ["bridge", "veth", "overlay", "vxlan"]);
        assert!(is_healthy(&[group(&system, Vlan::Off)]));
        let vlan = boot_config::Settings::default().network.vlan;
        let text = render(&[group(&system, vlan)], false);
        assert!(
            text.contains("[FAIL]   the kernel has 8021q\n           -> needed for the cluster network"),
            "{text}"
        );
        std::fs::remove_dir_all(folder.path().join("lib")).unwrap();
        let text = render(&[group(&System::look(&Paths::below(folder.path())), vlan)], false);
        assert!(
            text.contains("[PASS]   the kernel has 8021q (it does not tell: taken on trust)\n"),
            "{text}"
        );
    }
}
