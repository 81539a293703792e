//! Who is in a room, told as a log of its own: versions, deltas, and a snapshot for who comes late.
//!
//! Presence is state, not history: a reader that lags behind the kept deltas gets a snapshot instead.

use crate::clock::Steady;
use crate::page::pages;
use crate::voice;
use bytes::Bytes;
use protocol::id::{PersonId, RoomId};
use protocol::limits::{
    MAX_PAGE, MAX_PRESENCE_REST_MS, MAX_ROSTER, PRESENCE_BYTES_PER_S, PRESENCE_GATHER_MS,
};
use protocol::message::{RosterItem, ServerMsg};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Deltas that are kept for readers that lag a little: a few seconds of a lively room.
const KEPT_DELTAS: usize = 32;

/// What readers are told, already encoded.
#[derive(Debug, Default)]
pub struct RosterLog {
    /// The version of the newest delta; 0 before the first snapshot.
    version: u64,
    /// Invariant: consecutive versions that end with `version`.
    deltas: VecDeque<Delta>,
    snapshot: Vec<Bytes>,
}

#[derive(Debug)]
struct Delta {
    version: u64,
    native: Vec<Bytes>,
    /// For classic readers: whose coming or going it is, and the frame.
    classic: Vec<(PersonId, Bytes)>,
}

impl RosterLog {
    /// The newest version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Bytes of the newest delta.
    pub fn newest_bytes(&self) -> usize {
        self.deltas.back().map_or(0, |delta| delta.native.iter().map(Bytes::len).sum())
    }

    /// What a native reader at `seen` has missed.
    pub fn native_after(&self, seen: u64) -> Vec<Bytes> {
        match self.deltas_after(seen) {
            Some(deltas) => deltas.flat_map(|delta| delta.native.clone()).collect(),
            None => self.snapshot.clone(),
        }
    }

    /// What a classic reader at `seen` has missed, less their own coming; nothing for who lags too far.
    pub fn classic_after(&self, seen: u64, me: PersonId) -> Vec<Bytes> {
        let deltas = self.deltas_after(seen).into_iter().flatten();
        let frames = deltas.flat_map(|delta| &delta.classic);
        frames.filter(|(who, _)| *who != me).map(|(_, frame)| frame.clone()).collect()
    }

    /// The deltas after `seen`, unless some of them are gone.
    fn deltas_after(&self, seen: u64) -> Option<impl Iterator<Item = &Delta>> {
        let oldest = self.deltas.front()?.version;
        (seen > 0 && seen + 1 >= oldest)
            .then(|| self.deltas.iter().skip_while(move |delta| delta.version <= seen))
    }

    fn push(&mut self, delta: Delta, snapshot: Vec<Bytes>) {
        self.version = delta.version;
        self.deltas.push_back(delta);
        if self.deltas.len() > KEPT_DELTAS {
            self.deltas.pop_front();
        }
        self.snapshot = snapshot;
    }
}

/// What the hub knows of a room's presence, and what it has told.
#[derive(Debug, Default)]
pub struct Roster {
    /// Members that are online.
    online: BTreeSet<PersonId>,
    /// What was told of them last; `None` while only counts are told.
    told: Option<BTreeMap<PersonId, RosterItem>>,
    /// Who changed since.
    dirty: BTreeSet<PersonId>,
    /// When that is to be told.
    tell_at: Option<Steady>,
    /// Nothing is told before this time: what was told last was much.
    rests_until: Steady,
    /// Those of them whom a reader was shown before all were told, as they were then if they were online: this reader
    /// must be told even if they are again as the others know them.
    shown_early: BTreeMap<PersonId, Option<RosterItem>>,
    /// A reader was shown only counts while all others know names: names are told to all again, once there are few enough.
    counts_shown: bool,
}

impl Roster {
    /// Members that are online.
    pub fn online(&self) -> &BTreeSet<PersonId> {
        &self.online
    }

