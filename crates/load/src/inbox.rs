//! What the server said, cut into messages, whichever way the bytes came.

use crate::fault::Fault;
use protocol::frame::{Deframer, Item};
use protocol::limits::MAX_FRAME;
use protocol::message::ServerMsg;

/// Cuts the server's bytes into messages. What does not keep to the wire is a fault.
#[derive(Debug)]
pub struct Inbox(Deframer);

impl Default for Inbox {
    fn default() -> Self {
        Self(Deframer::new(MAX_FRAME))
    }
}

impl Inbox {
    /// Gives every message that is whole now to `heard`; the rest is kept for the next bytes.
    ///
    /// # Errors
    /// [`Fault::Refused`] if the bytes are no messages.
    pub fn feed(&mut self, mut bytes: &[u8], mut heard: impl FnMut(ServerMsg)) -> Result<(), Fault> {
        let strange =
            |why: &dyn std::fmt::Display| Fault::Refused(format!("bytes that are no message: {why}"));
        while let Some(item) = self.0.next(&mut bytes).map_err(|error| strange(&error))? {
            let Item::Frame(frame) = item else {
                return Err(strange(&"a frame over the limit"));
            };
            let msg = ServerMsg::decode(frame.ty, frame.payload).map_err(|error| strange(&error))?;
            msg.into_iter().for_each(&mut heard);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::Millis;

    #[test]
    fn messages_are_heard_however_the_stream_is_cut() {
        let pong = |nonce| ServerMsg::Pong { nonce, time: Millis(7) };
        let bytes = [pong(1).encode(), pong(2).encode()].concat();
        for piece in 1..=bytes.len() {
            let (mut inbox, mut heard) = (Inbox::default(), Vec::new());
            bytes.chunks(piece).for_each(|piece| inbox.feed(piece, |msg| heard.push(msg)).unwrap());
            assert_eq!(heard, [pong(1), pong(2)], "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_message_is_a_fault() {
        let feed = |bytes: &[u8]| Inbox::default().feed(bytes, |_| ());
        assert!(matches!(feed(&[0, 0, 0, 0, 0x4a]), Err(Fault::Refused(_))));
        assert!(matches!(feed(&[0, 0, 0, 2, 0x4a, 1]), Err(Fault::Refused(_))));
        assert!(matches!(feed(&[9, 0, 0, 2, 0x4a, 1]), Err(Fault::Refused(_))));
    }
}
