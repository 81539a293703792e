//! From the bytes that a terminal sends to keys.

/// A key, or a text that was pasted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// A character.
    Char(char),
    /// A pasted text; its lines end in line feeds.
    Paste(String),
    /// A letter with Ctrl.
    Ctrl(char),
    /// A character with Alt.
    Alt(char),
    /// Enter.
    Enter,
    /// Tab.
    Tab,
    /// Backspace.
    Backspace,
    /// Backspace with Alt or Ctrl.
    WordBackspace,
    /// Delete.
    Delete,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// An arrow with Ctrl or Alt.
    WordLeft,
    /// An arrow with Ctrl or Alt.
    WordRight,
    /// Home.
    Home,
    /// End.
    End,
    /// Escape.
    Escape,
    /// A key that means nothing here.
    Unknown,
}

/// Bytes of an escape sequence, at most: beyond that it is none.
const MAX_SEQUENCE: usize = 32;

const PASTE_END: &[u8] = b"\x1b[201~";

/// Cuts bytes into keys, however they are split over reads.
#[derive(Debug, Default)]
pub struct Keys {
    /// The beginning of a key whose rest has not come.
    pending: Vec<u8>,
    /// What came of a paste that has not ended.
    paste: Option<Vec<u8>>,
}

impl Keys {
    /// The keys that are complete with these bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Some(paste) = &mut self.paste {
                // The end may be split over two reads, so it is looked for where it could have begun.
                let from = paste.len().saturating_sub(PASTE_END.len() - 1);
                let had = paste.len();
                paste.extend_from_slice(rest);
                let found = paste[from..].windows(PASTE_END.len()).position(|part| part == PASTE_END);
                let Some(found) = found else {
                    break;
                };
                let behind = from + found + PASTE_END.len() - had;
                paste.truncate(from + found);
                keys.extend(self.end_paste());
                rest = &rest[behind..];
                continue;
            }
            self.pending.push(rest[0]);
            rest = &rest[1..];
            match parse(&self.pending) {
                Parsed::More if self.pending.len() < MAX_SEQUENCE => {}
                Parsed::More => {
                    self.pending.clear();
                    keys.push(Key::Unknown);
                }
                Parsed::PasteBegin => {
                    self.pending.clear();
                    self.paste = Some(Vec::new());
                }
                Parsed::Key(key) => {
                    self.pending.clear();
                    keys.push(key);
                }
                Parsed::Apart(key) => {
                    let last = self.pending.pop();
                    self.pending.clear();
                    keys.push(key);
                    if let Some(last) = last {
                        keys.extend(self.feed(&[last]));
                    }
                }
            }
        }
        keys
    }

    /// Whether the rest of a key is to come.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty() || self.paste.is_some()
    }

    /// Whether a paste has begun and not ended.
    pub fn is_pasting(&self) -> bool {
        self.paste.is_some()
    }

    /// The rest does not come: what the beginning means alone.
    pub fn flush(&mut self) -> Option<Key> {
        if self.paste.is_some() {
            return self.end_paste();
        }
        match std::mem::take(&mut self.pending).as_slice() {
            [] => None,
            [0x1b] => Some(Key::Escape),
            _ => Some(Key::Unknown),
        }
    }

    fn end_paste(&mut self) -> Option<Key> {
        let paste = self.paste.take()?;
        let text = String::from_utf8_lossy(&paste).replace("\r\n", "\n").replace('\r', "\n");
        Some(Key::Paste(text))
    }
}

enum Parsed {
    /// It is not complete.
    More,
    Key(Key),
    /// It ended before its last byte, which begins the next.
    Apart(Key),
    PasteBegin,
}

