//! What operators do beside serving: backup, restore, verify, repair, export, compact, and orders to a running server.

mod orders;
mod progress;

use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, random_epoch};
use crate::files::TemporaryFolder;
use crate::store::{
    Compacted, Exported, Folder, FolderError, OperateError, Repaired, Report, Task, backup, compact, export,
    mend_times, repair, restore, verify_backup, verify_folder,
};
use crate::wall_clock::notes_on_time;
use clap::Subcommand;
use orders::{OrderError, PeopleCommand, RoomsCommand, Target, find_socket, order_people, order_rooms};
use progress::Progress;
use protocol::system_words::plain_words;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use thiserror::Error;

/// What to do instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Write everything, files included, to one new file; the server may be running
    Backup {
        /// The file; - writes it to stdout
        file: PathBuf,
    },
    /// Make a data folder out of a backup; clients are told that it is a new history
    Restore {
        /// The backup
        file: PathBuf,
    },
    /// Read everything and tell what is damaged; the server may be running
    Verify {
        /// A data folder or a backup [default: the data folder]
        path: Option<PathBuf>,
    },
    /// Make a damaged data folder whole, with holes for the rest; the server must not be running
    Repair,
    /// Write all messages of a room to stdout
    Export {
        /// Its name, or the number of a conversation of two
        room: String,
        /// One JSON object a line, the only form there is
        #[arg(long, required = true)]
        jsonl: bool,
    },
    /// Write the databases anew without what is free in them; the server must not be running
    Compact,
    /// Print and remove people; the server must be running
    People {
        /// Where it is.
        #[command(flatten)]
        target: Target,
        /// What to do.
        #[command(subcommand)]
        command: PeopleCommand,
    },
    /// Print and end rooms; the server must be running
    Rooms {
        /// Where it is.
        #[command(flatten)]
        target: Target,
        /// What to do.
        #[command(subcommand)]
        command: RoomsCommand,
    },
}

/// Why it was not done.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The data folder can't be had.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Something in it can't be used.
    #[error("{error}{cause}", error = .0, cause = cause(.0))]
    Operate(#[from] OperateError),
    /// Something is damaged. It was told what.
    #[error("{what} is damaged: {count} findings", what = .0.display(), count = .1)]
    Damaged(PathBuf, usize),
    /// Everything was written but what is damaged.
    #[error("everything is written but {count} damaged messages, {what}")]
    Incomplete {
        /// How many.
        count: u64,
        /// What is in their places.
        what: &'static str,
    },
    /// The output can't be written.
    #[error("the output can't be written: {}", plain_words(.0))]
    Output(io::Error),
    /// A backup would go to a terminal.
    #[error("a backup is nothing to look at, and stdout is a terminal")]
    Terminal,
    /// There is no place for a file that is needed for a while.
    #[error("can't use a folder for temporary files in '{}': {}", path.display(), plain_words(source))]
    Temporary {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No random numbers.
    #[error("the system refused random numbers: {}", plain_words(.0))]
    Random(io::Error),
    /// The running server did not do it.
    #[error(transparent)]
    Order(#[from] OrderError),
}

fn cause(error: &OperateError) -> String {
    let source = match error {
        OperateError::Store { source, .. } => std::error::Error::source(source),
        _ => None,
    };
    source.map_or_else(String::new, |source| format!(": {}", plain_words(source)))
}

impl CommandError {
    fn hint(&self) -> &'static str {
        match self {
            Self::Folder(FolderError::InUse { .. }) => {
                "stop the server first: this needs the folder for itself"
            }
            Self::Folder(FolderError::Foreign { .. }) => {
                "move that file away, or name another folder with --data"
            }
            Self::Folder(_) => "name the folder of a server with --data",
            Self::Operate(error) => error.hint(),
            Self::Damaged(..) => "restore a backup, or run natterd repair: all else stays as it is",
            Self::Incomplete { .. } => "run natterd verify to see which, and natterd repair",
            Self::Output(_) => "write it somewhere else",
            Self::Terminal => "name a file, or have another program read it: natterd backup - | …",
            Self::Temporary { .. } => "name another place with --temp, before the word backup",
            Self::Random(_) => "check the limits of this process",
            Self::Order(error) => error.hint(),
        }
    }

    /// As PRODUCT's conventions have it: 1 for what the caller can change, 3 for what the machine must.
    fn code(&self) -> u8 {
        match self {
            Self::Order(error) => error.code(),
            Self::Operate(
                OperateError::Exists { .. } | OperateError::NoSuchRoom { .. } | OperateError::NoLog { .. },
            )
            | Self::Terminal
            | Self::Folder(FolderError::Missing { .. } | FolderError::Foreign { .. }) => 1,
            _ => 3,
        }
    }
}

/// Does it, and says on stderr why not.
pub fn run(config: &Config, command: &Command) -> ExitCode {
    let data = config.data.clone().unwrap_or_else(Folder::default_path);
    let mut progress = Progress::default();
    let done = carry_out(config, &data, command, &mut progress);
    progress.end();
    match done {
        // A closed pipe is how a reader says that this was enough.
        Ok(()) | Err(CommandError::Operate(OperateError::Closed)) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may read it; the exit code says it all the same.
            let _ = writeln!(io::stderr(), "natterd: {error}\nhint: {}", error.hint());
            ExitCode::from(error.code())
        }
    }
}

