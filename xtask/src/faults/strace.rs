//! The system calls of a traced server, as strace writes them down.

use crate::failure::Failure;
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// A call of the traced program. Times are places in the order in which the tracer saw things happen: it stops a
/// thread at both ends of a call, so what happens because of a call's end is seen after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// What its first argument stands for: the path of a file, or the two ends of a connection.
    pub file: String,
    /// The bytes that it was given to write, of all buffers together.
    pub data: Vec<u8>,
    /// Its last argument, if that is a number: the offset of a `pwrite64`, the length of an `ftruncate`.
    pub last: Option<u64>,
    /// What it returned; less than 0 if it failed. `None` if it never returned.
    pub result: Option<i64>,
    /// Whether the tracer made it fail.
    pub injected: bool,
    /// When it began.
    pub begin: usize,
    /// When it returned.
    pub end: usize,
}

/// The words to put in front of a command line, so that these calls of it are written to `trace`.
///
/// The tracer runs as a grandchild, so the child process is the program itself.
pub fn wrapper(trace: &Path, more: &[&str]) -> Vec<String> {
    let words = ["strace", "-D", "-f", "--seccomp-bpf", "-q", "-q", "-yy", "-s", "4194304", "-o"];
    let trace = trace.display().to_string();
    words.iter().copied().chain([trace.as_str()]).chain(more.iter().copied()).map(str::to_owned).collect()
}

/// Makes sure that strace can be run here.
///
/// # Errors
/// [`Failure::Server`] if it is missing, or may not trace.
pub fn require() -> Result<(), Failure> {
    let probe = Command::new("strace").args(["-f", "--seccomp-bpf", "true"]).stdin(Stdio::null()).output();
    match probe {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(untraced(&String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(untraced(&error.to_string())),
    }
}

fn untraced(said: &str) -> Failure {
    let why = "it can't be traced (hint: apt-get install strace, and allow it to trace)".to_owned();
    Failure::Server { why, said: said.to_owned() }
}

/// Reads the calls of a trace, in the order in which they began.
///
/// # Errors
/// Fails if the file can't be read, or if a line of it is not understood.
pub fn read(trace: &Path) -> Result<Vec<Call>, Failure> {
    let text = fs::read(trace).map_err(|source| Failure::Read { path: trace.to_owned(), source })?;
    let strange = |line: &str| Failure::Server {
        why: "a line of the trace is not understood".to_owned(),
        said: line.chars().take(300).collect(),
    };
    // strace escapes everything that is not ASCII.
    parse(&String::from_utf8_lossy(&text)).map_err(strange)
}

/// All calls, or the first line that is not understood.
fn parse(text: &str) -> Result<Vec<Call>, &str> {
    let (mut calls, mut unfinished) = (Vec::<Call>::new(), BTreeMap::<&str, usize>::new());
    for (at, line) in text.lines().enumerate() {
        let (thread, rest) = line.split_once(' ').ok_or(line)?;
        let rest = rest.trim_start();
        if rest.starts_with("---") || rest.starts_with("+++") {
            continue;
        }
        if rest.starts_with("<... ") {
            // A call that was under way when the tracer came has no beginning.
            if let Some(open) = unfinished.remove(thread) {
                finish(&mut calls[open], rest, at);
            }
            continue;
        }
        let mut call = begin(rest, at).ok_or(line)?;
        if rest.ends_with("<unfinished ...>") {
            unfinished.insert(thread, calls.len());
        } else {
            finish(&mut call, rest, at);
        }
        calls.push(call);
    }
    Ok(calls)
}

/// `name(3</path>, …`
fn begin(rest: &str, at: usize) -> Option<Call> {
    let (name, arguments) = rest.split_once('(')?;
    let file = arguments.find('<').and_then(|open| {
        let inner = &arguments[open + 1..];
        // The path ends where the first argument does; one that holds this very text is not to be expected.
        let end = inner.find(">, ").or_else(|| inner.find(">)")).or_else(|| inner.find("> <unfinished"))?;
        Some(&inner[..end])
    });
    let data = strings(arguments)?;
    Some(Call {
        name: name.to_owned(),
        file: file.unwrap_or_default().to_owned(),
        data,
        last: last_number(arguments),
        result: None,
        injected: false,
        begin: at,
        end: usize::MAX,
    })
}

/// `…, 4096, 32) = 4096`, `…, 4096, 32 <unfinished ...>`
fn last_number(arguments: &str) -> Option<u64> {
    // What is written may hold an equals sign too.
    let arguments = match arguments.strip_suffix("<unfinished ...>") {
        Some(arguments) => arguments,
        None => arguments.rsplit_once(" = ")?.0,
    };
    arguments.trim_end().trim_end_matches(')').rsplit_once(", ")?.1.parse().ok()
}

/// `… = 42`, `… = -1 EIO (Input/output error) (INJECTED)`
fn finish(call: &mut Call, rest: &str, at: usize) {
    let result = rest.rsplit_once(" = ").and_then(|(_, result)| result.split(' ').next()?.parse().ok());
    (call.result, call.end) = (result, at);
    call.injected = rest.ends_with("(INJECTED)");
}

/// The bytes of all quoted strings; `None` if one was cut short.
fn strings(arguments: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::new(), arguments);
    while let Some((_, quoted)) = rest.split_once('"') {
        rest = unquote(quoted, &mut bytes)?;
        if rest.starts_with("...") {
            return None;
        }
    }
    Some(bytes)
}

/// Takes the bytes up to the closing quote, and gives what stands behind it.
fn unquote<'a>(quoted: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let input = quoted.as_bytes();
    let mut at = 0;
    loop {
        match input.get(at)? {
            b'"' => return quoted.get(at + 1..),
            b'\\' => at += 1 + escaped(input.get(at + 1..)?, bytes)?,
            plain => {
                bytes.push(*plain);
                at += 1;
            }
        }
    }
}

