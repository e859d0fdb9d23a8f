//! What a user wants to run, and what is wrong with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// More tasks than any lab bears: a slip of the finger.
pub(super) const REPLICAS_MAX: u32 = 1000;
/// Of lists and texts in a definition.
const ITEMS_MAX: usize = 100;
const TEXT_MAX: usize = 4096;

/// A service as it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Definition {
    /// The image, such as `nginx:1.27`.
    pub image: String,
    /// How many tasks; not together with `global`. Without both: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// One task on every node.
    #[serde(default)]
    pub global: bool,
    /// What runs instead of the image's own command.
    #[serde(default)]
    pub command: Vec<String>,
    /// Environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Ports that every node opens for it.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// The only node that it may run on, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Swarm's placement constraints, such as `node.labels.role==master`.
    #[serde(default)]
    pub constraints: Vec<String>,
}

/// A port of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Port {
    /// On every node.
    pub published: u16,
    /// In the containers.
    pub target: u16,
    /// TCP unless said otherwise.
    #[serde(default)]
    pub protocol: Protocol,
}

/// What a port speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP
    #[default]
    Tcp,
    /// UDP
    Udp,
}

/// The name of a service: what Swarm allows, and DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName(String);

impl Definition {
    /// Only an image, once.
    pub fn of_image(image: &str) -> Self {
        Self {
            image: image.to_owned(),
            replicas: None,
            global: false,
            command: Vec::new(),
            env: BTreeMap::new(),
            ports: Vec::new(),
            node: None,
            constraints: Vec::new(),
        }
    }

    /// Says what is wrong, if anything.
    ///
    /// # Errors
    /// One line for the user.
    pub fn check(&self) -> Result<(), String> {
        let Self {
            image,
            replicas,
            global,
            command,
            env,
            ports,
            node,
            constraints,
        } = self;
        if image.is_empty()
            || image.len() > 255
            || image.starts_with('-')
            || !image.bytes().all(is_image_byte)
        {
            return Err(format!(
                "image: '{image}' is no image name; an example is nginx:1.27"
            ));
        }
        match replicas {
            Some(_) if *global => return Err("replicas and global exclude each other".to_owned()),
            Some(count) => check_replicas(*count)?,
            None => {}
        }
        let lengths = [command.len(), env.len(), ports.len(), constraints.len()];
        if lengths.iter().any(|length| *length > ITEMS_MAX) {
            return Err(format!(
                "a list in the definition has more than {ITEMS_MAX} items"
            ));
        }
        let texts = command.iter().chain(env.values()).chain(constraints);
        if texts
            .clone()
            .any(|text| text.len() > TEXT_MAX || text.contains('\0'))
        {
            return Err(format!(
                "a text in the definition has more than {TEXT_MAX} characters or a zero byte"
            ));
        }
        if let Some(key) = env.keys().find(|key| !is_env_key(key)) {
            return Err(format!("env: '{key}' is no name of a variable"));
        }
        if ports.iter().any(|port| port.published == 0 || port.target == 0) {
            return Err("ports: published and target are 1 to 65535".to_owned());
        }
        if let Some(node) = node {
            check_node(node)?;
        }
        match constraints
            .iter()
            .find(|constraint| !constraint.contains("==") && !constraint.contains("!="))
        {
            Some(wrong) => Err(format!("constraints: '{wrong}' has neither == nor !=")),
            None => Ok(()),
        }
    }
}

/// Whether a service may have so many tasks.
pub(super) fn check_replicas(count: u32) -> Result<(), String> {
    if count > REPLICAS_MAX {
        return Err(format!("replicas: {count} is more than {REPLICAS_MAX}"));
    }
    Ok(())
}

/// Whether this can be the name of a node.
pub(super) fn check_node(name: &str) -> Result<(), String> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    if name.is_empty() || name.len() > 253 || !name.bytes().all(sound) {
        return Err(format!("node: '{name}' is no host name"));
    }
    Ok(())
}

