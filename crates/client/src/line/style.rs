//! Colours, and what is there without them.

use protocol::name::NameKey;
use std::fmt::Display;

/// As wide as a time and a blank.
pub(super) const BLANK: &str = "      ";

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Whether a terminal takes colours.
    pub color: bool,
    /// Whether a person reads along: repeated times are left out then, and lines are aligned.
    pub screen: bool,
    /// Whether to ring when somebody is named.
    pub bell: bool,
}

/// Colours that can be told apart, and read on light and dark ground: no bright green, yellow or cyan.
const COLORS: [u8; 7] = [32, 33, 34, 35, 36, 94, 95];

impl Look {
    /// For pipes and files.
    pub const PLAIN: Self = Self { color: false, screen: false, bell: false };

    /// The text in this colour, line by line, and again behind each piece of it that has a colour of its own.
    fn wrap(self, code: impl Display, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let (begin, end) = (format!("\x1b[{code}m"), "\x1b[0m");
        let text = text.replace(end, &format!("{end}{begin}")).replace('\n', &format!("{end}\n{begin}"));
        format!("{begin}{text}{end}")
    }

    /// What need not be read.
    pub(super) fn faint(self, text: &str) -> String {
        self.wrap(2, text)
    }

    /// What must be read.
    pub(super) fn strong(self, text: &str) -> String {
        // No yellow: many terminals make bold yellow bright, which nobody can read on white.
        self.wrap("1;35", text)
    }

    /// What went wrong.
    pub(super) fn bad(self, text: &str) -> String {
        self.wrap(31, text)
    }

    /// A person's name, in the colour that it always has.
    pub(super) fn name(self, name: &str, mine: bool) -> String {
        let sum = NameKey::of(name)
            .as_str()
            .bytes()
            .fold(5381_u32, |sum, byte| sum.wrapping_mul(33).wrapping_add(u32::from(byte)));
        let color = COLORS[sum as usize % COLORS.len()];
        if mine { self.wrap(1, name) } else { self.wrap(color, name) }
    }

    /// A line without a time, in the column of those that have one.
    pub(super) fn pad(self, line: &str) -> String {
        if self.screen { format!("{BLANK}{line}") } else { line.to_owned() }
    }
}
