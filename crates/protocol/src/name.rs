//! Names of people and rooms: parsed once, then known to be good.
//!
//! A name is shown in Unicode normalisation form C and compared by its [`NameKey`], the case-folded form KC
//! (Unicode TR #15, TR #21), so that `Alice`, `alice` and `ａｌｉｃｅ` are one name.

use crate::limits::{MAX_NAME_BYTES, MAX_NAME_CHARS};
use crate::text::{character_name, is_invisible, turns_direction};
use std::fmt;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

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
    /// `[`, `~`, `#`, `/` or `@` in front: they mean something on a screen.
    #[error("it can't begin with '{0}'")]
    Beginning(char),
    /// `Server`, the voice of the server.
    #[error("it is reserved")]
    Reserved,
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
    ($(#[$doc:meta])* $name:ident) => {
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
    PersonName
}
name! {
    /// The name of a room.
    RoomName
}

impl RoomName {
    /// The room that everybody is in at first.
    pub fn lobby() -> Self {
        Self("lobby".into())
    }
}

impl PersonName {
    /// A name made from any text: a good name stays, what is not allowed becomes `-`, and what can't be
    /// saved becomes `guest`.
    pub fn made_safe(text: &str) -> Self {
        Self::parse(text).or_else(|_| Self::parse(&mended(text))).unwrap_or_else(|_| Self("guest".into()))
    }

    /// This name with a number behind it, for when it is taken.
    #[must_use]
    pub fn numbered(&self, n: u32) -> Self {
        let suffix = format!("-{n}");
        let stem = cut(&self.0, MAX_NAME_CHARS - suffix.len());
        Self::parse(&format!("{stem}{suffix}")).unwrap_or_else(|_| Self(format!("guest{suffix}")))
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
