//! Long lines are cut between words, and go on below the text that they belong to.

use super::width::{grapheme_width, graphemes};

/// Where the rows after the first begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hang {
    /// Below the text behind the column of the times, or a little behind what begins further right.
    Text,
    /// Below the second column of a table: behind the first gap of two or more blanks. Where little is left for that
    /// column, it goes below the first one.
    Table,
}

/// A piece of a line: a blank, a word or a part of it, or an escape sequence, which takes no column.
struct Piece<'a> {
    text: &'a str,
    width: usize,
    blank: bool,
}

/// How much deeper a row begins than the indented one that it goes on from.
const DEEPER: usize = 2;

/// The line as rows of at most `columns` columns. Colours go on from row to row.
pub fn wrap(line: &str, columns: usize, hang: Hang) -> Vec<String> {
    let pieces: Vec<_> = pieces(line).collect();
    let total: usize = pieces.iter().map(|piece| piece.width).sum();
    if columns == 0 || total <= columns {
        return vec![line.to_owned()];
    }
    if hang == Hang::Table
        && let Some((first, second)) = columns_of(line).filter(|(first, _)| first.0 * 2 > columns)
    {
        let below = format!("{}{second}", " ".repeat(lead(first.1) + DEEPER));
        return [first.1, &below].iter().flat_map(|part| wrap(part, columns, Hang::Text)).collect();
    }
    let prefix = prefix(&pieces, columns, hang);
    let mut rows = Rows { columns, prefix, rows: Vec::new(), row: String::new(), at: 0, bare: true };
    for word in words(&pieces) {
        rows.push(word);
    }
    rows.rows.push(rows.row);
    rows.rows
}

struct Rows {
    columns: usize,
    /// What each row after the first begins with, and its columns.
    prefix: (String, usize),
    rows: Vec<String>,
    row: String,
    /// at <= columns
    at: usize,
    /// Whether the row has no word yet.
    bare: bool,
}

impl Rows {
    fn push(&mut self, word: &[Piece<'_>]) {
        let width: usize = word.iter().map(|piece| piece.width).sum();
        let blank = word.iter().all(|piece| piece.blank || piece.width == 0);
        if self.at + width > self.columns && !self.bare {
            self.turn();
        }
        // A blank at which a row ends is the end of that row.
        let dropped = blank && self.bare && !self.rows.is_empty();
        for piece in word {
            if dropped && piece.blank {
                continue;
            }
            if self.at + piece.width > self.columns && piece.width > 0 {
                self.turn();
            }
            self.row.push_str(piece.text);
            self.at += piece.width;
        }
        self.bare &= blank;
    }

    fn turn(&mut self) {
        let row = std::mem::replace(&mut self.row, self.prefix.0.clone());
        self.rows.push(row.trim_end_matches(' ').to_owned());
        (self.at, self.bare) = (self.prefix.1, true);
    }
}

/// Runs of blanks, and runs of what is none.
fn words<'p, 'a>(pieces: &'p [Piece<'a>]) -> impl Iterator<Item = &'p [Piece<'a>]> {
    pieces.chunk_by(|one, next| one.blank == next.blank)
}

fn pieces(line: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let length = if rest.starts_with('\x1b') {
            rest.find('m').map_or(rest.len(), |end| end + 1)
        } else {
            graphemes(rest).next()?.len()
        };
        let (text, behind) = rest.split_at(length);
        rest = behind;
        let width = if text.starts_with('\x1b') { 0 } else { grapheme_width(text) };
        Some(Piece { text, width, blank: text == " " })
    })
}

