//! Places for connections: how many there are, how many one address may have, and who leaves when all are taken.
//!
//! A connection is a stranger's until it is logged in. When every place is taken, a newcomer gets that of the stranger who
//! came first from the address with the most strangers: whoever floods the server makes room for others.

use crate::origin::Origin;
use protocol::code::Code;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// All places.
#[derive(Debug)]
pub struct Places {
    most: usize,
    per_address: usize,
    state: Mutex<State>,
}

/// Invariant: `open` is the sum over `origins`, without those who were asked to leave.
#[derive(Debug, Default)]
struct State {
    open: usize,
    origins: BTreeMap<Origin, Group>,
    last: u64,
}

/// The connections of one origin. Invariant: strangers.len() <= open.
#[derive(Debug, Default)]
struct Group {
    open: usize,
    /// Strangers by their age, the oldest first.
    strangers: BTreeMap<u64, Arc<Notify>>,
}

impl State {
    fn leave(&mut self, origin: Origin, id: u64) {
        let Some(group) = self.origins.get_mut(&origin) else { return };
        group.strangers.remove(&id);
        group.open -= 1;
        self.open -= 1;
        if group.open == 0 {
            self.origins.remove(&origin);
        }
    }

    /// Makes a stranger leave who came from where more of them came from than from this origin.
    fn make_room(&mut self, origin: Origin) -> bool {
        let own = self.origins.get(&origin).map_or(0, |group| group.strangers.len());
        let crowd = self.origins.iter().max_by_key(|(_, group)| group.strangers.len());
        let Some((crowd, group)) = crowd.filter(|(_, group)| group.strangers.len() > own) else {
            return false;
        };
        let (crowd, oldest) = (*crowd, group.strangers.iter().next().map(|(id, leave)| (*id, leave.clone())));
        let Some((id, leave)) = oldest else { return false };
        leave.notify_one();
        self.leave(crowd, id);
        true
    }
}

impl Places {
    /// So many places, of which one address may have so many.
    pub fn new(most: usize, per_address: usize) -> Self {
        Self { most, per_address, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; if one did, the worst would be a place too few.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Places that are taken.
    pub fn open(&self) -> usize {
        self.state().open
    }

    /// Takes a place for a stranger, whose address may be exempt from what one may have.
    ///
    /// # Errors
    /// [`Code::AddressFull`] and [`Code::ServerFull`].
    pub fn enter(self: &Arc<Self>, origin: Origin, is_exempt: bool) -> Result<Place, Code> {
        let mut state = self.state();
        let of_origin = state.origins.get(&origin).map_or(0, |group| group.open);
        if of_origin >= self.per_address && !is_exempt {
            return Err(Code::AddressFull);
        }
        if state.open >= self.most && !state.make_room(origin) {
            return Err(Code::ServerFull);
        }
        state.open += 1;
        state.last += 1;
        let (id, leave) = (state.last, Arc::new(Notify::new()));
        let group = state.origins.entry(origin).or_default();
        group.open += 1;
        group.strangers.insert(id, leave.clone());
        drop(state);
        let (is_stranger, is_new) = (Mutex::new(true), AtomicBool::new(false));
        Ok(Place { places: self.clone(), origin, id, leave, is_stranger, is_new })
    }
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    origin: Origin,
    id: u64,
    leave: Arc<Notify>,
    /// Whether it was a stranger's when that was looked at last: it may have been asked to leave since.
    is_stranger: Mutex<bool>,
    is_new: AtomicBool,
}

impl Place {
    /// Whether somebody new is logged in on its connection.
    pub fn is_new(&self) -> bool {
        self.is_new.load(Ordering::Relaxed)
    }

    /// Whoever logged in is new, or is not.
    pub fn set_new(&self, is_new: bool) {
        self.is_new.store(is_new, Ordering::Relaxed);
    }

    /// Its connection is logged in and stays; false if it was asked to leave before.
    pub fn admit(&self) -> bool {
        let mut is_stranger = self.is_stranger.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_stranger {
            return true;
        }
        let mut state = self.places.state();
        let group = state.origins.get_mut(&self.origin);
        let is_admitted = group.is_some_and(|group| group.strangers.remove(&self.id).is_some());
        *is_stranger = !is_admitted;
        is_admitted
    }

    /// Its connection is not logged in any more: it may be asked to leave.
    pub fn linger(&self) {
        let mut is_stranger = self.is_stranger.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *is_stranger, true)
            && let Some(group) = self.places.state().origins.get_mut(&self.origin)
        {
            group.strangers.insert(self.id, self.leave.clone());
        }
    }

    /// Returns when its connection is to leave.
    pub async fn asked_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let is_stranger = *self.is_stranger.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.places.state();
        let group = state.origins.get(&self.origin);
        // The place of one who was asked to leave was given away already.
        if !is_stranger || group.is_some_and(|group| group.strangers.contains_key(&self.id)) {
            state.leave(self.origin, self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: [u8; 4]) -> Origin {
        Origin::of(address.into())
    }

    fn places(most: usize, per_address: usize) -> Arc<Places> {
        Arc::new(Places::new(most, per_address))
    }

    #[test]
    fn an_address_has_so_many_connections_unless_it_is_exempt() {
        let places = places(100, 3);
        let (far, near) = (origin([192, 0, 2, 7]), origin([127, 0, 0, 1]));
        let mut open: Vec<_> = (0..3).map(|_| places.enter(far, false).unwrap()).collect();
        assert_eq!(places.enter(far, false).unwrap_err(), Code::AddressFull);
        let _near: Vec<_> = (0..20).map(|_| places.enter(near, true).unwrap()).collect();
        open.pop();
        assert!(places.enter(far, false).is_ok(), "one has left");
    }

    #[tokio::test]
    async fn a_newcomer_gets_the_place_of_the_first_stranger_of_the_crowd() {
        let places = places(4, 10);
        let (crowd, alone) = (origin([192, 0, 2, 1]), origin([192, 0, 2, 2]));
        let admitted = places.enter(crowd, false).unwrap();
        assert!(admitted.admit());
        let strangers: Vec<_> = (0..3).map(|_| places.enter(crowd, false).unwrap()).collect();
        assert_eq!(places.enter(crowd, false).unwrap_err(), Code::ServerFull, "the crowd gets no more");
        let newcomer = places.enter(alone, false).unwrap();
        strangers[0].asked_to_leave().await;
        assert!(!strangers[0].admit(), "it is too late");
        assert!(strangers[1].admit() && newcomer.admit());
        assert_eq!(places.open(), 4);
        drop(strangers);
        assert_eq!(places.open(), 2, "a place that was given away is not given back");
    }

    #[test]
    fn who_is_logged_in_is_not_asked_to_leave() {
        let places = places(2, 10);
        let (one, other) = (origin([192, 0, 2, 1]), origin([192, 0, 2, 2]));
        let open: Vec<_> = (0..2).map(|_| places.enter(one, false).unwrap()).collect();
        assert!(open.iter().all(Place::admit));
        assert_eq!(places.enter(other, false).unwrap_err(), Code::ServerFull);
        open[0].linger();
        assert!(places.enter(other, false).is_ok(), "its session has ended");
    }
}
