//! The node's settings, from all places that may say something.
//!
//! A node must come up whatever is written on its card. So a source that cannot be read or is wrong is left out, and
//! each such thing becomes a warning of one line; loading itself never fails.

use std::path::{Path, PathBuf};

use boot_config::{FILE_NAME, ForeignFormat, Layer, NetworkLayer, OLD_SETTINGS, SECRET_FILE, Settings};

use crate::paths::Paths;
use crate::secret::{self, Found};

/// What the node uses, and what it could not use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// All sources merged.
    pub settings: Settings,
    /// A line for each source or part of one that was left out: where, why, what is allowed.
    pub warnings: Vec<String>,
}

/// One source that could be read.
struct Source {
    name: String,
    layer: Layer,
}

impl Config {
    /// Reads all sources below the root. Lowest first: built-in defaults, the first Cluster Lab's file in /etc, ours there,
    /// the hostname of another format on
    /// the boot partition, `cluster-lab.toml` there, kernel command line.
    pub fn load(paths: &Paths) -> Self {
        let mut warnings = Vec::new();
        let mut sources = Vec::new();
        if paths.image_stamp().exists() && !has_boot_partition(paths) {
            warnings.push(format!(
                "no boot partition is mounted at {}: its {FILE_NAME} is not used",
                Paths::BOOT_FOLDERS.join(" or ")
            ));
        }
        sources.extend(old_settings(
            &paths.etc_settings().with_file_name(OLD_SETTINGS),
            &mut warnings,
        ));
        sources.extend(settings_file(&paths.etc_settings(), &mut warnings));
        sources.extend(foreign_hostname(paths, &mut warnings));
        if let Some(file) = on_boot_partition(paths, FILE_NAME) {
            sources.extend(settings_file(&file, &mut warnings));
        }
        sources.extend(kernel_command_line(paths, &mut warnings));
        if let Some(file) = on_boot_partition(paths, SECRET_FILE)
            && let Found::Damaged(line) = secret::read(&file)
        {
            warnings.push(format!(
                "{line}; it is left out, and the secret that this node has is kept"
            ));
        }
        let settings = fitting(&sources, &mut warnings);
        // They quote what a file has, and end on consoles.
        let warnings = warnings
            .iter()
            .map(|line| line.replace(char::is_control, "\u{fffd}"))
            .collect();
        Self { settings, warnings }
    }
}

/// Merges the sources. Where their networks do not fit together, as few `[network]` parts as possible are left out,
/// and of the weaker sources first: hostname and account must not suffer from a wrong pool.
fn fitting(sources: &[Source], warnings: &mut Vec<String>) -> Settings {
    let reason = match Settings::from_layers(sources.iter().map(|source| &source.layer)) {
        Ok(settings) => return settings,
        Err(error) => error.to_string(),
    };
    let with_network: Vec<usize> = (0..sources.len())
        .filter(|&i| sources[i].layer.network != NetworkLayer::default())
        .collect();
    // Bit n of a set stands for the n-th source that has a network; a higher number keeps stronger sources.
    let mut sets: Vec<u32> = (0..1 << with_network.len()).collect();
    sets.sort_by_key(|set| std::cmp::Reverse((set.count_ones(), *set)));
    for set in sets {
        let left_out: Vec<usize> = (0..with_network.len())
            .filter(|bit| set & (1 << bit) == 0)
            .map(|bit| with_network[bit])
            .collect();
        let mut layers: Vec<Layer> = sources.iter().map(|source| source.layer.clone()).collect();
        for &index in &left_out {
            layers[index].network = NetworkLayer::default();
        }
        if let Ok(settings) = Settings::from_layers(&layers) {
            warnings.extend(left_out.iter().map(|&index| {
                let name = &sources[index].name;
                format!("{name}: its network settings are left out: {reason}")
            }));
            return settings;
        }
    }
    Settings::default()
}

