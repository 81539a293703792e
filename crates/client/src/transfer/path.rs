//! Paths as people type, paste and drag them.

use std::path::{Path, PathBuf};

/// The paths that a typed one can mean, the likeliest first: as it stands, without white space around it, without
/// quotes, without backslashes. Those that begin with `~` lie below `home`.
pub fn candidates(typed: &str, home: Option<&Path>) -> Vec<PathBuf> {
    let trimmed = typed.trim();
    let mut texts =
        vec![typed.to_owned(), trimmed.to_owned(), unquoted(trimmed).to_owned(), unescaped(trimmed)];
    texts.dedup();
    texts.iter().map(|text| below_home(text, home)).collect()
}

/// The path that was most likely meant: without the quotes that it was typed in.
pub fn bare(typed: &str) -> &str {
    unquoted(typed.trim())
}

fn unquoted(text: &str) -> &str {
    let quoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    quoted('\'').or_else(|| quoted('"')).unwrap_or(text)
}

/// Each backslash is taken away, and the character behind it stays.
fn unescaped(text: &str) -> String {
    let mut chars = text.chars();
    let next = || match chars.next()? {
        '\\' => chars.next(),
        c => Some(c),
    };
    std::iter::from_fn(next).collect()
}

fn below_home(text: &str, home: Option<&Path>) -> PathBuf {
    match (text.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &str, expected: &[&str]) {
        let found = candidates(typed, Some(Path::new("/srv/me")));
        assert_eq!(found, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{typed}");
    }

    #[test]
    fn a_path_is_found_however_it_was_typed() {
        check("cat.png", &["cat.png"]);
        check(" cat.png ", &[" cat.png ", "cat.png"]);
        check("my cat.png", &["my cat.png"]);
        check("'my cat.png'", &["'my cat.png'", "my cat.png", "'my cat.png'"]);
        check("my\\ cat.png", &["my\\ cat.png", "my cat.png"]);
        check("~/cat.png", &["/srv/me/cat.png"]);
        check("~", &["/srv/me"]);
        check("~bob/x", &["~bob/x"]);
    }

    #[test]
    fn a_quoted_path_is_shown_without_its_quotes() {
        for (typed, shown) in
            [("\"a b.txt\"", "a b.txt"), ("'a b.txt'", "a b.txt"), (" a'b ", "a'b"), ("'a", "'a"), ("", "")]
        {
            assert_eq!(bare(typed), shown);
        }
    }
}
