//! `cluster-lab docker-env`

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::docker_endpoint::PORT;
use crate::http_client;
use crate::paths::Paths;
use crate::trust::PersonFiles;

const EXAMPLES: &str = "Examples:
  eval \"$(cluster-lab docker-env)\"                    docker in this shell acts on the whole cluster
  docker ps                                           the containers of all nodes
  eval \"$(cluster-lab docker-env --host cl-node-2)\"   the same through another node
  docker -H cl-master:2378 info                       works too, once the settings are there

The certificate is kept in ~/.docker/cluster-lab, for you only. Whoever has it is root on every node.";

/// Arguments of `docker-env`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The node to ask: each answers for the whole cluster
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Keep the certificate here instead of in ~/.docker/cluster-lab
    #[arg(long, value_name = "DIR")]
    cert_path: Option<PathBuf>,
    /// Ask the endpoint behind this Unix socket for a certificate
    #[arg(long, value_name = "PATH", hide = true)]
    socket: Option<PathBuf>,
}

/// Prints what a shell needs so that `docker` acts on the cluster, and keeps a certificate for it.
///
/// # Errors
/// When the daemon does not run, or the caller may not use Docker.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = match (&args.cert_path, std::env::var_os("HOME")) {
        (Some(folder), _) => folder.clone(),
        (None, Some(home)) if !home.is_empty() => Path::new(&home).join(".docker/cluster-lab"),
        (None, _) => bail!("there is no home folder: say --cert-path"),
    };
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    if !plain(&args.host) {
        bail!("--host {}: give a node's name or address", args.host);
    }
    if !is_complete(&folder) {
        let socket = args
            .socket
            .clone()
            .unwrap_or_else(|| Paths::default().docker_endpoint());
        keep(&folder, &ask(&socket)?)
            .with_context(|| format!("keeping a certificate in {}", folder.display()))?;
    }
    let host = format!("tcp://{}:{PORT}", args.host);
    let folder = folder.canonicalize().unwrap_or(folder);
    println!("export DOCKER_HOST={host}");
    println!("export DOCKER_TLS_VERIFY=1");
    println!(
        "export DOCKER_CERT_PATH={}",
        quoted(&folder.display().to_string())
    );
    Ok(ExitCode::SUCCESS)
}

fn ask(socket: &Path) -> anyhow::Result<PersonFiles> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    let asked = runtime.block_on(http_client::certificate_of_endpoint(socket));
    asked.with_context(|| {
        format!(
            "no certificate (does the daemon run: systemctl status cluster-lab? are you root or in the group docker? {})",
            socket.display()
        )
    })
}

/// Certificates do not expire; those of an earlier secret are no use, which the cluster says.
fn is_complete(folder: &Path) -> bool {
    ["ca.pem", "cert.pem", "key.pem"]
        .iter()
        .all(|name| folder.join(name).is_file())
}

fn keep(folder: &Path, files: &PersonFiles) -> anyhow::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // The key last: with it, all is there.
    for (name, text) in [
        ("ca.pem", &files.ca),
        ("cert.pem", &files.cert),
        ("key.pem", &files.key),
    ] {
        let path = folder.join(name);
        let temporary = folder.join(format!(".{name}.new"));
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
    }
    Ok(())
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    if text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte))
    {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("a/b");
        let files: PersonFiles = serde_json::from_str(r#"{"ca":"1","cert":"2","key":"3"}"#).unwrap();
        assert!(!is_complete(&folder));
        keep(&folder, &files).unwrap();
        keep(&folder, &files).unwrap();
        assert!(is_complete(&folder));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("key.pem"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
    }

    #[test]
    fn a_folder_is_one_word_of_the_shell() {
        for (folder, word) in [
            ("/root/.docker", "/root/.docker"),
            ("/a b/it's", r"'/a b/it'\''s'"),
        ] {
            assert_eq!(quoted(folder), word);
        }
    }
}
