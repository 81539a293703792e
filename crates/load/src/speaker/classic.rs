//! The classic dialect. There is one room for all, and a text comes back to everybody but its sender.

use super::{Persona, Speaker, frames};
use crate::fault::Fault;
use protocol::classic::{ClassicMsg, SEPARATOR, WELCOME, ty};

/// A classic client.
#[derive(Debug)]
pub struct Classic {
    welcomed: bool,
}

impl Speaker for Classic {
    const DIALECT: &'static str = "classic";

    fn greet(persona: Persona, out: &mut Vec<u8>) -> Self {
        let name = format!("load-{}", persona.number);
        out.extend_from_slice(&ClassicMsg::Join(&name).encode());
        Self { welcomed: false }
    }

    fn hear(
        &mut self,
        input: &[u8],
        _out: &mut Vec<u8>,
        mut heard: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let mut rest = input;
        while let Some(frame) = frames::take(&mut rest) {
            match frame.ty {
                ty::TEXT if frame.payload == WELCOME.as_bytes() => self.welcomed = true,
                ty::TEXT => {
                    if let Some(text) = said_by_somebody(frame.payload) {
                        heard(text)?;
                    }
                }
                ty::JOIN | ty::LEAVE => {}
                _ => {
                    return Err(Fault::Refused(String::from_utf8_lossy(frame.payload).into_owned()));
                }
            }
        }
        Ok(input.len() - rest.len())
    }

    fn is_ready(&self) -> bool {
        self.welcomed
    }

    fn say(&mut self, text: &[u8], out: &mut Vec<u8>) {
        frames::put(out, ty::TEXT, text);
    }
}

/// What stands behind the name; `None` if the server speaks.
fn said_by_somebody(payload: &[u8]) -> Option<&[u8]> {
    if payload.starts_with(b"[Server]") {
        return None;
    }
    let mut pairs = payload.windows(SEPARATOR.len());
    let at = pairs.position(|pair| pair == SEPARATOR.as_bytes())?;
    Some(&payload[at + SEPARATOR.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_told_from_people() {
        assert_eq!(said_by_somebody(b"alice::hi::ho"), Some(&b"hi::ho"[..]));
        assert_eq!(said_by_somebody(b"[Server] a::b"), None);
        assert_eq!(said_by_somebody(b"plain"), None);
    }
}
