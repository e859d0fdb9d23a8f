//! A recipe: everything that a release image is made of, in one file (TOML). Paths in it are relative to its folder; flags
//! of the command line win over it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use boot_config::Layer;
use serde::Deserialize;
use toml::Spanned;

use crate::build::{BaseImage, BootChanges};
use crate::checksum::Checksum;

/// The version of the format.
const VERSION: u32 = 1;

#[derive(Debug, Deserialize)]
struct Head {
    version: Option<Spanned<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Text {
    #[serde(rename = "version")]
    _version: u32,
    base: Option<Spanned<String>>,
    base_sha256: Option<Checksum>,
    #[serde(default)]
    unchecked_base: bool,
    agent: Option<Spanned<PathBuf>>,
    #[serde(default)]
    overlays: Vec<Spanned<PathBuf>>,
    #[serde(default)]
    preload: Vec<Spanned<PathBuf>>,
    output: Option<PathBuf>,
    sign_key: Option<Spanned<PathBuf>>,
    publish_url: Option<String>,
    #[serde(default)]
    repair: bool,
    #[serde(default)]
    boot: BootChanges,
    settings: Option<Layer>,
}

/// A checked recipe.
#[derive(Debug, Default)]
pub struct Recipe {
    /// The base image; none is the default one.
    pub base: Option<BaseImage>,
    /// The checksum of its file.
    pub base_sha256: Option<Checksum>,
    /// Whether a base from the web is taken without a checksum.
    pub unchecked_base: bool,
    /// The agent's program.
    pub agent: Option<PathBuf>,
    /// Folders that mirror `/`; later ones win.
    pub overlays: Vec<PathBuf>,
    /// Container images.
    pub preload: Vec<PathBuf>,
    /// The image's name.
    pub output: Option<PathBuf>,
    /// A secret key of minisign.
    pub sign_key: Option<PathBuf>,
    /// The web folder that the archive will be in.
    pub publish_url: Option<String>,
    /// Whether a base that was in use is repaired.
    pub repair: bool,
    /// What changes on the boot partition, default settings of the cluster included.
    pub boot: BootChanges,
}

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// On the first thing wrong, with its line.
    pub fn read(file: &Path) -> Result<Self> {
        Ok(load(file)?.0)
    }

    /// Reads a recipe and looks whether all that it names is there.
    ///
    /// # Errors
    /// On the first thing wrong or missing, with its line.
    pub fn check(file: &Path) -> Result<()> {
        let (_, text, named) = load(file)?;
        for (span, path) in named {
            ensure!(
                path.exists(),
                "{}: {} is not there",
                place(file, &text, &span),
                path.display()
            );
        }
        Ok(())
    }
}

type Named = Vec<(Range<usize>, PathBuf)>;

fn load(file: &Path) -> Result<(Recipe, String, Named)> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading the recipe {}", file.display()))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let (recipe, named) = parse(file, &text, folder)?;
    Ok((recipe, text, named))
}

fn parse(file: &Path, text: &str, folder: &Path) -> Result<(Recipe, Named)> {
    let wrong = |error: toml::de::Error| {
        let span = error.span().unwrap_or_default();
        let reason: Vec<_> = error.message().split_whitespace().collect();
        anyhow::anyhow!("{}: {}", place(file, text, &span), reason.join(" "))
    };
    let Head { version } = toml::from_str(text).map_err(wrong)?;
    let Some(version) = version else {
        bail!(
            "{}: a recipe begins with `version = {VERSION}`",
            place(file, text, &(0..0))
        );
    };
    ensure!(
        *version.get_ref() == VERSION,
        "{}: version {} of recipes is not known here: only version {VERSION} is",
        place(file, text, &version.span()),
        version.get_ref()
    );
    let parsed: Text = toml::from_str(text).map_err(wrong)?;
    let mut named = Named::new();
    let mut input = |path: Spanned<PathBuf>| {
        let span = path.span();
        let path = folder.join(path.into_inner());
        named.push((span, path.clone()));
        path
    };
    let base = parsed.base.map(|base| match base.get_ref().parse() {
        Ok(BaseImage::File(path)) => BaseImage::File(input(Spanned::new(base.span(), path))),
        Ok(url) => url,
        Err(never) => match never {},
    });
    let recipe = Recipe {
        base,
        base_sha256: parsed.base_sha256,
        unchecked_base: parsed.unchecked_base,
        agent: parsed.agent.map(&mut input),
        overlays: parsed.overlays.into_iter().map(&mut input).collect(),
        preload: parsed.preload.into_iter().map(&mut input).collect(),
        output: parsed.output.map(|output| folder.join(output)),
        sign_key: parsed.sign_key.map(&mut input),
        publish_url: parsed.publish_url,
        repair: parsed.repair,
        boot: BootChanges {
            settings: parsed.settings,
            ..parsed.boot
        },
    };
    Ok((recipe, named))
}

