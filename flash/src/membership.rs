//! Which cluster a card belongs to, and what makes it a member: the cluster secret on its boot partition.

use anyhow::{Context, Result, bail};
use boot_config::{FILE_NAME, Hostname, Layer, SECRET_FILE, Settings};

use crate::secret::Secrets;
use crate::settings::Edits;

/// The cluster, as options of the command line.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster of the card")]
pub struct Membership {
    /// Name of the cluster. Cards of the same cluster get the same secret, which is made with the first of them and kept
    /// in ~/.config/cluster-lab [default: what the image says, else cluster-lab]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<Hostname>,
    /// Give the card no secret: whoever is on the cluster network may join
    #[arg(long)]
    pub open_lab: bool,
}

impl Membership {
    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.cluster.is_none() && !self.open_lab
    }

    /// Adds it to the edits of a boot partition. `own` is the text of its `cluster-lab.toml`, which only images of
    /// Cluster Lab have; others get no secret. A `dry_run` makes none.
    ///
    /// # Errors
    /// When the image cannot take what was asked for, or there is no secret to be had.
    pub fn add_to(
        &self,
        edits: &mut Edits,
        own: Option<&[u8]>,
        secrets: impl FnOnce() -> Result<Secrets>,
        dry_run: bool,
    ) -> Result<()> {
        let Some(own) = own else {
            if !self.is_empty() {
                bail!(
                    "--cluster, --open-lab: this is no image of Cluster Lab, its boot partition has no {FILE_NAME}"
                );
            }
            return Ok(());
        };
        let text = edits.get(FILE_NAME).map_or(own, Vec::as_slice);
        let text = std::str::from_utf8(text).with_context(|| format!("{FILE_NAME} of the image"))?;
        let mut layer: Layer = boot_config::parse(FILE_NAME, text).context("in the image")?;
        let before = layer.clone();
        layer.cluster.name = self.cluster.clone().or(layer.cluster.name);
        if self.open_lab {
            layer.cluster.open_lab = Some(true);
        }
        if layer != before {
            edits.insert(FILE_NAME.to_owned(), boot_config::render(&layer).into_bytes());
        }
        if self.open_lab {
            return Ok(());
        }
        let name = layer.cluster.name.unwrap_or(Settings::default().cluster.name);
        let secrets = secrets()?;
        if dry_run {
            edits.insert(SECRET_FILE.to_owned(), Vec::new());
            return Ok(());
        }
        let made = secrets.get_or_make(&name)?;
        if made.is_new {
            eprintln!(
                "flash: made the secret of cluster {name} and keeps it in {}: the other cards of {name} need it too, so keep a copy",
                secrets.file(&name).display()
            );
        }
        let line = format!("{}\n", *made.secret.render());
        edits.insert(SECRET_FILE.to_owned(), line.into_bytes());
        Ok(())
    }
}
