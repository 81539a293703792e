//! The hub: everything that is decided, in one place and in one order.
//!
//! It owns people, devices, rooms and sessions, and has no I/O: the glue in [`crate::drive`] hands it events
//! and the time, commits the turns that it makes, and carries out its [`Effect`]s. What it has to say goes to
//! the connections' outlets, which are written once for each turn.

mod admission;
mod ask;
mod blocks;
mod classic;
mod classic_lines;
mod clock;
mod delayed_acks;
mod devices;
mod effect;
mod endings;
mod files;
mod known;
mod login;
mod native;
mod newcomers;
mod numbers;
mod operator;
mod paying;
mod post;
mod presence;
mod retention;
mod rooms;
mod search;
mod sessions;
mod sizes;
#[cfg(test)]
pub(crate) mod staging;
mod transfers;
mod unused;
mod uploads;

pub use effect::{Effect, FetchAnswer, FoundAnswer};
pub use files::{ContentIndex, FileRules, ListedFile};
pub use numbers::first_numbers;
pub use operator::Operated;
pub use sizes::{Gauges, Sizes};

use admission::Admission;
use numbers::Numbers;

use blocks::Blocks;
use clock::FIRST_CLOCK_MS;
use delayed_acks::DelayedAcks;
use endings::Endings;
use known::Known;
use retention::Overfull;
use sessions::{Early, Session, Voice};
use transfers::Transfers;

use crate::clock::{Now, Steady, Zone};
use crate::conn::{Conn, ConnId};
use crate::devices::Devices;
use crate::inbound::{Event, Inbound};
use crate::keep::Retention;
use crate::limits::Limits;
use crate::people::People;
use crate::rate::Rates;
use crate::room::Rooms;
use crate::sequencer::{Sequencer, Turn};
use crate::shelf::Shelf;
use crate::store::{Change, Commit, CredentialHash, Oldest, Reserved, RoomShape, Snapshot, StoredRoom};
use crate::wall_clock::WallClock;
use protocol::code::Code;
use protocol::id::{ContentHash, DeviceNo, Epoch, PersonId, RoomId, ServerId};
use protocol::message::{Durability, ServerMsg};
use protocol::name::{PersonName, RoomName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections that may be logged in at once.
    pub max_clients: usize,
    /// The largest file that is taken, in bytes; 0 for none. How much of all there may be is told by `files`.
    pub max_file: u64,
    /// The operator's words to everybody who comes.
    pub motd: String,
    /// The time zone in which classic users are told times.
    pub zone: Zone,
    /// How long rooms are kept.
    pub keep: Retention,
    /// How much of files is kept, and how long.
    pub files: FileRules,
    /// The wall clock is right, although it jumped.
    pub accept_clock: bool,
    /// A random number of this start, which nobody else knows.
    pub run_key: u64,
    /// What is taken from clients.
    pub limits: Limits,
    /// Where it is told how much is kept, if somebody watches.
    pub gauges: Option<Arc<Gauges>>,
}

/// The store has no room, and was not found to have any since.
#[derive(Clone, Copy, Debug)]
struct Full {
    /// What posts are told meanwhile.
    code: Code,
    /// It is not tried again before this time.
    until: Steady,
}