/// `FILE line N`.
fn place(file: &Path, text: &str, span: &Range<usize>) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    format!("{} line {}", file.display(), before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Recipe> {
        Ok(super::parse(Path::new("lab.toml"), text, Path::new("/r"))?.0)
    }

    #[test]
    fn a_recipe_is_read_relative_to_its_folder() {
        let recipe = parse(
            "version = 1\nbase = \"base.img.xz\"\nagent = \"/a/agent\"\noverlays = [\"one\", \"two\"]\npreload = [\"c.tar\"]\n\
             output = \"out/lab.img\"\nrepair = true\n[boot]\nconfig = { gpu_mem = 16, dtparam = \"audio=off\" }\n\
             command-line = [\"cgroup_enable=memory\"]\n[settings]\nversion = 1\nhostname = \"node\"\n",
        )
        .unwrap();
        assert_eq!(recipe.base, Some(BaseImage::File("/r/base.img.xz".into())));
        assert_eq!(recipe.agent, Some("/a/agent".into()));
        assert_eq!(recipe.overlays, [PathBuf::from("/r/one"), "/r/two".into()]);
        assert_eq!(recipe.output, Some("/r/out/lab.img".into()));
        assert_eq!(recipe.boot.command_line, ["cgroup_enable=memory"]);
        assert!(recipe.repair && recipe.boot.settings.is_some());
        let recipe = parse("version = 1\nbase = \"https://example.org/x.img\"\n").unwrap();
        assert_eq!(
            recipe.base,
            Some(BaseImage::Url("https://example.org/x.img".into()))
        );
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            (
                "base = \"x\"\n",
                "lab.toml line 1: a recipe begins with `version = 1`",
            ),
            (
                "# mine\nversion = 2\nnew = 1\n",
                "lab.toml line 2: version 2 of recipes is not known here: only version 1 is",
            ),
            (
                "version = 1\n\nbas = \"x\"\n",
                "lab.toml line 3: unknown field `bas`, expected one of",
            ),
            (
                "version = 1\nbase-sha256 = \"12\"\n",
                "lab.toml line 2: '12' is not a SHA-256",
            ),
            (
                "version = 1\nagent = 3\n",
                "lab.toml line 2: invalid type: integer `3`",
            ),
            ("version = 1\nagent = \"a\n", "lab.toml line 2: "),
            (
                "version = 1\n[settings]\nversion = 1\nhostname = \"a b\"\n",
                "lab.toml line 4: ",
            ),
            (
                "version = 1\n[boot]\ncommand-line = [\"a b\"]\n",
                "lab.toml line 3: 'a b' is not one word of a kernel command line",
            ),
            (
                "version = 1\n[boot]\nconfig = { \"a=b\" = 1 }\n",
                "lab.toml line 3: 'a=b' is not a key of config.txt",
            ),
            (
                "version = 1\n[boot.config]\ngpu_mem = [1]\n",
                "lab.toml line 2: config.txt takes a text or a number for 'gpu_mem'",
            ),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message:?}, not {expected:?}");
            assert!(!message.contains('\n'), "{message:?}");
        }
    }
}
