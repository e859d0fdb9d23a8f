//! `cluster-lab`: the agent of Cluster Lab and its command line.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use cluster_lab::cli::{self, Cli};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.verbose);
    match cli::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cluster-lab: {}", cli::one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// `RUST_LOG` decides; without it `-v` raises the level from `info`.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "info",
        1 => "cluster_lab=debug,info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // The journal stamps each line itself; escape codes would end up in its fields.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
}