fn parse(bytes: &[u8]) -> Parsed {
    match bytes {
        [0x1b] | [0x1b, b'[' | b'O'] => Parsed::More,
        [0x1b, 0x1b] => Parsed::Apart(Key::Escape),
        [0x1b, b'[', rest @ ..] => control_sequence(rest),
        [0x1b, b'O', last] => Parsed::Key(arrow(*last, b"")),
        [0x1b, 0x7f | 0x08] => Parsed::Key(Key::WordBackspace),
        [0x1b, byte @ 0x20..=0x7e] => Parsed::Key(Key::Alt(char::from(*byte))),
        [0x1b, _] => Parsed::Apart(Key::Escape),
        [b'\r' | b'\n'] => Parsed::Key(Key::Enter),
        [b'\t'] => Parsed::Key(Key::Tab),
        [0x7f | 0x08] => Parsed::Key(Key::Backspace),
        [byte @ 0x01..=0x1a] => Parsed::Key(Key::Ctrl(char::from(byte + b'`'))),
        [0x1f] => Parsed::Key(Key::Ctrl('_')),
        [0x00..=0x1f] => Parsed::Key(Key::Unknown),
        text => character(text),
    }
}

fn character(bytes: &[u8]) -> Parsed {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().next().map_or(Parsed::More, |c| {
            // C1 controls are no text.
            Parsed::Key(if c.is_control() { Key::Unknown } else { Key::Char(c) })
        }),
        Err(error) if error.error_len().is_none() => Parsed::More,
        Err(_) if bytes.len() > 1 => Parsed::Apart(Key::Char(char::REPLACEMENT_CHARACTER)),
        Err(_) => Parsed::Key(Key::Char(char::REPLACEMENT_CHARACTER)),
    }
}

/// What stands behind ESC `[`.
fn control_sequence(rest: &[u8]) -> Parsed {
    let Some((last, parameters)) = rest.split_last() else {
        return Parsed::More;
    };
    match last {
        // A function key of the Linux console.
        b'[' if parameters.is_empty() => Parsed::More,
        0x20..=0x3f => Parsed::More,
        0x40..=0x7e if parameters == b"200" && *last == b'~' => Parsed::PasteBegin,
        0x40..=0x7e => Parsed::Key(arrow(*last, parameters)),
        _ => Parsed::Apart(Key::Unknown),
    }
}

fn arrow(last: u8, parameters: &[u8]) -> Key {
    let modified = parameters.contains(&b';');
    match (last, parameters) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) if modified => Key::WordRight,
        (b'D', _) if modified => Key::WordLeft,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::Delete,
        _ => Key::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &[Key]) {
        let whole = |keys: &mut Keys| {
            let mut read = keys.feed(bytes);
            read.extend(keys.flush());
            read
        };
        assert_eq!(whole(&mut Keys::default()), expected, "{bytes:?}");
        let mut keys = Keys::default();
        let mut read: Vec<_> = bytes.iter().flat_map(|byte| keys.feed(&[*byte])).collect();
        read.extend(keys.flush());
        assert_eq!(read, expected, "{bytes:?} byte by byte");
    }

    #[test]
    fn keys_are_read_however_they_are_split() {
        check("aé漢".as_bytes(), &[Key::Char('a'), Key::Char('é'), Key::Char('漢')]);
        check(b"\x1b[A\x1bOB\x1b[1;5C", &[Key::Up, Key::Down, Key::WordRight]);
        check(b"\x1b", &[Key::Escape]);
        check(b"\x1b\x1b[A", &[Key::Escape, Key::Up]);
        check(b"\x1bb\x1b\x7f", &[Key::Alt('b'), Key::WordBackspace]);
        check(b"\x1b[3~\x1b[H\x1b[4~", &[Key::Delete, Key::Home, Key::End]);
        check(
            b"\x03\x1a\r\n\t\x7f",
            &[Key::Ctrl('c'), Key::Ctrl('z'), Key::Enter, Key::Enter, Key::Tab, Key::Backspace],
        );
        check(b"\x1b[200~a\rb\x1b[201~c", &[Key::Paste("a\nb".into()), Key::Char('c')]);
        check(b"\x1b[200~never ends", &[Key::Paste("never ends".into())]);
        check(b"\xffa\xe6\xbc", &[Key::Char('\u{fffd}'), Key::Char('a'), Key::Unknown]);
        check(b"\xe6a", &[Key::Char('\u{fffd}'), Key::Char('a')]);
        check(b"\x1b[[A", &[Key::Up]);
    }

    #[test]
    fn a_sequence_without_end_is_given_up() {
        let mut keys = Keys::default();
        let read = keys.feed(&[b"\x1b[".as_slice(), &[b'0'; 100], b"m"].concat());
        assert!(read.contains(&Key::Unknown) && !keys.is_waiting());
    }
}
