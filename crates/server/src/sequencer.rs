//! The sequencer: accepted posts wait here until the store is free, and then go to it as one batch.
//!
//! The wait for the store forms the batch, so an idle server adds no delay and a busy one gets cheaper per
//! post. Devices share a batch by deficit round robin (Shreedhar and Varghese, SIGCOMM 1995): the next batch goes
//! on behind the device that was served last, and a device with little waiting is in the next batch, so that one
//! that floods delays nobody else. Everything that is queued has a ticket, and a reply waits for what it confirms:
//! the posts of its device and the changes with older tickets, and the earlier replies to its connection.

mod queues;

use crate::conn::{Conn, ConnId, Held};
use crate::store::{Batch, Change, NewEntry};
use bytes::Bytes;
use protocol::code::Code;
use protocol::id::{DeviceNo, Req, RoomId};
use protocol::message::ServerMsg;
use queues::{Queues, Sender};
use std::collections::{BTreeSet, VecDeque};
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

/// The order in which something was queued.
type Ticket = u64;

/// The ticket of what was put back: older than everything that was queued.
const PUT_BACK: Ticket = 0;

/// Changes with which a store that had no room is tried again.
const PROBE: usize = 16;

/// A reply that goes out after the commit of what it confirms.
#[derive(Debug)]
pub struct Reply {
    /// To whom.
    pub conn: Arc<Conn>,
    /// The frame.
    pub bytes: Bytes,
    /// It waits for older posts of this device, for those of the server, and for older changes.
    device: DeviceNo,
    ticket: Ticket,
    /// The room that it is about, and how.
    pub about: Option<About>,
    /// What it answers, which is refused when the store has no room.
    request: Option<Request>,
    /// The share of whoever caused it.
    #[expect(dead_code, reason = "it is given back when the reply is dropped")]
    share: Share,
}

/// What a reply is about that tells all of a room as it is then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    /// The room.
    pub room: RoomId,
    /// What becomes of it.
    pub delivery: Delivery,
}

/// How a reply is handed to its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// It was asked for.
    Answer,
    /// Nobody asked for it, and it has its place among all other replies.
    Unasked,
    /// Nobody asked for it, and a newer one about the same room takes its place.
    Newest,
}

/// The share of a request's sender in the windows, which is given back when nothing of the request waits any more.
pub type Share = Option<Arc<Held>>;

/// A reply as it is handed in.
#[derive(Debug, Default)]
pub struct NewReply {
    /// The frame.
    pub bytes: Bytes,
    /// The room that it is about.
    pub about: Option<About>,
    /// What it answers, which is refused when the store has no room.
    pub request: Option<Request>,
}

impl NewReply {
    /// A frame that can't be refused.
    pub fn of(bytes: Bytes) -> Self {
        Self { bytes, ..Self::default() }
    }
}

/// A request whose answer waits for the store.
#[derive(Debug)]
pub struct Request {
    /// The type of its message.
    pub ty: u8,
    /// Its id.
    pub req: Req,
    /// What is said instead of the answer when there was room after all, if there is anything to tell then.
    pub later: Option<ServerMsg>,
}

/// What is committed at once, and what follows from it.
#[derive(Debug, Default)]
pub struct Turn {
    /// The posts, in the order of the batch.
    pub posts: Vec<Waiting>,
    /// Changes beside them.
    pub changes: Vec<Change>,
    /// The share of whoever caused each of the changes, in the same order.
    pub shares: Vec<Share>,
    /// Replies that wait for the commit.
    pub replies: Vec<Reply>,
    /// Others who wait for it.
    pub waiters: Vec<Waiter>,
    /// Whether it asks the store for room, with or without something to store.
    pub is_probe: bool,
}

/// Somebody without a session who waits for the commit of a change.
pub type Waiter = oneshot::Sender<Result<(), Code>>;

impl Turn {
    /// What the store is given.
    pub fn batch(&self) -> Batch {
        let posts = self.posts.iter().map(|waiting| waiting.entry.clone()).collect();
        Batch { posts, changes: self.changes.clone() }
    }

    /// Whether the store has anything to do with it: replies alone cost no sync.
    pub fn needs_store(&self) -> bool {
        self.is_probe || !self.posts.is_empty() || !self.changes.is_empty()
    }
}

