//! Pictures between the lines, on terminals that can show them. What a stranger sent reaches the terminal only as
//! base64, and only if it begins like a picture of a sane size.

mod header;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use header::{Format, Header};
use std::fmt::Write;

/// Larger files are not shown, in bytes: a terminal takes its time with them, and the prompt waits for it.
pub const MAX_PICTURE: u64 = 4 << 20;

/// Rows that a picture takes at most: what was said before it stays in sight.
const ROWS: u64 = 20;

/// Bytes of base64 in one piece, as kitty's protocol wants it.
const CHUNK: usize = 4096;

/// How a terminal wants its pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pictures {
    /// By kitty's graphics protocol, which takes PNG.
    Kitty,
    /// By iTerm2's inline images (OSC 1337), which take any format that the terminal knows.
    Iterm,
}

/// The terminal, as far as it bounds a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Canvas {
    /// Columns for the picture.
    pub columns: u16,
    /// Rows of the terminal.
    pub rows: u16,
    /// Width and height of a cell in pixels.
    pub cell: (u16, u16),
}

/// What bounds a picture, in cells; its other side follows from its shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fit {
    Rows(u64),
    Columns(u64),
}

impl Pictures {
    /// What the environment says that the terminal can do. Nothing is asked of the terminal: one that does not know the
    /// question would show it. A multiplexer in between would have to pass pictures on, which most don't.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        if ["NO_COLOR", "TMUX", "STY", "ZELLIJ"].into_iter().any(set) {
            return None;
        }
        // What the terminal itself sets comes first: the others may come from one that this one was started in.
        let (term, program) =
            (variable("TERM").unwrap_or_default(), variable("TERM_PROGRAM").unwrap_or_default());
        match (term.as_str(), program.as_str()) {
            ("xterm-kitty" | "xterm-ghostty", _) => Some(Self::Kitty),
            (term, _) if ["screen", "tmux", "dumb"].iter().any(|other| term.starts_with(other)) => None,
            (_, "iTerm.app" | "WezTerm") => Some(Self::Iterm),
            (_, "ghostty") => Some(Self::Kitty),
            (_, "") if set("KITTY_WINDOW_ID") => Some(Self::Kitty),
            _ => None,
        }
    }

    /// What shows this file, and leaves the cursor behind it; `None` if it is no picture that is shown here.
    pub fn show(self, file: &[u8], canvas: Canvas) -> Option<String> {
        let header = Header::read(file)?;
        let fit = fit(&header, canvas)?;
        match (self, header.format) {
            (Self::Kitty, Format::Png) => Some(kitty(file, fit)),
            (Self::Kitty, Format::Jpeg | Format::Gif) => None,
            (Self::Iterm, _) => Some(iterm(file, fit)),
        }
    }
}

/// Not larger than it is, nor than the canvas.
fn fit(header: &Header, canvas: Canvas) -> Option<Fit> {
    let (width, height) = (u64::from(header.width), u64::from(header.height));
    let (cell_width, cell_height) = (u64::from(canvas.cell.0.max(1)), u64::from(canvas.cell.1.max(1)));
    let most = ROWS.min(u64::from(canvas.rows.saturating_sub(2)));
    let rows = height.div_ceil(cell_height).min(most);
    if rows == 0 || canvas.columns == 0 {
        return None;
    }
    let columns = (width * rows * cell_height).div_ceil(height * cell_width);
    let most = u64::from(canvas.columns);
    Some(if columns > most { Fit::Columns(most) } else { Fit::Rows(rows) })
}

/// Answers are not wanted (`q=2`): they would be read as keys.
fn kitty(file: &[u8], fit: Fit) -> String {
    let text = STANDARD.encode(file);
    let size = match fit {
        Fit::Rows(rows) => format!("r={rows}"),
        Fit::Columns(columns) => format!("c={columns}"),
    };
    let mut out = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII.
        let (chunk, behind) = rest.split_at(rest.len().min(CHUNK));
        let more = u8::from(!behind.is_empty());
        let keys =
            if out.is_empty() { format!("a=T,f=100,q=2,{size},m={more}") } else { format!("q=2,m={more}") };
        // Writing to a string can't fail.
        let _ = write!(out, "\x1b_G{keys};{chunk}\x1b\\");
        rest = behind;
    }
    out
}

