//! The cluster secrets of this computer's user: one file per cluster, for nobody else, made with the first card.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use boot_config::{ClusterSecret, Hostname};
use zeroize::Zeroizing;

use crate::invoker::Invoker;

/// Longer than any text form with blanks around it; more is not read.
const LENGTH_MAX: u64 = 512;

/// Where the secrets are kept.
#[derive(Clone, Debug)]
pub struct Secrets {
    folder: PathBuf,
    invoker: Option<Invoker>,
}

/// A secret, and whether it was not there before.
#[derive(Debug, PartialEq, Eq)]
pub struct Made {
    /// The secret of the cluster.
    pub secret: ClusterSecret,
    /// Whether it is new.
    pub is_new: bool,
}

impl Secrets {
    /// Those of the user who sits at the computer: behind sudo, of whoever called it.
    ///
    /// # Errors
    /// When that user has no home.
    pub fn of_user() -> Result<Self> {
        let invoker = Invoker::behind_sudo();
        let home = match &invoker {
            Some(invoker) => Some(invoker.home.clone()),
            None => std::env::var_os("HOME").map(PathBuf::from),
        };
        // A relative path is to be ignored (XDG Base Directory Specification).
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config
            .filter(|path| path.is_absolute())
            .or_else(|| Some(home?.join(".config")));
        let config = config.context("there is no home folder to keep the cluster secret in: set HOME")?;
        Ok(Self {
            folder: config.join("cluster-lab"),
            invoker,
        })
    }

    /// The file of a cluster's secret.
    pub fn file(&self, cluster: &Hostname) -> PathBuf {
        self.folder.join(format!("{cluster}.secret"))
    }

    /// The secret of a cluster, if there is one.
    ///
    /// # Errors
    /// When it is damaged, or others may read it.
    pub fn get(&self, cluster: &Hostname) -> Result<Option<ClusterSecret>> {
        self.as_invoker(|| read(&self.file(cluster)))
    }

    /// The secret of a cluster, made if there is none. Of several that make it at the same time, all get the same.
    ///
    /// # Errors
    /// When it is damaged, or cannot be made.
    pub fn get_or_make(&self, cluster: &Hostname) -> Result<Made> {
        let file = self.file(cluster);
        self.as_invoker(|| {
            if let Some(secret) = read(&file)? {
                return Ok(Made {
                    secret,
                    is_new: false,
                });
            }
            let secret = random()?;
            let new = self.write_beside(&file, &secret)?;
            // Fails where somebody was faster, and never shows a file that is not whole.
            let linked = std::fs::hard_link(&new.0, &file);
            match linked {
                Ok(()) => sync_folder(&self.folder).map(|()| Made { secret, is_new: true }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let secret = read(&file)?.context("the secret was removed again")?;
                    Ok(Made {
                        secret,
                        is_new: false,
                    })
                }
                Err(error) => Err(error.into()),
            }
        })
        .with_context(|| format!("keeping the cluster secret in {}", file.display()))
    }

    /// Puts a new secret in place of the present one.
    ///
    /// # Errors
    /// When it cannot be written; the old one is kept then.
    pub fn rotate(&self, cluster: &Hostname) -> Result<()> {
        let file = self.file(cluster);
        self.as_invoker(|| {
            let new = self.write_beside(&file, &random()?)?;
            std::fs::rename(&new.0, &file)?;
            sync_folder(&self.folder)
        })
        .with_context(|| format!("keeping the cluster secret in {}", file.display()))
    }

    fn as_invoker<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _guard = self.invoker.as_ref().map(Invoker::become_it).transpose()?;
        work()
    }

    /// A whole file with the secret, beside the one that it is for.
    fn write_beside(&self, file: &Path, secret: &ClusterSecret) -> Result<Temporary> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        std::fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        let mut name = [0; 8];
        fill(&mut name)?;
        let name = u64::from_ne_bytes(name);
        let temporary = Temporary(file.with_extension(format!("{name:016x}.new")));
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary.0)?;
        new.write_all(secret.render().as_bytes())?;
        new.write_all(b"\n")?;
        new.sync_all()?;
        Ok(temporary)
    }
}

