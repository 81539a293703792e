//! The sequencer: accepted posts wait here until the store is free, and then go to it as one batch.
//!
//! The wait for the store forms the batch, so an idle server adds no delay and a busy one gets cheaper per
//! post. Devices share a batch by deficit round robin (Shreedhar and Varghese, SIGCOMM 1995): the next batch goes
//! on behind the device that was served last, and a device with little waiting is in the next batch, so that one
//! that floods delays nobody else. Everything that is queued has a ticket, and a reply waits for what it confirms:
//! the posts of its device and the changes with older tickets, and the earlier replies to its connection.

use crate::conn::{Conn, ConnId, Held};
use crate::store::{Batch, Change, NewEntry};
use bytes::Bytes;
use protocol::code::Code;
use protocol::id::DeviceNo;
use protocol::limits::{BATCH_QUANTUM, MAX_BATCH, SMALL_QUEUE};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
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
    /// It waits for older posts of this device, and of the server.
    device: DeviceNo,
    ticket: Ticket,
    /// Whether it waits for older changes too.
    after_changes: bool,
    /// What is answered to a request in its place when the store has no room.
    refusal: Option<Refused>,
}

/// What is said in the place of a reply when the store has no room for what it confirms.
#[derive(Debug)]
pub struct Refused {
    /// At once.
    pub now: Bytes,
    /// When there was room after all, if there is anything to tell then.
    pub later: Option<Bytes>,
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

/// The posts of one device.
#[derive(Debug, Default)]
struct Queue {
    posts: VecDeque<(Ticket, Waiting)>,
    /// Invariant: the sum of their weights.
    bytes: usize,
    /// Bytes of its rounds that it has not used yet. Invariant: less than the weight of its first post between turns.
    credit: usize,
}

impl Queue {
    fn push(&mut self, ticket: Ticket, waiting: Waiting) {
        self.bytes += waiting.entry.weight();
        self.posts.push_back((ticket, waiting));
    }

    fn pop(&mut self) -> Option<Waiting> {
        let (_, waiting) = self.posts.pop_front()?;
        self.bytes -= waiting.entry.weight();
        Some(waiting)
    }

    fn first_weight(&self) -> Option<usize> {
        self.posts.front().map(|(_, waiting)| waiting.entry.weight())
    }

