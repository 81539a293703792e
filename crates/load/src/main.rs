//! `natter-load`, the load generator.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    load::run::run(&load::options::Options::parse())
}
