//! What the lines that a process has shown say by now, for the person who reads it.

use crate::truth::{Truth, Version};
use std::collections::BTreeMap;

/// The lines on a screen, by the log's own number of their room and by theirs.
#[derive(Debug, Default)]
pub(crate) struct Screen(BTreeMap<u64, BTreeMap<u64, Version>>);

impl Screen {
    /// A line is shown.
    pub(crate) fn show(&mut self, room: u64, seq: u64, version: Version) {
        self.0.entry(room).or_default().insert(seq, version);
    }

    /// A change of a line is shown; whether that line stands here.
    pub(crate) fn change(&mut self, room: u64, seq: u64, version: Version) -> bool {
        let line = self.0.get_mut(&room).and_then(|lines| lines.get_mut(&seq));
        line.map(|line| *line = version).is_some()
    }

    /// What a line says.
    pub(crate) fn find(&self, room: u64, seq: u64) -> Option<Version> {
        self.0.get(&room)?.get(&seq).copied()
    }

    /// What was said in a room is not followed any more.
    pub(crate) fn forget(&mut self, room: u64) {
        self.0.remove(&room);
    }

    /// Nothing from before this entry of a room is followed any more.
    pub(crate) fn trim(&mut self, room: u64, first: u64) {
        if let Some(lines) = self.0.get_mut(&room) {
            *lines = lines.split_off(&first);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// A line of a room that says something else than it does in the log.
    pub(crate) fn differs(&self, room: u64, truth: &Truth) -> Option<String> {
        let newest = |seq| truth.line(truth.epoch(), room, seq).and_then(|line| line.newest());
        let (seq, shown) = self.0.get(&room)?.iter().find(|(seq, shown)| newest(**seq) != Some(**shown))?;
        Some(format!("shows {shown:?} as entry {seq} of room {room}, the log has {:?}", newest(*seq)))
    }
}
