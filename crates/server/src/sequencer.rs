//! The sequencer: accepted posts wait here until the store is free, and then go to it as one batch.
//!
//! The wait for the store forms the batch, so an idle server adds no delay and a busy one gets cheaper per
//! post. Devices take turns, so that one that floods delays nobody by more than a round.

use crate::conn::{Conn, Held};
use crate::store::{Batch, Change, NewEntry};
use bytes::Bytes;
use protocol::code::Code;
use protocol::id::DeviceNo;
use protocol::limits::MAX_BATCH;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A post that was accepted and has no number yet.
#[derive(Debug)]
pub struct Waiting {
    /// The entry.
    pub entry: NewEntry,
    /// The sender's share of the windows, given back when this is dropped.
    pub held: Option<Arc<Held>>,
}

/// A reply that goes out after the commit of what it confirms.
#[derive(Debug)]
pub struct Reply {
    /// To whom.
    pub conn: Arc<Conn>,
    /// The frame.
    pub bytes: Bytes,
}

/// What is committed at once, and what follows from it.
#[derive(Debug, Default)]
pub struct Turn {
    /// The posts, in the order of the batch.
    pub posts: Vec<Waiting>,
    /// Changes beside them.
    pub changes: Vec<Change>,
    /// Replies that wait for the commit.
    pub replies: Vec<Reply>,
    /// Others who wait for it.
    pub waiters: Vec<Waiter>,
}

/// Somebody without a session who waits for the commit of a change.
pub type Waiter = oneshot::Sender<Result<(), Code>>;

impl Turn {
    /// What the store is given.
    pub fn batch(&self) -> Batch {
        let posts = self.posts.iter().map(|waiting| waiting.entry.clone()).collect();
        Batch { posts, changes: self.changes.clone() }
    }
}

/// What waits for the next turn.
#[derive(Debug, Default)]
pub struct Sequencer {
    /// Posts by the device that sent them; `None` for the server's own. No queue is empty.
    queues: BTreeMap<Option<DeviceNo>, VecDeque<Waiting>>,
    changes: Vec<Change>,
    replies: Vec<Reply>,
    waiters: Vec<Waiter>,
}

impl Sequencer {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
            && self.changes.is_empty()
            && self.replies.is_empty()
            && self.waiters.is_empty()
    }

    /// Adds a post behind the others of its device.
    pub fn push(&mut self, waiting: Waiting) {
        let device = waiting.entry.origin.map(|(device, _)| device);
        self.queues.entry(device).or_default().push_back(waiting);
    }

    /// Adds a change.
    pub fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Adds a reply to everything that was added before.
    pub fn reply(&mut self, conn: Arc<Conn>, bytes: Bytes) {
        self.replies.push(Reply { conn, bytes });
    }

    /// Tells somebody when all changes that were added before are committed.
    pub fn wait(&mut self, waiter: Waiter) {
        self.waiters.push(waiter);
    }

    /// Puts back changes that the store could not take, in front of all others.
    pub fn put_back(&mut self, changes: Vec<Change>, replies: Vec<Reply>, waiters: Vec<Waiter>) {
        self.waiters.splice(0..0, waiters);
        self.changes.splice(0..0, changes);
        self.replies.splice(0..0, replies);
    }

    /// Puts back entries of the server's own that the store could not take, in front of its others.
    pub fn put_back_own(&mut self, own: Vec<Waiting>) {
        if own.is_empty() {
            return;
        }
        let later = self.queues.remove(&None).unwrap_or_default();
        self.queues.insert(None, own.into_iter().chain(later).collect());
    }

    /// Takes away what a device has waiting: something before it was refused.
    pub fn drop_device(&mut self, device: DeviceNo) -> VecDeque<Waiting> {
        self.queues.remove(&Some(device)).unwrap_or_default()
    }

    /// The next turn: at most about [`MAX_BATCH`] bytes of posts, one of each device in turns.
    pub fn take(&mut self) -> Turn {
        let mut posts = Vec::new();
        let mut bytes = 0;
        while bytes < MAX_BATCH && !self.queues.is_empty() {
            self.queues.retain(|_, queue| {
                if bytes < MAX_BATCH
                    && let Some(waiting) = queue.pop_front()
                {
                    bytes += waiting.entry.weight();
                    posts.push(waiting);
                }
                !queue.is_empty()
            });
        }
        // A reply may confirm a post that has to wait for a later turn: it then waits as well.
        let replies = if self.queues.is_empty() { std::mem::take(&mut self.replies) } else { Vec::new() };
        let (changes, waiters) = (std::mem::take(&mut self.changes), std::mem::take(&mut self.waiters));
        Turn { posts, changes, replies, waiters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::entry::EntryKind;
    use protocol::id::{Millis, RoomId};

    fn topic(text: &'static str) -> Waiting {
        let entry = NewEntry {
            room: RoomId::FIRST,
            time: Millis(0),
            written: Millis(0),
            person: None,
            name: String::new(),
            origin: None,
            kind: EntryKind::Topic,
            reply_to: None,
            body: Bytes::from_static(text.as_bytes()),
            mentions: Vec::new(),
        };
        Waiting { entry, held: None }
    }

    #[test]
    fn entries_of_the_server_that_were_put_back_come_first_and_in_their_order() {
        let mut sequencer = Sequencer::default();
        ["one", "two"].into_iter().for_each(|text| sequencer.push(topic(text)));
        let refused = sequencer.take().posts;
        sequencer.push(topic("three"));
        sequencer.put_back_own(refused);
        let bodies: Vec<_> = sequencer.take().posts.into_iter().map(|waiting| waiting.entry.body).collect();
        assert_eq!(bodies, ["one", "two", "three"]);
    }

    #[test]
    fn nothing_that_is_put_back_leaves_nothing_waiting() {
        let mut sequencer = Sequencer::default();
        sequencer.put_back_own(Vec::new());
        assert!(sequencer.is_empty());
    }
}