    fn has_older(&self, ticket: Ticket) -> bool {
        self.posts.front().is_some_and(|(first, _)| *first <= ticket)
    }
}

/// The device of a queue; `None` for the server's own entries.
type Sender = Option<DeviceNo>;

/// What waits for the next turn.
#[derive(Debug, Default)]
pub struct Sequencer {
    /// Posts by who sent them. No queue is empty.
    queues: BTreeMap<Sender, Queue>,
    /// Whose small queue was taken last: the next batch goes on behind it.
    last_small: Sender,
    /// Who was served last in the rounds of all.
    last: Sender,
    /// In the order of their tickets.
    changes: VecDeque<(Ticket, Change)>,
    replies: VecDeque<Reply>,
    waiters: Vec<(Ticket, Waiter)>,
    /// Changes that were ever added.
    changes_added: u64,
    /// The newest ticket.
    ticket: Ticket,
}

/// The posts of a turn as they are gathered.
#[derive(Debug, Default)]
struct Gathered {
    posts: Vec<Waiting>,
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.entry.weight();
        self.posts.push(waiting);
    }
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
        let ticket = self.next_ticket();
        self.queues.entry(device).or_default().push(ticket, waiting);
    }

    /// Adds a change.
    pub fn change(&mut self, change: Change) {
        let ticket = self.next_ticket();
        self.changes_added += 1;
        self.changes.push_back((ticket, change));
    }

    /// How many changes were ever added. They are stored in this order.
    pub fn changes_added(&self) -> u64 {
        self.changes_added
    }

    /// Adds a reply to a session of this device: it confirms all its posts, the server's entries and all changes
    /// that were added before.
    pub fn reply(&mut self, conn: Arc<Conn>, device: DeviceNo, bytes: Bytes, refusal: Option<Refused>) {
        let ticket = self.ticket;
        self.replies.push_back(Reply { conn, bytes, device, ticket, after_changes: true, refusal });
    }

    /// Adds a reply that confirms no change, only posts.
    pub fn reply_to_posts(&mut self, conn: Arc<Conn>, device: DeviceNo, bytes: Bytes) {
        let ticket = self.ticket;
        self.replies.push_back(Reply { conn, bytes, device, ticket, after_changes: false, refusal: None });
    }

    /// Tells somebody when all changes that were added before are committed.
    pub fn wait(&mut self, waiter: Waiter) {
        self.waiters.push((self.ticket, waiter));
    }

    /// Puts back changes that the store could not take, in front of all others.
    pub fn put_back(&mut self, changes: Vec<Change>, replies: Vec<Reply>, waiters: Vec<Waiter>) {
        let put_back = |change| (PUT_BACK, change);
        self.changes = changes.into_iter().map(put_back).chain(self.changes.drain(..)).collect();
        self.replies = replies.into_iter().chain(self.replies.drain(..)).collect();
        self.waiters.splice(0..0, waiters.into_iter().map(|waiter| (PUT_BACK, waiter)));
    }

    /// Refuses all requests whose replies wait for changes: nobody knows when there will be room for them.
    pub fn refuse_requests(&mut self) -> Vec<(Arc<Conn>, Bytes)> {
        let mut refused = Vec::new();
        self.replies.retain_mut(|reply| {
            let Some(Refused { now, later }) = reply.refusal.take() else { return true };
            refused.push((reply.conn.clone(), now));
            let is_told = later.is_some();
            later.into_iter().for_each(|later| reply.bytes = later);
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
        if own.is_empty() {
            return;
        }
        let later = self.queues.remove(&None).unwrap_or_default();
        let mut queue = Queue::default();
        own.into_iter().for_each(|waiting| queue.push(PUT_BACK, waiting));
        later.posts.into_iter().for_each(|(ticket, waiting)| queue.push(ticket, waiting));
        self.queues.insert(None, queue);
    }

    /// Takes away what a device has waiting: something before it was refused.
    pub fn drop_device(&mut self, device: DeviceNo) -> VecDeque<Waiting> {
        let queue = self.queues.remove(&Some(device)).unwrap_or_default();
        queue.posts.into_iter().map(|(_, waiting)| waiting).collect()
    }

    /// The next turn: at most about [`MAX_BATCH`] bytes of posts, in turns by device, and all changes.
    pub fn take(&mut self) -> Turn {
        let changes = self.changes.drain(..).map(|(_, change)| change).collect();
        let posts = self.take_posts();
        Turn { posts, changes, replies: self.take_replies(), waiters: self.take_waiters(), is_probe: false }
    }

    /// The next turn for a store that had no room: a few changes, and posts once no change waits. What waits may be
    /// much, and a store that still has no room would be given all of it again and again.
    pub fn take_probe(&mut self) -> Turn {
        let few = self.changes.len().min(PROBE);
        let changes = self.changes.drain(..few).map(|(_, change)| change).collect();
        // A post may need a change that was made before it.
        let posts = if self.changes.is_empty() { self.take_posts() } else { Vec::new() };
        Turn { posts, changes, replies: self.take_replies(), waiters: self.take_waiters(), is_probe: true }
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

    fn take_posts(&mut self) -> Vec<Waiting> {
        let mut gathered = Gathered::default();
        self.take_small(&mut gathered);
        self.take_rounds(&mut gathered);
        gathered.posts
    }

    /// Takes small queues whole, and the server's own entries. They get at most half of the batch: many of them must
    /// not keep out those with more.
    fn take_small(&mut self, gathered: &mut Gathered) {
        if self.queues.is_empty() {
            return;
        }
        let mut small = vec![None];
        small.extend(ring(&self.queues, self.last_small));
        for sender in small {
            if gathered.bytes >= MAX_BATCH / 2 {
                return;
            }
            let Some(queue) = self.queues.get_mut(&sender) else { continue };
            if sender.is_some() && queue.bytes > SMALL_QUEUE {
                continue;
            }
            while gathered.bytes < MAX_BATCH / 2
                && let Some(waiting) = queue.pop()
            {
                gathered.push(waiting);
            }
            if queue.posts.is_empty() {
                self.queues.remove(&sender);
            }
            if sender.is_some() {
                self.last_small = sender;
            }
        }
    }

    /// Takes from all in rounds, a quantum of bytes of each, until the batch is full.
    fn take_rounds(&mut self, gathered: &mut Gathered) {
        while gathered.bytes < MAX_BATCH && !self.queues.is_empty() {
            for sender in ring(&self.queues, self.last).collect::<Vec<_>>() {
                if gathered.bytes >= MAX_BATCH {
                    return;
                }
                let Some(queue) = self.queues.get_mut(&sender) else { continue };
                queue.credit += BATCH_QUANTUM;
                while let Some(weight) = queue.first_weight().filter(|weight| *weight <= queue.credit)
                    && let Some(waiting) = queue.pop()
                {
                    queue.credit -= weight;
                    gathered.push(waiting);
                }
                if queue.posts.is_empty() {
                    self.queues.remove(&sender);
                }
                self.last = sender;
            }
        }
    }

    /// Replies to what is in this turn or was in an earlier one. Those to one connection stay in their order.
    fn take_replies(&mut self) -> Vec<Reply> {
        let mut behind: BTreeSet<ConnId> = BTreeSet::new();
        let (mut free, mut waiting) = (Vec::new(), VecDeque::new());
        for reply in self.replies.drain(..) {
            let older = |sender: Sender| self.queues.get(&sender).is_some_and(|q| q.has_older(reply.ticket));
            let change = self.changes.front().is_some_and(|(first, _)| *first <= reply.ticket);
            let waits = behind.contains(&reply.conn.id)
                || older(Some(reply.device))
                || reply.after_changes && (change || older(None));
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
        let first = self.changes.front().map(|(first, _)| *first);
        let is_free = |waiter: &mut (Ticket, Waiter)| first.is_none_or(|first| first > waiter.0);
        self.waiters.extract_if(.., is_free).map(|(_, waiter)| waiter).collect()
    }
}

/// Who has posts waiting, beginning behind `last`.
fn ring(queues: &BTreeMap<Sender, Queue>, last: Sender) -> impl Iterator<Item = Sender> {
    let behind = queues.range((Excluded(last), Unbounded));
    behind.chain(queues.range(..=last)).map(|(sender, _)| *sender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::entry::EntryKind;
    use protocol::id::{Counter, Millis, RoomId};
    use protocol::limits::MAX_BODY;

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

    fn post(device: u64, counter: u64, bytes: usize) -> Waiting {
        let mut waiting = topic("");
        waiting.entry.kind = EntryKind::Text;
        waiting.entry.body = Bytes::from(vec![b'x'; bytes]);
        waiting.entry.origin = Some((number(device), Counter::new(counter).unwrap()));
        waiting
    }

    fn number(device: u64) -> DeviceNo {
        DeviceNo::new(device).unwrap()
    }

    fn conn(id: u64) -> Arc<Conn> {
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        Arc::new(Conn::new(ConnId(id), peer, Box::pin(tokio::io::sink()), crate::clock::Steady(0)))
    }

    fn devices(turn: &Turn) -> Vec<u64> {
        let origins = turn.posts.iter().filter_map(|waiting| waiting.entry.origin);
        origins.map(|(device, _)| device.value()).collect()
    }

    fn replies(turn: &Turn) -> Vec<&[u8]> {
        turn.replies.iter().map(|reply| &*reply.bytes).collect()
    }

    #[test]
    fn with_more_large_posts_than_a_batch_holds_the_newest_devices_are_served() {
        let mut sequencer = Sequencer::default();
        let mut served = BTreeMap::<u64, usize>::new();
        for turn in 0..13 {
            for device in 1..=65 {
                sequencer.push(post(device, turn + 1, MAX_BODY));
            }
            devices(&sequencer.take()).into_iter().for_each(|device| *served.entry(device).or_default() += 1);
        }
        let counts = served.values().copied();
        assert_eq!(served.len(), 65);
        assert!(counts.clone().max().unwrap() - counts.min().unwrap() <= 1, "{served:?}");
    }

    #[test]
    fn a_device_with_little_waiting_is_in_the_next_batch() {
        let mut sequencer = Sequencer::default();
        for counter in 1..=16 {
            (1..=300).for_each(|device| sequencer.push(post(device, counter, MAX_BODY)));
        }
        (301..=400).for_each(|device| sequencer.push(post(device, 1, 100)));
        let first = devices(&sequencer.take());
        assert!((301..=400).all(|device| first.contains(&device)), "{first:?}");
        assert!(first.iter().filter(|device| **device <= 300).count() > 50, "and the others go on");
    }

    #[test]
    fn a_reply_does_not_wait_for_posts_of_others() {
        let mut sequencer = Sequencer::default();
        for counter in 1..=200 {
            sequencer.push(post(1, counter, MAX_BODY));
        }
        sequencer.change(Change::DeviceGone { device: number(9) });
        sequencer.reply(conn(1), number(1), Bytes::from_static(b"one"), None);
        sequencer.reply(conn(2), number(2), Bytes::from_static(b"two"), None);
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
        sequencer.reply(conn.clone(), number(1), Bytes::from_static(b"a"), None);
        sequencer.reply_to_posts(conn.clone(), number(2), Bytes::from_static(b"b"));
        assert!(replies(&sequencer.take()).is_empty());
        assert_eq!(replies(&sequencer.take()), [b"a", b"b"]);
    }

    #[test]
    fn a_store_without_room_is_asked_with_little_and_answers_nothing_too_early() {
        let mut sequencer = Sequencer::default();
        (1..=40).for_each(|device| sequencer.change(Change::DeviceGone { device: number(device) }));
        sequencer.reply(conn(1), number(1), Bytes::from_static(b"all"), None);
        let (waiter, mut waited) = oneshot::channel();
        sequencer.wait(waiter);
        let Turn { changes, replies: refused, waiters, .. } = sequencer.take();
        sequencer.put_back(changes, refused, waiters);
        sequencer.reply_to_posts(conn(2), number(2), Bytes::from_static(b"none"));
        assert_eq!(replies(&sequencer.take_free_replies().unwrap()), [b"none"]);
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

    /// What each device has waiting, and how often it was passed over.
    #[derive(Default)]
    struct Naive {
        waiting: BTreeMap<u64, VecDeque<(u64, usize)>>,
        served: BTreeMap<u64, usize>,
    }

    proptest::proptest! {
        /// Random queues against a naive model: nothing is lost, doubled or overtaken, and of devices that always have
        /// much waiting none gets ahead of another by more than two quanta.
        #[test]
        fn devices_share_batches_fairly_and_in_their_order(
            rounds in proptest::collection::vec(
                proptest::collection::vec((1_u64..30, 1_usize..MAX_BODY, 1_u64..40), 0..20), 1..12,
            )
        ) {
            let (mut sequencer, mut naive) = (Sequencer::default(), Naive::default());
            let mut counters = BTreeMap::<u64, u64>::new();
            let mut push = |sequencer: &mut Sequencer, naive: &mut Naive, device: u64, bytes: usize| {
                let counter = counters.entry(device).or_default();
                *counter += 1;
                let waiting = post(device, *counter, bytes);
                naive.waiting.entry(device).or_default().push_back((*counter, waiting.entry.weight()));
                sequencer.push(waiting);
            };
            for pushes in rounds {
                for (device, bytes, times) in pushes {
                    (0..times).for_each(|_| push(&mut sequencer, &mut naive, device, bytes));
                }
                for device in 100..=102 {
                    while naive.waiting.get(&device).map_or(0, |q| q.iter().map(|(_, weight)| weight).sum()) < 2 * MAX_BATCH {
                        push(&mut sequencer, &mut naive, device, MAX_BODY - usize::try_from(device - 100).unwrap() * 5_000);
                    }
                }
                let turn = sequencer.take();
                let bytes: usize = turn.posts.iter().map(|waiting| waiting.entry.weight()).sum();
                proptest::prop_assert!((MAX_BATCH..MAX_BATCH + 2 * BATCH_QUANTUM).contains(&bytes));
                for waiting in turn.posts {
                    let (device, counter) = waiting.entry.origin.unwrap();
                    let queue = naive.waiting.get_mut(&device.value()).unwrap();
                    let expected = queue.pop_front().unwrap();
                    proptest::prop_assert_eq!((counter.value(), waiting.entry.weight()), expected);
                    *naive.served.entry(device.value()).or_default() += waiting.entry.weight();
                }
                let much = || (100..=102).map(|device| naive.served.get(&device).copied().unwrap_or(0));
                proptest::prop_assert!(much().max().unwrap() - much().min().unwrap() <= 2 * BATCH_QUANTUM);
            }
            let mut left = naive.waiting.values().map(VecDeque::len).sum::<usize>();
            while left > 0 {
                let turn = sequencer.take();
                proptest::prop_assert!(!turn.posts.is_empty());
                left -= turn.posts.len();
            }
            proptest::prop_assert!(sequencer.is_empty());
        }
    }
}
