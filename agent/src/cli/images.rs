//! `cluster-lab images`

use std::process::ExitCode;

use super::daemon::{Socket, show, table};
use crate::services::ImageSeen;

const EXAMPLES: &str = "Examples:
  cluster-lab images                         the images on this node
  cluster-lab exec -- cluster-lab images     the images on all nodes";

/// Arguments of `images`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let images: Vec<ImageSeen> = args
        .socket
        .run(|daemon| async move { daemon.get("/api/v1/images").await })?;
    show(args.json, &images, |images| lines(images))?;
    Ok(ExitCode::SUCCESS)
}

fn lines(images: &[ImageSeen]) -> String {
    let row = |image: &ImageSeen| {
        let name = if image.names.is_empty() {
            "-".to_owned()
        } else {
            image.names.join(", ")
        };
        let id = image.id.trim_start_matches("sha256:").chars().take(12).collect();
        vec![name, id, format!("{:.1} MB", image.size as f64 / 1e6)]
    };
    let rows: Vec<_> = images.iter().map(row).collect();
    table(&["IMAGE", "ID", "SIZE"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_per_image() {
        let image = ImageSeen {
            names: vec!["nginx:1".to_owned(), "web:latest".to_owned()],
            id: "sha256:0123456789abcdef".to_owned(),
            size: 12_345_678,
            created: 0,
        };
        assert_eq!(
            lines(&[image]),
            "IMAGE                ID            SIZE\nnginx:1, web:latest  0123456789ab  12.3 MB\n"
        );
    }
}
