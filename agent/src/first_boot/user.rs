//! The account that the card's settings ask for. Without one in the settings there is none: no default password.
//!
//! A power cut within `useradd` may leave an account without its group or home; both are added then.

use anyhow::{Context, Result, bail};
use boot_config::User;

use super::outcome::Outcome;
use super::system::{NewFile, Ran, System};
use crate::paths::Paths;

/// Groups whose members may administer the node and use Docker, where the system has them.
const GROUPS: [&str; 2] = ["sudo", "docker"];

/// Where sudo reads further rules (sudoers(5)); a file name there has no dot.
const SUDOERS: &str = "/etc/sudoers.d";

/// An account as passwd(5) has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Account {
    user: u32,
    group: u32,
    home: String,
}

pub(super) fn run(system: &mut dyn System, paths: &Paths, wanted: Option<&User>) -> Result<Outcome> {
    let Some(User {
        name,
        password_hash,
        ssh_authorized_keys,
    }) = wanted
    else {
        return Ok(Outcome::NothingToDo("the settings have no user".to_owned()));
    };
    let name = name.as_str();
    let came_with_image = find_account(paths, name).is_some();
    let account = make_account(system, paths, name)?;
    if let Some(hash) = password_hash {
        // By stdin: a command line can be read by everybody.
        must_run(
            system,
            "chpasswd",
            &["--root", "/", "-e"],
            &format!("{name}:{}\n", hash.as_str()),
        )?;
    } else if came_with_image {
        // The password that everybody knows who has the image.
        must_run(system, "usermod", &["--root", "/", "-p", "*", name], "")?;
    }
    let groups: Vec<&str> = GROUPS
        .into_iter()
        .filter(|group| entry(paths, "/etc/group", |fields| fields[0] == *group).is_some())
        .collect();
    if !groups.is_empty() {
        must_run(
            system,
            "usermod",
            &["--root", "/", "-a", "-G", &groups.join(","), name],
            "",
        )?;
    }
    if !ssh_authorized_keys.is_empty() {
        authorize(system, paths, &account, ssh_authorized_keys)?;
        // Whoever has only a key could not answer when sudo asks for a password.
        if password_hash.is_none() && paths.at(SUDOERS).is_dir() {
            system.write(&NewFile {
                path: format!("{SUDOERS}/cluster-lab-{name}"),
                bytes: format!("{name} ALL=(ALL:ALL) NOPASSWD: ALL\n").into_bytes(),
                mode: 0o440,
                owner: None,
            })?;
        }
    }
    system.sync()?;
    Ok(Outcome::Applied(format!("{name} may log in")))
}

fn make_account(system: &mut dyn System, paths: &Paths, name: &str) -> Result<Account> {
    if find_account(paths, name).is_none() {
        let mut args = vec!["--root", "/", "-m", "--shell=/bin/bash"];
        // useradd refuses to make the user's own group where one of that name exists.
        if entry(paths, "/etc/group", |fields| fields[0] == name).is_some() {
            args.extend(["-g", name]);
        }
        args.push(name);
        must_run(system, "useradd", &args, "")?;
    }
    let account = find_account(paths, name)
        .with_context(|| format!("user {name} is not in /etc/passwd after useradd made it"))?;
    let group = account.group.to_string();
    if entry(paths, "/etc/group", |fields| fields[2] == group).is_none() {
        must_run(system, "groupadd", &["--root", "/", "-g", &group, name], "")?;
    }
    let owner = Some((account.user, account.group));
    if !paths.at(&account.home).is_dir() {
        system.make_folder(&account.home, 0o755, owner)?;
    }
    if paths.at("/etc/skel").is_dir() {
        system.copy_folder("/etc/skel", &account.home, (account.user, account.group))?;
    }
    Ok(account)
}

fn authorize(system: &mut dyn System, paths: &Paths, account: &Account, keys: &[String]) -> Result<()> {
    let owner = Some((account.user, account.group));
    let folder = format!("{}/.ssh", account.home);
    let path = format!("{folder}/authorized_keys");
    let present = std::fs::read_to_string(paths.at(&path)).unwrap_or_default();
    system.make_folder(&folder, 0o700, owner)?;
    system.write(&NewFile {
        path,
        bytes: with_keys(&present, keys).into_bytes(),
        mode: 0o600,
        owner,
    })
}

/// The lines that are there, then the keys that are not among them.
fn with_keys(present: &str, keys: &[String]) -> String {
    let mut lines: Vec<&str> = present.lines().collect();
    for key in keys.iter().flat_map(|key| key.lines()).map(str::trim) {
        if !key.is_empty() && !lines.contains(&key) {
            lines.push(key);
        }
    }
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

fn must_run(system: &mut dyn System, program: &str, args: &[&str], input: &str) -> Result<()> {
    match system.run(program, args, input)? {
        Ran::Done => Ok(()),
        Ran::Missing => bail!("{program} is not installed: install the package passwd"),
    }
}

fn find_account(paths: &Paths, name: &str) -> Option<Account> {
    let fields = entry(paths, "/etc/passwd", |fields| fields[0] == name)?;
    Some(Account {
        user: fields.get(2)?.parse().ok()?,
        group: fields.get(3)?.parse().ok()?,
        home: fields.get(5)?.clone(),
    })
}

/// The first line of a file of colon-separated fields, at least three, that is meant.
fn entry(paths: &Paths, file: &str, is_meant: impl Fn(&[String]) -> bool) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(paths.at(file)).ok()?;
    text.lines()
        .map(|line| line.split(':').map(str::to_owned).collect::<Vec<String>>())
        .find(|fields| fields.len() >= 3 && is_meant(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_added_once_and_those_there_stay() {
        let keys = ["ssh-ed25519 A me".to_owned(), "ssh-rsa B\n".to_owned()];
        let once = with_keys("# mine\nssh-rsa B", &keys);
        assert_eq!(once, "# mine\nssh-rsa B\nssh-ed25519 A me\n");
        assert_eq!(with_keys(&once, &keys), once);
        assert_eq!(with_keys("", &["".to_owned()]), "");
    }

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        std::fs::create_dir_all(paths.at("/etc")).unwrap();
        std::fs::write(
            paths.at("/etc/passwd"),
            "pirate:x:1:2::/p:\npi:x:1000:1001:,,,:/home/pi:/bin/bash\n\n",
        )
        .unwrap();
        let account = find_account(&paths, "pi").unwrap();
        assert_eq!(
            (account.user, account.group, &*account.home),
            (1000, 1001, "/home/pi")
        );
        assert_eq!(find_account(&paths, "p"), None);
    }
}
