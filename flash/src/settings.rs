//! The settings of one card: what the user asked for, and which files of the boot partition say it.
//!
//! An image is told in every format that it understands, so that its own first-boot program and the cluster's agent
//! agree. A setting that an image cannot take is an error, never left out.

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use boot_config::{FILE_NAME, FIRST_RUN_FILE, FirstRun, ForeignFormat, Hostname, Layer, PasswordHash, User};
use disk_image::fat::BootPartition;
use disk_image::mbr::Partition;
use disk_image::timestamp::Timestamp;
use sha_crypt::{Sha512Params, sha512_simple};

/// Settings as options of the command line.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Settings of the card")]
pub struct Options {
    /// Name of the node: letters, digits and hyphens
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Account to make at first boot, with sudo; there is no default account
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Hash of the account's password, as `openssl passwd -6` prints it
    #[arg(
        long,
        value_name = "HASH",
        requires = "user",
        conflicts_with = "user_password_file"
    )]
    pub user_password_hash: Option<String>,
    /// File whose first line is the account's password; only its hash is written to the card
    #[arg(long, value_name = "FILE", requires = "user")]
    pub user_password_file: Option<PathBuf>,
    /// Public key that may log in to the account (a .pub file; may be given more than once)
    #[arg(long, value_name = "FILE", requires = "user")]
    pub ssh_key: Vec<PathBuf>,
}

/// What a card is to be told, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the node.
    pub hostname: Option<Hostname>,
    /// Its account.
    pub user: Option<User>,
}

/// New contents of files of the boot partition, by name.
pub type Edits = BTreeMap<String, Vec<u8>>;

impl Options {
    /// Checks the options and reads the files that they name.
    ///
    /// # Errors
    /// On the first one that cannot be used.
    pub fn check(&self) -> Result<Wanted> {
        let hostname = self.hostname.as_deref().map(str::parse).transpose();
        Ok(Wanted {
            hostname: hostname.context("--hostname")?,
            user: self.user.as_deref().map(|name| self.user(name)).transpose()?,
        })
    }

    fn user(&self, name: &str) -> Result<User> {
        let password_hash = match (&self.user_password_hash, &self.user_password_file) {
            (Some(hash), _) => Some(hash.parse().context("--user-password-hash")?),
            (None, Some(file)) => Some(hash_of_password_in(file)?),
            (None, None) => None,
        };
        let keys: Vec<Vec<String>> = self
            .ssh_key
            .iter()
            .map(|file| public_keys(file))
            .collect::<Result<_>>()?;
        if password_hash.is_none() && keys.is_empty() {
            bail!(
                "--user {name} alone could not log in: add --ssh-key, --user-password-hash or --user-password-file"
            );
        }
        Ok(User {
            name: name.parse().context("--user")?,
            password_hash,
            ssh_authorized_keys: keys.concat(),
        })
    }
}

impl Wanted {
    /// Whether the image is to be left as it is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The files that say it, from those that the image has. `read` gives a file of the boot partition.
    ///
    /// # Errors
    /// When the image cannot take a setting.
    pub fn plan(&self, mut read: impl FnMut(&str) -> Result<Option<Vec<u8>>>) -> Result<Edits> {
        let mut edits = Edits::new();
        let mut text = |name: &str| -> Result<Option<String>> {
            let bytes = read(name)?.map(String::from_utf8).transpose();
            bytes.map_err(|_| anyhow!("{name} of the image is not UTF-8 text, so nothing can be set in it"))
        };
        let own = text(FILE_NAME)?;
        if let Some(hostname) = &self.hostname {
            for format in ForeignFormat::ALL {
                let name = format.file_name();
                if let Some(old) = text(name)? {
                    let new = format.with_hostname(&old, hostname);
                    let new = new.with_context(|| format!("{name} of the image"))?;
                    edits.insert(name.to_owned(), new.into_bytes());
                }
            }
        }
        if own.is_none() {
            // Nobody reads our own file there: the image must take the settings in another way.
            let command_line = text(COMMAND_LINE)?.unwrap_or_default();
            if edits.is_empty() && FirstRun::is_understood(&command_line) {
                edits = self.first_run(&command_line);
            } else {
                self.check_taken(&edits)?;
            }
        }
        let layer = own.map(|text| boot_config::parse(FILE_NAME, &text)).transpose();
        let mut layer: Layer = layer.context("in the image")?.unwrap_or_default();
        layer.hostname = self.hostname.clone().or(layer.hostname);
        layer.user = self.user.clone().or(layer.user);
        edits.insert(FILE_NAME.to_owned(), boot_config::render(&layer).into_bytes());
        Ok(edits)
    }