    /// A member came, went or changed. It is told after a moment, and so many ms later if nobody else changes before.
    pub fn touch(&mut self, person: PersonId, online: bool, delay_ms: u64, now: Steady) {
        if online {
            self.online.insert(person);
        } else {
            self.online.remove(&person);
        }
        self.dirty.insert(person);
        let at = now.after(PRESENCE_GATHER_MS.saturating_add(delay_ms));
        self.tell_at = Some(self.tell_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// When the changes are to be told.
    pub fn due(&self) -> Option<Steady> {
        self.tell_at.map(|at| at.max(self.rests_until))
    }

    /// So many bytes in all were told to readers: whatever changes from here on is gathered for as long as that took of
    /// [`PRESENCE_BYTES_PER_S`].
    pub fn rest_after(&mut self, bytes: usize, now: Steady) {
        let ms = bytes as u64 * 1_000 / PRESENCE_BYTES_PER_S;
        self.rests_until = now.after(ms.min(MAX_PRESENCE_REST_MS));
    }

    /// Who is there now, for one reader who comes at this version: what was not told yet is in it already,
    /// and is told again with the next version.
    pub fn snapshot(
        &mut self,
        room: RoomId,
        members: u32,
        version: u64,
        item: impl Fn(PersonId) -> RosterItem,
    ) -> Vec<Bytes> {
        let frame = Frame { room, version, online: count(self.online.len()), members };
        if self.online.len() > MAX_ROSTER {
            self.counts_shown = true;
            return frame.encode(true, Vec::new());
        }
        let people: Vec<_> = self.online.iter().copied().map(item).collect();
        for person in &self.dirty {
            let shown =
                people.binary_search_by_key(person, |item| item.person).ok().map(|at| people[at].clone());
            let early = self.shown_early.entry(*person).or_default();
            *early = shown.or(early.take());
        }
        frame.encode(true, people)
    }

    /// Tells what changed: a new version in `log`. `item` describes a member who is online.
    pub fn flush(
        &mut self,
        room: RoomId,
        members: u32,
        log: &mut RosterLog,
        item: impl Fn(PersonId) -> RosterItem,
    ) {
        self.tell_at = None;
        let dirty = std::mem::take(&mut self.dirty);
        let early = std::mem::take(&mut self.shown_early);
        let counts_shown = std::mem::take(&mut self.counts_shown);
        let frame = Frame { room, version: log.version + 1, online: count(self.online.len()), members };
        if self.online.len() > MAX_ROSTER {
            // Who was told names learns by an empty snapshot that from here on only counts are told.
            let knew_names = self.told.take().is_some();
            let native = frame.encode(knew_names, Vec::new());
            log.push(frame.delta(native, Vec::new()), frame.encode(true, Vec::new()));
            return;
        }
        let now: BTreeMap<_, _> = self.online.iter().map(|person| (*person, item(*person))).collect();
        let people: Vec<_> = now.values().cloned().collect();
        let snapshot = frame.encode(true, people);
        let delta = match &self.told {
            None => frame.delta(snapshot.clone(), Vec::new()),
            Some(told) => {
                let changes = frame.changes(&dirty, told, &now, &early);
                if counts_shown { Delta { native: snapshot.clone(), ..changes } } else { changes }
            }
        };
        self.told = Some(now);
        log.push(delta, snapshot);
    }
}

/// What all frames of one version have in common.
struct Frame {
    room: RoomId,
    version: u64,
    online: u32,
    members: u32,
}

impl Frame {
    /// In as many frames as the longest names and words may need.
    fn encode(&self, snapshot: bool, people: Vec<RosterItem>) -> Vec<Bytes> {
        let Self { room, version, online, members } = *self;
        let pages = pages(MAX_PAGE, people, |person| person.name.len() + person.away.len() + 13);
        let last = pages.len() - 1;
        let frame = |(at, people): (usize, Vec<RosterItem>)| {
            let more = at < last;
            ServerMsg::Roster { room, version, snapshot, more, online, members, people }.encode()
        };
        pages.into_iter().enumerate().map(frame).collect()
    }

    fn delta(&self, native: Vec<Bytes>, classic: Vec<(PersonId, Bytes)>) -> Delta {
        Delta { version: self.version, native, classic }
    }

    fn changes(
        &self,
        dirty: &BTreeSet<PersonId>,
        told: &BTreeMap<PersonId, RosterItem>,
        now: &BTreeMap<PersonId, RosterItem>,
        early: &BTreeMap<PersonId, Option<RosterItem>>,
    ) -> Delta {
        let mut people = Vec::new();
        let mut classic = Vec::new();
        for person in dirty {
            let (was, is) = (told.get(person), now.get(person));
            let shown = early.get(person);
            if was == is && shown.is_none() {
                continue;
            }
            if let Some(line) = classic_line(was, is) {
                classic.push((*person, line));
            }
            match (was.or(shown.and_then(Option::as_ref)), is) {
                (_, Some(is)) => people.push(is.clone()),
                (Some(was), None) => people.push(RosterItem { presence: Default::default(), ..was.clone() }),
                (None, None) => {}
            }
        }
        self.delta(self.encode(false, people), classic)
    }
}

/// The frame for a coming, a going or a new name; nothing for the rest.
fn classic_line(was: Option<&RosterItem>, is: Option<&RosterItem>) -> Option<Bytes> {
    match (was, is) {
        (None, Some(is)) => Some(voice::joined(&is.name)),
        (Some(was), None) => Some(voice::left(&was.name)),
        (Some(was), Some(is)) if was.name != is.name => {
            Some(voice::server_line(&format!("{} is now {}", was.name, is.name)))
        }
        _ => None,
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::message::Presence;

    const BOB: PersonId = PersonId::FIRST;

    fn named(name: &str) -> impl Fn(PersonId) -> RosterItem {
        let presence = Presence { online: true, ..Presence::default() };
        move |person| RosterItem { person, name: name.into(), presence, away: String::new() }
    }

    /// Whom the newest version tells of, by name, and whether they are online.
    fn told(log: &RosterLog) -> Vec<(String, bool)> {
        let frames = log.deltas.back().map(|delta| delta.native.clone()).unwrap_or_default();
        let people = frames.iter().flat_map(|frame| match ServerMsg::decode(frame[4], &frame[5..]) {
            Ok(Some(ServerMsg::Roster { people, .. })) => people,
            other => panic!("{other:?}"),
        });
        people.map(|item| (item.name, item.presence.online)).collect()
    }

    /// A room in which Bob is known as `bob`.
    fn with_bob() -> (Roster, RosterLog) {
        let (mut roster, mut log) = (Roster::default(), RosterLog::default());
        roster.touch(BOB, true, 0, Steady(0));
        roster.flush(RoomId::FIRST, 1, &mut log, named("bob"));
        (roster, log)
    }

    #[test]
    fn a_room_is_told_of_changes_no_faster_than_its_readers_are_to_hear_of_them() {
        let (mut roster, _) = with_bob();
        roster.rest_after(usize::try_from(PRESENCE_BYTES_PER_S).unwrap() / 2, Steady(1_000));
        roster.touch(BOB, true, 0, Steady(1_001));
        assert_eq!(roster.due(), Some(Steady(1_500)), "what was told last was half a second's share");
        roster.rest_after(usize::MAX / 2_000, Steady(2_000));
        assert_eq!(roster.due(), Some(Steady(2_000 + MAX_PRESENCE_REST_MS)), "presence is not old news");
    }

    #[test]
    fn who_changes_all_the_time_is_told_with_the_changes_of_others() {
        let (mut roster, _) = with_bob();
        roster.touch(BOB, true, 3_000, Steady(1_000));
        assert_eq!(roster.due(), Some(Steady(4_000 + PRESENCE_GATHER_MS)));
        roster.touch(BOB.next(), true, 0, Steady(2_000));
        assert_eq!(roster.due(), Some(Steady(2_000 + PRESENCE_GATHER_MS)));
    }

    #[test]
    fn what_changed_and_changed_back_is_told_only_if_somebody_was_shown_it() {
        for (is_shown, expected) in [(false, vec![]), (true, vec![("bob".to_owned(), true)])] {
            let (mut roster, mut log) = with_bob();
            roster.touch(BOB, true, 0, Steady(1));
            if is_shown {
                drop(roster.snapshot(RoomId::FIRST, 1, log.version(), named("robert")));
            }
            roster.touch(BOB, true, 0, Steady(2));
            roster.flush(RoomId::FIRST, 1, &mut log, named("bob"));
            assert_eq!(told(&log), expected);
        }
    }

    #[test]
    fn who_was_shown_and_left_before_anybody_was_told_is_no_ghost() {
        let (mut roster, mut log) = with_bob();
        let eve = BOB.next();
        roster.touch(eve, true, 0, Steady(1));
        drop(roster.snapshot(RoomId::FIRST, 2, log.version(), named("eve")));
        roster.touch(eve, false, 0, Steady(2));
        roster.flush(RoomId::FIRST, 1, &mut log, named("bob"));
        assert_eq!(told(&log), [("eve".to_owned(), false)]);
    }

    #[test]
    fn who_came_while_only_counts_were_told_learns_names_once_there_are_few_enough() {
        let (mut roster, mut log) = with_bob();
        let others: Vec<_> = (2..2 + MAX_ROSTER as u64).filter_map(PersonId::new).collect();
        others.iter().for_each(|person| roster.touch(*person, true, 0, Steady(1)));
        let counts = roster.snapshot(RoomId::FIRST, 1, log.version(), named("eve"));
        let told_of = |frame: &Bytes| match ServerMsg::decode(frame[4], &frame[5..]) {
            Ok(Some(ServerMsg::Roster { people, .. })) => people.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(counts.iter().map(told_of).collect::<Vec<_>>(), [0]);
        others.iter().for_each(|person| roster.touch(*person, false, 0, Steady(2)));
        roster.flush(RoomId::FIRST, 1, &mut log, named("bob"));
        assert_eq!(told(&log), [("bob".to_owned(), true)]);
        roster.flush(RoomId::FIRST, 1, &mut log, named("bob"));
        assert_eq!(told(&log), []);
    }

    #[test]
    fn who_was_away_for_a_moment_is_told_to_those_who_missed_them() {
        let (mut roster, mut log) = with_bob();
        roster.touch(BOB, false, 0, Steady(1));
        drop(roster.snapshot(RoomId::FIRST, 1, log.version(), named("bob")));
        roster.touch(BOB, true, 0, Steady(2));
        roster.flush(RoomId::FIRST, 1, &mut log, named("bob"));
        assert_eq!(told(&log), [("bob".to_owned(), true)]);
    }
}