fn is_image_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte)
}

fn is_env_key(key: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_graphic() && byte != b'=';
    !key.is_empty() && key.len() <= 255 && key.bytes().all(sound)
}

impl ServiceName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ServiceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric();
        let inside = |byte: u8| letter(byte) || b"-_.".contains(&byte);
        let edges = text.bytes().next().is_some_and(letter) && text.bytes().last().is_some_and(letter);
        if text.len() > 63 || !edges || !text.bytes().all(inside) {
            return Err(format!(
                "'{text}' is no name of a service: 1 to 63 letters, digits, '-', '_' and '.', at both ends a letter or digit"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl std::str::FromStr for Port {
    type Err = String;

    /// `8080:80`, `53:53/udp` or `80`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no port; examples are 80, 8080:80 and 53:53/udp");
        let (numbers, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((numbers, "udp")) => (numbers, Protocol::Udp),
            Some(_) => return Err(wrong()),
        };
        let (published, target) = numbers.split_once(':').unwrap_or((numbers, numbers));
        let number = |text: &str| text.parse().ok().filter(|port| *port != 0).ok_or_else(wrong);
        Ok(Self {
            published: number(published)?,
            target: number(target)?,
            protocol,
        })
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.published, self.target)?;
        match self.protocol {
            Protocol::Tcp => Ok(()),
            Protocol::Udp => f.write_str("/udp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_definition_is_said() {
        for (json, expected) in [
            (r#"{"image": "nginx"}"#, None),
            (r#"{"image": "r.example:5000/a/b_c:1.2@sha256:0f"}"#, None),
            (r#"{"image": ""}"#, Some("image: '' is no image name")),
            (r#"{"image": "a b"}"#, Some("is no image name")),
            (r#"{"image": "--privileged"}"#, Some("is no image name")),
            (
                r#"{"image": "a", "replicas": 1001}"#,
                Some("replicas: 1001 is more than 1000"),
            ),
            (
                r#"{"image": "a", "replicas": 1, "global": true}"#,
                Some("exclude each other"),
            ),
            (r#"{"image": "a", "env": {"A=B": "c"}}"#, Some("env: 'A=B'")),
            (
                r#"{"image": "a", "ports": [{"published": 0, "target": 1}]}"#,
                Some("ports: published"),
            ),
            (r#"{"image": "a", "node": "a==b"}"#, Some("node: 'a==b'")),
            (
                r#"{"image": "a", "constraints": ["node.role"]}"#,
                Some("neither == nor !="),
            ),
        ] {
            let definition: Definition = serde_json::from_str(json).unwrap();
            match (definition.check(), expected) {
                (Ok(()), None) => {}
                (Err(error), Some(expected)) if error.contains(expected) => {}
                (result, _) => panic!("{json}: {result:?}"),
            }
        }
        let typo = serde_json::from_str::<Definition>(r#"{"image": "a", "replica": 1}"#).unwrap_err();
        assert!(typo.to_string().starts_with("unknown field `replica`"), "{typo}");
    }

    #[test]
    fn names_and_ports_are_parsed() {
        for (name, sound) in [
            ("web", true),
            ("hello-world", true),
            ("a.b_c", true),
            ("", false),
            ("-a", false),
            ("a/", false),
            ("a b", false),
            ("..", false),
        ] {
            assert_eq!(name.parse::<ServiceName>().is_ok(), sound, "{name}");
        }
        for (text, expected) in [
            ("80", "80:80"),
            ("8080:80", "8080:80"),
            ("53:53/udp", "53:53/udp"),
            ("1:2/tcp", "1:2"),
        ] {
            assert_eq!(text.parse::<Port>().unwrap().to_string(), expected);
        }
        for wrong in ["", "0", "a", "80:", "70000", "1:2/sctp"] {
            assert!(
                wrong.parse::<Port>().unwrap_err().contains("is no port"),
                "{wrong}"
            );
        }
    }
}