    fn first_run(&self, command_line: &str) -> Edits {
        let Self { hostname, user } = self;
        let first_run = FirstRun {
            hostname: hostname.as_ref(),
            user: user.as_ref(),
        };
        let files = [
            (COMMAND_LINE, FirstRun::command_line(command_line)),
            (FIRST_RUN_FILE, first_run.script()),
        ];
        files
            .map(|(name, text)| (name.to_owned(), text.into_bytes()))
            .into()
    }

    /// Of an image without the cluster's agent, which takes what `edits` say and nothing else.
    fn check_taken(&self, edits: &Edits) -> Result<()> {
        if self.user.is_some() {
            bail!("--user: this image would not make the account, its boot partition has no {FILE_NAME}");
        }
        if self.hostname.is_some() && edits.is_empty() {
            let formats = ForeignFormat::ALL.map(ForeignFormat::file_name).join(", ");
            bail!(
                "--hostname: this image would not read it, its boot partition has none of {FILE_NAME}, {formats}"
            );
        }
        Ok(())
    }
}

/// The kernel command line on the boot partition of a Raspberry Pi.
const COMMAND_LINE: &str = "cmdline.txt";

/// Makes the edits on a disk and closes its file system.
///
/// # Errors
/// When the boot partition is full or the disk fails.
pub fn apply<D: Read + Write + Seek>(disk: D, boot: &Partition, edits: &Edits, at: Timestamp) -> Result<()> {
    let boot = BootPartition::open(disk, boot)?;
    for (name, bytes) in edits {
        boot.write(name, bytes, at)?;
    }
    Ok(boot.close()?)
}

/// Compares a disk with what [`apply`] wrote.
///
/// # Errors
/// When they differ.
pub fn verify<D: Read + Write + Seek>(disk: D, boot: &Partition, edits: &Edits) -> Result<()> {
    let boot = BootPartition::open(disk, boot)?;
    for (name, bytes) in edits {
        if boot.read(name)?.as_ref() != Some(bytes) {
            bail!("{name} was read back from the card other than it was written: the card is defective");
        }
    }
    Ok(())
}

fn hash_of_password_in(file: &Path) -> Result<PasswordHash> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("--user-password-file {}", file.display()))?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        bail!("--user-password-file {}: its first line is empty", file.display());
    }
    let hash = sha512_simple(password, &Sha512Params::default());
    let hash = hash.map_err(|error| anyhow!("hashing the password: {error:?}"))?;
    Ok(hash.parse()?)
}