/// What waits for the next turn.
#[derive(Debug, Default)]
pub struct Sequencer {
    queues: Queues,
    /// In the order of their tickets.
    changes: VecDeque<(Ticket, Change, Share)>,
    replies: VecDeque<Reply>,
    waiters: Vec<(Ticket, Waiter)>,
    /// Changes that were ever added.
    changes_added: u64,
    /// The newest ticket.
    ticket: Ticket,
    /// Whose share holds what is added now.
    charged: Share,
}

impl Sequencer {
    /// One whose batches have about so many bytes of posts.
    pub fn new(batch: usize) -> Self {
        Self { queues: Queues::new(batch), ..Self::default() }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
            && self.changes.is_empty()
            && self.replies.is_empty()
            && self.waiters.is_empty()
    }

    /// What is added from here on is held by this share: whatever a request makes the server store or say counts in the
    /// window of its sender until that is done.
    pub fn charge(&mut self, share: Share) {
        self.charged = share;
    }

    /// Adds a post behind the others of its device.
    pub fn push(&mut self, mut waiting: Waiting) {
        if waiting.held.is_none() {
            // A post is the last that its frame adds: it takes the share along.
            let is_post = waiting.entry.origin.is_some();
            waiting.held = if is_post { self.charged.take() } else { self.charged.clone() };
        }
        let ticket = self.next_ticket();
        self.queues.push(ticket, waiting);
    }

    /// Adds a change.
    pub fn change(&mut self, change: Change) {
        let ticket = self.next_ticket();
        self.changes_added += 1;
        self.changes.push_back((ticket, change, self.charged.clone()));
    }

    /// How many changes were ever added. They are stored in this order.
    pub fn changes_added(&self) -> u64 {
        self.changes_added
    }

    /// Adds a reply to a session of this device: it confirms all its posts, the server's entries and all changes
    /// that were added before.
    pub fn reply(&mut self, conn: Arc<Conn>, device: DeviceNo, reply: NewReply) {
        let NewReply { bytes, about, request } = reply;
        let (ticket, share) = (self.ticket, self.charged.clone());
        self.replies.push_back(Reply { conn, bytes, device, ticket, about, request, share });
    }

    /// Tells somebody when all changes that were added before are committed.
    pub fn wait(&mut self, waiter: Waiter) {
        self.waiters.push((self.ticket, waiter));
    }

    /// Puts back changes that the store could not take, in front of all others.
    pub fn put_back(
        &mut self,
        changes: impl Iterator<Item = (Change, Share)>,
        replies: Vec<Reply>,
        waiters: Vec<Waiter>,
    ) {
        let put_back = |(change, share)| (PUT_BACK, change, share);
        self.changes = changes.map(put_back).chain(self.changes.drain(..)).collect();
        self.replies = replies.into_iter().chain(self.replies.drain(..)).collect();
        self.waiters.splice(0..0, waiters.into_iter().map(|waiter| (PUT_BACK, waiter)));
    }

    /// Takes all requests whose answers wait, to be refused: nobody knows when there will be room for them.
    pub fn refuse_requests(&mut self) -> Vec<(Arc<Conn>, u8, Req)> {
        let mut refused = Vec::new();
        self.replies.retain_mut(|reply| {
            let Some(Request { ty, req, later }) = reply.request.take() else { return true };
            refused.push((reply.conn.clone(), ty, req));
            let is_told = later.is_some();
            if let Some(later) = later {
                // What was asked for was refused: this comes by itself.
                let about = reply.about.map(|about| About { delivery: Delivery::Unasked, ..about });
                (reply.bytes, reply.about) = (later.encode(), about);
            }
            is_told
        });
        refused
    }

    /// Whoever waits for changes, when there is no room for them.
    pub fn take_all_waiters(&mut self) -> Vec<Waiter> {
        self.waiters.drain(..).map(|(_, waiter)| waiter).collect()
    }

    /// Puts back entries of the server's own that the store could not take, in front of its others.
    pub fn put_back_own(&mut self, own: Vec<Waiting>) {
        self.queues.put_back_own(own);
    }

    /// Takes away what a device has waiting: something before it was refused.
    pub fn drop_device(&mut self, device: DeviceNo) -> VecDeque<Waiting> {
        self.queues.remove(device)
    }