/// One character behind a backslash; gives how many bytes it took.
fn escaped(input: &[u8], bytes: &mut Vec<u8>) -> Option<usize> {
    let named = match input.first()? {
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        b'r' => Some(b'\r'),
        b'f' => Some(0x0c),
        b'v' => Some(0x0b),
        b'"' => Some(b'"'),
        b'\\' => Some(b'\\'),
        _ => None,
    };
    if let Some(byte) = named {
        bytes.push(byte);
        return Some(1);
    }
    let digits = input.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    let number = std::str::from_utf8(&input[..digits]).ok()?;
    bytes.push(u8::try_from(u16::from_str_radix(number, 8).ok()?).ok()?);
    Some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, file: &str, data: &[u8], result: i64, (begin, end): (usize, usize)) -> Call {
        let (name, file) = (name.to_owned(), file.to_owned());
        let last = name.starts_with('p').then_some(4);
        Call { name, file, data: data.to_vec(), last, result: Some(result), injected: false, begin, end }
    }

    #[test]
    fn calls_that_overlap_are_put_together() {
        let text = concat!(
            "11 pwrite64(6</d/n.db-wal>, \"a\\0\\\"b\\1771\\n\", 7, 4) = 7\n",
            "11 fdatasync(6</d/n.db-wal> <unfinished ...>\n",
            "12 writev(5<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base=\"ab\", iov_len=2}, ",
            "{iov_base=\"cd\", iov_len=2}], 2 <unfinished ...>\n",
            "11 <... fdatasync resumed>)          = 0\n",
            "12 <... writev resumed>) = 3\n",
            "12 --- SIGTERM {si_signo=SIGTERM} ---\n",
            "12 +++ exited with 0 +++\n",
        );
        let socket = "TCP:[127.0.0.1:1->127.0.0.1:2]";
        let expected = [
            call("pwrite64", "/d/n.db-wal", b"a\0\"b\x7f1\n", 7, (0, 0)),
            call("fdatasync", "/d/n.db-wal", b"", 0, (1, 3)),
            Call { last: Some(2), ..call("writev", socket, b"abcd", 3, (2, 4)) },
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn an_equals_sign_in_the_data_is_no_result() {
        let text =
            "11 pwrite64(6</d/n.db>, \"id = 1\", 6, 4 <unfinished ...>\n11 <... pwrite64 resumed>) = 6\n";
        assert_eq!(parse(text).unwrap(), [call("pwrite64", "/d/n.db", b"id = 1", 6, (0, 1))]);
    }

    #[test]
    fn a_call_that_was_made_to_fail_is_marked() {
        let text = "11 fsync(6</d/n.db>) = -1 EIO (Input/output error) (INJECTED)\n";
        let failed = Call { injected: true, ..call("fsync", "/d/n.db", b"", -1, (0, 0)) };
        assert_eq!(parse(text).unwrap(), [failed]);
    }

    #[test]
    fn a_string_that_was_cut_short_is_not_taken_for_the_whole() {
        assert!(parse("11 write(6</d/x>, \"abc\"..., 7) = 7\n").is_err());
    }
}