fn public_keys(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("--ssh-key {}", file.display()))?;
    if text.contains("PRIVATE KEY") {
        bail!(
            "--ssh-key {0}: this is a private key, which must not leave this computer; give {0}.pub",
            file.display()
        );
    }
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Vec<String> = lines.map(str::to_owned).collect();
    let is_key = |line: &String| {
        let kinds = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];
        line.split(' ')
            .any(|word| kinds.iter().any(|kind| word.starts_with(kind)))
    };
    if keys.is_empty() || !keys.iter().all(is_key) {
        bail!(
            "--ssh-key {}: this is not a public key file; its lines start with ssh-ed25519 or the like",
            file.display()
        );
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(hostname: Option<&str>, user: Option<&str>) -> Options {
        Options {
            hostname: hostname.map(str::to_owned),
            user: user.map(str::to_owned),
            ..Options::default()
        }
    }

    fn plan(wanted: &Wanted, files: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
        let edits = wanted.plan(|name| {
            let file = files.iter().find(|(file, _)| *file == name);
            Ok(file.map(|(_, text)| text.as_bytes().to_owned()))
        })?;
        Ok(edits
            .into_iter()
            .map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap()))
            .collect())
    }

    #[test]
    fn every_format_that_the_image_has_is_told() {
        let wanted = options(Some("CL-node-1"), None).check().unwrap();
        for (files, expected) in [
            (
                vec![("user-data", "#cloud-config\n")],
                ("user-data", "#cloud-config\nhostname: cl-node-1\n"),
            ),
            (
                vec![("device-init.yaml", "hostname: x\n")],
                ("device-init.yaml", "hostname: cl-node-1\n"),
            ),
            (
                vec![("occidentalis.txt", "")],
                ("occidentalis.txt", "hostname=cl-node-1\n"),
            ),
            (
                vec![(FILE_NAME, "version = 1\n[cluster]\nname = \"lab\"\n")],
                (
                    FILE_NAME,
                    "# Settings of this card. Read at every start of cluster-lab; edit here and reboot.\n\
                     version = 1\nhostname = \"cl-node-1\"\n\n[cluster]\nname = \"lab\"\n",
                ),
            ),
        ] {
            let edits = plan(&wanted, &files).unwrap();
            assert!(
                edits.contains(&(expected.0.to_owned(), expected.1.to_owned())),
                "{edits:?}"
            );
            assert!(
                edits
                    .iter()
                    .any(|(name, text)| name == FILE_NAME && text.contains("cl-node-1"))
            );
        }
    }

    #[test]
    fn what_the_image_cannot_take_is_an_error() {
        let named = options(Some("a"), None).check().unwrap();
        let mut with_user = options(None, Some("pi"));
        with_user.user_password_hash = Some("$6$salt$hash".to_owned());
        let with_user = with_user.check().unwrap();
        for (wanted, files, expected) in [
            (
                &named,
                vec![],
                "--hostname: this image would not read it, its boot partition has none of cluster-lab.toml, user",
            ),
            (
                &named,
                vec![("user-data", "#!/bin/sh\n")],
                "user-data of the image: it does not start with #cloud-config",
            ),
            (
                &named,
                vec![(FILE_NAME, "version = 2\n")],
                "in the image: cluster-lab.toml line 1 (version): version 2",
            ),
            (
                &with_user,
                vec![("user-data", "#cloud-config\n")],
                "--user: this image would not make the account",
            ),
        ] {
            let message = format!("{:#}", plan(wanted, &files).unwrap_err());
            assert!(message.starts_with(expected), "{message}");
        }
        let message = named.plan(|_| Ok(Some(vec![0xff]))).unwrap_err().to_string();
        assert_eq!(
            message,
            "cluster-lab.toml of the image is not UTF-8 text, so nothing can be set in it"
        );
    }

    #[test]
    fn raspberry_pi_os_is_told_by_a_script() {
        let mut options = options(Some("n1"), Some("pi"));
        options.user_password_hash = Some("$6$salt$hash".to_owned());
        let wanted = options.check().unwrap();
        let line = "root=PARTUUID=1-02 quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n";
        let edits = plan(&wanted, &[("cmdline.txt", line)]).unwrap();
        let names: Vec<&str> = edits.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [FILE_NAME, "cmdline.txt", "firstrun.sh"]);
        assert!(
            edits[1].1.contains("firstboot systemd.run=/boot/firstrun.sh "),
            "{}",
            edits[1].1
        );
        assert!(edits[2].1.contains("hostname='n1'\n") && edits[2].1.contains("hash='$6$salt$hash'\n"));
        // With the agent in it, the agent does it all, without one more start.
        let edits = plan(&wanted, &[("cmdline.txt", line), (FILE_NAME, "version = 1\n")]).unwrap();
        assert_eq!(edits.len(), 1);
    }

    #[test]
    fn options_that_cannot_be_used_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let key = |path: PathBuf| Options {
            ssh_key: vec![path],
            ..options(None, Some("pi"))
        };
        let hash = |hash: &str| Options {
            user_password_hash: Some(hash.to_owned()),
            ..options(None, Some("pi"))
        };
        let password = |path: PathBuf| Options {
            user_password_file: Some(path),
            ..options(None, Some("pi"))
        };
        for (options, expected) in [
            (
                options(Some("a_b"), None),
                "--hostname: 'a_b' is not a host name: 1 to 63 letters",
            ),
            (
                options(None, Some("pi")),
                "--user pi alone could not log in: add --ssh-key",
            ),
            (
                hash("Ünsafe \"$6\" word"),
                "--user-password-hash: the password hash is not one",
            ),
            (
                key(file("id", "-----BEGIN OPENSSH PRIVATE KEY-----")),
                "--ssh-key ",
            ),
            (key(file("text", "hello\n")), "--ssh-key "),
            (key(folder.path().join("absent")), "--ssh-key "),
            (password(file("empty", "\n")), "--user-password-file "),
        ] {
            let message = format!("{:#}", options.check().unwrap_err());
            assert!(message.starts_with(expected), "{message}");
            assert!(!message.contains("nsafe"), "{message}");
        }
        let wanted = password(file("password", "ä'\"$`\\ &/\n")).check().unwrap();
        let hash = wanted.user.unwrap().password_hash.unwrap();
        assert!(sha_crypt::sha512_check("ä'\"$`\\ &/", hash.as_str()).is_ok());
    }

    #[test]
    fn values_with_any_character_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id.pub");
        let line = "ssh-ed25519 AAAA Jürgen's \"key\" \\ $(x) `y`";
        std::fs::write(&file, format!("# mine\n{line}\n\n")).unwrap();
        let mut options = options(Some("n"), Some("pi"));
        options.ssh_key = vec![file];
        let edits = plan(&options.check().unwrap(), &[(FILE_NAME, "version = 1\n")]).unwrap();
        let layer = boot_config::parse(FILE_NAME, &edits[0].1).unwrap();
        assert_eq!(layer.user.unwrap().ssh_authorized_keys, [line]);
    }
}