    /// The next turn: at most about [`MAX_BATCH`](protocol::limits::MAX_BATCH) bytes of posts, in turns by device, and all changes.
    pub fn take(&mut self) -> Turn {
        let (changes, shares) = self.take_changes(self.changes.len());
        let posts = self.queues.take();
        let (replies, waiters) = (self.take_replies(), self.take_waiters());
        Turn { posts, changes, shares, replies, waiters, is_probe: false }
    }

    /// The next turn for a store that had no room: a few changes, and posts once no change waits. What waits may be
    /// much, and a store that still has no room would be given all of it again and again.
    pub fn take_probe(&mut self) -> Turn {
        let (changes, shares) = self.take_changes(self.changes.len().min(PROBE));
        // A post may need a change that was made before it.
        let posts = if self.changes.is_empty() { self.queues.take() } else { Vec::new() };
        let (replies, waiters) = (self.take_replies(), self.take_waiters());
        Turn { posts, changes, shares, replies, waiters, is_probe: true }
    }

    fn take_changes(&mut self, count: usize) -> (Vec<Change>, Vec<Share>) {
        self.changes.drain(..count).map(|(_, change, share)| (change, share)).unzip()
    }

    /// Replies that wait for nothing, while the store takes nothing.
    pub fn take_free_replies(&mut self) -> Option<Turn> {
        let replies = self.take_replies();
        (!replies.is_empty()).then(|| Turn { replies, ..Turn::default() })
    }

    fn next_ticket(&mut self) -> Ticket {
        self.ticket += 1;
        self.ticket
    }

    /// Replies to what is in this turn or was in an earlier one. Those to one connection stay in their order.
    fn take_replies(&mut self) -> Vec<Reply> {
        let mut behind: BTreeSet<ConnId> = BTreeSet::new();
        let (mut free, mut waiting) = (Vec::new(), VecDeque::new());
        for reply in self.replies.drain(..) {
            let older = |sender: Sender| self.queues.has_older(sender, reply.ticket);
            let change = self.changes.front().is_some_and(|(first, ..)| *first <= reply.ticket);
            let waits = behind.contains(&reply.conn.id) || older(Some(reply.device)) || older(None) || change;
            if waits {
                behind.insert(reply.conn.id);
                waiting.push_back(reply);
            } else {
                free.push(reply);
            }
        }
        self.replies = waiting;
        free
    }

