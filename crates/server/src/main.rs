//! `natterd`, the server program.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    server::run::run(&server::config::Config::parse())
}
