//! The queue of searches: whoever searched for less time lately is served first, and short searches wait for no long one.
//!
//! There are three lanes, with one search at a time each. A search is tried in the **short** one, for a few milliseconds;
//! if that was not enough it is made again in the **long** one, which rests after each as long as that took: at most
//! half a core is spent there. New people have a long lane of their own, which rests nine times as long: a secret costs
//! nothing, and all of them together take no more than a tenth of a core from those who are known. Whoever searched for
//! long a while goes to the long lane at once. So strangers with slow searches wait for each other, and a person with
//! sixteen connections waits for themself.
//!
//! A payer's time is kept as the moment at which it is paid off, as in [`crate::rate`]. A person stands in a lane once,
//! at that moment or at the one when they came, whichever is later: those who owe nothing are served as they came. What
//! one of the new people owes, all of them owe.

use crate::clock::{Clock, Steady};
use crate::rate::Payer;
use crate::store::{Hits, Query, Store, StoreError};
use protocol::id::PersonId;
use protocol::limits::{LONG_SEARCHES_MS, MAX_SEARCHES_WAITING, SEARCH_MS, SEARCH_SHARE, SHORT_SEARCH_MS};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Payers whose time is kept; beyond it those who owe nothing are forgotten.
const MAX_PAYERS: usize = 100_000;

/// What became of a search.
#[derive(Debug)]
pub enum Searched {
    /// It was made. It took too long if it is cut and nothing was found.
    Done(Hits),
    /// Its person has as many waiting as one may have.
    TooMany,
    /// Nobody waits for it any more.
    Unwanted,
}

/// The queue. Clones share it.
#[derive(Clone, Debug)]
pub struct SearchQueue {
    lanes: Arc<Mutex<Lanes>>,
    clock: Arc<dyn Clock>,
}

impl SearchQueue {
    /// An empty queue.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { lanes: Arc::default(), clock }
    }

    /// Makes a search of this person when it is their turn; their time is put down to these payers and to them.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn search<St: Store>(
        &self,
        store: &St,
        person: PersonId,
        mut payers: Vec<Payer>,
        query: Query,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Searched, StoreError> {
        // Who is exempt from rates waits for their turn all the same.
        if payers.is_empty() {
            payers.push(Payer::Person(person));
        }
        let now = self.clock.now().steady;
        let is_new = payers.contains(&Payer::NewPeople);
        let searcher = Searcher { person, is_new };
        if !self.lanes().is_long(&payers, now) {
            let short = Query { ms: SHORT_SEARCH_MS, ..query.clone() };
            match self.search_in(LaneKind::Short, store, searcher, &payers, short, &is_wanted).await? {
                Searched::Done(hits) if hits.cut => {}
                searched => return Ok(searched),
            }
        }
        let long = Query { ms: SEARCH_MS, comes_last: is_new, ..query };
        let lane = if is_new { LaneKind::LongOfNew } else { LaneKind::Long };
        self.search_in(lane, store, searcher, &payers, long, &is_wanted).await
    }

    async fn search_in<St: Store>(
        &self,
        kind: LaneKind,
        store: &St,
        searcher: Searcher,
        payers: &[Payer],
        query: Query,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Searched, StoreError> {
        let Some(turn) = self.enter(kind, searcher).await else { return Ok(Searched::TooMany) };
        if !is_wanted() {
            return Ok(Searched::Unwanted);
        }
        let begun = self.clock.now().steady;
        let hits = store.search(query).await?;
        let ended = self.clock.now().steady;
        let took = ended.since(begun);
        self.lanes().charge(payers, took, ended);
        let rest = took * kind.rests();
        if rest > 0 {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(rest)).await;
                drop(turn);
            });
        }
        Ok(Searched::Done(hits))
    }

    /// Waits for a turn; `None` if this person has as many searches waiting as one may have.
    async fn enter(&self, kind: LaneKind, searcher: Searcher) -> Option<SearchTurn> {
        let now = self.clock.now().steady;
        let entered = self.lanes().enter(kind, searcher, now);
        match entered {
            Entered::Now => {}
            // The lanes outlive whoever waits in them.
            Entered::Later(called) => called.await.ok()?,
            Entered::TooMany => return None,
        }
        Some(SearchTurn { queue: self.clone(), kind })
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // No code panics while it holds the lock.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to search; the next one is called when it is dropped.
#[derive(Debug)]
struct SearchTurn {
    queue: SearchQueue,
    kind: LaneKind,
}

impl Drop for SearchTurn {
    fn drop(&mut self) {
        let now = self.queue.clock.now().steady;
        self.queue.lanes().leave(self.kind, now);
    }
}

/// Who searches. A person is known or new for as long as they wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Searcher {
    person: PersonId,
    is_new: bool,
}