fn settings_file(path: &Path, warnings: &mut Vec<String>) -> Option<Source> {
    let name = path.display().to_string();
    let text = read(path, warnings)?;
    match boot_config::parse(&name, &text) {
        Ok(layer) => Some(Source { name, layer }),
        Err(error) => {
            warnings.push(format!("{error}; this file is left out"));
            None
        }
    }
}

/// The file of the first Cluster Lab, for those who keep their system.
fn old_settings(path: &Path, warnings: &mut Vec<String>) -> Option<Source> {
    let name = path.display().to_string();
    let text = read(path, warnings)?;
    match boot_config::from_cluster_conf(&name, &text) {
        Ok((layer, unused)) => {
            warnings.extend(unused);
            Some(Source { name, layer })
        }
        Err(error) => {
            warnings.push(format!("{error}; this file is left out"));
            None
        }
    }
}

fn foreign_hostname(paths: &Paths, warnings: &mut Vec<String>) -> Option<Source> {
    ForeignFormat::ALL.into_iter().find_map(|format| {
        let path = on_boot_partition(paths, format.file_name())?;
        let name = path.display().to_string();
        let text = read(&path, warnings)?;
        match format.hostname(&name, &text) {
            Ok(None) => None,
            Ok(hostname) => Some(Source {
                name,
                layer: Layer {
                    hostname,
                    ..Layer::default()
                },
            }),
            Err(error) => {
                warnings.push(format!("{error}; this name is left out"));
                None
            }
        }
    })
}

fn kernel_command_line(paths: &Paths, warnings: &mut Vec<String>) -> Option<Source> {
    let text = read(&paths.at("/proc/cmdline"), warnings)?;
    match boot_config::from_kernel_command_line(&text) {
        Ok(layer) => Some(Source {
            name: "kernel command line".to_owned(),
            layer,
        }),
        Err(error) => {
            warnings.push(format!("{error}; its cluster-lab settings are left out"));
            None
        }
    }
}

/// The text of a file; `None` when there is none, and with a warning when it cannot be read.
fn read(path: &Path, warnings: &mut Vec<String>) -> Option<String> {
    let shown = path.display();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            warnings.push(format!("{shown} cannot be read: {error}; this file is left out"));
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
            warnings.push(format!(
                "{shown} line {line}: not UTF-8 text: save it as UTF-8 or plain ASCII; this file is left out"
            ));
            None
        }
    }
}

/// The file of this name on the boot partition, wherever that is mounted.
fn on_boot_partition(paths: &Paths, file: &str) -> Option<PathBuf> {
    let places = Paths::BOOT_FOLDERS.map(|folder| paths.at(folder).join(file));
    // Anything but "not there" is a find: an entry that cannot be read must be warned of.
    places.into_iter().find(
        |path| !matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound),
    )
}

