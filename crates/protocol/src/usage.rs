//! From what clap prints about a wrong command line to a sentence and a hint, as both programs say it.

use std::ffi::OsStr;

/// What is wrong with a command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Usage {
    /// What, in one line.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl Usage {
    /// The first of these arguments that is not UTF-8, which clap does not name.
    pub fn not_utf8<'a>(mut args: impl Iterator<Item = &'a OsStr>) -> Option<Self> {
        let bad = args.find(|arg| arg.to_str().is_none())?;
        // Quoted as a string is, with its bytes as numbers.
        let shown = format!("{bad:?}");
        let what = format!("the argument '{}' is not UTF-8", shown.trim_matches('"'));
        let hint = "give that file another name; natter send HOST - --name NAME < FILE sends it as it is";
        Some(Self { what, hint: hint.to_owned() })
    }

    /// Reads the text of a clap error; `program` is what to type for help.
    pub fn parse(text: &str, program: &str) -> Self {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let first = first.strip_prefix("error: ").unwrap_or(first);
        let (mut named, mut hints) = (Vec::new(), Vec::new());
        for line in lines.take_while(|line| !line.starts_with("Usage:")).filter(|line| line.starts_with("  "))
        {
            let line = line.trim();
            if let Some(tip) = line.strip_prefix("tip: ") {
                hints.push(tip.to_owned());
            } else if let Some(values) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                hints.push(values.to_owned());
            } else {
                // Missing arguments stand on lines of their own.
                named.push(line);
            }
        }
        // A tip that names the very value says more than the list.
        hints.sort_by_key(|hint| !hint.contains("exist"));
        let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
        let hint = match (hints.is_empty(), usage) {
            (false, _) => hints.join("; "),
            (true, Some(usage)) if !named.is_empty() => {
                format!("write {usage}; {program} --help shows all options")
            }
            (true, _) => format!("type {program} --help for all options"),
        };
        let what = format!("{first} {}", named.join(" "));
        Self { what: what.trim_end().trim_end_matches(':').to_owned(), hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, what: &str, hint: &str) {
        let usage = Usage::parse(text, "natter");
        assert_eq!((usage.what.as_str(), usage.hint.as_str()), (what, hint));
    }

    #[cfg(unix)]
    #[test]
    fn an_argument_that_is_not_utf_8_is_named() {
        let bad: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9.txt");
        let usage = Usage::not_utf8(["send", "h"].map(OsStr::new).into_iter().chain([bad])).unwrap();
        assert_eq!(usage.what, "the argument 'caf\\xE9.txt' is not UTF-8");
        assert_eq!(Usage::not_utf8([OsStr::new("x")].into_iter()), None);
    }

    #[test]
    fn tips_and_possible_values_become_the_hint() {
        check(
            "error: unexpected argument '--prot' found\n\n  tip: a similar argument exists: '--port'\n\nUsage: natter\n",
            "unexpected argument '--prot' found",
            "a similar argument exists: '--port'",
        );
        check(
            "error: invalid value 'blue' for '--color <WHEN>'\n  [possible values: auto, always, never]\n",
            "invalid value 'blue' for '--color <WHEN>'",
            "possible values: auto, always, never",
        );
        check(
            "error: invalid value 'alway' for '--color <WHEN>'\n  [possible values: auto, always]\n\n  tip: a similar value exists: 'always'\n",
            "invalid value 'alway' for '--color <WHEN>'",
            "a similar value exists: 'always'; possible values: auto, always",
        );
        check(
            "error: the following required arguments were not provided:\n  <HOST>\n\nUsage: natter <HOST>\n",
            "the following required arguments were not provided: <HOST>",
            "write natter <HOST>; natter --help shows all options",
        );
    }
}
