//! The program `lab`: see [`lab::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    match lab::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
