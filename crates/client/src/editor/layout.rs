//! A prompt and a line as rows of a terminal, and how they come onto it and off again.

use crate::line::{TAB, grapheme_width, graphemes, width};

/// The size of a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Area {
    /// At least 1.
    pub columns: usize,
    /// At least 1.
    pub rows: usize,
}

/// The rows of a prompt and a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Never empty; none is as wide as the terminal, so that none makes it go on to the next row by itself.
    rows: Vec<String>,
    /// Where the cursor stands: row < rows.len()
    row: usize,
    column: usize,
}

impl Layout {
    /// Lays out a prompt and a line whose cursor stands at byte `at`.
    pub fn of(prompt: &str, line: &str, at: usize, columns: usize) -> Self {
        let room = columns.saturating_sub(1).max(2);
        let mut layout = Self { rows: vec![String::new()], row: 0, column: 0 };
        let mut column = 0;
        for grapheme in graphemes(prompt) {
            layout.push(grapheme, &mut column, room);
        }
        let mut byte = 0;
        for grapheme in graphemes(line) {
            if byte <= at {
                layout.mark(column, room);
            }
            if grapheme == "\n" {
                layout.rows.push(String::new());
                column = 0;
            } else {
                layout.push(grapheme, &mut column, room);
            }
            byte += grapheme.len();
        }
        if byte <= at {
            layout.mark(column, room);
        }
        layout
    }

    fn mark(&mut self, column: usize, room: usize) {
        (self.row, self.column) = (self.rows.len() - 1, column.min(room));
    }

    fn push(&mut self, grapheme: &str, column: &mut usize, room: usize) {
        let width = grapheme_width(grapheme);
        if *column + width > room {
            self.rows.push(String::new());
            *column = 0;
        }
        *column += width;
        let text = match grapheme {
            "\t" => TAB,
            control if control.chars().any(char::is_control) => "",
            text => text,
        };
        if let Some(row) = self.rows.last_mut() {
            row.push_str(text);
        }
    }

    /// All rows.
    pub fn rows(&self) -> &[String] {
        &self.rows
    }

    /// The cursor's row.
    pub fn row(&self) -> usize {
        self.row
    }

    /// At most so many rows, with the cursor's among them.
    fn window(&self, most: usize) -> (&[String], usize) {
        let most = most.max(1);
        if self.rows.len() <= most {
            return (&self.rows, self.row);
        }
        let start = self.row.saturating_sub(most - 1);
        (&self.rows[start..start + most], self.row - start)
    }
}

/// What stands below the conversation: how far files are, the prompt with the line, and a remark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drawn {
    /// Rows above the cursor's.
    above: usize,
    /// Rows below the cursor's.
    below: usize,
}

impl Drawn {
    /// Draws it from the beginning of a row, and leaves the cursor in the line.
    pub fn draw(area: Area, status: &[String], layout: &Layout, remark: Option<&str>) -> (String, Self) {
        let room = area.columns.saturating_sub(1).max(1);
        // Half of the screen, at most, is left to what is typed.
        let (rows, row) = layout.window((area.rows / 2).max(1));
        let free = area.rows.saturating_sub(rows.len());
        let remark = remark.filter(|_| free > 0).map(|remark| fit(remark, room));
        let free = free.saturating_sub(usize::from(remark.is_some()));
        let status: Vec<_> = status.iter().take(free / 2).collect();
        let (above, total) = (status.len() + row, status.len() + rows.len() + usize::from(remark.is_some()));
        let all: Vec<&str> =
            status.into_iter().chain(rows).map(String::as_str).chain(remark.as_deref()).collect();
        let drawn = Self { above, below: total - 1 - above };
        let mut out = all.join("\n");
        out += &up(drawn.below);
        out.push('\r');
        if layout.column > 0 {
            out += &format!("\x1b[{}C", layout.column);
        }
        (out, drawn)
    }

    /// Takes it off the screen; the cursor stands where it began.
    pub fn erase(self) -> String {
        format!("{}\r\x1b[J", up(self.above))
    }

    /// Leaves it on the screen; the cursor stands below it.
    pub fn leave(self) -> String {
        let down = if self.below > 0 { format!("\x1b[{}B", self.below) } else { String::new() };
        format!("{down}\r\n")
    }
}

fn up(rows: usize) -> String {
    if rows > 0 { format!("\x1b[{rows}A") } else { String::new() }
}

/// As much of a text as fits.
fn fit(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut left = room.saturating_sub(1);
    let fits = |grapheme: &&str| {
        let taken = grapheme_width(grapheme);
        let fits = taken <= left;
        left = left.saturating_sub(taken);
        fits
    };
    let front: String = graphemes(text).take_while(fits).collect();
    format!("{front}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, at: usize, columns: usize, rows: &[&str], cursor: (usize, usize)) {
        let layout = Layout::of("#a> ", line, at, columns);
        assert_eq!(
            (layout.rows(), (layout.row, layout.column)),
            (rows.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>().as_slice(), cursor)
        );
    }

    #[test]
    fn a_line_takes_as_many_rows_as_it_needs_and_none_reaches_the_margin() {
        check("hi", 2, 80, &["#a> hi"], (0, 6));
        check("hello", 5, 8, &["#a> hel", "lo"], (1, 2));
        check("hel", 3, 8, &["#a> hel"], (0, 7));
        check("a\nb", 1, 8, &["#a> a", "b"], (0, 5));
        check("漢字漢", 9, 8, &["#a> 漢", "字漢"], (1, 4));
    }

    #[test]
    fn emoji_joined_of_several_take_the_room_of_one() {
        let family = "👨\u{200d}👩\u{200d}👧\u{200d}👦";
        let line = family.repeat(10);
        check(&line, line.len(), 80, &[&format!("#a> {line}")], (0, 24));
    }

    #[test]
    fn what_is_erased_is_never_more_than_what_was_drawn() {
        let text: String = (0..2_000).map(|n| format!("line {n}\n")).collect();
        for at in [0, 500, text.len()] {
            let layout = Layout::of("#a> ", &text, at, 40);
            let (shown, drawn) = Drawn::draw(Area { columns: 40, rows: 12 }, &[], &layout, Some("-- remark"));
            assert_eq!(shown.matches('\n').count(), drawn.above + drawn.below);
            assert!(drawn.above + drawn.below < 12, "{drawn:?}");
        }
    }

    #[test]
    fn a_terminal_of_any_size_is_drawn_on() {
        for columns in 1..20 {
            for rows in 1..6 {
                let status = ["status of something".to_owned()];
                let layout = Layout::of("#lobby> ", "漢字 and more", 4, columns);
                let (_, drawn) = Drawn::draw(Area { columns, rows }, &status, &layout, Some("remark"));
                assert!(drawn.above + drawn.below < rows, "{columns}x{rows}");
            }
        }
    }
}