/// The firmware of every Pi needs these two on the partition, so an empty mount point is told from a mounted one.
fn has_boot_partition(paths: &Paths) -> bool {
    ["config.txt", "cmdline.txt"]
        .iter()
        .any(|file| on_boot_partition(paths, file).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use boot_config::Vlan;

    fn node(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        for (name, content) in files {
            let path = paths.at(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        (root, paths)
    }

    fn load(files: &[(&str, &[u8])]) -> Config {
        let (_guard, paths) = node(files);
        let mut config = Config::load(&paths);
        let root = paths.root().display().to_string();
        for warning in &mut config.warnings {
            assert!(!warning.contains(char::is_control), "{warning}");
            *warning = warning.replace(&root, "");
        }
        config
    }

    fn hostname(config: &Config) -> Option<&str> {
        config.settings.hostname.as_ref().map(|name| name.as_str())
    }

    #[test]
    fn without_any_source_the_defaults_hold() {
        let config = load(&[]);
        assert_eq!(config.settings, Settings::default());
        assert_eq!(config.warnings, [""; 0]);
    }

    #[test]
    fn the_kernel_command_line_wins_over_the_boot_partition_over_etc() {
        let config = load(&[
            (
                "/etc/cluster-lab/cluster.toml",
                b"version = 1\nhostname = \"etc\"\n[network]\nvlan = 5\n[cluster]\nname = \"x\"\n",
            ),
            (
                "/boot/firmware/cluster-lab.toml",
                b"version = 1\nhostname = \"boot\"\n[network]\nvlan = 6\n",
            ),
            ("/boot/firmware/user-data", b"#cloud-config\nhostname: cloud\n"),
            ("/proc/cmdline", b"quiet cluster-lab.vlan=7\n"),
        ]);
        assert_eq!(config.warnings, [""; 0]);
        assert_eq!(hostname(&config), Some("boot"));
        assert_eq!(config.settings.network.vlan, Vlan::Id(7.try_into().unwrap()));
        assert_eq!(config.settings.cluster.name.as_str(), "x");
    }

    #[test]
    fn a_boot_partition_at_boot_is_found_too() {
        let config = load(&[("/boot/cluster-lab.toml", b"version = 1\nhostname = \"old\"\n")]);
        assert_eq!(hostname(&config), Some("old"));
    }

    #[test]
    fn the_hostname_falls_back_to_the_other_formats_in_order() {
        let cloud: (&str, &[u8]) = ("/boot/user-data", b"#cloud-config\nhostname: cloud\n");
        let device_init: (&str, &[u8]) = ("/boot/device-init.yaml", b"hostname: init\n");
        let occidentalis: (&str, &[u8]) = ("/boot/occidentalis.txt", b"hostname=occi\n");
        let wrong: (&str, &[u8]) = ("/boot/cluster-lab.toml", b"version = 1\nhostname = \"\"\n");
        for (files, expected) in [
            (vec![cloud, device_init, occidentalis], "cloud"),
            (vec![device_init, occidentalis], "init"),
            (vec![occidentalis], "occi"),
            (vec![wrong, cloud], "cloud"),
            (
                vec![
                    ("/boot/user-data", &b"#cloud-config\nhostname: a_b\n"[..]),
                    occidentalis,
                ],
                "occi",
            ),
        ] {
            assert_eq!(hostname(&load(&files)), Some(expected));
        }
    }

    #[test]
    fn a_source_that_is_wrong_is_left_out_with_one_line_that_helps() {
        for (file, content, expected) in [
            (
                "/boot/firmware/cluster-lab.toml",
                &b"version = 1\nhostname = \"-\\u001b[2J\"\n"[..],
                "/boot/firmware/cluster-lab.toml line 2 (hostname): '-\u{fffd}[2J' is not a host name: 1 to 63 letters",
            ),
            (
                "/boot/cluster-lab.toml",
                b"version = 1\nhostname = \"b\xf6se\"\n",
                "/boot/cluster-lab.toml line 2: not UTF-8 text: save it as UTF-8",
            ),
            (
                "/boot/cluster-lab.toml",
                b"\x00\xff\x80",
                "/boot/cluster-lab.toml line 1: not UTF-8",
            ),
            (
                "/etc/cluster-lab/cluster.toml",
                b"version = 1\n[network]\nvlna = 1\n",
                "/etc/cluster-lab/cluster.toml line 3 (vlna): unknown field `vlna`, expected one of",
            ),
            (
                "/proc/cmdline",
                b"quiet cluster-lab.vlan=x",
                "kernel command line line 1 (cluster-lab.vlan): 'x': 'x' is not a VLAN",
            ),
            (
                "/boot/cluster-lab.toml/folder",
                b"",
                "/boot/cluster-lab.toml cannot be read: Is a directory",
            ),
            (
                "/boot/firmware/cluster-lab.secret",
                b"cluster-secret-1:000g40r4",
                "/boot/firmware/cluster-lab.secret: this is not a cluster secret: one line, cluster-secret-1: and",
            ),
            (
                "/usr/lib/cluster-lab/image.toml",
                b"version = 1",
                "no boot partition is mounted at /boot/firmware or /boot: its cluster-lab.toml is not used",
            ),
        ] {
            let config = load(&[(file, content)]);
            assert_eq!(config.settings, Settings::default());
            assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
            assert!(config.warnings[0].starts_with(expected), "{}", config.warnings[0]);
        }
    }

    #[test]
    fn the_first_cluster_labs_file_counts_less_than_ours() {
        let old: (&str, &[u8]) = (
            "/etc/cluster-lab/cluster.conf",
            b"VLAN_ID=\"7\"\nINTERFACE=\"eth1\"\nDOCKER_OPTS=\"-s btrfs\"\n",
        );
        let ours: (&str, &[u8]) = (
            "/etc/cluster-lab/cluster.toml",
            b"version = 1\n[network]\nvlan = 8\n",
        );
        let config = load(&[old, ours]);
        assert_eq!(config.settings.network.vlan, Vlan::Id(8.try_into().unwrap()));
        assert_eq!(config.settings.network.interface.unwrap().as_str(), "eth1");
        assert!(
            config.warnings[0]
                .starts_with("/etc/cluster-lab/cluster.conf line 3 (DOCKER_OPTS): Docker is set up by"),
            "{:?}",
            config.warnings
        );
        let config = load(&[("/etc/cluster-lab/cluster.conf", b"VLAN_ID=0")]);
        assert!(
            config.warnings[0].ends_with("a number from 1 to 4094, or \"off\"; this file is left out"),
            "{:?}",
            config.warnings
        );
        assert_eq!(config.settings, Settings::default());
    }

    #[test]
    fn networks_that_do_not_fit_lose_the_weaker_one_and_nothing_else() {
        let etc: &[u8] = b"version = 1\nhostname = \"kept\"\n[network]\nsubnet = \"10.0.0.0/24\"\n";
        let whole: &[u8] = b"version = 1\n[network]\nsubnet = \"10.1.0.0/24\"\nmaster-address = \"10.1.0.1\"\npool = \"10.1.0.2-10.1.0.9\"\n";
        let config = load(&[("/etc/cluster-lab/cluster.toml", etc)]);
        assert_eq!(hostname(&config), Some("kept"));
        assert_eq!(config.settings.network, Settings::default().network);
        assert!(
            config.warnings[0].starts_with(
                "/etc/cluster-lab/cluster.toml: its network settings are left out: master-address 192.168.200.1 is not"
            ),
            "{:?}",
            config.warnings
        );
        // The boot partition's network is whole, so it decides, whatever is below it.
        let config = load(&[
            ("/etc/cluster-lab/cluster.toml", etc),
            ("/boot/cluster-lab.toml", whole),
        ]);
        assert_eq!(config.settings.network.subnet.to_string(), "10.1.0.0/24");
        assert_eq!(config.warnings, [""; 0]);
        // What fits only together with a stronger source is kept.
        let config = load(&[
            ("/etc/cluster-lab/cluster.toml", etc),
            (
                "/proc/cmdline",
                b"cluster-lab.master-address=10.0.0.1 cluster-lab.pool=10.0.0.2-10.0.0.9",
            ),
        ]);
        assert_eq!(config.settings.network.subnet.to_string(), "10.0.0.0/24");
        // The weaker of two that do not fit each other goes.
        let config = load(&[
            (
                "/etc/cluster-lab/cluster.toml",
                b"version = 1\n[network]\nmaster-address = \"192.168.200.2\"\n",
            ),
            (
                "/boot/cluster-lab.toml",
                b"version = 1\n[network]\npool = \"192.168.200.2-192.168.200.9\"\n",
            ),
        ]);
        assert_eq!(
            config.settings.network.pool.to_string(),
            "192.168.200.2-192.168.200.9"
        );
        assert!(
            config.warnings[0].starts_with("/etc/cluster-lab/"),
            "{:?}",
            config.warnings
        );
    }
}
