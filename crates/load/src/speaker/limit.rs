//! What is said to the bare-limit server: a role, then texts, in frames like those of the other dialects.

use super::{Persona, Role, Speaker, frames};
use crate::fault::Fault;

/// Type of the first frame of who sends.
pub const SENDER: u8 = 1;
/// Type of the first frame of who receives.
pub const RECEIVER: u8 = 2;
/// Type of the answer to either.
pub const READY: u8 = 3;
/// Type of a text.
pub const TEXT: u8 = 4;

/// A client of the bare-limit server.
#[derive(Debug)]
pub struct Limit {
    ready: bool,
}

impl Speaker for Limit {
    const DIALECT: &'static str = "limit";

    fn greet(persona: Persona, out: &mut Vec<u8>) -> Self {
        let ty = match persona.role {
            Role::Sender => SENDER,
            Role::Receiver => RECEIVER,
        };
        frames::put(out, ty, &[]);
        Self { ready: false }
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
                TEXT => heard(frame.payload)?,
                READY => self.ready = true,
                ty => return Err(Fault::Refused(format!("a frame of type {ty}"))),
            }
        }
        Ok(input.len() - rest.len())
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn say(&mut self, text: &[u8], out: &mut Vec<u8>) {
        frames::put(out, TEXT, text);
    }
}
