//! What is said on a connection, and what is heard, in each dialect: bytes in, bytes out, no socket.

mod classic;
mod frames;
mod limit;
mod native;
mod nats;

pub use classic::Classic;
pub use limit::{Limit, READY, RECEIVER, SENDER, TEXT};
pub use native::Native;
pub use nats::Nats;

use crate::fault::Fault;

/// Who speaks on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persona {
    /// Which connection of the run it is.
    pub number: usize,
    /// Whether it sends texts or receives them.
    pub role: Role,
    /// Where.
    pub room: String,
    /// Different in each run, so that nobody is taken for somebody of an earlier one.
    pub run: u64,
    /// About how many bytes the system keeps of what it has not read, where that is fewer than usual.
    pub unread: Option<usize>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It sends texts.
    Sender,
    /// It receives them.
    Receiver,
}

/// One side of one connection, in one dialect.
pub trait Speaker: Sized {
    /// The dialect's name.
    const DIALECT: &'static str;

    /// A speaker who has just connected, and its first words.
    fn greet(persona: Persona, out: &mut Vec<u8>) -> Self;

    /// Begins again on a new connection and goes on where the old one was cut, in dialects that can; its first words
    /// there. `false` in those that can't.
    fn resume(&mut self, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// Hears what the server said, from the front of `input` as far as it is whole, and says how many bytes that
    /// was; the rest is heard again with what follows it. Each text that somebody sent goes to `heard`; what must
    /// be answered is answered into `out`.
    ///
    /// # Errors
    /// [`Fault`] if the server refuses something or can't be understood, and those of `heard`.
    fn hear(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        heard: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<usize, Fault>;

    /// Whether it is in its room, so that texts may be sent to it or by it.
    fn is_ready(&self) -> bool;

    /// How many texts it may send before it hears something.
    fn allowance(&self) -> usize {
        usize::MAX
    }

    /// Sends a text to its room.
    fn say(&mut self, text: &[u8], out: &mut Vec<u8>);

    /// Gives a sign of life, in dialects where silence ends a connection.
    fn ping(&mut self, _out: &mut Vec<u8>) {}
}
