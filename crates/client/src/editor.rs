//! The line editor: keys change a line, and the line becomes rows on a terminal. It has no terminal itself.
//!
//! It is our own because it shares the screen with a conversation: what stands above the prompt must never be
//! erased by it, a half-typed line outlives a stop of the process, and a paste is held until its author says so.

mod buffer;
mod history;
mod keys;
mod layout;

pub use history::History;
pub use keys::{Key, Keys};
pub use layout::{Area, Drawn, Layout};

use buffer::Buffer;
use protocol::text::strip;

/// The longest line that can be typed or pasted, in bytes: beyond that nobody edits it.
const MAX_LINE: usize = 4 << 20;

/// What a key leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The line may look different.
    Changed,
    /// These lines are said. A pasted text is never a command.
    Submit(Vec<Submitted>),
    /// The user wants what could stand here.
    Complete,
    /// The screen is to be cleared.
    Clear,
    /// The program is to stop until the shell continues it.
    Suspend,
    /// The user wants to leave.
    Leave,
    /// That can't be done.
    Bell,
}

/// A line that was entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Submitted {
    /// It was typed: it may be a command.
    Typed(String),
    /// It is of a pasted text of several lines.
    Pasted(String),
}

/// The search through what was typed before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Search {
    words: String,
    /// The entry that is shown.
    at: Option<usize>,
    /// What was typed when it began.
    before: String,
}

/// A line that is being edited.
#[derive(Debug, Default)]
pub struct Editor {
    buffer: Buffer,
    history: History,
    search: Option<Search>,
    /// Whether several lines wait for a second Enter.
    asks: bool,
    /// Whether the line holds a pasted text of several lines.
    pasted: bool,
}

impl Editor {
    /// An editor that recalls these lines.
    pub fn new(history: History) -> Self {
        Self { history, ..Self::default() }
    }

    /// The line and where the cursor stands in it, in bytes.
    pub fn line(&self) -> (&str, usize) {
        (self.buffer.text(), self.buffer.at())
    }

    /// What was entered before.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What the user is to know about the line, below it.
    pub fn remark(&self) -> Option<String> {
        if self.asks {
            let lines = self.buffer.text().lines().filter(|line| !line.trim().is_empty()).count();
            return Some(format!("-- {lines} lines of text: Enter sends all, Esc keeps them here to edit"));
        }
        let search = self.search.as_ref()?;
        let none = if search.at.is_none() && !search.words.is_empty() { "; nothing found" } else { "" };
        Some(format!("-- typed before, with '{}'{none}: Ctrl+R goes back, Esc ends", search.words))
    }

    /// Takes a key.
    pub fn handle_key(&mut self, key: Key) -> Effect {
        if self.search.is_some() {
            match self.handle_search(&key) {
                Some(effect) => return effect,
                None => self.search = None,
            }
        }
        match key {
            Key::Paste(text) => return self.paste(&text),
            Key::Enter => return self.enter(),
            Key::Escape => {
                let asked = std::mem::take(&mut self.asks);
                return if asked { Effect::Changed } else { Effect::Bell };
            }
            _ => self.asks = false,
        }
        let effect = self.edit(&key);
        if !self.buffer.text().contains('\n') {
            self.pasted = false;
        }
        effect
    }

    fn edit(&mut self, key: &Key) -> Effect {
        let buffer = &mut self.buffer;
        let empty = buffer.text().is_empty();
        match key {
            Key::Char(c) if buffer.text().len() < MAX_LINE => buffer.insert(c.encode_utf8(&mut [0; 4])),
            Key::Tab => return Effect::Complete,
            Key::Ctrl('c') if empty => return Effect::Leave,
            Key::Ctrl('c') => buffer.replace(""),
            Key::Ctrl('d') if empty => return Effect::Leave,
            Key::Ctrl('z') => return Effect::Suspend,
            Key::Ctrl('l') => return Effect::Clear,
            Key::Ctrl('r') => {
                let before = buffer.text().to_owned();
                self.search = Some(Search { before, ..Search::default() });
            }
            Key::Up | Key::Ctrl('p') => return self.recall(true),
            Key::Down | Key::Ctrl('n') => return self.recall(false),
            key => return if buffer.handle(key) { Effect::Changed } else { Effect::Bell },
        }
        Effect::Changed
    }

    /// Puts this in place of what stands between `start` and the cursor.
    pub fn complete(&mut self, start: usize, text: &str) {
        self.buffer.complete(start, text);
    }

    fn paste(&mut self, text: &str) -> Effect {
        let text = strip(text.trim_end_matches(['\n', '\r']).trim_start_matches('\u{feff}'));
        if self.buffer.text().len() + text.len() > MAX_LINE {
            return Effect::Bell;
        }
        self.buffer.insert(&text);
        if text.contains('\n') {
            (self.pasted, self.asks) = (true, true);
        }
        Effect::Changed
    }

    fn enter(&mut self) -> Effect {
        if self.pasted && !self.asks {
            // The paste was edited since its author was asked.
            self.asks = true;
            return Effect::Changed;
        }
        let text = self.buffer.take();
        self.history.add(&text);
        let pasted = std::mem::take(&mut self.pasted);
        self.asks = false;
        let submitted = |line: &str| {
            let line = line.to_owned();
            if pasted { Submitted::Pasted(line) } else { Submitted::Typed(line) }
        };
        Effect::Submit(text.lines().filter(|line| !line.trim().is_empty()).map(submitted).collect())
    }

    fn recall(&mut self, back: bool) -> Effect {
        let text = self.buffer.text().to_owned();
        let found = if back { self.history.back(&text) } else { self.history.forward() };
        let Some(found) = found else {
            return Effect::Bell;
        };
        self.buffer.replace(&found);
        self.pasted = found.contains('\n');
        Effect::Changed
    }

