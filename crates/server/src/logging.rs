//! The log: on stderr, for people or as JSON. Nothing here waits for whoever reads it.

use crate::output::Output;
use clap::ValueEnum;
use protocol::limits::LOG_FLUSH_MS;
use protocol::system_words::without_numbers;
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Human,
    /// One JSON object a line
    Json,
}

/// The thread that writes to stderr; the first log of a process starts it.
static STDERR: OnceLock<Output> = OnceLock::new();

/// Sets the log up for the whole process; `RUST_LOG` says how much, "info" if it says nothing.
pub fn init(format: LogFormat) {
    let notice = match format {
        LogFormat::Human => human,
        LogFormat::Json => json,
    };
    let stderr = STDERR.get_or_init(|| Output::start("log", std::io::stderr(), notice));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || Words(stderr));
    // Only the first call of a process can set it; a later one changes nothing, which is what tests want.
    let _ = match format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // The hook of the standard library writes to stderr itself, and would wait for its reader.
    std::panic::set_hook(Box::new(|info| tracing::error!("{info}")));
}

/// Lines of the log, in which errors of the system stand without its numbers.
struct Words(&'static Output);

impl Write for Words {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => self.0.send(without_numbers(text).as_bytes()),
            Err(_) => self.0.send(line),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the last words to stderr, and all that was logged before. Waits for a reader that stands still for a
/// moment only.
pub fn finish(last: &str) {
    if let Some(stderr) = STDERR.get() {
        stderr.finish(last.as_bytes(), Duration::from_millis(LOG_FLUSH_MS));
    }
}

fn human(text: &str) -> String {
    format!("{}  WARN {text}\n", time())
}

fn json(text: &str) -> String {
    let line = json!({ "timestamp": time(), "level": "WARN", "message": text, "target": module_path!() });
    format!("{line}\n")
}

fn time() -> String {
    let mut text = String::new();
    // A time that can't be formatted is left out.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_a_line_of_the_log_in_its_format() {
        let line = human("dropped 3 lines");
        assert!(line.ends_with("Z  WARN dropped 3 lines\n"), "{line}");
        let line: serde_json::Value = serde_json::from_str(&json("dropped 3 lines")).expect("JSON");
        assert_eq!((&line["level"], &line["message"]), (&json!("WARN"), &json!("dropped 3 lines")));
    }
}
