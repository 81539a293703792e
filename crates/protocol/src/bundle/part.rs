//! What something in a folder may be called.

use crate::limits::MAX_BUNDLE_NAME;
use crate::text::{character_name, is_invisible, turns_direction};
use thiserror::Error;

/// Why a name is not allowed in a bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PartError {
    /// Nothing, `.` or `..`: no name, or another folder's.
    #[error("a name is missing")]
    Nothing,
    /// More than [`MAX_BUNDLE_NAME`] bytes.
    #[error("a name has at most {MAX_BUNDLE_NAME} bytes")]
    TooLong,
    /// One that parts folders, can't be seen, or moves what stands around it.
    #[error("a name can't contain {}", character_name(*.0))]
    Character(char),
}

/// Checks one name of a path.
///
/// # Errors
/// [`PartError`]
pub fn check_part(name: &str) -> Result<(), PartError> {
    // Some systems cut off dots and blanks at the end: `..  ` is `..` there.
    if name.trim_end_matches(['.', ' ']).is_empty() {
        return Err(PartError::Nothing);
    }
    if name.len() > MAX_BUNDLE_NAME {
        return Err(PartError::TooLong);
    }
    match name.chars().find(|c| !is_allowed(*c)) {
        Some(bad) => Err(PartError::Character(bad)),
        None => Ok(()),
    }
}

/// Joiners and the selectors of emoji can't be seen, but names of many languages need them.
const JOINERS: [char; 4] = ['\u{200c}', '\u{200d}', '\u{fe0e}', '\u{fe0f}'];

fn is_allowed(c: char) -> bool {
    let unseen = is_invisible(c) && !JOINERS.contains(&c);
    let ends_line = matches!(c, '\u{2028}' | '\u{2029}');
    !(unseen || ends_line || c.is_control() || turns_direction(c) || c == '/')
}
