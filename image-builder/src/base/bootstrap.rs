//! The packages: mmdebstrap installs them into a folder, with their maintainer scripts run under qemu-user, and
//! downloads those that are only unpacked later.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::archive;
use super::recipe::{HOOKS, Recipe};
use crate::progress::Progress;
use crate::tool::Tool;

const MMDEBSTRAP: Tool = Tool {
    name: "mmdebstrap",
    package: "mmdebstrap arch-test debian-archive-keyring",
};

/// The unpacked-only packages.
#[derive(Debug)]
pub(super) struct Packages {
    folder: PathBuf,
}

impl Packages {
    /// The file of the package whose name begins with `prefix`.
    pub(super) fn find(&self, prefix: &str) -> Result<PathBuf> {
        let files = std::fs::read_dir(&self.folder).context("listing the downloaded packages")?;
        let names = files.flatten().map(|file| file.path());
        let mut matching = names.filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        });
        matching
            .next()
            .with_context(|| format!("the package {prefix}* was not downloaded"))
    }
}

/// Fills `root` and downloads what is only unpacked.
pub(super) fn run(
    recipe: &Recipe,
    work: &Path,
    root: &Path,
    log: &Path,
    progress: &Progress,
) -> Result<Packages> {
    check_emulation()?;
    let packages = Packages {
        folder: work.join("packages"),
    };
    std::fs::create_dir_all(&packages.folder).context("making the folder for packages")?;
    let hooks = write_hooks(work).context("writing the hooks")?;
    let stage = Stage {
        packages: &packages,
        hooks: &hooks,
        log,
    };
    let sources = archive::of_this_machine(&recipe.suite, &recipe.components);
    let all: Vec<_> = sources.main.iter().chain(&sources.security).cloned().collect();
    let Err(failed) = bootstrap(recipe, &stage, root, &all, progress) else {
        return Ok(packages);
    };
    if !failed.index || sources.security.is_empty() {
        bail!(
            "making the root file system: {} (all messages: {})",
            failed.reason,
            log.display()
        );
    }
    progress.say(format_args!(
        "WARNING: without security updates: the archive's index fails ({})",
        failed.reason
    ));
    std::fs::remove_dir_all(root).context("clearing the root folder")?;
    bootstrap(recipe, &stage, root, &sources.main, progress).map_err(|failed| {
        anyhow::anyhow!(
            "making the root file system: {} (all messages: {})",
            failed.reason,
            log.display()
        )
    })?;
    Ok(packages)
}

/// What mmdebstrap works with.
struct Stage<'a> {
    packages: &'a Packages,
    /// Options that name the hooks.
    hooks: &'a [String],
    log: &'a Path,
}

/// Puts the scripts into files, as mmdebstrap wants them.
fn write_hooks(work: &Path) -> std::io::Result<Vec<String>> {
    let mut options = Vec::new();
    for (stage, script) in HOOKS {
        let file = work.join(format!("hook-{stage}"));
        std::fs::write(&file, script)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
        options.push(format!("--{stage}-hook={}", file.display()));
    }
    Ok(options)
}

struct Failure {
    reason: String,
    /// The index of a package archive could not be had.
    index: bool,
}

fn bootstrap(
    recipe: &Recipe,
    stage: &Stage,
    root: &Path,
    sources: &[String],
    progress: &Progress,
) -> Result<(), Failure> {
    let mut command = MMDEBSTRAP.command();
    command
        .args([
            "--mode=root",
            "--format=directory",
            "--variant=minbase",
            "--verbose",
        ])
        .arg(format!("--architectures={}", recipe.architecture))
        .arg(format!("--components={}", recipe.components.join(",")))
        .arg(format!("--include={}", recipe.packages.join(",")))
        // Taken out again by hook-customize: a card must sync.
        .arg("--dpkgopt=force-unsafe-io")
        .arg("--aptopt=Acquire::Languages \"none\"")
        .args(
            recipe
                .exclude_paths
                .iter()
                .map(|path| format!("--dpkgopt=path-exclude={path}")),
        )
        // Folders are made as on every system of today; else a package converts them, slowly.
        .arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr")
        .args(stage.hooks)
        .env("CLUSTER_LAB_PACKAGES", &stage.packages.folder)
        .env("CLUSTER_LAB_KERNEL", &recipe.kernel_package)
        .env(
            "CLUSTER_LAB_UNPACKED",
            format!("{} {}", recipe.busybox_package, recipe.firmware_package),
        )
        .arg(&recipe.suite)
        .arg(root)
        .args(sources);
    let mut log = std::fs::File::create(stage.log).ok();
    let (mut reason, mut index) = (String::new(), false);
    let mut spoken = Instant::now();
    let followed = MMDEBSTRAP.follow(&mut command, |line| {
        // Best effort: the log only helps to explain a failure.
        let _ = log.as_mut().map(|log| writeln!(log, "{line}"));
        if let Some(step) = line.strip_prefix("I: ") {
            progress.say(format_args!("mmdebstrap: {step}"));
            spoken = Instant::now();
        } else if let Some(error) = line.strip_prefix("E: ") {
            index |= error.starts_with("apt-get update");
            if reason.is_empty() {
                error.clone_into(&mut reason);
            }
        } else if spoken.elapsed() > Duration::from_secs(20)
            && line.starts_with(|c: char| c.is_ascii_uppercase())
        {
            progress.say(format_args!("mmdebstrap: ... {line}"));
            spoken = Instant::now();
        }
    });
    followed.map_err(|error| {
        if reason.is_empty() {
            reason = error.to_string();
        }
        Failure { reason, index }
    })
}

/// Maintainer scripts are ARM programs: the kernel must know how to run them.
fn check_emulation() -> Result<()> {
    if cfg!(target_arch = "arm") {
        return Ok(());
    }
    let status = std::fs::read_to_string("/proc/sys/fs/binfmt_misc/qemu-arm").unwrap_or_default();
    ensure!(
        status.starts_with("enabled"),
        "this machine does not run ARM programs: apt-get install qemu-user-static binfmt-support, then \
         `mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc` if that folder is empty, then \
         `update-binfmts --enable qemu-arm`"
    );
    Ok(())
}
