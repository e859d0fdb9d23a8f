//! The lab's own account on its nodes: a random password and an SSH key, made anew for each lab.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::folder::Folder;

/// The account that `flash` puts on every card of the lab.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Its name.
    pub user: String,
    /// Its password, for the console.
    pub password: String,
    /// The file with nothing but that password.
    pub password_file: PathBuf,
    /// SSH key.
    pub private_key: PathBuf,
    /// Its public half.
    pub public_key: PathBuf,
    /// Where `flash` keeps the lab's cluster secret, apart from the user's own.
    pub config_home: PathBuf,
}

const USER: &str = "lab";
/// Letters and digits that cannot be taken for one another on a console.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 16 letters of 5 bits each.
const PASSWORD_LEN: usize = 16;

impl Credentials {
    /// Makes new ones in the lab's folder.
    ///
    /// # Errors
    /// When the key cannot be made (ssh-keygen missing) or a file cannot be written.
    pub fn create(folder: &Folder) -> Result<Self> {
        let private_key = folder.key("id_ed25519");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "cluster-lab", "-f"])
            .arg(&private_key)
            .stdin(Stdio::null())
            .output()
            .context("starting ssh-keygen (apt-get install openssh-client)")?;
        if !made.status.success() {
            bail!("ssh-keygen: {}", String::from_utf8_lossy(&made.stderr).trim());
        }
        let password = random_password()?;
        write_secret(&folder.key("password"), &password)?;
        Self::load(folder)
    }

    /// Those that were made before.
    ///
    /// # Errors
    /// When they are not there.
    pub fn load(folder: &Folder) -> Result<Self> {
        let password_file = folder.key("password");
        let password = std::fs::read_to_string(&password_file)
            .with_context(|| format!("reading {}", password_file.display()))?;
        Ok(Self {
            user: USER.to_owned(),
            password,
            password_file,
            private_key: folder.key("id_ed25519"),
            public_key: folder.key("id_ed25519.pub"),
            config_home: folder.key("config"),
        })
    }
}

fn random_password() -> Result<String> {
    let mut bytes = [0; PASSWORD_LEN];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("reading /dev/urandom")?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
        .collect())
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn are_secret_and_differ_from_lab_to_lab() {
        let mut passwords = Vec::new();
        for _ in 0..2 {
            let temporary = tempfile::tempdir().unwrap();
            let folder = Folder::create(temporary.path()).unwrap();
            let made = Credentials::create(&folder).unwrap();
            assert_eq!(made.password.len(), PASSWORD_LEN);
            for file in [made.password_file, made.private_key.clone()] {
                let mode = std::fs::metadata(&file).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{}", file.display());
            }
            assert!(
                std::fs::read_to_string(&made.public_key)
                    .unwrap()
                    .starts_with("ssh-ed25519 ")
            );
            assert_eq!(Credentials::load(&folder).unwrap().password, made.password);
            passwords.push(made.password);
        }
        assert_ne!(passwords[0], passwords[1]);
    }
}
