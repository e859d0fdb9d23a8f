//! Signatures by minisign, the program itself: it asks for the key's password where the key has one.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};

use crate::draft::Draft;
use crate::tool::Tool;

const MINISIGN: Tool = Tool {
    name: "minisign",
    package: "minisign",
};

/// Signs a file. The trusted comment is the same for the same build.
pub(super) fn sign(file: &Draft, key: &Path, epoch: u64, signature: &Draft) -> Result<()> {
    let name = file.name().file_name().unwrap_or_default().display();
    let mut command = MINISIGN.command();
    command
        .args(["-S", "-c", "signature of a Cluster Lab release", "-t"])
        .arg(format!("timestamp:{epoch}\tfile:{name}"))
        .arg("-s")
        .arg(key)
        .arg("-m")
        .arg(file.path())
        .arg("-x")
        .arg(signature.path())
        .stdin(Stdio::inherit());
    MINISIGN
        .run(&mut command)
        .map(drop)
        .with_context(|| format!("signing {name} with {}", key.display()))
}