    fn take_waiters(&mut self) -> Vec<Waiter> {
        let first = self.changes.front().map(|(first, ..)| *first);
        let is_free = |waiter: &mut (Ticket, Waiter)| first.is_none_or(|first| first > waiter.0);
        self.waiters.extract_if(.., is_free).map(|(_, waiter)| waiter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::entry::EntryKind;
    use protocol::id::{Counter, Millis, RoomId};
    use protocol::limits::MAX_BODY;
    use protocol::limits::requests::REQUEST_SHARE;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use tokio::sync::Semaphore;

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

    pub(super) fn post(device: u64, counter: u64, bytes: usize) -> Waiting {
        let mut waiting = topic("");
        waiting.entry.kind = EntryKind::Text;
        waiting.entry.body = Bytes::from(vec![b'x'; bytes]);
        waiting.entry.origin = Some((number(device), Counter::new(counter).unwrap()));
        waiting
    }

    pub(super) fn number(device: u64) -> DeviceNo {
        DeviceNo::new(device).unwrap()
    }

    fn conn(id: u64) -> Arc<Conn> {
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let (limits, now) = (crate::limits::Limits::default(), crate::clock::Steady(0));
        Arc::new(Conn::new(ConnId(id), peer, Box::pin(tokio::io::sink()), &limits, now))
    }

    fn replies(turn: &Turn) -> Vec<&[u8]> {
        turn.replies.iter().map(|reply| &*reply.bytes).collect()
    }

    #[test]
    fn a_reply_does_not_wait_for_posts_of_others() {
        let mut sequencer = Sequencer::default();
        for counter in 1..=200 {
            sequencer.push(post(1, counter, MAX_BODY));
        }
        sequencer.change(Change::DeviceGone { device: number(9) });
        sequencer.reply(conn(1), number(1), NewReply::of(Bytes::from_static(b"one")));
        sequencer.reply(conn(2), number(2), NewReply::of(Bytes::from_static(b"two")));
        let turn = sequencer.take();
        assert_eq!(turn.changes.len(), 1);
        assert_eq!(replies(&turn), [b"two"], "the posts of device 1 are not all in it");
        let later: Vec<_> = (0..4).map(|_| sequencer.take()).collect();
        let answered = later.iter().position(|turn| !turn.replies.is_empty()).unwrap();
        assert!(!later[answered].posts.is_empty(), "it goes with the last of its posts");
        assert_eq!(sequencer.take().posts.len(), 0);
    }

    #[test]
    fn replies_to_one_connection_stay_in_their_order() {
        let mut sequencer = Sequencer::default();
        let conn = conn(1);
        (1..=100).for_each(|counter| sequencer.push(post(1, counter, MAX_BODY)));
        sequencer.reply(conn.clone(), number(1), NewReply::of(Bytes::from_static(b"a")));
        sequencer.reply(conn.clone(), number(2), NewReply::of(Bytes::from_static(b"b")));
        assert!(replies(&sequencer.take()).is_empty());
        assert_eq!(replies(&sequencer.take()), [b"a", b"b"]);
    }

    #[test]
    fn while_the_store_takes_nothing_only_replies_that_wait_for_nothing_leave() {
        let mut sequencer = Sequencer::default();
        sequencer.push(post(1, 1, 100));
        sequencer.reply(conn(1), number(1), NewReply::of(Bytes::from_static(b"one")));
        sequencer.reply(conn(2), number(2), NewReply::of(Bytes::from_static(b"two")));
        assert_eq!(replies(&sequencer.take_free_replies().unwrap()), [b"two"]);
        assert!(sequencer.take_free_replies().is_none());
    }

    #[test]
    fn a_share_is_given_back_when_nothing_of_its_request_waits() {
        let mut sequencer = Sequencer::default();
        let (conn, server) = (conn(1), Arc::new(Semaphore::new(1 << 20)));
        let all = conn.window.available_permits();
        let mut acquired = pin!(Held::acquire(&conn, &server, std::iter::once(REQUEST_SHARE)));
        let Poll::Ready(share) = acquired.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("there is room");
        };
        sequencer.charge(share);
        sequencer.push(topic("tea"));
        sequencer.change(Change::DeviceGone { device: number(1) });
        sequencer.reply(conn.clone(), number(1), NewReply::of(Bytes::from_static(b"done")));
        sequencer.charge(None);
        sequencer.change(Change::DeviceGone { device: number(2) });
        let taken = || all - conn.window.available_permits();
        let Turn { posts, changes, shares, replies, .. } = sequencer.take();
        drop((posts, replies));
        assert_eq!(taken(), REQUEST_SHARE, "the change waits");
        sequencer.put_back(changes.into_iter().zip(shares), Vec::new(), Vec::new());
        assert_eq!(taken(), REQUEST_SHARE, "it still does");
        drop(sequencer.take());
        assert_eq!(taken(), 0);
    }

    #[test]
    fn a_store_without_room_is_asked_with_little_and_answers_nothing_too_early() {
        let mut sequencer = Sequencer::default();
        (1..=40).for_each(|device| sequencer.change(Change::DeviceGone { device: number(device) }));
        sequencer.reply(conn(1), number(1), NewReply::of(Bytes::from_static(b"all")));
        let (waiter, mut waited) = oneshot::channel();
        sequencer.wait(waiter);
        let Turn { changes, shares, replies: refused, waiters, .. } = sequencer.take();
        sequencer.put_back(changes.into_iter().zip(shares), refused, waiters);
        assert!(sequencer.take_free_replies().is_none());
        for changes in [16, 16] {
            let turn = sequencer.take_probe();
            assert_eq!((turn.changes.len(), turn.replies.len(), turn.waiters.len()), (changes, 0, 0));
        }
        let last = sequencer.take_probe();
        assert_eq!((last.changes.len(), last.replies.len(), last.waiters.len()), (8, 1, 1));
        drop(last);
        assert!(waited.try_recv().is_err());
        assert!(sequencer.is_empty());
    }
}
