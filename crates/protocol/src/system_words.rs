//! What an operating system says when it refuses something, in words for people: without its number.

use std::fmt::Display;

/// What stands in front of the number.
const NUMBER: &str = " (os error ";

/// The words of an error, to go on with behind a colon: without the system's number, and without a capital letter.
pub fn plain_words(error: &(impl Display + ?Sized)) -> String {
    let words = without_numbers(&error.to_string());
    let mut chars = words.chars();
    match (chars.next(), chars.next()) {
        // A name such as SQLite stays as it is written.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(std::iter::once(second)).chain(chars).collect()
        }
        _ => words,
    }
}

/// The text without the system's numbers of errors.
pub fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(NUMBER) {
        out.push_str(before);
        rest = match behind.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => rest,
            _ => {
                out.push_str(NUMBER);
                behind
            }
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn an_error_of_the_system_is_told_in_words_and_never_by_its_number() {
        for (number, words) in
            [(2, "no such file or directory"), (13, "permission denied"), (98, "address already in use")]
        {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(plain_words(&error), words);
            let within = format!("can't write 'x': {error}: {error}");
            assert!(!without_numbers(&within).contains("os error"), "{within}");
        }
        for (text, plain) in [
            ("SQLite says no (os error 5)", "SQLite says no"),
            ("Told (os error x) twice (os error 5)", "told (os error x) twice"),
            ("cut (os error 5", "cut (os error 5"),
            ("X", "X"),
            ("", ""),
        ] {
            assert_eq!(plain_words(text), plain);
        }
    }
}
