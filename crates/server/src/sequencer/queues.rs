//! Waiting posts, by the device that sent them: what each has waiting goes into batches in its order, and all share a
//! batch fairly.

use super::{PUT_BACK, Ticket, Waiting};
use protocol::id::DeviceNo;
use protocol::limits::{BATCH_QUANTUM, MAX_BATCH, SMALL_QUEUE};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

/// The device of a queue; `None` for the server's own entries.
pub(super) type Sender = Option<DeviceNo>;

/// All of them.
#[derive(Debug)]
pub(super) struct Queues {
    /// Invariant: no queue is empty.
    by_sender: BTreeMap<Sender, Queue>,
    /// Whose small queue was taken last: the next batch goes on behind it.
    last_small: Sender,
    /// Who was served last in the rounds of all.
    last: Sender,
    /// Bytes of one batch.
    batch: usize,
}

impl Default for Queues {
    fn default() -> Self {
        Self::new(MAX_BATCH)
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

impl Queues {
    /// Queues whose batches have about so many bytes.
    pub fn new(batch: usize) -> Self {
        Self { by_sender: BTreeMap::new(), last_small: None, last: None, batch }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.by_sender.is_empty()
    }

    /// Adds a post behind the others of its device.
    pub fn push(&mut self, ticket: Ticket, waiting: Waiting) {
        let device = waiting.entry.origin.map(|(device, _)| device);
        self.by_sender.entry(device).or_default().push(ticket, waiting);
    }

    /// Puts back entries of the server's own, in front of its others.
    pub fn put_back_own(&mut self, own: Vec<Waiting>) {
        if own.is_empty() {
            return;
        }
        let later = self.by_sender.remove(&None).unwrap_or_default();
        let mut queue = Queue::default();
        own.into_iter().for_each(|waiting| queue.push(PUT_BACK, waiting));
        later.posts.into_iter().for_each(|(ticket, waiting)| queue.push(ticket, waiting));
        self.by_sender.insert(None, queue);
    }

    /// Takes away all that a device has waiting.
    pub fn remove(&mut self, device: DeviceNo) -> VecDeque<Waiting> {
        let queue = self.by_sender.remove(&Some(device)).unwrap_or_default();
        queue.posts.into_iter().map(|(_, waiting)| waiting).collect()
    }

    /// Whether something waits that is not newer than this ticket.
    pub fn has_older(&self, sender: Sender, ticket: Ticket) -> bool {
        self.by_sender.get(&sender).is_some_and(|queue| queue.has_older(ticket))
    }

    /// Takes the posts of a batch.
    pub fn take(&mut self) -> Vec<Waiting> {
        let mut gathered = Gathered::default();
        self.take_small(&mut gathered);
        self.take_rounds(&mut gathered);
        gathered.posts
    }

    /// Takes small queues whole, and the server's own entries. They get at most half of the batch: many of them must
    /// not keep out those with more.
    fn take_small(&mut self, gathered: &mut Gathered) {
        if self.by_sender.is_empty() {
            return;
        }
        let mut small = vec![None];
        small.extend(ring(&self.by_sender, self.last_small));
        for sender in small {
            if gathered.bytes >= self.batch / 2 {
                return;
            }
            let Some(queue) = self.by_sender.get_mut(&sender) else { continue };
            if sender.is_some() && queue.bytes > SMALL_QUEUE {
                continue;
            }
            while gathered.bytes < self.batch / 2
                && let Some(waiting) = queue.pop()
            {
                gathered.push(waiting);
            }
            if queue.posts.is_empty() {
                self.by_sender.remove(&sender);
            }
            if sender.is_some() {
                self.last_small = sender;
            }
        }
    }

    /// Takes from all in rounds, a quantum of bytes of each, until the batch is full.
    fn take_rounds(&mut self, gathered: &mut Gathered) {
        let quantum = BATCH_QUANTUM.min(self.batch);
        while gathered.bytes < self.batch && !self.by_sender.is_empty() {
            for sender in ring(&self.by_sender, self.last).collect::<Vec<_>>() {
                if gathered.bytes >= self.batch {
                    return;
                }
                let Some(queue) = self.by_sender.get_mut(&sender) else { continue };
                queue.credit += quantum;
                while let Some(weight) = queue.first_weight().filter(|weight| *weight <= queue.credit)
                    && let Some(waiting) = queue.pop()
                {
                    queue.credit -= weight;
                    gathered.push(waiting);
                }
                if queue.posts.is_empty() {
                    self.by_sender.remove(&sender);
                }
                self.last = sender;
            }
        }
    }
}

/// Who has posts waiting, beginning behind `last`.
fn ring(queues: &BTreeMap<Sender, Queue>, last: Sender) -> impl Iterator<Item = Sender> {
    let behind = queues.range((Excluded(last), Unbounded));
    behind.chain(queues.range(..=last)).map(|(sender, _)| *sender)
}

#[cfg(test)]
mod tests {
    use super::super::tests::post;
    use super::super::{Sequencer, Turn};
    use super::*;
    use protocol::limits::MAX_BODY;

    fn devices(turn: &Turn) -> Vec<u64> {
        let origins = turn.posts.iter().filter_map(|waiting| waiting.entry.origin);
        origins.map(|(device, _)| device.value()).collect()
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
