//! `natterd`, the server program.

use clap::Parser;
use protocol::system_words::plain_words;
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
        Err(help) => match help.print().and_then(|()| io::stdout().flush()) {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever closed it has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                let words = plain_words(&error);
                let _ = writeln!(
                    io::stderr(),
                    "natterd: the output can't be written: {words}\nhint: write it somewhere else"
                );
                ExitCode::from(3)
            }
        },
    }
}
