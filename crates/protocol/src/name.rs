//! Names of people and rooms: parsed once, then known to be good.
//!
//! A name is shown in Unicode normalisation form C and compared by its [`NameKey`], the case-folded form KC
//! (Unicode TR #15, TR #21), so that `Alice`, `alice` and `ａｌｉｃｅ` are one name.
//!
//! There are two sets of rules. A name that somebody has must only be parsed: `parse`. A **new** name must not look
//! like a part of the screen or melt into its neighbours either: `parse_new`. Names that were given out before there
//! were rules for new ones stay valid.

use crate::limits::{MAX_NAME_BYTES, MAX_NAME_CHARS, MAX_NAME_MARKS};
use crate::text::{character_name, is_invisible, turns_direction};
use std::fmt;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// What people are told about names.
pub const NAME_HINT: &str =
    "names begin with a letter or a digit and have at most 32 characters, without spaces, commas and '::'";

/// The name of somebody whose wanted name has nothing in it that could be saved.
pub const GUEST: &str = "guest";

/// Why a name is not allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum NameError {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// More than [`MAX_NAME_CHARS`] characters.
    #[error("it has more than {MAX_NAME_CHARS} characters")]
    TooLong,
    /// White space, a comma, a control character or one that can't be seen.
    #[error("it can't contain {}", character_name(*.0))]
    Character(char),
    /// `::`, which parts a name from a text in the classic dialect, or `:` at the end, which would make one too many.
    #[error("it can't contain '::' or end with ':'")]
    Separator,
    /// `[`, `~`, `#`, `/` or `@` in front: they mean something on a screen. In front of a new name: anything but a
    /// letter, a digit, `_` or an emoji.
    #[error("it can't begin with '{0}'")]
    Beginning(char),
    /// `Server`, the voice of the server. For a new person also `natter` and `hint`, which stand in
    /// front of errors.
    #[error("it is reserved")]
    Reserved,
    /// More than [`MAX_NAME_MARKS`] combining marks on one character of a new name: they reach into other lines.
    #[error("it has more than {MAX_NAME_MARKS} marks on one character")]
    Marks,
}

impl NameError {
    /// The error as a sentence with the name in it.
    pub fn sentence(&self, name: &str) -> String {
        format!("bad name '{}': {self}", name.escape_debug())
    }
}

/// What names are compared by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NameKey(String);

impl NameKey {
    /// The key of any text; equal for texts that people would take for the same name.
    pub fn of(text: &str) -> Self {
        // Whole lines are looked through for names, and nearly all are ASCII: there, folding is all that is to do.
        if text.is_ascii() { Self(text.to_ascii_lowercase()) } else { Self::folded(text) }
    }

    fn folded(text: &str) -> Self {
        // Folding can undo a normalisation and the other way round: TR #21's toNFKC_Casefold in two rounds.
        let once: String = caseless::default_case_fold_str(&text.nfkc().collect::<String>()).nfkc().collect();
        Self(caseless::default_case_fold_str(&once).nfkc().collect())
    }

    /// The key as text, for stores.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, reserved: $reserved:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(
            /// Invariant: `check` accepts it, and it is in form C.
            String,
        );

        impl $name {
            /// The name in this text.
            ///
            /// # Errors
            /// [`NameError`] with the rule that it breaks.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let text: String = text.nfc().collect();
                check(&text)?;
                Ok(Self(text))
            }

            /// The name in this text, if nobody has it yet.
            ///
            /// # Errors
            /// [`NameError`] with the rule that it breaks: those of `parse`, and those for new names.
            pub fn parse_new(text: &str) -> Result<Self, NameError> {
                let name = Self::parse(text)?;
                check_new(&name.0, $reserved)?;
                Ok(name)
            }

            /// What it is compared by.
            pub fn key(&self) -> NameKey {
                NameKey::of(&self.0)
            }

            /// As it is shown.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.0)
            }
        }
    };
}

name! {
    /// The name of a person.
    PersonName, reserved: &RESERVED
}
name! {
    /// The name of a room.
    RoomName, reserved: &[]
}

impl RoomName {
    /// The room that everybody is in at first.
    pub fn lobby() -> Self {
        Self("lobby".into())
    }
}

impl PersonName {
    /// A name made from any text: a good name stays, what is not allowed becomes `-`, and what can't be
    /// saved becomes [`GUEST`].
    pub fn made_safe(text: &str) -> Self {
        Self::parse(text).or_else(|_| Self::parse(&mended(text))).unwrap_or_else(|_| Self(GUEST.into()))
    }

    /// A new name made from any text: a good new name stays, what is not allowed becomes `-`, and what can't be
    /// saved becomes [`GUEST`].
    pub fn made_safe_new(text: &str) -> Self {
        match Self::parse_new(text) {
            Ok(name) => name,
            // Its letters are harmless: only the whole is not.
            Err(NameError::Reserved) => Self::made_safe(text).numbered_if_reserved(),
            Err(_) => {
                let mended = Self::made_safe(&mended_new(text)).numbered_if_reserved();
                Self::parse_new(mended.as_str()).unwrap_or_else(|_| Self(GUEST.into()))
            }
        }
    }

    fn numbered_if_reserved(self) -> Self {
        if check_new(&self.0, &RESERVED) == Err(NameError::Reserved) { self.numbered(2) } else { self }
    }

