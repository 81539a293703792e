//! `natterd`, the server program.

use clap::Parser;
use rustix::fs::Mode;
use rustix::process::umask;
use server::config::{Config, usage_line};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    // What people say to each other is nobody else's on this machine: databases, backups and whatever is made later.
    umask(Mode::RWXG | Mode::RWXO);
    let args: Vec<_> = std::env::args_os().collect();
    match Config::try_parse_from(&args) {
        Ok(config) => match &config.command {
            None => server::run::run(&config),
            Some(command) => server::operate::run(&config, command),
        },
        Err(error) if error.use_stderr() => {
            // Nobody may read it; the exit code says it all the same.
            let _ = writeln!(io::stderr(), "{}", usage_line(&error, &args));
            ExitCode::from(2)
        }
        Err(help) => {
            // A closed pipe is no reason to fail.
            let _ = help.print();
            ExitCode::SUCCESS
        }
    }
}
