//! The limits of a running server. Those of the protocol, unless a test or a simulation hands in smaller ones.

use crate::bounds::ConnectionBounds;
use crate::rate::{LocalAddresses, RateTable};
use protocol::limits::rates::MAX_HOLD_MS;
use protocol::limits::{
    MAX_BATCH, MAX_CONTROL, MAX_PAGE, MAX_PEOPLE, MAX_PROVISIONAL, MAX_ROOMS, MAX_ROOMS_PER_PERSON,
    MAX_UNANSWERED, MAX_UNASKED, WINDOW_BYTES, WINDOW_POSTS,
};

/// What a server takes from its clients.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Whether programs on this machine are free of rates and of counts per address.
    pub local: LocalAddresses,
    /// How many connections, half frames and devices there may be.
    pub connections: ConnectionBounds,
    /// How fast things may come.
    pub rates: RateTable,
    /// For how long a native client that is too fast is held before it is refused, in ms.
    pub max_hold_ms: u64,
    /// Bytes of posts and requests of one connection that may wait; told in `Welcome`.
    pub window_bytes: u32,
    /// Posts and requests of one connection that may wait; told in `Welcome`.
    pub window_posts: u16,
    /// Bytes of answers that may wait for one connection; beyond that it is not read.
    pub max_control: usize,
    /// Bytes of what a connection was told unasked that may wait for it; beyond that it is ended.
    pub max_unasked: usize,
    /// How many people and rooms there may be.
    pub bounds: Bounds,
    /// How much is done or kept at once.
    pub portions: Portions,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            local: LocalAddresses::default(),
            connections: ConnectionBounds::default(),
            rates: RateTable::default(),
            max_hold_ms: u64::from(MAX_HOLD_MS),
            window_bytes: WINDOW_BYTES,
            window_posts: WINDOW_POSTS,
            max_control: MAX_CONTROL,
            max_unasked: MAX_UNASKED,
            bounds: Bounds::default(),
            portions: Portions::default(),
        }
    }
}

/// Bytes of blocks that a room keeps for readers that lag a little.
const TAIL_BYTES: usize = 1 << 20;

/// Blocks that a room keeps: small ones cost more than their bytes.
const TAIL_BLOCKS: usize = 1_024;

/// How much is done or kept at once: no promise depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Portions {
    /// Bytes of the newest entries that a room keeps in memory; readers behind them are given what the store has.
    pub tail_bytes: usize,
    /// Blocks of the same.
    pub tail_blocks: usize,
    /// Bytes of posts of one batch.
    pub batch: usize,
    /// Elements of one page of rooms or people.
    pub page: usize,
}

impl Default for Portions {
    fn default() -> Self {
        Self { tail_bytes: TAIL_BYTES, tail_blocks: TAIL_BLOCKS, batch: MAX_BATCH, page: MAX_PAGE }
    }
}

/// How many there may be, so that strangers can't use a server up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// People that are stored.
    pub people: usize,
    /// People that are only remembered.
    pub provisional: usize,
    /// Rooms that somebody is in.
    pub rooms: usize,
    /// Rooms that one person is in, without those that wait for a first word of theirs.
    pub rooms_per_person: usize,
    /// Conversations of others that wait for somebody's first word.
    pub unanswered: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            people: MAX_PEOPLE,
            provisional: MAX_PROVISIONAL,
            rooms: MAX_ROOMS,
            rooms_per_person: MAX_ROOMS_PER_PERSON,
            unanswered: MAX_UNANSWERED,
        }
    }
}
