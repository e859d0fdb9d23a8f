//! An identity of its own: `/etc/machine-id`, from which DHCP clients, journals and D-Bus derive theirs.
//!
//! `image-builder` empties the file. What systemd makes of an empty one depends on its version and on whether /etc was
//! writable then: the file itself (all versions), or one in memory mounted over it, with nothing (before 247) or
//! "uninitialized" underneath. systemd's own commit service may come before or after this step, or be missing (215).

use anyhow::Result;

use super::mounts;
use super::outcome::Outcome;
use super::system::{NewFile, System};
use crate::paths::Paths;

const ETC: &str = "/etc/machine-id";
const DBUS: &str = "/var/lib/dbus/machine-id";

/// An identity as machine-id(5) defines it: 32 lower-case hexadecimal digits, not all zero.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MachineId(String);

/// What D-Bus has, which systemd takes for the machine's where /etc has none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Dbus {
    /// No D-Bus here, or a link to /etc.
    Fine,
    /// Missing, or a file: possibly the one that all cards of the image have.
    ToLink,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Observed {
    etc: Option<MachineId>,
    /// Something is mounted over the file, so what can be read is lost at power-off.
    mounted: bool,
    /// systemd's copy of what it mounted.
    transient: Option<MachineId>,
    dbus: Dbus,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Detach,
    Write(MachineId),
    WriteRandom,
    LinkDbus,
}

pub(super) fn run(system: &mut dyn System, paths: &Paths) -> Result<Outcome> {
    for action in plan(observe(paths)) {
        match action {
            Action::Detach => system.detach_mount(ETC)?,
            Action::Write(id) => write(system, &id.0)?,
            Action::WriteRandom => {
                let id = system.random_id()?;
                write(system, &id)?;
            }
            Action::LinkDbus => system.link(ETC, DBUS)?,
        }
    }
    Ok(Outcome::Applied(
        "this node has an identity of its own".to_owned(),
    ))
}

fn write(system: &mut dyn System, id: &str) -> Result<()> {
    system.write(&NewFile {
        path: ETC.to_owned(),
        bytes: format!("{id}\n").into_bytes(),
        mode: 0o444,
        owner: None,
    })
}

fn observe(paths: &Paths) -> Observed {
    let id = |path| MachineId::parse(&std::fs::read_to_string(paths.at(path)).ok()?);
    let has_dbus = paths.at("/var/lib/dbus").is_dir();
    let links_to_etc = paths
        .at(DBUS)
        .read_link()
        .is_ok_and(|target| target.ends_with("etc/machine-id"));
    Observed {
        etc: id(ETC),
        mounted: mounts::read(paths).iter().any(|mount| mount.point == ETC),
        transient: id("/run/machine-id"),
        dbus: if has_dbus && !links_to_etc {
            Dbus::ToLink
        } else {
            Dbus::Fine
        },
    }
}

fn plan(observed: Observed) -> Vec<Action> {
    let Observed {
        etc,
        mounted,
        transient,
        dbus,
    } = observed;
    let mut actions = Vec::new();
    if mounted {
        actions.push(Action::Detach);
    }
    match (etc, transient) {
        // What systemd wrote at this start, or a person long ago.
        (Some(_), _) if !mounted => {}
        // The running system already uses this one.
        (Some(id), _) | (None, Some(id)) => actions.push(Action::Write(id)),
        (None, None) => actions.push(Action::WriteRandom),
    }
    if dbus == Dbus::ToLink {
        actions.push(Action::LinkDbus);
    }
    actions
}

impl MachineId {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let sound = text.len() == 32
            && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
            && text.chars().any(|c| c != '0');
        sound.then(|| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn each_state_that_systemd_leaves_ends_in_a_file_on_the_card() {
        let id = || MachineId::parse(A);
        let write = || Action::Write(id().unwrap());
        for (why, etc, mounted, transient, expected) in [
            ("written by systemd", id(), false, None, vec![]),
            ("mounted over", id(), true, id(), vec![Action::Detach, write()]),
            (
                "mounted over, no copy",
                id(),
                true,
                None,
                vec![Action::Detach, write()],
            ),
            ("empty, systemd has one", None, false, id(), vec![write()]),
            ("empty", None, false, None, vec![Action::WriteRandom]),
        ] {
            let observed = Observed {
                etc,
                mounted,
                transient,
                dbus: Dbus::Fine,
            };
            assert_eq!(plan(observed), expected, "{why}");
        }
    }

    #[test]
    fn what_is_no_identity_counts_as_none() {
        assert!(MachineId::parse(&format!("{A}\n")).is_some());
        for bad in ["", "uninitialized\n", &A[1..], &A.to_uppercase(), &"0".repeat(32)] {
            assert_eq!(MachineId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_d_bus_identity_that_came_with_the_image_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        assert_eq!(observe(&paths).dbus, Dbus::Fine);
        std::fs::create_dir_all(paths.at("/var/lib/dbus")).unwrap();
        assert_eq!(observe(&paths).dbus, Dbus::ToLink);
        std::fs::write(paths.at(DBUS), A).unwrap();
        assert_eq!(observe(&paths).dbus, Dbus::ToLink);
        std::fs::remove_file(paths.at(DBUS)).unwrap();
        std::os::unix::fs::symlink(ETC, paths.at(DBUS)).unwrap();
        assert_eq!(observe(&paths).dbus, Dbus::Fine);
    }
}