/// All that is decided.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    epoch: Epoch,
    server: ServerId,
    durability: Durability,
    people: People,
    devices: Devices,
    rooms: Rooms,
    /// Boxed, as much of a map is empty places.
    sessions: BTreeMap<ConnId, Box<Session>>,
    /// The connection of each device. Invariant: each is in `sessions` with this device.
    by_device: BTreeMap<DeviceNo, ConnId>,
    /// The connections of each person. Invariant: those of `sessions`.
    by_person: BTreeSet<(PersonId, ConnId)>,
    rates: Rates,
    known: Known,
    sequencer: Sequencer,
    lobby: RoomId,
    /// Rooms whose presence changed and was not told yet.
    stirred: BTreeSet<RoomId>,
    /// Connections that wait for their `Welcome`. Invariant: each session with an arrival, and no other.
    arriving: BTreeSet<ConnId>,
    admission: Admission,
    numbers: Numbers,
    delayed_acks: DelayedAcks,
    clock: WallClock,
    next_clock: Steady,
    next_clock_line: Steady,
    /// Changes that the start made, as [`Sequencer::changes_added`] counts them: nobody is let in before them.
    first_changes: u64,
    /// Changes that were ever stored, as [`Sequencer::changes_added`] counts them.
    changes_stored: u64,
    /// People whose links broke, for their grace time.
    leaving: BTreeSet<PersonId>,
    /// Rooms whose histories begin later than their members were told.
    trimmed: BTreeSet<RoomId>,
    /// Rooms that may have more than they are to keep.
    overfull: Overfull,
    endings: Endings,
    blocks: Blocks,
    /// Connections with something new to write.
    news: BTreeMap<ConnId, Arc<Conn>>,
    effects: Vec<Effect>,
    /// That of the bundle in hand, for an effect that goes on with it.
    permit: Option<OwnedSemaphorePermit>,
    next_sweep: Steady,
    next_keeping: Steady,
    next_telling: Steady,
    next_forgetting: Steady,
    draining: bool,
    /// What the next start is to know was handed over.
    said_last: bool,
    /// The store refused: posts are refused at once, and it is left alone for a moment.
    full: Option<Full>,
    history: Arc<dyn Oldest>,
    contents: Arc<dyn ContentIndex>,
    shelf: Shelf,
    transfers: Transfers,
    /// Contents that entries name which are on their way to the store: how many.
    pending: BTreeMap<ContentHash, u32>,
    /// The content that a classic client brings with the entry that is judged.
    bringing: Option<ContentHash>,
    next_expiry: Steady,
}

impl Hub {
    /// A hub with what the store knew, and with numbers up to these reserved in it.
    pub fn new(
        settings: Settings,
        snapshot: Snapshot,
        reserved: Reserved,
        durability: Durability,
        history: Arc<dyn Oldest>,
        contents: Arc<dyn ContentIndex>,
        now: Now,
    ) -> Self {
        let clock = clock::at_start(&settings, &snapshot, now);
        let rates = Rates::new(settings.limits.rates.clone());
        let closed = snapshot.closed;
        let rooms = Rooms::new(snapshot.last.room, closed.rooms, settings.limits.portions);
        let (mut people, mut rooms) = restored(snapshot.last.person, snapshot.people, rooms, snapshot.rooms);
        let all_known = closed.people.is_empty();
        closed.people.into_iter().for_each(|damaged| people.close(damaged));
        let mut devices = Devices::new(snapshot.last.device, closed.devices);
        for device in snapshot.devices {
            people.note_seen(device.person, device.seen);
            devices.restore(device);
        }
        let posted = restore_spoken(&mut people, &mut rooms, snapshot.spoke, all_known);
        let mut sequencer = Sequencer::new(settings.limits.portions.batch);
        let lobby = find_lobby(&mut rooms, &mut sequencer, now);
        let mut hub = Self {
            admission: Admission::new(settings.limits.connections),
            known: Known::up_to(people.last(), now.steady),
            settings,
            epoch: snapshot.epoch,
            server: snapshot.server,
            durability,
            people,
            devices,
            rooms,
            sessions: BTreeMap::new(),
            by_device: BTreeMap::new(),
            by_person: BTreeSet::new(),
            rates,
            sequencer,
            lobby,
            stirred: BTreeSet::new(),
            arriving: BTreeSet::new(),
            numbers: Numbers::new(reserved),
            delayed_acks: DelayedAcks::default(),
            clock,
            next_clock: now.steady.after(FIRST_CLOCK_MS),
            next_clock_line: now.steady,
            first_changes: 0,
            changes_stored: 0,
            leaving: BTreeSet::new(),
            trimmed: BTreeSet::new(),
            overfull: Overfull::default(),
            endings: Endings::default(),
            blocks: Blocks::new(snapshot.blocks),
            news: BTreeMap::new(),
            effects: Vec::new(),
            permit: None,
            next_sweep: now.steady,
            next_keeping: now.steady,
            next_telling: now.steady,
            next_forgetting: now.steady,
            draining: false,
            said_last: false,
            full: None,
            history,
            contents,
            shelf: Shelf::default(),
            transfers: Transfers::default(),
            pending: BTreeMap::new(),
            bringing: None,
            next_expiry: now.steady,
        };
        hub.warn_of_future_rooms(now);
        hub.restore_files(snapshot.files, snapshot.offers, snapshot.fetched, now);
        hub.find_one_sided(posted.as_ref(), now);
        hub.end_left_guests(now);
        hub.flush_roster(lobby);
        hub.first_changes = hub.sequencer.changes_added();
        hub
    }

