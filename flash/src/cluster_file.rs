//! `cluster.toml`: the image, the names and the settings of all cards of a cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use boot_config::{FormatVersion, Hostname, Settings};
use serde::Deserialize;
use toml::Table;

use crate::download;
use crate::membership::Membership;
use crate::names;
use crate::settings::{Options, Wanted};

/// A cluster, as its file describes it.
#[derive(Clone, Debug)]
pub(crate) struct ClusterFile {
    /// A file or a URL.
    pub(crate) image: String,
    /// What the image must be.
    pub(crate) sha256: Option<String>,
    /// Who must have signed it.
    pub(crate) minisign_key: Option<String>,
    /// In the order in which they are flashed.
    pub(crate) nodes: Vec<Node>,
    pub(crate) membership: Membership,
    /// The name of the cluster.
    pub(crate) name: Hostname,
}

/// One node and its settings.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: Hostname,
    pub(crate) wanted: Wanted,
    /// Whether it has settings that the others do not have.
    pub(crate) is_special: bool,
}

/// The keys of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    #[serde(rename = "version")]
    _version: FormatVersion,
    image: String,
    sha256: Option<String>,
    minisign_key: Option<String>,
    names: String,
    cluster: Option<Hostname>,
    #[serde(default)]
    open_lab: bool,
    #[serde(default)]
    defaults: Table,
    #[serde(default)]
    node: BTreeMap<String, Table>,
}

/// Whether an argument in the place of an image is such a file.
pub(crate) fn is_one(place: &str) -> bool {
    !download::is_url(place)
        && Path::new(place)
            .extension()
            .is_some_and(|extension| extension == "toml")
}

impl ClusterFile {
    /// Reads and checks the file, and the files that it names.
    ///
    /// # Errors
    /// On the first thing that cannot be used, with the place in the file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&name, &text, folder)
    }

    fn parse(file: &str, text: &str, folder: &Path) -> Result<Self> {
        let Keys {
            _version,
            image,
            sha256,
            minisign_key,
            names,
            cluster,
            open_lab,
            defaults,
            mut node,
        } = toml::from_str(text).map_err(|error| {
            let before = error
                .span()
                .and_then(|span| text.get(..span.start))
                .unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            anyhow::anyhow!("{file} line {line}: {}", error.message())
        })?;
        let mut nodes = Vec::new();
        for name in names::all(&names) {
            let own = node.remove(&name);
            let is_special = own.is_some();
            let place = if is_special {
                format!("[node.{name}]")
            } else {
                "[defaults]".to_owned()
            };
            let mut keys = defaults.clone();
            keys.extend(own.unwrap_or_default());
            let wanted = settings(&name, keys, folder).with_context(|| format!("{file} {place}"))?;
            let name = name.parse().with_context(|| format!("{file} names"))?;
            nodes.push(Node {
                name,
                wanted,
                is_special,
            });
        }
        if let Some(name) = node.keys().next() {
            bail!("{file} [node.{name}]: {name} is none of the names {names}");
        }
        let is_place = download::is_url(&image) || image == "-";
        let image = if is_place {
            image
        } else {
            PathBuf::from(folder).join(image).display().to_string()
        };
        Ok(Self {
            image,
            sha256,
            minisign_key,
            nodes,
            name: cluster.clone().unwrap_or(Settings::default().cluster.name),
            membership: Membership { cluster, open_lab },
        })
    }
}

fn settings(name: &str, keys: Table, folder: &Path) -> Result<Wanted> {
    if keys.contains_key("hostname") {
        bail!("hostname: the nodes have their names from the key names");
    }
    let mut options: Options = keys
        .try_into()
        .map_err(|error: toml::de::Error| anyhow::anyhow!("{}", error.message()))?;
    options.relative_to(folder);
    options.hostname = Some(name.to_owned());
    options.check()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "user = \"pi\"\nuser-password-hash = \"$6$salt$hash\"\n";

    #[test]
    fn every_node_has_the_defaults_and_its_own() {
        let text = format!(
            "version = 1\nimage = \"x.img.xz\"\nnames = \"n{{1..3}}\"\ncluster = \"red\"\n[defaults]\n{HASH}time-zone = \
             \"UTC\"\n[node.n2]\ntime-zone = \"Europe/Berlin\"\nuplink-address = \"192.168.1.2/24\"\n"
        );
        let file = ClusterFile::parse("c.toml", &text, Path::new("/lab")).unwrap();
        assert_eq!(
            (file.image.as_str(), file.name.as_str()),
            ("/lab/x.img.xz", "red")
        );
        let nodes: Vec<_> = file
            .nodes
            .iter()
            .map(|node| {
                let zone = node.wanted.time_zone.as_ref().unwrap().as_str();
                (
                    node.name.as_str(),
                    zone,
                    node.wanted.user.is_some(),
                    node.wanted.uplink.is_some(),
                )
            })
            .collect();
        assert_eq!(
            nodes,
            [
                ("n1", "UTC", true, false),
                ("n2", "Europe/Berlin", true, true),
                ("n3", "UTC", true, false)
            ]
        );
    }

    #[test]
    fn mistakes_are_said_with_their_place() {
        let start = "version = 1\nimage = \"x\"\nnames = \"n{1..2}\"\n";
        for (text, expected) in [
            (
                "version = 2\nimage = \"x\"\nnames = \"n\"\n".to_owned(),
                "c.toml line 1: version 2 of this file is not known",
            ),
            (
                format!("{start}nmaes = 1\n"),
                "c.toml line 4: unknown field `nmaes`, expected one of",
            ),
            (
                format!("{start}[node.n3]\n"),
                "c.toml [node.n3]: n3 is none of the names n{1..2}",
            ),
            (
                format!("{start}[defaults]\nuser = 1\n"),
                "c.toml [defaults]: invalid type: integer `1`, expected a string",
            ),
            (
                format!("{start}[node.n2]\nhostname = \"x\"\n"),
                "c.toml [node.n2]: hostname: the nodes have",
            ),
            (
                format!("{start}[node.n2]\nlocale = \"d e\"\n"),
                "c.toml [node.n2]: --locale: 'd e' is no locale",
            ),
            (
                format!("{start}[node.n2]\npassword = \"12345678\"\n"),
                "c.toml [node.n2]: --password is nothing without --ssid",
            ),
            (
                "version = 1\nimage = \"x\"\nnames = \"a b\"\n".to_owned(),
                "c.toml [defaults]: --hostname: 'a b' is not a host name",
            ),
        ] {
            let message = format!(
                "{:#}",
                ClusterFile::parse("c.toml", &text, Path::new("")).unwrap_err()
            );
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn it_is_told_from_an_image_by_its_name() {
        for (place, expected) in [
            ("cluster.toml", true),
            ("a/b.toml", true),
            ("x.img", false),
            ("https://a/b.toml", false),
            ("-", false),
        ] {
            assert_eq!(is_one(place), expected, "{place}");
        }
    }
}
