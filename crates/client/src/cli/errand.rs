//! The command lines of errands: one thing that a script has done, without a chat.

use super::Cli;
use crate::address::Address;
use crate::line::{ExitCode, Failure};
use clap::{Args, Parser};
use std::path::PathBuf;
use std::time::Duration;

const SEND_EXAMPLES: &str = "\
Examples:
  natter send chat.example -r dev build.log -m 'the night build'
  tar c src | natter send chat.example -r dev - --name src.tar
  natter send chat.example --to bob photos/

A server that is called send or get is written natter://send.";

const GET_EXAMPLES: &str = "\
Examples:
  natter get chat.example -r dev                  the newest file
  natter get chat.example -r dev build.log -o -   to stdout, once it is whole
  natter get chat.example -r dev '#17' -o logs/   that of line 17, into a folder";

/// What there is to do.
#[derive(Clone, Debug)]
pub enum Errand {
    /// Send files.
    Send(Send),
    /// Receive a file.
    Get(Get),
}

/// Where, and as whom.
#[derive(Clone, Debug, Args)]
pub struct Visit {
    /// The server: HOST, HOST:PORT or natter://HOST:PORT
    pub host: Address,

    /// Its port, if HOST names none [default: 12000]
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,

    /// Your name [default: your name on this machine]
    #[arg(short, long, value_name = "NAME")]
    pub user: Option<String>,

    /// The room; you are in it afterwards [default: lobby]
    #[arg(short, long)]
    pub room: Option<String>,

    /// The person, instead of a room
    #[arg(long, value_name = "NAME", conflicts_with = "room")]
    pub to: Option<String>,

    /// Print what was done as lines of JSON
    #[arg(long)]
    pub json: bool,

    /// The folder for identities [default: $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// Use a throw-away device; keep no state, so that nothing can be resumed
    #[arg(long)]
    pub temporary: bool,

    /// Give up after so long, such as 90s, 5m or 2h; the same command then goes on where this one stopped
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub timeout: Option<Duration>,

    /// Say nothing on stderr but what failed
    #[arg(short, long)]
    pub quiet: bool,
}

/// `90`, `90s`, `5m` or `2h`, and not 0.
fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => 0,
    };
    let seconds = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit)).filter(|all| *all > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| "not a time such as 90s, 5m or 2h".to_owned())
}

/// Send files and folders, and leave
#[derive(Clone, Debug, Parser)]
#[command(name = "natter send", bin_name = "natter send", version, after_help = SEND_EXAMPLES, max_term_width = 100)]
pub struct Send {
    /// Where, and as whom.
    #[command(flatten)]
    pub visit: Visit,

    /// What to send; - is stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,

    /// Say this first
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,

    /// What to call stdin
    #[arg(long, default_value = "stdin")]
    pub name: String,
}

/// Receive a file or a folder, and leave
#[derive(Clone, Debug, Parser)]
#[command(name = "natter get", bin_name = "natter get", version, after_help = GET_EXAMPLES, max_term_width = 100)]
pub struct Get {
    /// Where, and as whom.
    #[command(flatten)]
    pub visit: Visit,

    /// Which: its name, or its line as /files shows it [default: the newest]
    #[arg(value_name = "NAME|#N")]
    pub file: Option<String>,

    /// A new file, a folder that is there, or - for stdout [default: its own name, here]
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<String>,

    /// Receive it also if the same is here already
    #[arg(short, long)]
    pub force: bool,

    /// Programs in a folder stay programs
    #[arg(short = 'x', long)]
    pub exec: bool,
}

/// Why a command line does nothing.
#[derive(Debug)]
pub enum Mistake {
    /// As clap says; help is among it.
    Clap(clap::Error),
    /// A word that looks like a command and is none.
    NoVerb(Failure),
}

/// Words that people take for commands, of this program or of others like it.
const NO_VERBS: [&str; 15] = [
    "chat", "connect", "fetch", "help", "history", "join", "list", "login", "receive", "recv", "rooms",
    "search", "tail", "upload", "download",
];

/// Whether this is a command, mistyped, or one that other programs have, rather than a server.
fn is_near_a_verb(word: &str) -> bool {
    let word = word.to_lowercase();
    NO_VERBS.contains(&word.as_str()) || ["send", "get"].iter().any(|verb| is_one_slip_apart(&word, verb))
}

/// Whether one letter too many, too few or wrong, or two letters in the wrong order, make one word of the other.
fn is_one_slip_apart(a: &str, b: &str) -> bool {
    let whole = b.len();
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a.as_bytes()[same..], &b.as_bytes()[same..]);
    match (a, b) {
        ([], [] | [_]) | ([_], []) => true,
        ([a1, a2, a_rest @ ..], [b1, b2, b_rest @ ..]) if (a1, a2) == (b2, b1) && a_rest == b_rest => true,
        // A wrong letter in so few is another word: `git` is a server.
        ([_, a_rest @ ..], [_, b_rest @ ..]) if a_rest == b_rest => whole >= 4,
        ([_, a_rest @ ..], b) if a_rest == b => true,
        (a, [_, b_rest @ ..]) => a == b_rest,
        _ => false,
    }
}

