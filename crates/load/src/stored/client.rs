//! A client of the stored workload: what it has to send, what is under way, and when each text was due.

use crate::fault::Fault;
use crate::identity::Identity;
use crate::options::StoredOptions;
use bytes::Bytes;
use protocol::entry::EntryKind;
use protocol::id::{Counter, Millis, Req, RoomId, Seq};
use protocol::message::{ClientMsg, OpenFrom, RoomsChange, ServerMsg, Target};
use std::collections::VecDeque;
use std::time::Duration;

const JOIN: Req = Req(1);
const OPEN: Req = Req(2);

/// What a message came to.
#[derive(Debug)]
pub enum Told {
    /// Nothing to do.
    Nothing,
    /// This is to be said now.
    Say(ClientMsg),
    /// Texts were acknowledged; these are the times at which they were due.
    Acked(Vec<Duration>),
    /// So many entries were read.
    Read(u64),
}

/// A client that posts, or the one that reads along.
#[derive(Debug)]
pub struct Client {
    reads: bool,
    room: Option<RoomId>,
    is_ready: bool,
    window: usize,
    text: Bytes,
    /// When each text that is not sent yet was due.
    wanted: VecDeque<Duration>,
    /// When each text that is under way was due, oldest first. Invariant: the last has the counter `sent`.
    under_way: VecDeque<Duration>,
    sent: Option<Counter>,
    /// The next entry that the reader gets.
    next: Option<Seq>,
}

impl Client {
    /// A client of this run, and its first words.
    pub fn greet(number: usize, reads: bool, options: &StoredOptions) -> (Self, ClientMsg) {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let identity =
            Identity::numbered(&format!("load-{number}"), number as u64, std::process::id().into());
        let letters = (b'a'..=b'z').cycle().skip(number).take(size(options.texts.text)).collect();
        let client = Self {
            reads,
            room: None,
            is_ready: false,
            window: size(options.window),
            text: letters,
            wanted: VecDeque::new(),
            under_way: VecDeque::new(),
            sent: None,
            next: None,
        };
        (client, identity.hello())
    }

    /// Whether it may begin.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether it has something to send, or something that it sent is not acknowledged.
    pub fn is_waiting(&self) -> bool {
        !self.wanted.is_empty() || !self.under_way.is_empty()
    }

    /// It is to send a text that is due at this time.
    pub fn want(&mut self, due: Duration) {
        self.wanted.push_back(due);
    }

    /// It is to send what its window takes, now.
    pub fn fill_window(&mut self, now: Duration) {
        let free = self.window - self.under_way.len();
        if !self.reads {
            self.wanted.resize(free, now);
        }
    }

    /// The next text, if its window takes one.
    pub fn poll_post(&mut self) -> Option<ClientMsg> {
        let room = self.room?;
        if self.under_way.len() >= self.window {
            return None;
        }
        self.under_way.push_back(self.wanted.pop_front()?);
        let counter = Counter::after(self.sent);
        self.sent = Some(counter);
        Some(ClientMsg::Post {
            counter,
            target: Target::Room { room },
            kind: EntryKind::Text,
            reply_to: None,
            written: Millis(0),
            body: self.text.clone(),
        })
    }

    /// Takes in what the server said.
    ///
    /// # Errors
    /// [`Fault`] if it refuses something, or leaves an entry out.
    pub fn handle_message(&mut self, msg: ServerMsg) -> Result<Told, Fault> {
        match msg {
            ServerMsg::Welcome { .. } => {
                return Ok(Told::Say(ClientMsg::Join { req: JOIN, name: "load-stored".to_owned() }));
            }
            ServerMsg::Rooms { req: JOIN, change: RoomsChange::Added, rooms, .. } => {
                self.room = rooms.first().map(|room| room.room);
                if let Some(room) = self.room.filter(|_| self.reads) {
                    return Ok(Told::Say(ClientMsg::Open { req: OPEN, room, from: OpenFrom::Now }));
                }
                self.is_ready = true;
            }
            ServerMsg::Opened { req: OPEN, next, .. } => {
                (self.next, self.is_ready) = (Some(next), true);
            }
            ServerMsg::Ack { counter, .. } => return Ok(Told::Acked(self.handle_ack(counter))),
            ServerMsg::Entries { entries, .. } => {
                for entry in &entries {
                    let due = self.next.unwrap_or(Seq::FIRST);
                    if entry.seq != due {
                        return Err(Fault::Gap { expected: due.value(), got: entry.seq.value() });
                    }
                    self.next = Some(due.next());
                }
                return Ok(Told::Read(entries.len() as u64));
            }
            ServerMsg::Error { code, text, .. } => return Err(Fault::Denied { code, text }),
            ServerMsg::GoAway { text, .. } => return Err(Fault::SentAway(text)),
            _ => {}
        }
        Ok(Told::Nothing)
    }

    fn handle_ack(&mut self, counter: Counter) -> Vec<Duration> {
        let later = self.sent.map_or(0, Counter::value).saturating_sub(counter.value());
        let later = usize::try_from(later).unwrap_or(usize::MAX).min(self.under_way.len());
        self.under_way.drain(..self.under_way.len() - later).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Options, Task};
    use clap::Parser;

    fn client(window: u32) -> Client {
        let window = window.to_string();
        let args = ["natter-load", "stored", "--server", "127.0.0.1:1", "--window", &window];
        let Task::Stored(options) = Options::parse_from(args).task else {
            panic!("another task");
        };
        let (mut client, _) = Client::greet(3, false, &options);
        client.room = Some(RoomId::FIRST);
        client
    }

    fn acked(client: &mut Client, counter: u64) -> Vec<u64> {
        let ack = ServerMsg::Ack { counter: Counter::new(counter).unwrap(), room: None, seq: None };
        match client.handle_message(ack).unwrap() {
            Told::Acked(due) => due.iter().map(Duration::as_secs).collect(),
            other => panic!("not acknowledged: {other:?}"),
        }
    }

    #[test]
    fn a_text_that_waits_for_the_window_keeps_the_time_at_which_it_was_due() {
        let mut client = client(2);
        (1..=3).for_each(|second| client.want(Duration::from_secs(second)));
        let posted = std::iter::from_fn(|| client.poll_post()).count();
        assert_eq!(posted, 2);
        assert_eq!(acked(&mut client, 1), [1]);
        assert!(client.poll_post().is_some());
        assert_eq!(acked(&mut client, 3), [2, 3]);
        assert!(!client.is_waiting());
    }

    #[test]
    fn a_window_that_is_filled_again_and_again_is_never_wider() {
        let mut client = client(5);
        client.fill_window(Duration::ZERO);
        client.fill_window(Duration::ZERO);
        assert_eq!(std::iter::from_fn(|| client.poll_post()).count(), 5);
        client.fill_window(Duration::ZERO);
        assert!(client.poll_post().is_none());
    }
}
