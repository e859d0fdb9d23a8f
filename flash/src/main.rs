//! `flash`: see the library of the same name.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match flash::cli::run(&flash::cli::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flash: {error:#}");
            ExitCode::FAILURE
        }
    }
}
