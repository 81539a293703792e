//! What one client has seen, and what it may see next.

use crate::net::Wire;
use crate::presence::{Lobby, Own};
use crate::screen::Screen;
use crate::trace::Token;
use crate::truth::{Spot, Truth};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The sight of one client, over all its processes.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// Its process runs.
    pub(crate) running: bool,
    /// It has logged in and not lost its connection since, as far as it knows.
    pub(crate) online: bool,
    /// The number of its person, if it ever logged in as one that has a secret.
    pub(crate) person: Option<u64>,
    /// The number of its device.
    pub(crate) device: Option<u64>,
    /// The name that it goes by.
    pub(crate) name: String,
    /// The number that is shown next in each room, by the log's own number of the room.
    next: BTreeMap<u64, Next>,
    /// Rooms that it has left, and its user was not shown that yet.
    left: BTreeSet<u64>,
    /// The room that each name stood for when something was last shown there: names change.
    places: BTreeMap<String, u64>,
    /// The rooms that each name ever stood for, as the server said.
    names: BTreeMap<String, BTreeSet<u64>>,
    /// What its process has shown.
    pub(crate) screen: Screen,
    /// The newest line of somebody else that its process has shown, by room.
    pub(crate) others: BTreeMap<u64, u64>,
    /// When its user asked what was said before, for each answer that has not come, in microseconds.
    pub(crate) asked: VecDeque<u64>,
    /// The history of what was shown.
    pub(crate) epoch: u32,
    /// The newest entry that was shown, by the log's own number of the room.
    pub(crate) heads: BTreeMap<u64, u64>,
    /// Names of its rooms and of the people that it knows.
    pub(crate) rooms: Arc<[String]>,
    pub(crate) people: Arc<[String]>,
    /// Names of the people with whom it has talked: it goes on knowing them.
    pub(crate) peers: BTreeSet<String>,
    /// The newest answer to `/who`.
    pub(crate) who: Option<Vec<String>>,
    /// The entry that comes next in each room that is open on its connection, by the log's own number of the room.
    pub(crate) open: BTreeMap<u64, u64>,
    /// How far each room is read, as the server said last, by the log's own number of the room.
    /// With the time since which its person is there, and when it was told, in microseconds.
    pub(crate) marks: BTreeMap<(u32, u64), (Option<u64>, u64, u64)>,
    /// How its person is, by what they did.
    pub(crate) own: Own,
    /// Who is in the first room, as its connection was told.
    pub(crate) lobby: Lobby,
    /// The line that it says once all is healed.
    pub(crate) last_line: Option<Token>,
    /// Lines shown.
    pub(crate) shown: u64,
    /// Bytes that it read on its connections for files.
    pub(crate) bulk_bytes: u64,
    /// Of a classic client: the lobby's head when it was greeted, and the newest entry that it was shown.
    pub(crate) classic: Option<(u64, u64)>,
    /// Its link is narrow, or its user looks away: it may be late at any time.
    pub(crate) slow: bool,
    /// Something went wrong with its link or the server since it logged in, or while it did.
    hindered: bool,
    /// When something last did, in microseconds.
    hindered_at: u64,
    /// Rooms of which it is shown what is new at once.
    live: BTreeSet<u64>,
    /// It is a script that remembers nothing of what it sent.
    pub(crate) forgetful: bool,
    /// How often it came as a guest.
    pub(crate) visits: u64,
    /// What its device has on the wire.
    pub(crate) wire: Wire,
    /// Attempts to connect lately.
    connects: Vec<u64>,
}

/// What may be shown next in a room.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// Exactly this.
    Exactly(u64),
    /// This or something before it: a crash may have lost how far it was shown.
    AtMost(u64),
}

impl Sight {
    /// Whether an entry that is shown now leaves out what this client has not shown before.
    pub(crate) fn skips(&self, room: u64, seq: u64) -> bool {
        matches!(self.next.get(&room), Some(Next::AtMost(next)) if *next < seq)
    }

    /// A room has this name.
    pub(crate) fn learn_name(&mut self, place: &str, room: u64) {
        self.names.entry(place.to_owned()).or_default().insert(room);
    }

    /// The rooms that a name may stand for.
    pub(crate) fn rooms_named(&self, place: &str) -> impl Iterator<Item = u64> {
        self.names.get(place).into_iter().flatten().copied()
    }

    /// Whether exactly this entry comes next.
    pub(crate) fn expects(&self, room: u64, seq: u64) -> bool {
        matches!(self.next.get(&room), Some(Next::Exactly(next)) if *next == seq)
    }

