//! The command line.

mod errand;

pub use errand::{Errand, Get, Mistake, Send, Visit};

use crate::address::Address;
use crate::line::{ExitCode, Failure};
use clap::{Parser, ValueEnum};
use protocol::limits::MAX_FETCH;
use protocol::name::PersonName;
use protocol::usage::Usage;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  natter 127.0.0.1 -u alice              chat on this machine
  natter chat.example -p 4000 -u alice   chat elsewhere
  natter natter://chat.example:4000      the line that the server prints
  echo hi | natter 127.0.0.1 -u bob      say something and leave
  natter send chat.example -r dev x.log  send a file and leave (natter send --help)
  natter get chat.example -r dev x.log   receive a file and leave (natter get --help)

Type /help in the chat for its commands.";

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// When to show pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Images {
    /// On a terminal that is known to show them, unless NO_COLOR is set.
    Auto,
    /// Never.
    Never,
}

/// Chat on a natter server.
#[derive(Clone, Debug, Parser)]
#[command(name = "natter", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// The server: HOST, HOST:PORT or natter://HOST:PORT [default: where you were last, else this machine]
    #[arg(env = "NATTER_HOST", hide_env_values = true)]
    pub host: Option<Address>,

    /// Its port, if HOST names none [default: 12000]
    #[arg(short, long, env = "NATTER_PORT", hide_env_values = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,

    /// Your name [default: without HOST, the one that you had last; else your name on this machine]
    #[arg(short, long, env = "NATTER_USER", hide_env_values = true, value_name = "NAME")]
    pub user: Option<String>,

    /// Lines to show of a room that you have never read
    #[arg(
        long,
        env = "NATTER_HISTORY",
        hide_env_values = true,
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u16).range(0..=i64::from(MAX_FETCH))
    )]
    pub history: u16,

    /// When to use colours
    #[arg(long, env = "NATTER_COLOR", hide_env_values = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,

    /// When to show received pictures between the lines
    #[arg(long, env = "NATTER_IMAGES", hide_env_values = true, value_name = "WHEN", default_value = "auto")]
    pub images: Images,

    /// Talk to a classic server, the Python program
    #[arg(long, env = "NATTER_CLASSIC", hide_env_values = true)]
    pub classic: bool,

    /// Ring when somebody says your name
    #[arg(long, env = "NATTER_BELL", hide_env_values = true)]
    pub bell: bool,

    /// The folder for identities and unsent lines [default: $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, env = "NATTER_STATE", hide_env_values = true, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// Use a throw-away device; keep no state
    #[arg(long, env = "NATTER_TEMPORARY", hide_env_values = true)]
    pub temporary: bool,

    /// Accept incoming files automatically up to this size (MiB)
    #[arg(
        long,
        env = "NATTER_MAX_RECEIVE",
        hide_env_values = true,
        value_name = "MIB",
        default_value_t = 25
    )]
    pub max_receive: u64,

    /// Receive no files
    #[arg(long, env = "NATTER_NO_RECEIVE", hide_env_values = true)]
    pub no_receive: bool,

    /// The folder for received files [default: natter in your download folder]
    #[arg(long, env = "NATTER_RECEIVED", hide_env_values = true, value_name = "DIR")]
    pub received: Option<PathBuf>,

    /// Every line of a pipe is said, also one that begins with /
    #[arg(long, env = "NATTER_NO_COMMANDS", hide_env_values = true)]
    pub no_commands: bool,

    /// Tell nobody that you are typing, and do not show who is
    #[arg(long, env = "NATTER_NO_TYPING", hide_env_values = true)]
    pub no_typing: bool,

    /// Show only what people say
    #[arg(short, long, env = "NATTER_QUIET", hide_env_values = true)]
    pub quiet: bool,
}

impl Cli {
    /// The server, if one was named: a port alone is of this machine.
    pub fn address(&self) -> Option<Address> {
        let here = || Address { host: "127.0.0.1".into(), port: None };
        let named = self.host.clone().or_else(|| self.port.map(|_| here()))?;
        Some(Address { port: named.port.or(self.port), ..named })
    }

    /// The wanted name: as given, or made from `login`, the name on this machine.
    ///
    /// # Errors
    /// [`Failure`] if the given one is not allowed.
    pub fn name(&self, login: &str) -> Result<PersonName, Failure> {
        let Some(user) = &self.user else {
            return Ok(PersonName::made_safe(login));
        };
        PersonName::parse(user).map_err(|error| {
            let safe = PersonName::made_safe(user);
            Failure::new(ExitCode::User, error.sentence(user), format!("try -u {safe}"))
        })
    }
}

/// The failure of a command line, in our form; `None` for `--help` and `--version`, which clap prints itself. `program`
/// is what was started: `natter`, or `natter send`.
pub fn usage_failure(error: &clap::Error, program: &str) -> Option<Failure> {
    if !error.use_stderr() {
        return None;
    }
    let Usage { what, hint } = Usage::parse(&error.to_string(), program);
    Some(Failure::new(ExitCode::Usage, what, hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_value_of_a_variable_is_shown_in_the_help() {
        for command in [Cli::command(), Send::command(), Get::command()] {
            for arg in command.get_arguments().filter(|arg| arg.get_env().is_some()) {
                assert!(arg.is_hide_env_values_set(), "{} of {}", arg.get_id(), command.get_name());
            }
        }
    }

    #[test]
    fn help_is_a_page() {
        insta::assert_snapshot!("help", Cli::command().term_width(100).render_help());
        insta::assert_snapshot!("long_help", Cli::command().term_width(100).render_long_help());
    }

    #[test]
    fn usage_failures_are_one_line_and_a_hint() {
        let lines: [&[&str]; 6] = [
            &["h", "--nope"],
            &["h", "--prot", "3"],
            &["h", "-p", "70000"],
            &["h:x"],
            &["h", "--color", "blue"],
            &["h", "--color", "alway"],
        ];
        let failures = lines.map(|args| {
            let error = Cli::try_parse_from(["natter"].iter().chain(args)).expect_err("a bad command line");
            usage_failure(&error, "natter").expect("not help").to_string()
        });
        insta::assert_snapshot!("usage_failures", failures.join("\n"));
    }

    #[test]
    fn a_port_in_the_address_wins() {
        let cli = Cli::try_parse_from(["natter", "h:5", "-p", "6"]).expect("a good command line");
        assert_eq!(cli.address().expect("named").port(), 5);
        let cli = Cli::try_parse_from(["natter", "h", "-p", "6"]).expect("a good command line");
        assert_eq!(cli.address().expect("named").port(), 6);
    }

    #[test]
    fn a_given_name_must_be_allowed_and_a_login_is_made_safe() {
        let mut cli = Cli::try_parse_from(["natter", "h"]).expect("a good command line");
        cli.user = None;
        assert_eq!(cli.name("e::vil").expect("made safe").as_str(), "e-vil");
        cli.user = Some("a::b".into());
        let failure = cli.name("x").expect_err("not allowed");
        assert_eq!(failure.code, ExitCode::User);
        assert!(failure.to_string().contains("'a::b'"), "{failure}");
    }
}
