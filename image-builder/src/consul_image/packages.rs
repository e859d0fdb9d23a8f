//! The packages, as apt downloads them: into a folder of its own with the suite's index, so that neither this machine's
//! suites nor its installed packages matter. Apt checks the archive's signature, we the checksums of the recipe.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::recipe::{Architecture, Recipe, Target};
use crate::base::mirror_of_this_machine;
use crate::hex::hex;
use crate::tool::Tool;

const APT_GET: Tool = Tool {
    name: "apt-get",
    package: "apt",
};
const DPKG_DEB: Tool = Tool {
    name: "dpkg-deb",
    package: "dpkg",
};
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Downloads and unpacks the recipe's packages; the folder with their files.
pub(super) fn unpack(
    recipe: &Recipe,
    architecture: Architecture,
    target: &Target,
    work: &Path,
) -> Result<PathBuf> {
    let mirror = mirror_of_this_machine().context(
        "this machine's apt has no Debian archive in its sources, so there is nowhere to get the consul package from",
    )?;
    ensure!(
        Path::new(KEYRING).exists(),
        "{KEYRING} is missing: apt-get install debian-archive-keyring"
    );
    let apt = Apt::new(work, architecture)?;
    let source = format!("deb [signed-by={KEYRING}] {mirror} {} main\n", recipe.suite);
    fs::write(work.join("etc/apt/sources.list"), source).context("naming the package archive")?;
    apt.run(&["update"])
        .with_context(|| format!("reading the index of Debian {}", recipe.suite))?;
    let root = work.join("root");
    for (name, package) in &target.packages {
        let wanted = format!("{name}:{architecture}={}", package.version);
        apt.run(&["download", &wanted])
            .with_context(|| format!("downloading {wanted}"))?;
        let file = apt.downloaded(name)?;
        let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let found = hex(&Sha256::digest(&bytes));
        ensure!(
            found == package.sha256,
            "the package {wanted} has the checksum {found}, not {} as in the recipe",
            package.sha256
        );
        DPKG_DEB
            .run(DPKG_DEB.command().arg("-x").arg(&file).arg(&root))
            .with_context(|| format!("unpacking {}", file.display()))?;
    }
    Ok(root)
}

/// Apt with folders of its own.
struct Apt {
    options: Vec<String>,
    packages: PathBuf,
}

impl Apt {
    fn new(work: &Path, architecture: Architecture) -> Result<Self> {
        let packages = work.join("packages");
        let folders = [
            "etc/apt/preferences.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "packages",
        ];
        for folder in folders {
            fs::create_dir_all(work.join(folder)).context("making folders for apt")?;
        }
        let status = work.join("status");
        fs::write(&status, "").context("making a file for apt")?;
        let options = [
            format!("Dir={}", work.display()),
            format!("Dir::State::status={}", status.display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("APT::Architecture={architecture}"),
            format!("APT::Architectures::={architecture}"),
            "Acquire::Languages=none".to_owned(),
            // The folder is the caller's; another user could not write there.
            "APT::Sandbox::User=root".to_owned(),
        ];
        let options = options
            .into_iter()
            .flat_map(|option| ["-o".to_owned(), option])
            .collect();
        Ok(Self { options, packages })
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let mut command = APT_GET.command();
        command
            .current_dir(&self.packages)
            .arg("-q")
            .args(&self.options)
            .args(words);
        APT_GET.run(&mut command).map(drop)
    }

    fn downloaded(&self, name: &str) -> Result<PathBuf> {
        let prefix = format!("{name}_");
        let files = fs::read_dir(&self.packages).context("listing the downloaded packages")?;
        let mut files = files.flatten().map(|file| file.path());
        let found = files.find(|path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with(&prefix)
        });
        found.with_context(|| format!("the package {name} was not downloaded"))
    }
}
