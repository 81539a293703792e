//! What is durable: where each line stands in the log, as the store itself knows it.

use crate::trace::Token;
use std::collections::BTreeMap;

/// The place of a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Spot {
    /// The history: 0 unless the store forgets at a crash.
    pub(crate) epoch: u32,
    /// The room's number.
    pub(crate) room: u64,
    /// The entry's number.
    pub(crate) seq: u64,
    /// When it became durable, in simulated microseconds.
    pub(crate) at: u64,
}

/// All lines that are durable.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    spots: BTreeMap<Token, Vec<Spot>>,
    heads: BTreeMap<(u32, u64), u64>,
    /// The lines of each room in the present history.
    rooms: BTreeMap<u64, Vec<Option<Token>>>,
    epoch: u32,
    entries: u64,
}

impl Truth {
    /// An entry became durable. What is wrong with that, if something is.
    pub(crate) fn add(&mut self, token: Option<Token>, room: u64, seq: u64, at: u64) -> Option<String> {
        let epoch = self.epoch;
        self.entries += 1;
        let head = self.heads.entry((epoch, room)).or_default();
        let gapless = seq == *head + 1;
        *head = seq;
        if !gapless {
            return Some(format!("entry {seq} of room {room} does not follow the one before it"));
        }
        self.rooms.entry(room).or_default().push(token);
        let spots = self.spots.entry(token?).or_default();
        spots.push(Spot { epoch, room, seq, at });
        (spots.len() > 1).then(|| {
            format!("{} is in the log twice: {spots:?}", token.map(|t| t.to_string()).unwrap_or_default())
        })
    }

    /// Everything is lost, and a new history begins.
    pub(crate) fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.rooms.clear();
    }

    /// The lines of a room that lie between two entries.
    pub(crate) fn between(&self, room: u64, after: u64, before: u64) -> Vec<Token> {
        let lines = self.rooms.get(&room).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(lines.len());
        let to = usize::try_from(before.saturating_sub(1)).unwrap_or(usize::MAX).clamp(from, lines.len());
        lines[from..to].iter().flatten().copied().collect()
    }

    /// The lines of each room.
    pub(crate) fn rooms(&self) -> &BTreeMap<u64, Vec<Option<Token>>> {
        &self.rooms
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// Whether a line is, or ever was, in the log.
    pub(crate) fn has(&self, token: Token) -> bool {
        self.spots.contains_key(&token)
    }

    /// Where a line stands.
    pub(crate) fn spot(&self, token: Token) -> Option<Spot> {
        self.spots.get(&token)?.last().copied()
    }

    /// The newest entry of a room in the present history.
    pub(crate) fn head(&self, room: u64) -> u64 {
        self.heads.get(&(self.epoch, room)).copied().unwrap_or(0)
    }
}