    /// This name with a number behind it, for when it is taken.
    #[must_use]
    pub fn numbered(&self, n: u32) -> Self {
        let suffix = format!("-{n}");
        let stem = cut(&self.0, MAX_NAME_CHARS - suffix.len());
        Self::parse(&format!("{stem}{suffix}")).unwrap_or_else(|_| Self(format!("{GUEST}{suffix}")))
    }
}

/// Characters that a name can't begin with.
const BEGINNINGS: [char; 5] = ['[', '~', '#', '/', '@'];

fn check(name: &str) -> Result<(), NameError> {
    let first = name.chars().next().ok_or(NameError::Empty)?;
    if name.chars().count() > MAX_NAME_CHARS || name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong);
    }
    if let Some(bad) = name.chars().find(|c| !is_allowed(*c)) {
        return Err(NameError::Character(bad));
    }
    if BEGINNINGS.contains(&first) {
        return Err(NameError::Beginning(first));
    }
    let key = NameKey::of(name);
    // A compatibility form may fold into what is forbidden: judge what it would be compared by, too.
    if [name, key.as_str()].iter().any(|form| form.contains("::") || form.ends_with(':')) {
        return Err(NameError::Separator);
    }
    match key.0.chars().next() {
        None => Err(NameError::Empty),
        Some(c) if BEGINNINGS.contains(&c) => Err(NameError::Beginning(c)),
        Some(_) if key == NameKey::of("server") => Err(NameError::Reserved),
        Some(_) => key.0.chars().find(|c| !is_allowed(*c)).map_or(Ok(()), |c| Err(NameError::Character(c))),
    }
}

/// Words that stand in front of errors and hints on a screen, as a person's name stands in front of what they say.
const RESERVED: [&str; 2] = ["natter", "hint"];

/// The rules for new names, for one that `check` accepts: nothing of a screen's structure, nothing that melts into its
/// neighbours.
fn check_new(name: &str, reserved: &[&str]) -> Result<(), NameError> {
    let key = NameKey::of(name);
    // What it is compared by must not look like structure either: `＊` is `*` there.
    for form in [name, key.as_str()] {
        if let Some(bad) = form.chars().find(|c| !is_allowed_new(*c)) {
            return Err(NameError::Character(bad));
        }
        if let Some(first) = form.chars().next().filter(|c| !may_begin_new(*c)) {
            return Err(NameError::Beginning(first));
        }
        if longest_run(form, is_combining_mark) > MAX_NAME_MARKS {
            return Err(NameError::Marks);
        }
    }
    if reserved.contains(&key.as_str()) { Err(NameError::Reserved) } else { Ok(()) }
}

/// Private use has no look that anybody could know; lines, boxes and blocks are what screens are drawn with.
fn is_allowed_new(c: char) -> bool {
    let private =
        matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}');
    let drawn = matches!(c, '\u{2500}'..='\u{259f}' | '\u{1fb00}'..='\u{1fbff}' | '\u{23d0}' | '\u{23af}');
    let unknown =
        matches!(c, '\u{fffc}' | '\u{fffd}' | '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    is_allowed(c) && !private && !drawn && !unknown
}

/// A letter, a digit, `_` or an emoji. A mark would sit on what stands in front of it, and punctuation is how a screen
/// says what a line is: `*` does, `--` informs, `|` and `>` quote.
fn may_begin_new(c: char) -> bool {
    let letter = c.is_alphanumeric() && !is_combining_mark(c);
    letter || c == '_' || matches!(c, '\u{1f000}'..='\u{1faff}')
}

fn longest_run(text: &str, is_in: impl Fn(char) -> bool) -> usize {
    let mut run = 0;
    let runs = text.chars().map(|c| {
        run = if is_in(c) { run + 1 } else { 0 };
        run
    });
    runs.max().unwrap_or(0)
}

/// The text with what new names may not have taken out of it; what is left may still be no name.
fn mended_new(text: &str) -> String {
    let mut marks = 0;
    let kept = text.nfc().filter(|c| {
        marks = if is_combining_mark(*c) { marks + 1 } else { 0 };
        marks <= MAX_NAME_MARKS
    });
    let allowed: String = kept.map(|c| if is_allowed_new(c) { c } else { '-' }).collect();
    allowed.trim_start_matches(|c| !may_begin_new(c)).trim_end_matches([':', '-']).to_owned()
}

/// The text with the most common faults taken out of it; what is left may still be no name.
fn mended(text: &str) -> String {
    let allowed: String =
        text.replace("::", "-").nfc().map(|c| if is_allowed(c) { c } else { '-' }).collect();
    let begun = allowed.trim_start_matches(|c| BEGINNINGS.contains(&c) || c == ':' || c == '-');
    cut(begun, MAX_NAME_CHARS).trim_end_matches([':', '-']).to_owned()
}

fn is_allowed(c: char) -> bool {
    !(c.is_control() || c.is_whitespace() || c == ',' || turns_direction(c) || is_invisible(c))
}

fn cut(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::NameKey;

    #[test]
    fn the_short_way_for_ascii_leads_to_the_same_key() {
        for first in 0..128 {
            for second in 0..128 {
                let text = format!("{}{}x", char::from(first), char::from(second));
                assert_eq!(NameKey::of(&text), NameKey::folded(&text), "{text:?}");
            }
        }
    }
}
