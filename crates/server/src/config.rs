//! What the operator can decide, from the command line and the environment.

use crate::bounds::ConnectionBounds;
use crate::hub::FileRules;
use crate::inbound::{Login, Refusal};
use crate::keep::{KeepRule, Retention, RoomRule, parse_age, parse_bytes, parse_count};
use crate::logging::LogFormat;
use crate::operate::Command;
use crate::rate::LocalAddresses;
use crate::voice;
use bytes::Bytes;
use clap::error::ErrorKind;
use clap::{Args, Parser, ValueEnum};
use protocol::code::Code;
use protocol::id::Epoch;
use protocol::limits::{DEFAULT_PORT, LARGE_PERSON_SHARE, PERSON_SHARE};
use protocol::message::Durability;
use protocol::usage::Usage;
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// The options of `natterd`.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "natterd",
    version,
    about = "A chat server: rooms that lose nothing, one port, no accounts",
    subcommand_help_heading = "Commands",
    args_conflicts_with_subcommands = false,
    after_help = "Examples:\n  natterd                         listen on port 12000 for programs on this machine\n  natterd --plaintext anywhere    let other machines in, unencrypted\n  natterd --port 0                listen on any free port and print it"
)]
pub struct Config {
    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Address to listen on
    #[arg(
        long,
        env = "NATTERD_HOST",
        hide_env_values = true,
        help_heading = "Network",
        default_value = "0.0.0.0",
        value_name = "ADDRESS"
    )]
    pub host: String,

    /// Port to listen on; 0 takes any free one
    #[arg(short, long, env = "NATTERD_PORT", hide_env_values = true, help_heading = "Network", default_value_t = DEFAULT_PORT)]
    pub port: u16,

    /// Connections that may be logged in at once
    #[arg(
        short,
        long,
        env = "NATTERD_MAX_CLIENTS",
        hide_env_values = true,
        help_heading = "Network",
        default_value_t = 10_000,
        value_name = "N"
    )]
    pub max_clients: u32,

    /// Limit programs on this machine like all others: behind a tunnel or a proxy, strangers come from here too
    #[arg(long, env = "NATTERD_LIMIT_LOCAL", hide_env_values = true, help_heading = "Network")]
    pub limit_local: bool,

    /// How many connections one address may have, and strangers
    #[command(flatten)]
    pub connections: ConnectionOptions,

    /// From where unencrypted connections are taken
    #[arg(long, env = "NATTERD_PLAINTEXT", hide_env_values = true, help_heading = "Network", value_enum, default_value_t = Plaintext::Loopback)]
    pub plaintext: Plaintext,

    /// Folder where everything is kept [default: natterd in XDG_DATA_HOME or ~/.local/share]
    #[arg(
        long,
        env = "NATTERD_DATA",
        hide_env_values = true,
        help_heading = "Storage",
        value_name = "DIR",
        global = true
    )]
    pub data: Option<PathBuf>,

    /// Where messages are kept
    #[arg(long, env = "NATTERD_STORE", hide_env_values = true, help_heading = "Storage", value_enum, default_value_t = StoreKind::Sqlite)]
    pub store: StoreKind,

    /// What a message survives once it is acknowledged
    #[arg(long, env = "NATTERD_DURABILITY", hide_env_values = true, help_heading = "Storage", value_enum, default_value_t = DurabilityKind::Disk)]
    pub durability: DurabilityKind,

    /// Start even if acknowledged messages were lost: clients are told that it is a new history; nothing is deleted
    #[arg(long, help_heading = "Storage")]
    pub accept_loss: bool,

    /// Believe this machine's clock although it jumped: what is past its age is deleted at once
    #[arg(long, help_heading = "Retention")]
    pub accept_clock: bool,

    /// Largest file that is taken, in MiB; 0 takes none [default: as much as there is space]
    #[arg(
        long,
        env = "NATTERD_MAX_FILE",
        hide_env_values = true,
        help_heading = "Files",
        value_name = "MIB"
    )]
    pub max_file_mib: Option<u64>,

    /// Space for all files together, in MiB [default: half of what is free on the disk, with what files have already]
    #[arg(
        long,
        env = "NATTERD_FILE_SPACE",
        hide_env_values = true,
        help_heading = "Files",
        value_name = "MIB"
    )]
    pub file_space_mib: Option<u64>,

    /// How much of files is kept, and how long
    #[command(flatten)]
    pub files: FileOptions,

    /// Folder below which files are kept by the memory store until the server stops, and by backup - while it runs [default: the system's]
    #[arg(long, env = "NATTERD_TEMP", hide_env_values = true, help_heading = "Storage", value_name = "DIR")]
    pub temp: Option<PathBuf>,

    /// Message of the day, shown at login
    #[arg(
        long,
        env = "NATTERD_MOTD",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    pub motd: String,

    /// How long messages are kept
    #[command(flatten)]
    pub keep: KeepOptions,

    /// How the log on stderr is written; RUST_LOG says how much
    #[arg(long, env = "NATTERD_LOG_FORMAT", hide_env_values = true, value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
}