    /// Takes in what happened on a connection.
    pub fn handle_event(&mut self, event: Event, now: Now) {
        match event {
            Event::Login { conn, login, .. } => self.handle_login(&conn, &login, now),
            Event::Bundle { conn, inbound, permit } => {
                let arrival = self.sessions.get_mut(&conn).and_then(|session| session.arrival.as_mut());
                match arrival {
                    Some(arrival) => arrival.early.push(Early { inbound, permit }),
                    None => self.handle_bundle(conn, inbound, permit, now),
                }
            }
            Event::BulkLogin { hello, answer } => {
                // Whoever asked may be gone: then nobody needs the answer.
                let _ = answer.send(self.login_bulk(&hello, now));
            }
            Event::Put { header, answer } => {
                let transfer = header.transfer;
                let admitted = self.handle_put(header, now);
                // Whoever asked may be gone, and then does not go on with it.
                if let Err(Ok(_)) = answer.send(admitted) {
                    self.handle_left(transfer, now);
                }
            }
            Event::Reserve { transfer, bytes, answer } => {
                let _ = answer.send(self.handle_reserve(transfer, bytes));
            }
            Event::Left { transfer } => self.handle_left(transfer, now),
            Event::GivenUp { transfer } => self.give_up(transfer, now),
            Event::Uploaded { transfer, hash, answer } => {
                let _ = answer.send(self.handle_uploaded(transfer, hash, now));
            }
            Event::Claim { transfer, hash, answer } => {
                let _ = answer.send(self.handle_claim(transfer, hash));
            }
            Event::Follow { person, transfer, answer } => {
                let _ = answer.send(self.follow(person, transfer));
            }
            Event::Fetched { person, room, seq, answer } => match self.handle_fetched(person, room, seq) {
                Ok(()) => self.sequencer.wait(answer),
                Err(code) => drop(answer.send(Err(code))),
            },
            Event::MayRead { person, hash, answer } => {
                let _ = answer.send(self.may_read(person, hash));
            }
            Event::Operate { req, order, answer } => {
                let _ = answer.send(self.handle_order(req, &order, now));
            }
            Event::ClassicSpace { conn, bytes, answer } => {
                let _ = answer.send(self.reserve_classic(conn, bytes, now));
            }
            Event::ClassicFile { conn, file, share, permit: _permit } => {
                self.sequencer.charge(share);
                self.handle_classic_file(conn, file, now);
                self.sequencer.charge(None);
            }
            Event::Gone { conn } => self.handle_gone(conn, now),
        }
    }

    fn handle_bundle(&mut self, conn: ConnId, inbound: Vec<Inbound>, permit: OwnedSemaphorePermit, now: Now) {
        self.permit = Some(permit);
        inbound.into_iter().for_each(|inbound| self.handle_inbound(conn, inbound, now));
        self.permit = None;
    }

    fn handle_inbound(&mut self, conn: ConnId, inbound: Inbound, now: Now) {
        // A session that has ended (fenced, refused, left) has nothing more to say.
        if !self.sessions.contains_key(&conn) {
            return;
        }
        match inbound {
            Inbound::Native(msg, share) => {
                self.sequencer.charge(share);
                self.handle_native(conn, msg, now);
            }
            Inbound::Classic(line, share) => {
                self.sequencer.charge(share);
                self.handle_classic(conn, line, now);
            }
            Inbound::Refused(refusal) => self.refuse(conn, refusal, now),
        }
        self.sequencer.charge(None);
    }

