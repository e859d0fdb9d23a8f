//! `image-builder`: see the library's head.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match image_builder::cli::Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image-builder: {error:#}");
            ExitCode::FAILURE
        }
    }
}