impl Config {
    /// Whether programs on this machine are free of rates.
    pub fn local_addresses(&self) -> LocalAddresses {
        if self.limit_local { LocalAddresses::Limited } else { LocalAddresses::Exempt }
    }

    /// What is on disk survives this; `None` if nothing is on disk.
    pub fn on_disk(&self) -> Option<Durability> {
        match (self.store, self.durability) {
            (StoreKind::Memory, _) | (_, DurabilityKind::Memory) => None,
            (StoreKind::Sqlite, DurabilityKind::Disk) => Some(Durability::Disk),
            (StoreKind::Sqlite, DurabilityKind::Process) => Some(Durability::Process),
        }
    }

    /// The port of a server that keeps nothing: what it is known by on its machine.
    pub fn memory_port(&self) -> Option<u16> {
        self.on_disk().is_none().then_some(self.port)
    }
}

/// How many connections there may be.
#[derive(Clone, Debug, Default, Args)]
pub struct ConnectionOptions {
    /// Connections of one address, or of one IPv6 network of 64 bits [default: 1024]
    #[arg(
        long,
        env = "NATTERD_MAX_PER_ADDRESS",
        hide_env_values = true,
        help_heading = "Network",
        value_name = "N"
    )]
    pub max_per_address: Option<u32>,

    /// Connections that are not logged in, beyond those of all clients [default: 1024]
    #[arg(
        long,
        env = "NATTERD_MAX_STRANGERS",
        hide_env_values = true,
        help_heading = "Network",
        value_name = "N"
    )]
    pub max_strangers: Option<u32>,
}

impl ConnectionOptions {
    /// The bounds that these options make.
    pub fn bounds(&self) -> ConnectionBounds {
        let default = ConnectionBounds::default();
        let number = |option: Option<u32>, default| {
            option.map_or(default, |number| usize::try_from(number).unwrap_or(usize::MAX))
        };
        ConnectionBounds {
            per_address: number(self.max_per_address, default.per_address),
            strangers: number(self.max_strangers, default.strangers),
            ..default
        }
    }
}

/// How much of files is kept, and how long.
#[derive(Clone, Debug, Default, Args)]
pub struct FileOptions {
    /// Space for the files of one person, such as 2G [default: an eighth of all, or 16G where that is less than half]
    #[arg(long, env = "NATTERD_PERSON_FILES", hide_env_values = true, help_heading = "Files", value_name = "SIZE", value_parser = parse_bytes)]
    pub person_files: Option<u64>,

    /// Space for the files of all guests together, such as 1G [default: an eighth of all]
    #[arg(long, env = "NATTERD_GUEST_FILES", hide_env_values = true, help_heading = "Files", value_name = "SIZE", value_parser = parse_bytes)]
    pub guest_files: Option<u64>,

    /// Space for the files of one room, such as 4G [default: all]
    #[arg(long, env = "NATTERD_ROOM_FILES", hide_env_values = true, help_heading = "Files", value_name = "SIZE", value_parser = parse_bytes)]
    pub room_files: Option<u64>,

    /// How long files are kept, such as 30d [default: as long as their messages]
    #[arg(long, env = "NATTERD_KEEP_FILES", hide_env_values = true, help_heading = "Files", value_name = "TIME", value_parser = parse_age)]
    pub keep_files: Option<u64>,

    /// How long a broken upload can be gone on with, such as 2h [default: 24h]
    #[arg(long, env = "NATTERD_KEEP_UPLOADS", hide_env_values = true, help_heading = "Files", value_name = "TIME", value_parser = parse_age)]
    pub keep_uploads: Option<u64>,
}