fn carry_out(
    config: &Config,
    data: &Path,
    command: &Command,
    progress: &mut Progress,
) -> Result<(), CommandError> {
    let tell = &mut |stage: &_| progress.tell(stage);
    let mut task = Task::new(tell).at(SystemClock::start().now().wall);
    match command {
        Command::Backup { file } if file.as_os_str() == "-" => {
            let parent = config.temp.clone().unwrap_or_else(std::env::temp_dir);
            backup_to_stdout(&Folder::look(data)?, &parent, &mut task)
        }
        Command::Backup { file } => {
            let report = backup(&Folder::look(data)?, file, &mut task)?;
            tell_report(file, &report)?;
            tell_damaged(report.damaged, "in whose place the backup says so")
        }
        Command::Restore { file } => {
            let epoch = random_epoch().map_err(CommandError::Random)?;
            let report = restore(file, &Folder::create(data)?, epoch, &mut task)?;
            tell_report(if report.findings.is_empty() { data } else { file }, &report)
        }
        Command::Verify { path } => {
            let path = path.as_deref().unwrap_or(data);
            let mut report = verify(path, &mut task)?;
            if path.is_dir() {
                let now = SystemClock::start().now();
                report.notes.extend(notes_on_time(report.clock, report.newest.as_ref(), now));
            }
            tell_report(path, &report)
        }
        Command::Repair => {
            let epoch = random_epoch().map_err(CommandError::Random)?;
            let folder = Folder::lock(data)?;
            let repaired = repair(&folder, epoch, &mut task)?;
            say(&repair_words(&repaired))?;
            if repaired.report.findings.is_empty() {
                let mended = mend_times(&folder, SystemClock::start().now().wall)?;
                if mended > 0 {
                    say(&format!(
                        "{mended} messages had a time that is yet to come, and have that of now\n"
                    ))?;
                }
            }
            tell_report(data, &repaired.report)
        }
        Command::Export { room, .. } => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            let Exported { damaged, .. } = export(&Folder::look(data)?, room, &mut out, &mut task)?;
            out.flush().or_else(ignore_closed).map_err(CommandError::Output)?;
            tell_damaged(damaged, "which are left out")
        }
        Command::Compact => {
            let Compacted { before, after } = compact(&Folder::lock(data)?, &mut task)?;
            say(&format!("{}: {before} bytes before, {after} after\n", data.display()))
        }
        Command::People { target, command } => {
            let socket = find_socket(target, data, config.memory_port())?;
            say(&order_people(&socket, command)?)
        }
        Command::Rooms { target, command } => {
            let socket = find_socket(target, data, config.memory_port())?;
            say(&order_rooms(&socket, command)?)
        }
    }
}