/// A file that is gone with this value, unless it was moved.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn read(file: &Path) -> Result<Option<ClusterSecret>> {
    let shown = file.display();
    let open = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("opening the cluster secret {shown}"))?,
    };
    let mode = open.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!("others may read the cluster secret {shown}: chmod 600 {shown}");
    }
    let mut text = Zeroizing::new(String::with_capacity(LENGTH_MAX as usize));
    open.take(LENGTH_MAX)
        .read_to_string(&mut text)
        .with_context(|| format!("reading the cluster secret {shown}"))?;
    let secret = text.parse().map_err(|error| {
        anyhow!("{shown}: {error}; put its copy back, or make a new one with `flash secret rotate`")
    })?;
    Ok(Some(secret))
}

fn random() -> Result<ClusterSecret> {
    let mut bytes = Zeroizing::new([0; 32]);
    fill(&mut bytes[..])?;
    Ok(ClusterSecret::from_bytes(*bytes))
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| anyhow!("asking the kernel for random numbers: {error}"))
}

fn sync_folder(folder: &Path) -> Result<()> {
    Ok(File::open(folder)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> (tempfile::TempDir, Secrets) {
        let home = tempfile::tempdir().unwrap();
        let secrets = Secrets {
            folder: home.path().join(".config/cluster-lab"),
            invoker: None,
        };
        (home, secrets)
    }

    fn lab() -> Hostname {
        "lab".parse().unwrap()
    }

    #[test]
    fn one_secret_per_cluster_for_nobody_else() {
        let (_home, secrets) = secrets();
        assert_eq!(secrets.get(&lab()).unwrap(), None);
        let first = secrets.get_or_make(&lab()).unwrap();
        let again = secrets.get_or_make(&lab()).unwrap();
        assert!(first.is_new && !again.is_new && first.secret == again.secret);
        let other = secrets.get_or_make(&"other".parse().unwrap()).unwrap();
        assert!(other.is_new && other.secret != first.secret);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&secrets.file(&lab())), 0o600);
        assert_eq!(mode(&secrets.folder), 0o700);
        assert_eq!(
            std::fs::read_dir(&secrets.folder).unwrap().count(),
            2,
            "nothing is left behind"
        );
    }

    #[test]
    fn of_many_at_once_all_get_the_same() {
        let (_home, secrets) = secrets();
        let made: Vec<Made> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| secrets.get_or_make(&lab()).unwrap()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.iter().all(|one| one.secret == made[0].secret));
        assert_eq!(made.iter().filter(|one| one.is_new).count(), 1);
    }

    #[test]
    fn rotating_makes_another_one() {
        let (_home, secrets) = secrets();
        let old = secrets.get_or_make(&lab()).unwrap().secret;
        secrets.rotate(&lab()).unwrap();
        assert_ne!(secrets.get(&lab()).unwrap(), Some(old));
    }

    #[test]
    fn a_damaged_or_public_file_is_never_replaced_by_itself() {
        let (_home, secrets) = secrets();
        let file = secrets.file(&lab());
        secrets.get_or_make(&lab()).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let message = format!("{:#}", secrets.get_or_make(&lab()).unwrap_err());
        assert!(
            message.contains(": others may read the cluster secret") && message.contains("chmod 600"),
            "{message}"
        );
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&file, &text[..30]).unwrap();
        let message = format!("{:#}", secrets.get_or_make(&lab()).unwrap_err());
        assert!(
            message.contains("this is not a cluster secret") && message.contains("flash secret rotate"),
            "{message}"
        );
        assert!(!message.contains(&text[20..30]), "{message}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text[..30]);
    }
}
