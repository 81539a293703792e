//! The native dialect. Entries are read in place, without the copies that a client would make of them.

use super::{Persona, Role, Speaker, frames};
use crate::fault::Fault;
use crate::identity::Identity;
use bytes::Bytes;
use protocol::entry::EntryKind;
use protocol::id::{Counter, Epoch, Millis, Req, RoomId, Seq};
use protocol::limits::{HEADER, WINDOW_POSTS};
use protocol::message::{ClientMsg, OpenFrom, RoomsChange, ServerMsg, Target, ty};
use protocol::wire::take_varint;

/// Bytes of an `Entries` frame before its first entry: header, room and count.
const ENTRIES_HEAD: usize = HEADER + 8 + 2;

const JOIN: Req = Req(1);
const OPEN: Req = Req(2);

/// A native client with a person of its own.
#[derive(Debug)]
pub struct Native {
    persona: Persona,
    step: Step,
    room: RoomId,
    /// The history that its cursor is in, once it has logged in.
    epoch: Option<Epoch>,
    /// Posts sent and acknowledged, by the counter of the last.
    sent: Option<Counter>,
    acknowledged: Option<Counter>,
    window: u64,
    /// Bytes of the `Entries` frame in hand that are still to come.
    entries_left: usize,
    /// The number of the entry that comes next.
    next: u64,
}

/// How far it is; each step waits for the server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Login,
    Join,
    Open,
    Ready,
}

/// What the checks need of an entry.
#[derive(Debug, PartialEq, Eq)]
struct Heard<'a> {
    seq: u64,
    kind: u8,
    body: &'a [u8],
}

impl Speaker for Native {
    const DIALECT: &'static str = "native";

    fn greet(persona: Persona, out: &mut Vec<u8>) -> Self {
        say_hello(&persona, out);
        Self {
            persona,
            step: Step::Login,
            room: RoomId::FIRST,
            epoch: None,
            sent: None,
            acknowledged: None,
            window: u64::from(WINDOW_POSTS),
            entries_left: 0,
            next: 0,
        }
    }

    fn resume(&mut self, out: &mut Vec<u8>) -> bool {
        say_hello(&self.persona, out);
        (self.step, self.entries_left) = (Step::Login, 0);
        true
    }

    fn hear(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        mut heard: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let mut rest = input;
        loop {
            if self.entries_left > 0 {
                let Some(entry) = self.take_entry(&mut rest)? else {
                    break;
                };
                if entry.kind == EntryKind::Text.number() {
                    heard(entry.body)?;
                }
                continue;
            }
            match frames::header(rest) {
                Some((length, ty::ENTRIES)) if rest.len() >= ENTRIES_HEAD => {
                    self.entries_left = (length + HEADER - 1).saturating_sub(ENTRIES_HEAD);
                    rest = &rest[ENTRIES_HEAD..];
                }
                Some((_, ty::ENTRIES)) => break,
                _ => match frames::take(&mut rest) {
                    Some(frame) => self.handle_frame(frame.ty, frame.payload, out)?,
                    None => break,
                },
            }
        }
        Ok(input.len() - rest.len())
    }

    fn is_ready(&self) -> bool {
        self.step == Step::Ready
    }

    fn allowance(&self) -> usize {
        let value = |counter: Option<Counter>| counter.map_or(0, Counter::value);
        let unconfirmed = value(self.sent).saturating_sub(value(self.acknowledged));
        usize::try_from(self.window.saturating_sub(unconfirmed)).unwrap_or(usize::MAX)
    }

    fn say(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let counter = Counter::after(self.sent);
        self.sent = Some(counter);
        let post = ClientMsg::Post {
            counter,
            target: Target::Room { room: self.room },
            kind: EntryKind::Text,
            reply_to: None,
            written: Millis(0),
            body: Bytes::copy_from_slice(text),
        };
        out.extend_from_slice(&post.encode());
    }

    fn ping(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&ClientMsg::Ping { nonce: 0 }.encode());
    }
}

impl Native {
    fn handle_frame(&mut self, ty: u8, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let msg = ServerMsg::decode(ty, payload).map_err(|error| Fault::Refused(error.to_string()))?;
        match msg {
            Some(ServerMsg::Welcome { limits, last_counter, epoch, .. }) => {
                self.window = u64::from(limits.window_posts);
                (self.sent, self.acknowledged) = (last_counter, last_counter);
                self.step = Step::Join;
                self.epoch.get_or_insert(epoch);
                let name = self.persona.room.clone();
                out.extend_from_slice(&ClientMsg::Join { req: JOIN, name }.encode());
            }
            Some(ServerMsg::Rooms { req: JOIN, change: RoomsChange::Added, rooms, .. })
                if self.step == Step::Join =>
            {
                let room = rooms.first().ok_or_else(|| Fault::Refused("no room".to_owned()))?;
                let from = match (self.epoch, self.next.checked_sub(1)) {
                    (Some(epoch), Some(last)) => OpenFrom::After { epoch, seq: Seq::new(last) },
                    _ => OpenFrom::Now,
                };
                self.room = room.room;
                self.enter(from, out);
            }
            Some(ServerMsg::Opened { req: OPEN, next, .. }) => {
                if self.next > 0 && next.value() != self.next {
                    return Err(Fault::Gap { expected: self.next, got: next.value() });
                }
                self.next = next.value();
                self.step = Step::Ready;
            }
            Some(ServerMsg::Ack { counter, .. }) => self.acknowledged = Some(counter),
            Some(ServerMsg::Error { code, text, .. }) => {
                return Err(Fault::Refused(format!("error {code}: {text}")));
            }
            Some(ServerMsg::GoAway { text, .. }) => return Err(Fault::SentAway(text)),
            _ => {}
        }
        Ok(())
    }