/// Writes a backup to a temporary file, reads it again, and hands it on to whoever reads stdout. A backup is written
/// here and there, so it can't go there at once.
fn backup_to_stdout(folder: &Folder, parent: &Path, task: &mut Task<'_>) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    if stdout.is_terminal() {
        return Err(CommandError::Terminal);
    }
    let id = random_epoch().map_err(CommandError::Random)?;
    let id = format!("{:032x}", u128::from_be_bytes(id.0));
    let failed = |source| CommandError::Temporary { path: parent.to_owned(), source };
    let temporary = TemporaryFolder::create(parent, &id).map_err(failed)?;
    let file = temporary.path().join("backup");
    let report = backup(folder, &file, task)?;
    if !report.findings.is_empty() {
        // They tell where it is from; the file is gone.
        return notify_report(folder.path(), &report, &mut io::stderr());
    }
    let mut backup = File::open(&file).map_err(failed)?;
    // Half a backup is none: whoever stops reading is told.
    io::copy(&mut backup, &mut stdout).and_then(|_| stdout.flush()).map_err(CommandError::Output)?;
    notify_report(Path::new("stdout"), &report, &mut io::stderr())
}

fn verify(path: &Path, task: &mut Task<'_>) -> Result<Report, CommandError> {
    if path.is_file() {
        return Ok(verify_backup(path, task)?);
    }
    match Folder::lock_to_read(path) {
        Ok(folder) => Ok(verify_folder(&folder, false, task)?),
        Err(FolderError::InUse { .. }) => Ok(verify_folder(&Folder::look(path)?, true, task)?),
        Err(error) => Err(error.into()),
    }
}

fn tell_report(path: &Path, report: &Report) -> Result<(), CommandError> {
    notify_report(path, report, &mut io::stdout())
}

fn notify_report(path: &Path, report: &Report, out: &mut impl Write) -> Result<(), CommandError> {
    let written = out.write_all(words(path, report).as_bytes()).and_then(|()| out.flush());
    written.or_else(ignore_closed).map_err(CommandError::Output)?;
    match report.findings.len() {
        0 => Ok(()),
        count => Err(CommandError::Damaged(path.to_owned(), count)),
    }
}

/// What was written is whole but for these.
fn tell_damaged(count: u64, what: &'static str) -> Result<(), CommandError> {
    if count == 0 { Ok(()) } else { Err(CommandError::Incomplete { count, what }) }
}

fn repair_words(repaired: &Repaired) -> String {
    let Repaired { before, notes, holes, .. } = repaired;
    let mut lines: Vec<_> = notes.iter().map(|note| format!("note: {note}")).collect();
    match before {
        None => lines.push("nothing is damaged".to_owned()),
        Some(before) => {
            lines.push(format!("{holes} messages are lost, and say so in their places"));
            lines.push(format!("everything is as it was before in {}", before.display()));
        }
    }
    lines.join("\n") + "\n"
}

fn words(path: &Path, report: &Report) -> String {
    let Report { entries, rooms, people, devices, contents, findings, notes, .. } = report;
    let mut lines = vec![format!(
        "{}: {entries} messages in {rooms} rooms, {people} people with {devices} devices, {contents} files",
        path.display()
    )];
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    lines.extend(findings.iter().map(|finding| format!("damage: {finding}")));
    if findings.is_empty() {
        lines.push("ok".to_owned());
    }
    lines.join("\n") + "\n"
}

fn say(text: &str) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    let said = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    said.or_else(ignore_closed).map_err(CommandError::Output)
}

fn ignore_closed(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_what_was_read_and_what_is_damaged() {
        let sound = Report { entries: 12, rooms: 2, people: 3, devices: 4, contents: 1, ..Report::default() };
        let damaged = Report {
            findings: vec!["entry 3 of room 1 does not fit its checksum".to_owned()],
            notes: vec!["1 files are not kept any more: their time was over".to_owned()],
            ..sound.clone()
        };
        insta::assert_snapshot!(words(Path::new("/data"), &sound), @r"
        /data: 12 messages in 2 rooms, 3 people with 4 devices, 1 files
        ok
        ");
        insta::assert_snapshot!(words(Path::new("/data"), &damaged), @r"
        /data: 12 messages in 2 rooms, 3 people with 4 devices, 1 files
        note: 1 files are not kept any more: their time was over
        damage: entry 3 of room 1 does not fit its checksum
        ");
    }
}