impl FileOptions {
    /// The rules that these options make, where all files may have so many bytes.
    pub fn rules(&self, space: u64) -> FileRules {
        let default = FileRules::default();
        FileRules {
            person_bytes: self.person_files.unwrap_or_else(|| person_share(space)),
            guest_bytes: self.guest_files.unwrap_or(space / PERSON_SHARE),
            room_bytes: self.room_files.unwrap_or(default.room_bytes),
            keep_files_ms: self.keep_files,
            keep_uploads_ms: self.keep_uploads.unwrap_or(default.keep_uploads_ms),
        }
    }
}

/// What one person may have of the space for all files.
fn person_share(space: u64) -> u64 {
    let share = space / PERSON_SHARE;
    if space / 2 >= LARGE_PERSON_SHARE { share.max(LARGE_PERSON_SHARE) } else { share }
}

/// How long messages are kept. Without any of these, for ever.
#[derive(Clone, Debug, Default, Args)]
pub struct KeepOptions {
    /// How long messages are kept, such as 12h, 90d or 2y [default: for ever]
    #[arg(long, env = "NATTERD_KEEP_AGE", hide_env_values = true, help_heading = "Retention", value_name = "TIME", value_parser = parse_age)]
    pub keep_age: Option<u64>,

    /// How many messages of each room are kept [default: all]
    #[arg(long, env = "NATTERD_KEEP_COUNT", hide_env_values = true, help_heading = "Retention", value_name = "N", value_parser = parse_count)]
    pub keep_count: Option<u64>,

    /// How many bytes of messages of each room are kept, such as 64M [default: all]
    #[arg(long, env = "NATTERD_KEEP_BYTES", hide_env_values = true, help_heading = "Retention", value_name = "SIZE", value_parser = parse_bytes)]
    pub keep_bytes: Option<u64>,

    /// What is kept of one room instead: ROOM=age:30d,count:1000,bytes:64M or ROOM=all; may be repeated
    #[arg(
        long,
        env = "NATTERD_KEEP_ROOM",
        hide_env_values = true,
        help_heading = "Retention",
        value_name = "RULE",
        value_delimiter = ' '
    )]
    pub keep_room: Vec<RoomRule>,
}

impl KeepOptions {
    /// The rules that these options make.
    pub fn retention(&self) -> Retention {
        let default = KeepRule { age_ms: self.keep_age, count: self.keep_count, bytes: self.keep_bytes };
        let rooms = self.keep_room.iter().map(|own| (own.name.key(), own.clone())).collect();
        Retention { default, rooms }
    }
}

/// A new epoch, which nobody can guess or meet again.
///
/// # Errors
/// If the system has no random numbers.
pub fn random_epoch() -> io::Result<Epoch> {
    random_key().map(Epoch)
}

/// Bytes that nobody can guess.
///
/// # Errors
/// If the system has no random numbers.
pub fn random_key<const BYTES: usize>() -> io::Result<[u8; BYTES]> {
    let mut key = [0; BYTES];
    #[expect(clippy::disallowed_methods, reason = "the edge of the program asks the system for randomness")]
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}

/// What is wrong with a command line of these arguments, on one line, and what to do about it.
pub fn usage_line(error: &clap::Error, args: &[OsString]) -> String {
    let Usage { mut what, hint } = Usage::parse(&error.to_string(), "natterd");
    if error.kind() == ErrorKind::InvalidUtf8
        && let Some(named) = Usage::not_utf8(args.iter().map(OsString::as_os_str))
    {
        what = named.what;
    }
    format!("natterd: {what}\nhint: {hint}")
}

/// Where messages are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum StoreKind {
    /// In a database in the data folder
    Sqlite,
    /// In memory, until the server stops
    Memory,
}

/// What a message survives once it is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum DurabilityKind {
    /// A crash of the machine: it is on the disk before anybody sees it
    Disk,
    /// A crash of the program: the machine writes it when it likes
    Process,
    /// Nothing: the same as --store memory
    Memory,
}

/// From where unencrypted connections are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Plaintext {
    /// From this machine only
    Loopback,
    /// From everywhere: whoever is on the way can read and change everything
    Anywhere,
}

