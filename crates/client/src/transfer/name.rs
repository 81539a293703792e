//! Names of files: as an entry may have them, and as a disk may.

use protocol::text::{is_invisible, sanitize_line, turns_direction};

/// Bytes of a name in an entry, as the server takes them.
const POSTED: usize = 255;

/// Bytes of a name on the disk: every file system takes 255, and a number may be added.
const SAFE: usize = 200;

/// Bytes of an extension that is kept when a name is cut.
const EXTENSION: usize = 32;

/// Names that are devices on some systems, whatever extension they have.
const DEVICES: [&str; 8] = ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$", "..."];

/// The name under which a file is announced.
pub fn posted_name(name: &str) -> String {
    let line = sanitize_line(name);
    let cut = cut(line.trim(), POSTED);
    if cut.is_empty() { "file".to_owned() } else { cut }
}

/// A safe version of a name that somebody else chose: a plain file's, on every system, that looks like what it is.
pub fn safe_name(name: &str) -> String {
    let separators = if is_windows_path(name) { "/\\" } else { "/" };
    let last = name.rsplit(|c| separators.contains(c)).find(|part| !part.trim_matches(['.', ' ']).is_empty());
    let kept: String = last.unwrap_or_default().chars().filter_map(safe_char).collect();
    // Leading dots hide a file, leading dashes look like options, and some systems cut off what is at the end.
    let bare = kept.trim_start_matches(['.', ' ', '-', '~']).trim_end_matches(['.', ' ']);
    let named = match bare {
        "" => "file".to_owned(),
        device if is_device(device) => format!("_{device}"),
        name => name.to_owned(),
    };
    cut(&named, SAFE)
}

/// `C:\dir\x`, `\\server\share\x`: elsewhere a `\` is a letter of the name.
fn is_windows_path(name: &str) -> bool {
    name.starts_with("\\\\") || name.get(1..3) == Some(":\\")
}

fn safe_char(c: char) -> Option<char> {
    match c {
        c if c.is_control() || turns_direction(c) || is_invisible(c) => None,
        '\u{2028}' | '\u{2029}' => None,
        c if c.is_whitespace() => Some(' '),
        ':' | '*' | '?' | '"' | '<' | '>' | '|' | '/' | '\\' => Some('_'),
        c => Some(c),
    }
}

/// `CON`, `nul.txt`, `COM1.tar.gz` …, which Windows takes for devices.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let numbered = ["com", "lpt"].iter().filter_map(|port| stem.strip_prefix(port));
    let port = numbered.into_iter().any(|rest| {
        let mut chars = rest.chars();
        matches!((chars.next(), chars.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    });
    port || DEVICES.contains(&stem.as_str())
}

/// At most so many bytes, cut at a character in front of the extension.
fn cut(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    let at = name.rfind('.').filter(|at| *at > 0 && name.len() - at <= EXTENSION).unwrap_or(name.len());
    let (stem, extension) = name.split_at(at);
    let end = stem.floor_char_boundary(most - extension.len());
    format!("{}{extension}", stem[..end].trim_end_matches(['.', ' ']))
}
