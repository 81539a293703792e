//! The plain text protocol of NATS core, as far as one subject needs it.

use super::{Persona, Role, Speaker};
use crate::fault::Fault;

const CONNECT: &str =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\"version\":\"1\"}\r\n";

/// A NATS client with at most one subscription.
#[derive(Debug)]
pub struct Nats {
    subject: String,
    subscribed: bool,
}

impl Speaker for Nats {
    const DIALECT: &'static str = "nats";

    fn greet(persona: Persona, out: &mut Vec<u8>) -> Self {
        let subject = persona.room;
        out.extend_from_slice(CONNECT.as_bytes());
        if persona.role == Role::Receiver {
            out.extend_from_slice(format!("SUB {subject} 1\r\n").as_bytes());
        }
        // What stands before it is done when it is answered.
        out.extend_from_slice(b"PING\r\n");
        Self { subject, subscribed: false }
    }

    fn hear(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        mut heard: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let mut rest = input;
        while let Some((line, behind)) = take_line(rest) {
            if line.starts_with(b"MSG ") {
                let length = message_length(line).ok_or_else(|| refused(line))?;
                let Some((message, behind)) = behind.split_at_checked(length + 2) else {
                    break;
                };
                heard(&message[..length])?;
                rest = behind;
                continue;
            }
            rest = behind;
            match line {
                b"PING" => out.extend_from_slice(b"PONG\r\n"),
                b"PONG" => self.subscribed = true,
                b"+OK" => {}
                line if line.starts_with(b"INFO ") => {}
                line => return Err(refused(line)),
            }
        }
        Ok(input.len() - rest.len())
    }

    fn is_ready(&self) -> bool {
        self.subscribed
    }

    fn say(&mut self, text: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(format!("PUB {} {}\r\n", self.subject, text.len()).as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }
}

/// The line at the front without its end, and what follows it.
fn take_line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = input.iter().position(|byte| *byte == b'\n')?;
    let line = input[..at].strip_suffix(b"\r").unwrap_or(&input[..at]);
    Some((line, &input[at + 1..]))
}

/// The last word of `MSG subject sid length`.
fn message_length(line: &[u8]) -> Option<usize> {
    let digits = line.rsplit(|byte| *byte == b' ').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn refused(line: &[u8]) -> Fault {
    Fault::Refused(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver() -> Nats {
        let persona = Persona { number: 0, role: Role::Receiver, room: "r".to_owned(), run: 0, unread: None };
        Nats::greet(persona, &mut Vec::new())
    }

    /// The bytes that were heard, and the texts and the answers among them.
    type Heard = (usize, Vec<Vec<u8>>, Vec<u8>);

    fn hear(speaker: &mut Nats, bytes: &[u8]) -> Result<Heard, Fault> {
        let (mut texts, mut out) = (Vec::new(), Vec::new());
        let used = speaker.hear(bytes, &mut out, |text| {
            texts.push(text.to_vec());
            Ok(())
        })?;
        Ok((used, texts, out))
    }

    #[test]
    fn messages_are_cut_by_their_length_and_kept_until_they_are_whole() {
        let bytes = b"INFO {}\r\nPONG\r\nMSG r 1 4\r\na\r\nb\r\nMSG r 1 2\r\nxy\r";
        let mut speaker = receiver();
        let (used, texts, _) = hear(&mut speaker, bytes).unwrap();
        assert!(speaker.is_ready());
        assert_eq!(texts, [b"a\r\nb"]);
        assert_eq!(bytes[used..], b"MSG r 1 2\r\nxy\r"[..]);
    }

    #[test]
    fn a_ping_is_answered_and_an_error_ends_the_run() {
        assert_eq!(hear(&mut receiver(), b"PING\r\n").unwrap().2, b"PONG\r\n");
        assert!(matches!(hear(&mut receiver(), b"-ERR 'no'\r\n"), Err(Fault::Refused(_))));
    }
}
