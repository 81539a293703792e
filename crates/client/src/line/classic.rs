//! What there is only in the classic mode.

use super::Renderer;
use super::lists::count;
use super::said::safe;
use crate::session::event::Classic;

const HELP: [&str; 6] = [
    "  /send PATH  send a file to all (also /upload)",
    "  /clear      clear the screen",
    "  /help       show this",
    "  /quit       leave (also /exit, /q)",
    "Every other line that begins with / goes to the server: try /users.",
    "Tab completes, Up and Down recall, Ctrl+C clears the line, Ctrl+D quits.",
];

impl Renderer {
    pub(super) fn classic(&self, event: &Classic) -> Vec<String> {
        match event {
            Classic::Help => HELP.iter().map(|line| self.look.pad(line)).collect(),
            Classic::MayBeLost { lines } => {
                let lost: Vec<_> = lines.iter().map(|line| format!("'{}'", safe(line))).collect();
                let text = format!(
                    "{} may not have arrived: {}",
                    count(lines.len() as u64, "line"),
                    lost.join(", ")
                );
                self.failed(&text, Some("a classic server acknowledges nothing; ask, or say it again"))
            }
        }
    }
}
