//! The node's name: `/etc/hostname`, its line in `/etc/hosts`, and the running kernel.
//!
//! The first boot does this once as a step. After that it is done whenever the settings name the node differently, so
//! that a card can be renamed by editing its boot partition.

use anyhow::Result;
use boot_config::Hostname;

use super::outcome::Outcome;
use super::system::{NewFile, System};
use crate::paths::Paths;

const HOSTNAME: &str = "/etc/hostname";
const HOSTS: &str = "/etc/hosts";
/// Debian's address for a machine's own name; 127.0.0.1 stays `localhost`'s.
const OWN_ADDRESS: &[u8] = b"127.0.1.1";

/// What the node is called in the three places. `None` where that cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    hostname: Option<Vec<u8>>,
    hosts: Option<Vec<u8>>,
    kernel: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Write(NewFile),
    NameKernel(String),
}

pub(super) fn observe(paths: &Paths) -> Observed {
    let read = |path| std::fs::read(paths.at(path)).ok();
    Observed {
        hostname: read(HOSTNAME),
        hosts: read(HOSTS),
        kernel: read("/proc/sys/kernel/hostname"),
    }
}

/// Whether the node is called otherwise anywhere.
pub(super) fn differs(wanted: &Hostname, observed: &Observed) -> bool {
    !plan(wanted, observed).is_empty()
}

pub(super) fn run(system: &mut dyn System, paths: &Paths, wanted: Option<&Hostname>) -> Result<Outcome> {
    let Some(wanted) = wanted else {
        return Ok(Outcome::NothingToDo("the settings name no hostname".to_owned()));
    };
    for action in plan(wanted, &observe(paths)) {
        match action {
            Action::Write(file) => system.write(&file)?,
            Action::NameKernel(name) => system.set_hostname(&name)?,
        }
    }
    Ok(Outcome::Applied(format!("this node is {wanted}")))
}

fn plan(wanted: &Hostname, observed: &Observed) -> Vec<Action> {
    let Observed {
        hostname,
        hosts,
        kernel,
    } = observed;
    let name = wanted.as_str();
    let line = format!("{name}\n").into_bytes();
    let hosts_now = hosts.as_deref().unwrap_or(b"127.0.0.1\tlocalhost\n");
    let hosts_then = with_own_name(hosts_now, name);
    let mut actions = Vec::new();
    if hosts.as_ref() != Some(&hosts_then) {
        actions.push(write(HOSTS, hosts_then));
    }
    if hostname.as_deref() != Some(&line) {
        actions.push(write(HOSTNAME, line.clone()));
    }
    // Below another root there is no kernel to look at.
    if kernel.as_ref().is_some_and(|kernel| *kernel != line) {
        actions.push(Action::NameKernel(name.to_owned()));
    }
    actions
}

fn write(path: &str, bytes: Vec<u8>) -> Action {
    Action::Write(NewFile {
        path: path.to_owned(),
        bytes,
        mode: 0o644,
        owner: None,
    })
}

/// `hosts` with the node's own name at 127.0.1.1. All other lines stay as they are, byte for byte.
fn with_own_name(hosts: &[u8], name: &str) -> Vec<u8> {
    let own: Vec<(usize, bool)> = hosts
        .split_inclusive(|&byte| byte == b'\n')
        .enumerate()
        .filter_map(|(index, line)| Some((index, own_line_has(line, name)?)))
        .collect();
    if own.iter().any(|&(_, has)| has) {
        return hosts.to_vec();
    }
    let new_line = [OWN_ADDRESS, b"\t", name.as_bytes(), b"\n"].concat();
    let mut result = Vec::with_capacity(hosts.len() + new_line.len());
    for (index, line) in hosts.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let replaced = own.first().is_some_and(|&(first, _)| first == index);
        result.extend_from_slice(if replaced { &new_line } else { line });
    }
    if own.is_empty() {
        if !matches!(result.last(), None | Some(b'\n')) {
            result.push(b'\n');
        }
        result.extend_from_slice(&new_line);
    }
    result
}

/// For a line of 127.0.1.1 whether it has the name; `None` for other lines.
fn own_line_has(line: &[u8], name: &str) -> Option<bool> {
    let before_comment = line.split(|&byte| byte == b'#').next()?;
    let mut words = before_comment
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    (words.next()? == OWN_ADDRESS).then(|| words.any(|word| word == name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_line_of_hosts_changes() {
        for (hosts, expected) in [
            ("127.0.0.1 localhost\n", "127.0.0.1 localhost\n127.0.1.1\tnode\n"),
            ("127.0.0.1 localhost", "127.0.0.1 localhost\n127.0.1.1\tnode\n"),
            ("", "127.0.1.1\tnode\n"),
            ("127.0.1.1 old.lan old\n::1 ip6\n", "127.0.1.1\tnode\n::1 ip6\n"),
            (
                "127.0.1.1\tnode.lan node # me\n",
                "127.0.1.1\tnode.lan node # me\n",
            ),
            ("#127.0.1.1 node\n", "#127.0.1.1 node\n127.0.1.1\tnode\n"),
            ("127.0.1.1 old # node\n", "127.0.1.1\tnode\n"),
            (
                "127.0.1.1 node-2\r\n10.0.0.1 x\r\n",
                "127.0.1.1\tnode\n10.0.0.1 x\r\n",
            ),
            ("127.0.1.1 a\n127.0.1.1 node\n", "127.0.1.1 a\n127.0.1.1 node\n"),
        ] {
            let result = with_own_name(hosts.as_bytes(), "node");
            assert_eq!(String::from_utf8(result.clone()).unwrap(), expected, "{hosts:?}");
            assert_eq!(with_own_name(&result, "node"), result, "a second time");
        }
        let not_text = b"10.0.0.1 \xff\n";
        assert!(with_own_name(not_text, "node").starts_with(not_text));
    }

    #[test]
    fn a_node_that_has_its_name_is_left_alone() {
        let name: Hostname = "node".parse().unwrap();
        let named = Observed {
            hostname: Some(b"node\n".to_vec()),
            hosts: Some(b"127.0.1.1\tnode\n".to_vec()),
            kernel: Some(b"node\n".to_vec()),
        };
        assert!(!differs(&name, &named));
        assert!(!differs(
            &name,
            &Observed {
                kernel: None,
                ..named.clone()
            }
        ));
        for part in [
            Observed {
                hostname: Some(b"node".to_vec()),
                ..named.clone()
            },
            Observed {
                hosts: None,
                ..named.clone()
            },
            Observed {
                kernel: Some(b"localhost\n".to_vec()),
                ..named.clone()
            },
        ] {
            assert_eq!(plan(&name, &part).len(), 1, "{part:?}");
        }
    }
}