    /// Does what is due: tells presence, ends grace times, reaps connections that are dead.
    pub fn handle_tick(&mut self, now: Now) {
        self.flush_rosters(now);
        if now.steady < self.next_sweep {
            return;
        }
        self.next_sweep = now.steady.after(1_000);
        self.admission.log_refusals(now);
        self.watch_clock(now);
        self.end_graces(now);
        self.end_typing(now);
        self.end_arrivals(now);
        self.reap(now);
        self.end_rooms(now);
        self.forget_unused(now);
        self.tell_sizes();
        // On a full disk nothing is added to what waits: it is done when there is space again.
        if now.steady >= self.next_forgetting && self.full.is_none() {
            self.next_forgetting = now.steady.after(FORGET_EVERY_MS);
            self.see_devices(now);
            self.devices.forget_contents(now.wall);
            if !self.clock.is_doubted() {
                self.forget_devices(now);
            }
        }
        if now.steady >= self.next_keeping {
            self.next_keeping = now.steady.after(KEEP_EVERY_MS);
            self.keep_rooms(now);
        }
        if now.steady >= self.next_expiry {
            self.next_expiry = now.steady.after(self.settings.files.expiry_period_ms());
            self.expire_files(now);
        }
        self.tell_trimmed(now);
        for room in self.rooms.iter_mut() {
            if now.steady.since(room.busy) > QUIET_MS {
                room.log.forget_tail();
            }
        }
    }

    /// When the next tick is due.
    pub fn next_tick(&self) -> Steady {
        let rosters = self.stirred.iter().filter_map(|room| self.rooms.find(*room)?.roster.due()).min();
        let retry = self.full.map(|full| full.until);
        [rosters, retry].into_iter().flatten().fold(self.next_sweep, Steady::min)
    }

    /// What is to be committed next, if anything waits.
    pub fn next_turn(&mut self, now: Now) -> Option<Turn> {
        if self.full.is_some_and(|full| now.steady < full.until) {
            return self.sequencer.take_free_replies();
        }
        if self.full.is_none() && self.sequencer.is_empty() {
            return None;
        }
        let mut turn = if self.full.is_some() { self.sequencer.take_probe() } else { self.sequencer.take() };
        for waiting in &mut turn.posts {
            if let Some(room) = self.rooms.find_mut(waiting.entry.room) {
                waiting.entry.time = room.next_time(now);
            }
        }
        Some(turn)
    }

    /// Takes in what became of a turn: acknowledges, and gives readers the new blocks.
    pub fn handle_commit(&mut self, turn: Turn, commit: Commit, now: Now) {
        let needed_store = turn.needs_store();
        let Turn { posts, changes, shares, replies, waiters, .. } = turn;
        if needed_store {
            self.full = commit.changes.err().map(|code| Full { code, until: now.steady.after(FULL_MS) });
        }
        let trims: Vec<_> =
            changes.iter().filter(|change| matches!(change, Change::Trim { .. })).cloned().collect();
        let hidden: Vec<_> = changes.iter().filter_map(clock::hidden_room).collect();
        if needed_store && self.full.is_some() {
            self.sequencer.put_back(changes.into_iter().zip(shares), replies, waiters);
        } else {
            self.changes_stored += changes.len() as u64;
            self.note_reserved(&changes);
            self.go_on_ending(&changes, &commit.untrimmed);
            changes.iter().for_each(|change| self.show_change(change, now));
            // Whoever waited may be gone.
            for waiter in waiters {
                let _ = waiter.send(Ok(()));
            }
            for reply in replies {
                self.send_reply(reply, now);
            }
        }
        self.note_trimmed(&trims, commit.trimmed, &commit.untrimmed);
        if self.full.is_none() {
            self.note_hidden(hidden);
        }
        self.publish(posts, commit.posts, commit.erasure, now);
        if !trims.is_empty() && self.full.is_none() {
            self.overfull.is_asked = false;
            self.trim_next(now);
        }
        self.welcome_arrived(now);
        if let Some(full) = self.full {
            self.refuse_waiting(full.code, now);
        }
    }

    /// A change is stored: others see of it what they see by other ways than the log.
    fn show_change(&mut self, change: &Change, now: Now) {
        match change {
            Change::Person { person, name, .. } if self.people.settle_name(*person, name) => {
                self.stir(*person, now);
            }
            Change::Room { room, topic, .. } => {
                if let Some(found) = self.rooms.find_mut(*room) {
                    topic.clone_into(&mut found.topic);
                }
            }
            _ => {}
        }
    }