impl Plaintext {
    /// Whether an unencrypted connection from this address is taken.
    pub fn allows(self, peer: IpAddr) -> bool {
        // A mapped address is how an IPv4 peer appears on an IPv6 socket.
        self == Self::Anywhere || peer.to_canonical().is_loopback()
    }

    /// The same for a login.
    ///
    /// # Errors
    /// The last words to the peer, in its dialect.
    pub fn check(self, peer: IpAddr, login: &Login) -> Result<(), Bytes> {
        let refusal = Refusal::of(Code::PlaintextRefused);
        match login {
            _ if self.allows(peer) => Ok(()),
            Login::Native(_) => Err(refusal.encode_closing()),
            Login::Classic(_) => Err(voice::server_line(refusal.code.text())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn no_value_of_a_variable_is_shown_in_the_help() {
        let mut commands = vec![Config::command()];
        while let Some(command) = commands.pop() {
            for arg in command.get_arguments().filter(|arg| arg.get_env().is_some()) {
                assert!(arg.is_hide_env_values_set(), "{} of {}", arg.get_id(), command.get_name());
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn a_bad_command_line_is_told_in_one_line_and_a_hint() {
        for (args, what, hint) in [
            (&["--nope"][..], "unexpected argument '--nope' found", "type natterd --help for all options"),
            (
                &["-p", "70000"],
                "invalid value '70000' for '--port <PORT>': 70000 is not in 0..=65535",
                "type natterd --help for all options",
            ),
            (&["--prot", "3"], "unexpected argument '--prot' found", "a similar argument exists: '--port'"),
            (
                &["--store", "disk"],
                "invalid value 'disk' for '--store <STORE>'",
                "possible values: sqlite, memory",
            ),
        ] {
            let args: Vec<OsString> = ["natterd"].iter().chain(args).map(OsString::from).collect();
            let error = Config::try_parse_from(&args).unwrap_err();
            let expected = format!("natterd: {what}\nhint: {hint}");
            assert_eq!(usage_line(&error, &args), expected);
        }
    }

    #[test]
    fn an_argument_that_is_not_utf_8_is_named() {
        let bad = std::os::unix::ffi::OsStringExt::from_vec(b"caf\xe9".to_vec());
        let args: [OsString; 3] = ["natterd".into(), "--host".into(), bad];
        let error = Config::try_parse_from(&args).unwrap_err();
        let expected =
            "natterd: the argument 'caf\\xE9' is not UTF-8\nhint: type natterd --help for all options";
        assert_eq!(usage_line(&error, &args), expected);
    }

    #[test]
    fn a_person_has_an_eighth_and_room_for_a_film_where_that_leaves_half_to_others() {
        const GIB: u64 = 1 << 30;
        for (space, expected) in
            [(8 * GIB, GIB), (31 * GIB, 31 * GIB / 8), (32 * GIB, 16 * GIB), (100 * GIB, 16 * GIB)]
        {
            assert_eq!(person_share(space), expected, "of {} GiB", space / GIB);
        }
        assert_eq!(person_share(1_000 * GIB), 125 * GIB);
        assert_eq!(FileOptions::default().rules(80 * GIB).guest_bytes, 10 * GIB);
    }

    #[test]
    fn help_has_headings_and_shows_no_value_of_a_variable() {
        let help = <Config as clap::CommandFactory>::command().render_long_help().to_string();
        for heading in ["Network:", "Storage:", "Files:", "Retention:", "Commands:"] {
            assert!(help.contains(heading), "{help}");
        }
        let shown = help.lines().filter(|line| line.contains("[env: ") && line.contains('='));
        assert_eq!(shown.collect::<Vec<_>>(), Vec::<&str>::new());
    }

    #[test]
    fn plaintext_is_taken_from_this_machine_only_until_it_is_opened() {
        for (peer, here) in [
            ("127.0.0.1", true),
            ("127.1.2.3", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.1", false),
            ("0.0.0.0", false),
            ("2001:db8::1", false),
            ("::ffff:192.0.2.1", false),
        ] {
            let peer = peer.parse().unwrap();
            assert_eq!(Plaintext::Loopback.allows(peer), here, "{peer}");
            assert!(Plaintext::Anywhere.allows(peer), "{peer}");
        }
    }
}