    /// An entry is shown: what is wrong with that, if something is. Entries before `elsewhere` were shown by another
    /// device of the same person. Only changes may be left out: what they change may have come with them.
    pub(crate) fn show(&mut self, place: &str, spot: Spot, elsewhere: u64, truth: &Truth) -> Option<String> {
        let Spot { epoch, room, seq } = spot;
        let kept = if epoch == truth.epoch() { truth.oldest(room) } else { 0 };
        let left_out = |from: u64| truth.first_shown(epoch, room, from, seq);
        let wrong = match self.next.get(&room) {
            Some(Next::Exactly(next)) if seq < *next => {
                Some(format!("was shown entry {seq} of {place} where {next} comes next"))
            }
            Some(Next::Exactly(next)) => left_out(*next)
                .map(|out| format!("was shown entry {seq} of {place} where {next} comes next, without {out}")),
            // A crash may have taken that anything was ever read there; then it is not told what has gone since.
            Some(Next::AtMost(next)) => left_out((*next).max(elsewhere).max(kept)).map(|out| {
                format!("was shown entry {seq} of {place} after a restart, without {out}: {next} comes next at the latest")
            }),
            None => None,
        };
        self.next.insert(room, Next::Exactly(seq + 1));
        self.places.insert(place.to_owned(), room);
        self.shown += 1;
        wrong
    }

    /// It is told that a room begins at this entry.
    pub(crate) fn trim(&mut self, room: u64, first: u64) {
        self.next.insert(room, Next::Exactly(first));
        self.live.remove(&room);
        self.screen.trim(room, first);
    }

    /// It has left a room: a process that ends before it shows that has forgotten how far the room was read.
    pub(crate) fn leave(&mut self, room: u64) {
        self.left.insert(room);
    }

    /// What comes next in a room is not known any more: it was left, or its history is cut.
    pub(crate) fn forget(&mut self, place: &str) {
        if let Some(room) = self.places.get(place) {
            self.next.remove(room);
            self.left.remove(room);
            self.live.remove(room);
            self.screen.forget(*room);
            self.others.remove(room);
        }
    }

    /// Something of this history is shown. A process that ended may have taken with it that there is a new one.
    pub(crate) fn read_in(&mut self, epoch: u32) {
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            self.forget_all();
        }
    }

    /// The history is another one.
    pub(crate) fn forget_all(&mut self) {
        self.next.clear();
        self.heads.clear();
        self.marks.clear();
        self.screen.clear();
        self.others.clear();
    }

    /// Something went wrong with its link, or with the server.
    pub(crate) fn hinder(&mut self, now: u64) {
        (self.hindered, self.hindered_at) = (true, now);
        self.own.touch(now);
        self.live.clear();
    }

    /// It has logged in. A welcome may come over a link that broke after the hello.
    pub(crate) fn come(&mut self, now: u64) {
        self.online = true;
        self.own.come(now);
        self.hindered &= now < self.hindered_at + LOGIN;
        self.live.clear();
    }

    /// Whether nothing keeps it from being as quick as it can.
    pub(crate) fn is_unhindered(&self) -> bool {
        !self.slow && !self.hindered && self.online
    }

    /// It is shown an entry so many microseconds after it became durable: whether that is too late.
    pub(crate) fn is_late(&mut self, room: u64, after: u64) -> bool {
        if after < LIVE {
            self.live.insert(room);
        }
        self.is_unhindered() && after > LATE && self.live.contains(&room)
    }

    /// The process ended: the next one may show some lines again, but skip none.
    pub(crate) fn restart(&mut self, cursors_kept: bool) {
        self.running = false;
        self.online = false;
        self.who = None;
        self.classic = None;
        self.screen.clear();
        self.others.clear();
        self.asked.clear();
        for room in std::mem::take(&mut self.left) {
            self.next.remove(&room);
        }
        for next in self.next.values_mut() {
            let (Next::Exactly(seq) | Next::AtMost(seq)) = *next;
            *next = Next::AtMost(seq);
        }
        if !cursors_kept {
            self.next.clear();
        }
    }

    /// It connects: whether it did so too often lately.
    pub(crate) fn connect(&mut self, now: u64) -> bool {
        self.connects.retain(|at| at + 10_000_000 > now);
        self.connects.push(now);
        self.connects.len() > MAX_CONNECTS
    }
}

/// Who is shown an entry so soon after it became durable is live in its room, in microseconds.
const LIVE: u64 = 1_000_000;

/// A login takes no longer than this, in microseconds.
const LOGIN: u64 = 10_000_000;

/// Who is live, and is not hindered, is shown every entry within this time, in microseconds.
const LATE: u64 = 3_000_000;

/// Connections of one client in 10 s: full jitter below 250, 500 … 8,000 ms makes about 10, files add theirs.
const MAX_CONNECTS: usize = 400;