impl Searcher {
    fn payers(self) -> impl Iterator<Item = Payer> {
        [Payer::Person(self.person)].into_iter().chain(self.is_new.then_some(Payer::NewPeople))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LaneKind {
    Short,
    Long,
    LongOfNew,
}

impl LaneKind {
    /// How many times as long as a search the lane rests behind it.
    const fn rests(self) -> u64 {
        match self {
            Self::Short => 0,
            Self::Long => 1,
            Self::LongOfNew => 9,
        }
    }
}

/// How somebody enters a lane.
#[derive(Debug)]
enum Entered {
    /// It is their turn.
    Now,
    /// They are called.
    Later(oneshot::Receiver<()>),
    TooMany,
}

#[derive(Debug, Default)]
struct Lanes {
    short: Lane,
    long: Lane,
    long_of_new: Lane,
    /// When each payer's time is paid off.
    paid_at: BTreeMap<Payer, u64>,
    /// Counts those who come, so that of two who owe the same the first is served first.
    came: u64,
}

#[derive(Debug, Default)]
struct Lane {
    /// Whose turn it is.
    current: Option<Searcher>,
    /// Who else waits, in the order of their turns: each person once. Empty while it is nobody's turn.
    order: BTreeSet<(u64, u64, Searcher)>,
    /// The searches of each that wait. Invariant: none of these is empty.
    waiting: BTreeMap<Searcher, VecDeque<oneshot::Sender<()>>>,
}

impl Lanes {
    fn is_long(&self, payers: &[Payer], now: Steady) -> bool {
        // What others owe is no reason to take somebody's search for a long one.
        let is_own = |payer: &&Payer| **payer != Payer::NewPeople;
        let owes = |payer| self.paid_at.get(payer).is_some_and(|at| *at > now.0 + LONG_SEARCHES_MS);
        payers.iter().filter(is_own).any(owes)
    }

    fn charge(&mut self, payers: &[Payer], ms: u64, now: Steady) {
        for payer in payers {
            let paid_at = self.paid_at.entry(*payer).or_default();
            *paid_at = (*paid_at).max(now.0) + ms * SEARCH_SHARE;
        }
        if self.paid_at.len() > MAX_PAYERS {
            self.paid_at.retain(|_, paid_at| *paid_at > now.0);
        }
    }

    fn enter(&mut self, kind: LaneKind, searcher: Searcher, now: Steady) -> Entered {
        let waiting = |lane: &Lane| lane.waiting.get(&searcher).map_or(0, VecDeque::len);
        let lanes = [&self.short, &self.long, &self.long_of_new];
        if lanes.into_iter().map(waiting).sum::<usize>() >= MAX_SEARCHES_WAITING {
            return Entered::TooMany;
        }
        let place = self.place(searcher, now);
        let lane = self.lane(kind);
        let Some(current) = lane.current else {
            lane.current = Some(searcher);
            return Entered::Now;
        };
        let (call, called) = oneshot::channel();
        let waiting = lane.waiting.entry(searcher).or_default();
        if waiting.is_empty() && current != searcher {
            lane.order.insert(place);
        }
        waiting.push_back(call);
        Entered::Later(called)
    }

    /// A turn has ended: the next one begins.
    fn leave(&mut self, kind: LaneKind, now: Steady) {
        while let Some(searcher) = self.lane(kind).current.take() {
            let place = self.place(searcher, now);
            let lane = self.lane(kind);
            if lane.waiting.contains_key(&searcher) {
                lane.order.insert(place);
            }
            let Some((_, _, next)) = lane.order.pop_first() else { return };
            lane.current = Some(next);
            let Some(waiting) = lane.waiting.get_mut(&next) else { continue };
            let call = waiting.pop_front();
            if waiting.is_empty() {
                lane.waiting.remove(&next);
            }
            // Whoever waited may be gone: then the turn is over.
            if call.is_some_and(|call| call.send(()).is_ok()) {
                return;
            }
        }
    }

    /// Where a person stands who comes now.
    fn place(&mut self, searcher: Searcher, now: Steady) -> (u64, u64, Searcher) {
        self.came += 1;
        let paid_at = searcher.payers().filter_map(|payer| self.paid_at.get(&payer)).max();
        (paid_at.copied().unwrap_or(0).max(now.0), self.came, searcher)
    }

    fn lane(&mut self, kind: LaneKind) -> &mut Lane {
        match kind {
            LaneKind::Short => &mut self.short,
            LaneKind::Long => &mut self.long,
            LaneKind::LongOfNew => &mut self.long_of_new,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: LaneKind = LaneKind::Short;

    fn person(n: u64) -> PersonId {
        PersonId::new(n).unwrap()
    }

    fn known(n: u64) -> Searcher {
        Searcher { person: person(n), is_new: false }
    }

    fn enter(lanes: &mut Lanes, n: u64, now: u64) -> Option<oneshot::Receiver<()>> {
        enter_as(lanes, known(n), now)
    }

    fn enter_as(lanes: &mut Lanes, searcher: Searcher, now: u64) -> Option<oneshot::Receiver<()>> {
        match lanes.enter(SHORT, searcher, Steady(now)) {
            Entered::Now => None,
            Entered::Later(called) => Some(called),
            Entered::TooMany => panic!("{searcher:?} has too many"),
        }
    }

    /// Whose turns follow each other, each of which takes its person so many ms, until nobody waits.
    fn turns(lanes: &mut Lanes, ms: u64) -> Vec<u64> {
        let mut served = Vec::new();
        let mut now = 0;
        while let Some(current) = lanes.short.current {
            served.push(current.person.value());
            now += ms;
            lanes.charge(&current.payers().collect::<Vec<_>>(), ms, Steady(now));
            lanes.leave(SHORT, Steady(now));
        }
        served
    }

    #[test]
    fn one_person_with_sixteen_searches_delays_another_by_one() {
        for ms in [0, 3] {
            let mut lanes = Lanes::default();
            let _first: Vec<_> = (0..16).filter_map(|_| enter(&mut lanes, 1, 0)).collect();
            let _second: Vec<_> = (0..3).filter_map(|_| enter(&mut lanes, 2, 0)).collect();
            assert_eq!(turns(&mut lanes, ms)[..7], [1, 2, 1, 2, 1, 2, 1], "{ms} ms each");
        }
    }

    #[test]
    fn who_searched_for_long_is_served_after_those_who_did_not() {
        let mut lanes = Lanes::default();
        let _all: Vec<_> = (1..=3).filter_map(|n| enter(&mut lanes, n, 0)).collect();
        lanes.charge(&[Payer::Person(person(2))], 250, Steady(0));
        // They stand where they came; when they come again they are behind.
        assert_eq!(turns(&mut lanes, 1), [1, 2, 3]);
        let _all: Vec<_> = [1, 2, 3, 4].into_iter().filter_map(|n| enter(&mut lanes, n, 100)).collect();
        assert_eq!(turns(&mut lanes, 1), [1, 3, 4, 2]);
    }

    #[test]
    fn new_people_wait_for_each_other_and_known_ones_for_one_of_them() {
        let mut lanes = Lanes::default();
        let new = |n| Searcher { person: person(n), is_new: true };
        lanes.charge(&[Payer::NewPeople], 5, Steady(0));
        let _new: Vec<_> = (1..=4).filter_map(|n| enter_as(&mut lanes, new(n), 0)).collect();
        let _known: Vec<_> = (5..=7).filter_map(|n| enter(&mut lanes, n, 10)).collect();
        assert_eq!(turns(&mut lanes, 5), [1, 5, 6, 7, 2, 3, 4]);
        assert!(!lanes.is_long(&[Payer::NewPeople], Steady(0)), "what others owe makes no search a long one");
    }

    #[test]
    fn long_searches_are_known_by_their_person_and_by_their_address_and_forgiven() {
        let mut lanes = Lanes::default();
        let address = Payer::Network([192, 0, 2, 7].into());
        lanes.charge(&[Payer::Person(person(1)), address], 250, Steady(0));
        assert!(lanes.is_long(&[Payer::Person(person(1))], Steady(0)));
        assert!(lanes.is_long(&[Payer::Person(person(2)), address], Steady(0)));
        assert!(!lanes.is_long(&[Payer::Person(person(2))], Steady(0)));
        assert!(!lanes.is_long(&[address], Steady(250 * SEARCH_SHARE - LONG_SEARCHES_MS)));
    }

    #[test]
    fn a_person_has_so_many_searches_waiting_and_no_more() {
        let mut lanes = Lanes::default();
        let _waiting: Vec<_> = (0..=MAX_SEARCHES_WAITING).filter_map(|_| enter(&mut lanes, 1, 0)).collect();
        assert!(matches!(lanes.enter(SHORT, known(1), Steady(0)), Entered::TooMany));
        assert!(matches!(lanes.enter(LaneKind::Long, known(1), Steady(0)), Entered::TooMany));
        assert!(matches!(lanes.enter(SHORT, known(2), Steady(0)), Entered::Later(_)));
    }

    #[test]
    fn who_waits_no_more_holds_up_nobody() {
        let mut lanes = Lanes::default();
        assert!(enter(&mut lanes, 1, 0).is_none());
        let gone: Vec<_> = (0..3).map(|_| enter(&mut lanes, 2, 0)).collect();
        let mut called = enter(&mut lanes, 3, 0).unwrap();
        drop(gone);
        lanes.leave(SHORT, Steady(0));
        assert_eq!(called.try_recv(), Ok(()));
        lanes.leave(SHORT, Steady(0));
        assert_eq!(lanes.short.current, None);
        assert!(lanes.short.waiting.is_empty() && lanes.short.order.is_empty());
    }
}