/// What the later rows begin with: blanks, and the bar that marks the later lines of a text, so that nobody can make a
/// row look like another person's line.
fn prefix(pieces: &[Piece<'_>], columns: usize, hang: Hang) -> (String, usize) {
    let plain: String =
        pieces.iter().filter(|piece| !piece.text.starts_with('\x1b')).map(|piece| piece.text).collect();
    let text = super::style::BLANK.len();
    let wanted = match (hang, lead(&plain)) {
        (Hang::Table, _) => columns_of(&plain).map_or(text, |((column, _), _)| column),
        (Hang::Text, lead) if lead > text => lead + DEEPER,
        (Hang::Text, _) => text,
    };
    // Where little is left, the rows need it for themselves.
    let indent = [wanted, text].into_iter().find(|indent| indent * 2 <= columns).unwrap_or(0);
    let barred = plain.trim_start_matches(' ').starts_with("│ ");
    match barred {
        true => (format!("{}│ ", " ".repeat(indent)), indent + 2),
        false => (" ".repeat(indent), indent),
    }
}

/// Blanks that a line begins with.
fn lead(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Where the second column of a table's row begins, what is in front of it, and what is in it.
fn columns_of(line: &str) -> Option<((usize, &str), &str)> {
    let lead = lead(line);
    let gap = line[lead..].find("  ")? + lead;
    let (first, second) = (&line[..gap], line[gap..].trim_start_matches(' '));
    let column = super::width::width(&line[..line.len() - second.len()]);
    (!second.is_empty()).then_some(((column, first), second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::width::width;

    fn check(line: &str, columns: usize, expected: &[&str]) {
        assert_eq!(wrap(line, columns, Hang::Text), expected, "{line}");
    }

    #[test]
    fn a_line_is_cut_between_words_and_goes_on_below_its_text() {
        check("short", 20, &["short"]);
        check("12:00 bob: one two three four", 20, &["12:00 bob: one two", "      three four"]);
        check("      │ one two three four", 20, &["      │ one two", "      │ three four"]);
        check("         #dev: what is indented", 26, &["         #dev: what is", "           indented"]);
        check("12:00 bob: exactly20", 20, &["12:00 bob: exactly20"]);
        check("12:00 bob: exactly20 more", 20, &["12:00 bob: exactly20", "      more"]);
    }

    #[test]
    fn a_word_that_is_too_long_is_cut_by_characters_as_they_are_seen() {
        check(
            "12:00 bob: abcdefghijklmnopqrstuvwxyz",
            20,
            &["12:00 bob:", "      abcdefghijklmn", "      opqrstuvwxyz"],
        );
        let family = "👨\u{200d}👩\u{200d}👧";
        let rows = wrap(&format!("12:00 b: {}", family.repeat(12)), 14, Hang::Text);
        assert!(rows.len() > 2 && rows.iter().all(|row| width(row) <= 14), "{rows:?}");
        assert_eq!(rows.concat().matches(family).count(), 12);
    }

    #[test]
    fn colours_take_no_room_and_nothing_is_lost() {
        let rows = wrap("\x1b[2m12:00 \x1b[0m\x1b[32mbob\x1b[0m: one two three", 16, Hang::Text);
        assert_eq!(rows, ["\x1b[2m12:00 \x1b[0m\x1b[32mbob\x1b[0m: one", "      two three"]);
    }

    #[test]
    fn a_table_goes_on_in_its_second_column() {
        let rows = wrap("      /join ROOM  go to a room, and be in it", 30, Hang::Table);
        assert_eq!(rows, ["      /join ROOM", "        go to a room, and be", "          in it"]);
        let rows = wrap("      /join ROOM  go to a room, and be in it", 40, Hang::Table);
        assert_eq!(rows, ["      /join ROOM  go to a room, and be", "                  in it"]);
    }

    #[test]
    fn every_row_fits_whatever_the_width() {
        let line = "12:00 eve: naïve 漢字漢字 👩\u{200d}🚀👩\u{200d}🚀 wordwordwordword  two  blanks ";
        for columns in 2..90 {
            for hang in [Hang::Text, Hang::Table] {
                let rows = wrap(line, columns, hang);
                assert!(rows.iter().all(|row| width(row) <= columns), "{columns}: {rows:?}");
                let plain = |text: &str| text.replace(' ', "");
                assert_eq!(plain(&rows.concat()), plain(line), "{columns}");
            }
        }
    }
}
