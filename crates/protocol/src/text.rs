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

/// A character as a message names it: a word for the common ones, else its code point.
pub fn character_name(c: char) -> String {
    match c {
        ' ' => "a space".to_owned(),
        '\t' => "a tab".to_owned(),
        '\n' => "a line break".to_owned(),
        ',' => "a comma".to_owned(),
        c if c.is_whitespace() => format!("a space (U+{:04X})", u32::from(c)),
        c => format!("U+{:04X}", u32::from(c)),
    }
}

/// Whether there is nothing to see in a text: white space, and characters that nobody sees.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_invisible(c))
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

/// The text without escape sequences (ECMA-48) and without control characters other than line feed and tab.
pub fn strip(text: &str) -> Cow<'_, str> {
    let unwanted = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(unwanted) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(unwanted) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[escape_length(rest)..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The bytes of the escape sequence or control character that a text begins with.
fn escape_length(text: &str) -> usize {
    let mut chars = text.char_indices();
    let first = chars.next().map_or(0, |(_, c)| c.len_utf8());
    if !text.starts_with('\x1b') {
        return first;
    }
    let Some((at, kind)) = chars.next() else {
        return first;
    };
    let behind = at + kind.len_utf8();
    let body = &text[behind..];
    match kind {
        // A control sequence ends with its first byte of @ to ~.
        '[' => {
            let length = body.find(|c: char| !matches!(c, ' '..='?')).unwrap_or(body.len());
            let last = body[length..].chars().next().filter(|c| matches!(c, '@'..='~'));
            behind + length + last.map_or(0, char::len_utf8)
        }
        // A string ends with BEL or ESC \, and never goes on to the next line.
        ']' | 'P' | 'X' | '^' | '_' => {
            let end = body.find(['\x07', '\x1b', '\n']).unwrap_or(body.len());
            let close = match &body[end..] {
                rest if rest.starts_with('\x07') => 1,
                rest if rest.starts_with("\x1b\\") => 2,
                _ => 0,
            };
            behind + end + close
        }
        ' '..='/' => {
            let length = body.find(|c: char| !matches!(c, ' '..='/')).unwrap_or(body.len());
            let last = body[length..].chars().next().filter(char::is_ascii_graphic);
            behind + length + last.map_or(0, char::len_utf8)
        }
        '0'..='~' => behind,
        _ => first,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_stripped_and_what_they_colour_stays() {
        for (text, left) in [
            ("plain\ttext\n", "plain\ttext\n"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b]never ends\nnext", "\nnext"),
            ("\x1b(Bx\x1b7y\x1bMz", "xyz"),
            ("a\x08\x07\x00b\u{9b}c", "abc"),
            ("\x1b", ""),
            ("\x1b[", ""),
            ("\x1b[31é", "é"),
            ("\x1b漢", "漢"),
        ] {
            assert_eq!(strip(text), left, "{text:?}");
        }
    }
}
