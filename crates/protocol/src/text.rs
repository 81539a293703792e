//! Which characters may be said and shown. Nothing remote reaches a terminal or a log raw.

use std::borrow::Cow;
use thiserror::Error;

/// A character that may not stand in a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the character U+{:04X} at byte {at} is not allowed", u32::from(*.character))]
pub struct TextError {
    /// The character.
    pub character: char,
    /// Where it stands, in bytes.
    pub at: usize,
}

/// Characters that turn the direction of the text around them (Unicode TR #9), which can make a line lie.
pub fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that nobody sees: directional marks, zero-width ones, fillers, tags.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'
            ..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Characters that no text may hold. Line ends and tabs are judged by the caller.
///
/// U+2028 and U+2029 end a line for some readers, which would let one person speak in another's name.
fn is_forbidden(c: char) -> bool {
    c.is_control() || turns_direction(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Checks a text of one or more lines.
///
/// # Errors
/// [`TextError`] with the first control character other than line feed and tab, or the first that turns direction.
pub fn check_body(text: &str) -> Result<(), TextError> {
    check(text, |c| is_forbidden(c) && c != '\n' && c != '\t')
}

/// Checks a text of one line: a topic, a reason.
///
/// # Errors
/// [`TextError`] with the first control character or the first that turns direction.
pub fn check_line(text: &str) -> Result<(), TextError> {
    check(text, is_forbidden)
}

fn check(text: &str, forbidden: impl Fn(char) -> bool) -> Result<(), TextError> {
    match text.char_indices().find(|(_, c)| forbidden(*c)) {
        Some((at, character)) => Err(TextError { character, at }),
        None => Ok(()),
    }
}

/// The text with each forbidden character replaced by U+FFFD; line feeds stay, a tab becomes a space.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    replace(text, |c| match c {
        '\n' => None,
        '\t' => Some(" "),
        c if is_forbidden(c) => Some("\u{fffd}"),
        _ => None,
    })
}

/// The text on one line: line feeds become ` ⏎ `, tabs a space, other forbidden characters U+FFFD.
pub fn sanitize_line(text: &str) -> Cow<'_, str> {
    replace(text, |c| match c {
        '\n' => Some(" ⏎ "),
        '\t' => Some(" "),
        c if is_forbidden(c) => Some("\u{fffd}"),
        _ => None,
    })
}

fn replace(text: &str, with: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    if text.chars().all(|c| with(c).is_none()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match with(c) {
            Some(replacement) => out.push_str(replacement),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}