    /// A receiver sets its cursor; a sender has no need of one.
    fn enter(&mut self, from: OpenFrom, out: &mut Vec<u8>) {
        if self.persona.role == Role::Sender {
            self.step = Step::Ready;
            return;
        }
        self.step = Step::Open;
        let open = ClientMsg::Open { req: OPEN, room: self.room, from };
        out.extend_from_slice(&open.encode());
    }

    /// The next entry of the frame in hand; `None` while it is not all there.
    fn take_entry<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Heard<'a>>, Fault> {
        let Some((length, rest)) = input.split_first_chunk() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((fields, rest)) = rest.split_at_checked(length) else {
            return Ok(None);
        };
        let malformed = || Fault::Refused("an entry that ends too early".to_owned());
        let entry = read_entry(fields).ok_or_else(malformed)?;
        self.entries_left = self.entries_left.checked_sub(2 + length).ok_or_else(malformed)?;
        if entry.seq != self.next {
            return Err(Fault::Gap { expected: self.next, got: entry.seq });
        }
        self.next += 1;
        *input = rest;
        Ok(Some(entry))
    }
}

fn say_hello(persona: &Persona, out: &mut Vec<u8>) {
    let name = format!("load-{}", persona.number);
    let hello = Identity::numbered(&name, persona.number as u64, persona.run).hello();
    out.extend_from_slice(&hello.encode());
}

fn read_entry(mut fields: &[u8]) -> Option<Heard<'_>> {
    let input = &mut fields;
    let seq = take_varint(input).ok()?;
    // Two times and the author.
    skip_varints(input, 3)?;
    let name = usize::try_from(take_varint(input).ok()?).ok()?;
    *input = input.get(name..)?;
    // Device and counter.
    skip_varints(input, 2)?;
    let (&[kind, _revision], rest) = input.split_first_chunk()?;
    *input = rest;
    // What it refers to.
    skip_varints(input, 1)?;
    let (length, rest) = input.split_first_chunk()?;
    let body = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    Some(Heard { seq, kind, body })
}

fn skip_varints(input: &mut &[u8], count: usize) -> Option<()> {
    (0..count).try_for_each(|_| take_varint(input).ok().map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::entry::{Entry, Revision};
    use protocol::id::Seq;

    fn entry(seq: u64, text: &str) -> Entry {
        Entry {
            seq: Seq::new(seq).unwrap(),
            time: Millis(5),
            written: Millis(0),
            person: None,
            name: "alice".to_owned(),
            device: None,
            counter: None,
            kind: EntryKind::Text,
            revision: Revision::Original,
            reply_to: None,
            body: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    fn entries(texts: &[(u64, &str)]) -> Bytes {
        let entries = texts.iter().map(|(seq, text)| entry(*seq, text)).collect();
        ServerMsg::Entries { room: RoomId::FIRST, entries }.encode()
    }

    /// A receiver that stands before entry 7.
    fn receiver() -> Native {
        let persona = Persona { number: 3, role: Role::Receiver, room: "r".to_owned(), run: 9, unread: None };
        let mut speaker = Native::greet(persona, &mut Vec::new());
        (speaker.step, speaker.next) = (Step::Ready, 7);
        speaker
    }

    /// Hears the bytes in pieces of this size, each behind what was left over.
    fn hear(speaker: &mut Native, bytes: &[u8], piece: usize) -> Result<Vec<String>, Fault> {
        let (mut texts, mut held) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            held.extend_from_slice(piece);
            let used = speaker.hear(&held, &mut Vec::new(), |text| {
                texts.push(String::from_utf8_lossy(text).into_owned());
                Ok(())
            })?;
            held.drain(..used);
        }
        assert_eq!(held, [0; 0]);
        Ok(texts)
    }

    #[test]
    fn texts_are_heard_however_the_stream_is_cut() {
        let bytes = [entries(&[(7, "one"), (8, "two")]), entries(&[(9, "three")])].concat();
        for piece in 1..=bytes.len() {
            let texts = hear(&mut receiver(), &bytes, piece).unwrap();
            assert_eq!(texts, ["one", "two", "three"], "in pieces of {piece}");
        }
    }

    #[test]
    fn a_gap_in_the_numbers_ends_the_run() {
        let heard = hear(&mut receiver(), &entries(&[(8, "two")]), 1_000);
        assert!(matches!(heard, Err(Fault::Gap { expected: 7, got: 8 })));
    }

    #[test]
    fn a_sender_keeps_to_its_window_until_it_is_acknowledged() {
        let mut speaker = receiver();
        let full = speaker.allowance();
        for _ in 0..full {
            speaker.say(b"hi", &mut Vec::new());
        }
        assert_eq!((full, speaker.allowance()), (usize::from(WINDOW_POSTS), 0));
        let ack = ServerMsg::Ack { counter: Counter::new(10).unwrap(), room: None, seq: None };
        hear(&mut speaker, &ack.encode(), 1_000).unwrap();
        assert_eq!(speaker.allowance(), 10);
    }
}
