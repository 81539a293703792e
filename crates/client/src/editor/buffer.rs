//! The text of a line, its cursor, and what was cut out of it.

use super::keys::Key;
use unicode_segmentation::GraphemeCursor;

/// Steps that can be taken back.
const STEPS: usize = 100;

/// A text beyond this is not copied for each step back.
const MAX_STEP: usize = 16 * 1024;

/// A line that is being edited.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    text: String,
    /// In bytes, between two graphemes: at <= text.len()
    at: usize,
    /// What was cut out last.
    cut: String,
    /// How it was before.
    steps: Vec<(String, usize)>,
}

impl Buffer {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn insert(&mut self, text: &str) {
        self.keep();
        self.text.insert_str(self.at, text);
        self.at += text.len();
    }

    pub(super) fn replace(&mut self, text: &str) {
        self.keep();
        text.clone_into(&mut self.text);
        self.at = text.len();
    }

    pub(super) fn complete(&mut self, start: usize, text: &str) {
        self.keep();
        self.text.replace_range(start..self.at, text);
        self.at = start + text.len();
    }

    /// The text, which leaves an empty line.
    pub(super) fn take(&mut self) -> String {
        (self.at, self.steps) = (0, Vec::new());
        std::mem::take(&mut self.text)
    }

    /// Moves or deletes; `false` if the key means nothing here.
    pub(super) fn handle(&mut self, key: &Key) -> bool {
        match key {
            Key::Left | Key::Ctrl('b') => self.at = self.before(),
            Key::Right | Key::Ctrl('f') => self.at = self.behind(),
            Key::WordLeft | Key::Alt('b') => self.at = self.word_before(),
            Key::WordRight | Key::Alt('f') => self.at = self.word_behind(),
            Key::Home | Key::Ctrl('a') => self.at = self.line_start(),
            Key::End | Key::Ctrl('e') => self.at = self.line_end(),
            Key::Backspace => self.delete(self.before(), self.at),
            Key::Delete | Key::Ctrl('d') => self.delete(self.at, self.behind()),
            Key::WordBackspace | Key::Ctrl('w') => self.kill(self.word_before(), self.at),
            Key::Alt('d') => self.kill(self.at, self.word_behind()),
            Key::Ctrl('u') => self.kill(self.line_start(), self.at),
            Key::Ctrl('k') => self.kill(self.at, self.line_end()),
            Key::Ctrl('y') => {
                let cut = std::mem::take(&mut self.cut);
                self.insert(&cut);
                self.cut = cut;
            }
            Key::Ctrl('_') => {
                let Some((text, at)) = self.steps.pop() else {
                    return false;
                };
                (self.text, self.at) = (text, at);
            }
            _ => return false,
        }
        true
    }

    fn keep(&mut self) {
        if self.text.len() > MAX_STEP {
            return;
        }
        if self.steps.len() == STEPS {
            self.steps.remove(0);
        }
        self.steps.push((self.text.clone(), self.at));
    }

    fn delete(&mut self, start: usize, end: usize) {
        if start < end {
            self.keep();
            self.text.replace_range(start..end, "");
            self.at = start;
        }
    }

    fn kill(&mut self, start: usize, end: usize) {
        if start < end {
            self.text[start..end].clone_into(&mut self.cut);
            self.delete(start, end);
        }
    }

    fn before(&self) -> usize {
        // A text in one piece has all that the boundary depends on.
        let boundary = GraphemeCursor::new(self.at, self.text.len(), true).prev_boundary(&self.text, 0);
        boundary.ok().flatten().unwrap_or(0)
    }

    fn behind(&self) -> usize {
        let boundary = GraphemeCursor::new(self.at, self.text.len(), true).next_boundary(&self.text, 0);
        boundary.ok().flatten().unwrap_or(self.text.len())
    }

    fn word_before(&self) -> usize {
        let front = self.text[..self.at].trim_end_matches(|c: char| !c.is_alphanumeric());
        front.trim_end_matches(char::is_alphanumeric).len()
    }

    fn word_behind(&self) -> usize {
        let back = self.text[self.at..].trim_start_matches(|c: char| !c.is_alphanumeric());
        self.text.len() - back.trim_start_matches(char::is_alphanumeric).len()
    }

    fn line_start(&self) -> usize {
        self.text[..self.at].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.at..].find('\n').map_or(self.text.len(), |at| self.at + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, keys: &[Key], expected: &str) {
        let mut buffer = Buffer::default();
        buffer.insert(text);
        for key in keys {
            buffer.handle(key);
        }
        buffer.insert("|");
        assert_eq!(buffer.text(), expected, "{keys:?}");
    }

    #[test]
    fn keys_move_and_delete_by_what_is_seen() {
        check("ab", &[Key::Left], "a|b");
        check("a👩\u{200d}🚀", &[Key::Backspace], "a|");
        check("e\u{301}x", &[Key::Left, Key::Left], "|e\u{301}x");
        check("one two", &[Key::WordLeft], "one |two");
        check("one two", &[Key::Home, Key::WordRight], "one| two");
        check("one two", &[Key::WordBackspace, Key::Home, Key::Ctrl('y')], "two|one ");
        check("one two", &[Key::Ctrl('u'), Key::Ctrl('y')], "one two|");
        check("one two", &[Key::Home, Key::Ctrl('k')], "|");
        check("one\ntwo", &[Key::Home], "one\n|two");
        check("one", &[Key::Home, Key::Delete, Key::Ctrl('_')], "|one");
    }
}