    /// Whether the store had room when it was last asked: what needs a write is refused until it has.
    pub(super) fn check_space(&self) -> Result<(), Code> {
        self.full.map_or(Ok(()), |full| Err(full.code))
    }

    /// Says goodbye to everybody: nothing new is accepted from here on.
    pub fn handle_shutdown(&mut self) {
        self.draining = true;
        let goodbye = ServerMsg::GoAway { after_ms: GO_AWAY_MS, text: "the server stops".to_owned() };
        let (native, classic) =
            (goodbye.encode(), crate::voice::server_line("The server stops. Come back soon."));
        let conns: Vec<_> = self.sessions.values().map(|s| (s.conn.clone(), s.voice)).collect();
        for (conn, voice) in conns {
            let bytes = if voice == Voice::Native { native.clone() } else { classic.clone() };
            self.send_to(&conn, bytes);
        }
    }

    /// Everything that was accepted before the shutdown is committed: what the next start is to know comes last.
    pub fn handle_settled(&mut self, now: Now) {
        if self.draining && !std::mem::replace(&mut self.said_last, true) && self.full.is_none() {
            self.return_numbers();
            self.clock.tick(now);
            self.store_clock();
        }
    }

    /// Whether everything that was accepted is committed, and acknowledged.
    pub fn is_settled(&self) -> bool {
        self.sequencer.is_empty() && self.delayed_acks.is_empty()
    }

    /// Ends all sessions once they have been told everything.
    pub fn close_all(&mut self) {
        for session in self.sessions.values() {
            session.conn.close();
        }
    }

    /// What the rim is to do.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Connections with something new to write; the rim offers it to them.
    pub fn take_news(&mut self) -> BTreeMap<ConnId, Arc<Conn>> {
        std::mem::take(&mut self.news)
    }
}

/// People, rooms, and who is in which.
fn restored(
    last: Option<PersonId>,
    stored_people: Vec<(PersonId, String, Option<CredentialHash>)>,
    mut rooms: Rooms,
    stored_rooms: Vec<StoredRoom>,
) -> (People, Rooms) {
    let mut people = People::new(last);
    for (person, name, credential) in stored_people {
        people.restore(person, PersonName::made_safe(&name), credential);
    }
    for stored in stored_rooms {
        let members: Vec<_> = stored.members.iter().map(|member| member.person).collect();
        let room = rooms.restore(stored);
        for person in members {
            if let Some(person) = people.find_mut(person) {
                person.join(room);
            }
        }
    }
    (people, rooms)
}

/// The lobby, which is made at the first start.
fn find_lobby(rooms: &mut Rooms, sequencer: &mut Sequencer, now: Now) -> RoomId {
    rooms.named(&RoomName::lobby()).unwrap_or_else(|| {
        let shape = RoomShape::Public { name: RoomName::lobby().to_string() };
        let room = rooms.add(shape.clone(), now.wall);
        sequencer.change(Change::Room { room, shape, topic: String::new() });
        room
    })
}

/// Takes in who has written in rooms of two, and who has posted at all: tells these, unless some
/// people are damaged.
fn restore_spoken(
    people: &mut People,
    rooms: &mut Rooms,
    spoke: BTreeSet<(RoomId, PersonId)>,
    all_known: bool,
) -> Option<BTreeSet<PersonId>> {
    let mut posted = BTreeSet::new();
    for (room, person) in spoke {
        if room == RoomId::FIRST {
            posted.insert(person);
        }
        if let Some(known) = people.find_mut(person) {
            known.posted = true;
        }
        if let Some(room) = rooms.find_mut(room).filter(|room| !room.is_public()) {
            room.spoke.insert(person);
        }
    }
    all_known.then_some(posted)
}

/// How often rooms are kept within their bounds, in ms: so much more than its bounds allow may a room have.
const KEEP_EVERY_MS: u64 = 2_000;

/// How often devices that were not seen for long are looked for, in ms.
const FORGET_EVERY_MS: u64 = 3_600_000;

/// A room without an entry for so long lets go of its blocks.
const QUIET_MS: u64 = 60_000;

/// A store that refused is left alone for so long, in ms, then asked with little: space does not come back sooner.
const FULL_MS: u64 = 250;

/// When clients may come back after a shutdown, in ms: a restart takes less.
const GO_AWAY_MS: u32 = 500;
