//! Takes the cluster secret off the boot partition, which every user of the node may read, into the state folder. Done
//! whenever a sound one is there, so that a newer one put onto the card later replaces the old one. One that is damaged
//! stays where it is (the settings warn of it), and the node keeps the one it has.

use anyhow::Result;
use boot_config::{ClusterSecret, SECRET_FILE};

use super::outcome::Outcome;
use super::system::{NewFile, System};
use crate::paths::Paths;
use crate::secret::{self, Found};

/// Whether a secret waits on the boot partition.
pub(super) fn observe(paths: &Paths) -> bool {
    matches!(find(paths).1, Found::Secret(_))
}

pub(super) fn run(system: &mut dyn System, paths: &Paths) -> Result<Outcome> {
    let (path, found) = find(paths);
    if let Found::Secret(new) = found {
        keep(system, paths, &new)?;
        // Only now: cut off before this, the next start finds both and comes to the same end.
        system.remove(&path)?;
    }
    Ok(match secret::read(&paths.secret()) {
        Found::Secret(_) => Outcome::Applied("it is in the state folder".to_owned()),
        Found::Nothing | Found::Damaged(_) => {
            Outcome::NothingToDo(format!("the boot partition has no sound {SECRET_FILE}"))
        }
    })
}

fn keep(system: &mut dyn System, paths: &Paths, new: &ClusterSecret) -> Result<()> {
    if secret::read(&paths.secret()) == Found::Secret(new.clone()) {
        return Ok(());
    }
    if !paths.state().is_dir() {
        system.make_folder(&super::as_seen(paths, &paths.state()), 0o700, None)?;
    }
    system.write(&NewFile {
        path: super::as_seen(paths, &paths.secret()),
        bytes: secret::render(new),
        mode: 0o600,
        owner: None,
    })
}

/// Where it is as the node sees it, and what is there.
fn find(paths: &Paths) -> (String, Found) {
    let places = Paths::BOOT_FOLDERS.map(|folder| format!("{folder}/{SECRET_FILE}"));
    places
        .into_iter()
        .map(|path| {
            let found = secret::read(&paths.at(&path));
            (path, found)
        })
        .find(|(_, found)| *found != Found::Nothing)
        .unwrap_or((String::new(), Found::Nothing))
}