    /// A key during a search; `None` if it ends the search and is to be taken as usual.
    fn handle_search(&mut self, key: &Key) -> Option<Effect> {
        let search = self.search.as_mut()?;
        let from = match key {
            Key::Char(c) => {
                search.words.push(*c);
                self.history.len()
            }
            Key::Backspace => {
                search.words.pop();
                self.history.len()
            }
            Key::Ctrl('r') => search.at.unwrap_or(self.history.len()),
            Key::Escape | Key::Ctrl('c' | 'g') => {
                let before = std::mem::take(&mut search.before);
                self.search = None;
                self.buffer.replace(&before);
                return Some(Effect::Changed);
            }
            _ => return None,
        };
        let found = self.history.find(&search.words, from);
        if let Some((at, text)) = found {
            search.at = Some(at);
            let text = text.to_owned();
            self.pasted = text.contains('\n');
            self.buffer.replace(&text);
        } else if !matches!(key, Key::Ctrl('r')) {
            search.at = None;
        }
        Some(Effect::Changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(editor: &mut Editor, bytes: &str) -> Vec<Effect> {
        let mut keys = Keys::default();
        let mut read = keys.feed(bytes.as_bytes());
        read.extend(keys.flush());
        read.into_iter().map(|key| editor.handle_key(key)).collect()
    }

    fn submits(editor: &mut Editor, bytes: &str) -> Vec<Submitted> {
        let all = typed(editor, bytes).into_iter();
        all.filter_map(|effect| if let Effect::Submit(lines) = effect { Some(lines) } else { None })
            .flatten()
            .collect()
    }

    #[test]
    fn a_paste_of_several_lines_is_text_and_waits_for_enter() {
        let mut editor = Editor::default();
        assert_eq!(submits(&mut editor, "\x1b[200~/quit\r\n/delete\n\n\x1b[201~"), []);
        assert!(editor.remark().is_some_and(|remark| remark.contains("2 lines")));
        let pasted = ["/quit", "/delete"].map(|line| Submitted::Pasted(line.into()));
        assert_eq!(submits(&mut editor, "\r"), pasted);
        assert_eq!(editor.line(), ("", 0));
        // The next line is typed again.
        assert_eq!(submits(&mut editor, "/quit\r"), [Submitted::Typed("/quit".into())]);
    }

    #[test]
    fn escape_keeps_a_paste_in_the_line_and_enter_asks_again() {
        let mut editor = Editor::default();
        typed(&mut editor, "\x1b[200~one\ntwo\x1b[201~\x1b");
        assert_eq!((editor.line().0, editor.remark()), ("one\ntwo", None));
        assert_eq!(submits(&mut editor, "!\r"), []);
        assert!(editor.remark().is_some());
        assert_eq!(submits(&mut editor, "\r").len(), 2);
    }

    #[test]
    fn a_paste_of_one_line_is_as_if_typed() {
        let mut editor = Editor::default();
        let lines = submits(&mut editor, "\x1b[200~\u{feff}/join #dev\n\x1b[201~\r");
        assert_eq!(lines, [Submitted::Typed("/join #dev".into())]);
    }

    #[test]
    fn a_pasted_text_that_is_recalled_is_still_text() {
        let mut editor = Editor::default();
        typed(&mut editor, "\x1b[200~a\n/quit\x1b[201~\r");
        assert_eq!(submits(&mut editor, "\x1b[A\r"), []);
        assert_eq!(submits(&mut editor, "\r")[1], Submitted::Pasted("/quit".into()));
    }

    #[test]
    fn thousands_of_pasted_lines_are_all_said() {
        let mut editor = Editor::default();
        let text: Vec<_> = (0..5_000).map(|n| format!("line {n}")).collect();
        let lines = submits(&mut editor, &format!("\x1b[200~{}\x1b[201~\r", text.join("\r")));
        assert_eq!(lines.len(), 5_000);
    }

    #[test]
    fn what_was_typed_is_recalled_and_searched() {
        let mut editor = Editor::default();
        for line in ["tea at four", "bring cake", "see you"] {
            typed(&mut editor, &format!("{line}\r"));
        }
        typed(&mut editor, "half\x1b[A\x1b[A");
        assert_eq!(editor.line().0, "bring cake");
        typed(&mut editor, "\x1b[B\x1b[B");
        assert_eq!(editor.line().0, "half");
        typed(&mut editor, "\x12e");
        assert_eq!(editor.line().0, "see you");
        typed(&mut editor, "a");
        assert_eq!(editor.line().0, "tea at four");
        typed(&mut editor, "\x1b");
        assert_eq!((editor.line().0, editor.remark()), ("half", None));
    }

    #[test]
    fn no_keys_whatever_make_it_fail() {
        let mut seed = 7_u64;
        let mut editor = Editor::default();
        let mut keys = Keys::default();
        let pieces: [&[u8]; 16] = [
            b"a",
            b"\x1b[A",
            b"\x1b[B",
            b"\x1b[D",
            b"\x1b[C",
            b"\x7f",
            b"\x17",
            b"\x19",
            b"\x1f",
            b"\x1b",
            b"\xff",
            "👩\u{200d}🚀".as_bytes(),
            b"\x1b[200~x\ny",
            b"\x1b[201~",
            b"\r",
            b"\x12",
        ];
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let piece = pieces[usize::try_from(seed >> 60).expect("four bits")];
            for key in keys.feed(piece) {
                editor.handle_key(key);
                let (text, at) = editor.line();
                let layout = Layout::of("#lobby> ", text, at, 7);
                assert!(layout.row() < layout.rows().len() && text.is_char_boundary(at));
            }
        }
    }
}