fn iterm(file: &[u8], fit: Fit) -> String {
    let size = match fit {
        Fit::Rows(rows) => format!("height={rows}"),
        Fit::Columns(columns) => format!("width={columns}"),
    };
    let (bytes, text) = (file.len(), STANDARD.encode(file));
    format!("\x1b]1337;File=inline=1;size={bytes};{size};preserveAspectRatio=1:{text}\x07")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANVAS: Canvas = Canvas { columns: 80, rows: 24, cell: (10, 20) };

    /// A header of a PNG of this size, and so many bytes behind it.
    fn png(width: u32, height: u32, more: usize) -> Vec<u8> {
        let head = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
        [head.as_slice(), &width.to_be_bytes(), &height.to_be_bytes(), &vec![0; more]].concat()
    }

    fn detect(variables: &[(&str, &str)]) -> Option<Pictures> {
        Pictures::detect(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_terminal_is_known_by_its_environment_and_never_behind_a_multiplexer() {
        let kitty = [("TERM", "xterm-kitty"), ("TERM_PROGRAM", "iTerm.app")];
        assert_eq!(detect(&kitty), Some(Pictures::Kitty), "kitty, started from iTerm2");
        let plain = ("TERM", "xterm-256color");
        assert_eq!(detect(&[plain, ("KITTY_WINDOW_ID", "1")]), Some(Pictures::Kitty));
        assert_eq!(detect(&[plain, ("TERM_PROGRAM", "ghostty")]), Some(Pictures::Kitty));
        assert_eq!(detect(&[plain, ("TERM_PROGRAM", "iTerm.app")]), Some(Pictures::Iterm));
        assert_eq!(detect(&[plain, ("TERM_PROGRAM", "WezTerm")]), Some(Pictures::Iterm));
        let other = [plain, ("KITTY_WINDOW_ID", "1"), ("TERM_PROGRAM", "vscode")];
        assert_eq!(detect(&other), None, "another terminal, started from kitty");
        assert_eq!(detect(&[plain]), None);
        assert_eq!(detect(&[]), None);
        for hidden in [("TMUX", "/tmp/x"), ("STY", "1.x"), ("ZELLIJ", "0"), ("NO_COLOR", "1")] {
            assert_eq!(detect(&[kitty[0], hidden]), None, "{hidden:?}");
        }
        for term in ["screen-256color", "tmux-256color", "dumb"] {
            assert_eq!(detect(&[("TERM", term), ("TERM_PROGRAM", "WezTerm")]), None, "{term}");
        }
    }

    #[test]
    fn kitty_gets_a_png_in_pieces_of_base64() {
        let small = Pictures::Kitty.show(&png(100, 40, 0), CANVAS).expect("a picture");
        assert_eq!(small, "\x1b_Ga=T,f=100,q=2,r=2,m=0;iVBORw0KGgoAAAANSUhEUgAAAGQAAAAo\x1b\\");
        let large = Pictures::Kitty.show(&png(100, 40, 9_000), CANVAS).expect("a picture");
        let pieces: Vec<_> = large.split_terminator("\x1b\\").collect();
        assert_eq!(pieces.len(), 3);
        let keys = ["\x1b_Ga=T,f=100,q=2,r=2,m=1;", "\x1b_Gq=2,m=1;", "\x1b_Gq=2,m=0;"];
        for (piece, keys) in pieces.iter().zip(keys) {
            let content = piece.strip_prefix(keys).expect("its keys");
            assert!(content.len() <= CHUNK && content.len() % 4 == 0, "{}", content.len());
        }
    }

    #[test]
    fn iterm_gets_any_picture_and_kitty_only_png() {
        let gif = b"GIF89a\x64\0\x28\0";
        let shown = Pictures::Iterm.show(gif, CANVAS).expect("a picture");
        let expected = "\x1b]1337;File=inline=1;size=10;height=2;preserveAspectRatio=1:R0lGODlhZAAoAA==\x07";
        assert_eq!(shown, expected);
        assert_eq!(Pictures::Kitty.show(gif, CANVAS), None);
        assert_eq!(Pictures::Iterm.show(b"\x1b[2Jhello", CANVAS), None, "it is no picture");
    }

    #[test]
    fn a_picture_is_no_larger_than_it_is_nor_than_twenty_rows_nor_than_the_terminal() {
        let fits = |width, height, canvas| fit(&Header { format: Format::Png, width, height }, canvas);
        assert_eq!(fits(16, 16, CANVAS), Some(Fit::Rows(1)));
        assert_eq!(fits(600, 4_000, CANVAS), Some(Fit::Rows(20)));
        assert_eq!(fits(4_000, 1_000, CANVAS), Some(Fit::Columns(80)));
        assert_eq!(fits(600, 4_000, Canvas { rows: 10, ..CANVAS }), Some(Fit::Rows(8)));
        assert_eq!(fits(600, 400, Canvas { rows: 2, ..CANVAS }), None, "there is no room");
        assert_eq!(fits(600, 400, Canvas { columns: 0, ..CANVAS }), None);
        assert_eq!(fits(10, 10, Canvas { cell: (0, 0), ..CANVAS }), Some(Fit::Rows(10)));
    }
}
