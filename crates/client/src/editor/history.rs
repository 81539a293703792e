//! Lines that were entered before, for recall.

/// Lines that are recalled, at most.
const MAX_LINES: usize = 1_000;

/// A longer text is not recalled.
const MAX_BYTES: usize = 64 * 1024;

/// How the file begins that keeps them.
const HEAD: &str = "#V2";

/// What was entered, the oldest first.
#[derive(Debug, Default)]
pub struct History {
    lines: Vec<String>,
    /// Which one is shown; `None` if what is being typed is.
    at: Option<usize>,
    /// What was being typed when the recalling began.
    draft: String,
}

impl History {
    /// From the text of a file.
    pub fn parse(text: &str) -> Self {
        let lines: Vec<_> = text.lines().filter(|line| *line != HEAD && !line.is_empty()).collect();
        let first = lines.len().saturating_sub(MAX_LINES);
        Self { lines: lines[first..].iter().map(|line| unescape(line)).collect(), ..Self::default() }
    }

    /// The text of a file.
    pub fn text(&self) -> String {
        let lines: String = self.lines.iter().map(|line| format!("{}\n", escape(line))).collect();
        format!("{HEAD}\n{lines}")
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A line was entered.
    pub(super) fn add(&mut self, line: &str) {
        (self.at, self.draft) = (None, String::new());
        let same = self.lines.last().is_some_and(|last| last == line);
        if line.trim().is_empty() || same || line.len() > MAX_BYTES {
            return;
        }
        if self.lines.len() == MAX_LINES {
            self.lines.remove(0);
        }
        self.lines.push(line.to_owned());
    }

    /// The line before the shown one; `typed` is what is being typed.
    pub(super) fn back(&mut self, typed: &str) -> Option<String> {
        let at = self.at.unwrap_or(self.lines.len()).checked_sub(1)?;
        if self.at.is_none() {
            typed.clone_into(&mut self.draft);
        }
        self.at = Some(at);
        self.lines.get(at).cloned()
    }

    /// The line behind the shown one.
    pub(super) fn forward(&mut self) -> Option<String> {
        let at = self.at? + 1;
        if at < self.lines.len() {
            self.at = Some(at);
            return self.lines.get(at).cloned();
        }
        self.at = None;
        Some(std::mem::take(&mut self.draft))
    }

    /// The newest line before `from` that holds these words.
    pub(super) fn find(&self, words: &str, from: usize) -> Option<(usize, &str)> {
        if words.is_empty() {
            return None;
        }
        let before = self.lines[..from.min(self.lines.len())].iter().enumerate().rev();
        before.map(|(at, line)| (at, line.as_str())).find(|(_, line)| line.contains(words))
    }
}

fn escape(line: &str) -> String {
    line.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescape(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            (c, false) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_recalled() {
        let mut history = History::default();
        for line in ["one", "one", " ", "a\\b\nc", "last"] {
            history.add(line);
        }
        let again = History::parse(&history.text());
        assert_eq!(again.lines, ["one", "a\\b\nc", "last"]);
        assert_eq!(again.text(), history.text());
        assert_eq!(History::parse("#V2\n/join dev\n").lines, ["/join dev"]);
    }

    #[test]
    fn only_the_newest_are_kept() {
        let mut history = History::default();
        (0..1_500).for_each(|n| history.add(&n.to_string()));
        assert_eq!((history.len(), history.lines[0].as_str()), (MAX_LINES, "500"));
    }
}