impl Errand {
    /// Reads the arguments behind the program's name; `None` if they are of a chat.
    ///
    /// # Errors
    /// [`Mistake`]
    pub fn parse(args: &[std::ffi::OsString]) -> Option<Result<Self, Mistake>> {
        let first = args.get(1)?.to_str()?;
        let rest = args[1..].iter();
        match first {
            "send" => Some(Send::try_parse_from(rest).map(Self::Send).map_err(Mistake::Clap)),
            "get" => Some(Get::try_parse_from(rest).map(Self::Get).map_err(Mistake::Clap)),
            word if is_near_a_verb(word) => {
                let what = format!("there is no command '{word}'");
                let hint = format!(
                    "natter send and natter get are commands (natter --help); a server of that name is natter natter://{word}"
                );
                Some(Err(Mistake::NoVerb(Failure::new(ExitCode::Usage, what, hint))))
            }
            _ => None,
        }
    }

    /// Where, and as whom.
    pub fn visit(&self) -> &Visit {
        match self {
            Self::Send(send) => &send.visit,
            Self::Get(get) => &get.visit,
        }
    }
}

impl Visit {
    /// The server and the name, as a shell takes them.
    pub fn words(&self) -> String {
        let address = Address { port: self.host.port.or(self.port), ..self.host.clone() };
        let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || "-_.:".contains(c));
        let quote = |text: &str| {
            if plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
        };
        let user = self.user.as_ref().map(|user| format!(" -u {}", quote(user))).unwrap_or_default();
        format!("{}{user}", quote(&address.to_string()))
    }

    /// The options that a chat with this server would have; what is not said comes from the environment.
    ///
    /// # Errors
    /// As clap says, if the environment is wrong.
    pub fn cli(&self) -> Result<Cli, clap::Error> {
        let mut cli = Cli::try_parse_from(["natter", "127.0.0.1", "--color", "never"])?;
        cli.host = Some(self.host.clone());
        cli.port = self.port.or(cli.port);
        cli.user = self.user.clone().or(cli.user);
        cli.state = self.state.clone().or(cli.state);
        cli.quiet = self.quiet || cli.quiet;
        cli.history = 0;
        cli.temporary = self.temporary || cli.temporary;
        cli.no_receive = true;
        Ok(cli)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::ffi::OsString;

    #[test]
    fn the_command_lines_are_consistent() {
        Send::command().debug_assert();
        Get::command().debug_assert();
    }

    /// As it is printed: the program's own name is in the arguments.
    fn help(verb: &str) -> String {
        let args = ["/usr/bin/natter", verb, "--help"].map(OsString::from);
        let parsed = Errand::parse(&args).expect("an errand");
        match parsed.expect_err("help is no errand") {
            Mistake::Clap(error) => error.to_string(),
            Mistake::NoVerb(failure) => panic!("{failure}"),
        }
    }

    #[test]
    fn a_word_that_looks_like_a_command_is_a_mistake_with_a_hint() {
        for word in ["tail", "sned", "sen", "sendd", "gte", "sand", "recv", "SEND", "help"] {
            let parsed = Errand::parse(&["natter", word].map(OsString::from)).expect("no server");
            let Err(Mistake::NoVerb(failure)) = parsed else { panic!("{word}: {parsed:?}") };
            assert_eq!(failure.code, ExitCode::Usage);
            assert!(failure.to_string().contains(&format!("natter natter://{word}")), "{failure}");
        }
        for server in [
            "localhost",
            "git",
            "chat.example",
            "h",
            "tail.example",
            "tail:4000",
            "natter://tail",
            "127.0.0.1",
        ] {
            assert!(Errand::parse(&["natter", server].map(OsString::from)).is_none(), "{server}");
        }
    }

    #[test]
    fn a_visit_is_named_as_a_shell_takes_it() {
        let words = |args: &[&str]| {
            let args = [&["natter send"], args, &["x"]].concat();
            Send::try_parse_from(args).expect("a good command line").visit.words()
        };
        assert_eq!(words(&["h", "-p", "4000"]), "h:4000");
        assert_eq!(words(&["[::1]:4000", "-p", "5", "-u", "Zoë"]), "'[::1]:4000' -u Zoë");
        assert_eq!(words(&["h", "-u", "o'b;x"]), r"h:12000 -u 'o'\''b;x'");
    }

    #[test]
    fn help_of_an_errand_names_the_whole_command() {
        insta::assert_snapshot!("help_of_send", help("send"));
        insta::assert_snapshot!("help_of_get", help("get"));
    }
}
