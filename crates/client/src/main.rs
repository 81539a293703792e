//! `natter`, the terminal client.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(client::rim::run(std::env::args_os()))
}
