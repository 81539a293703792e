//! Devices that flood, people who talk, and newcomers, all driven by one thread.

use super::figures::Figures;
use bytes::Bytes;
use load::{
    clock::Clock,
    fault::Fault,
    fleet::{Event, Fleet},
    heartbeat::Heartbeat,
    identity::Identity,
    source,
};
use protocol::{
    entry::EntryKind,
    id::{Counter, Millis, Req, RoomId},
    limits::{MAX_BATCH, WINDOW_POSTS},
    message::{ClientMsg, OpenFrom, RoomsChange, ServerMsg, StateChange, Target},
};
use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Posts that a flooding device leaves unanswered: all that it may.
pub const FLOODED: usize = WINDOW_POSTS as usize;

/// Bytes of a post of the flood: a full window of them is also as many bytes as it may be.
const BODY: usize = 900;

/// What a post counts in a batch beside its body, its author's name and what is stored with it.
const BESIDE: usize = 100;

/// Posts of the flood that a full batch holds at the least. It is somewhat less than a batch, so that each batch
/// ends one measurement: otherwise now and then one would last for two of them.
pub const FULL_BATCH: usize = MAX_BATCH / (BODY + BESIDE) * 9 / 10;

/// What people search for.
const WORDS: &str = "person says";

/// How often somebody comes who was away.
const COMES_EVERY: Duration = Duration::from_millis(250);

/// Newcomers who may wait for their welcome at the same time.
const NEWCOMERS: usize = 8;

/// How often the first person's presence changes: more often than it is told.
const CHANGES_EVERY: Duration = Duration::from_millis(50);

/// How long a turn waits for something to happen.
const NAP: Duration = Duration::from_millis(1);

/// Connections that are on their way in at once.
const ENTERING: usize = 50;

/// Numbers of people begin here.
const PEOPLE: u64 = 1 << 20;
/// Numbers of newcomers begin here.
const NEW: u64 = 1 << 21;

/// How people behave.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// How often each of them says something.
    pub speaks_every: Duration,
    /// How often each of them searches.
    pub searches_every: Option<Duration>,
    /// Which networks they come from, each from an address of their own: 127.N.0.0/16, and the one after it for those who
    /// come and go. `None` for all from this machine's own, which is free of rates.
    pub network: Option<u8>,
}

impl Default for Habits {
    fn default() -> Self {
        Self { speaks_every: Duration::from_secs(5), searches_every: None, network: None }
    }
}

/// Who the person with this number is.
pub fn person(number: usize) -> Identity {
    Identity::numbered(&format!("person-{number}"), PEOPLE + number as u64, 1)
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Away,
    Login,
    Joining,
    Opening,
    In,
}

/// One connection that posts: to flood, or now and then.
#[derive(Debug)]
struct Member {
    identity: Identity,
    step: Step,
    room: Option<RoomId>,
    counter: u64,
    acked: u64,
    /// When each post that waits was sent, and how much of the flood was acknowledged by then.
    waiting: VecDeque<(Duration, u64)>,
    /// When it speaks next, if it does not flood.
    speaks: Duration,
    /// When it searches next.
    searches: Duration,
    /// When it asked what was not answered yet.
    asked: Option<Duration>,
}

/// Everybody.
pub struct Crowd {
    fleet: Fleet,
    clock: Clock,
    server: SocketAddr,
    heartbeat: Heartbeat,
    habits: Habits,
    /// First those who flood, then the people.
    members: Vec<Member>,
    floods: usize,
    /// When each newcomer began to connect, by place.
    newcomers: Vec<Option<Duration>>,
    /// Newcomers so far.
    came: u64,
    comes: Duration,
    body: Bytes,
    /// Posts of the flood that were acknowledged.
    acked: u64,
    /// The same at the end of the last batch, and when that was.
    batch: (u64, Duration),
    /// When each presence was sent that was not told yet, by its number.
    changes: VecDeque<(u64, Duration)>,
    changed: u64,
    changes_at: Duration,
    told_at: Option<Duration>,
    /// What is measured.
    pub figures: Figures,
}

impl Crowd {
    /// Everybody, away.
    ///
    /// # Errors
    /// [`Fault`] if the system refuses what it needs.
    pub fn new(
        floods: usize,
        people: usize,
        habits: Habits,
        server: SocketAddr,
        clock: Clock,
    ) -> Result<Self, Fault> {
        let places = floods + people + NEWCOMERS;
        let identity = |place: usize| match place.checked_sub(floods) {
            None => Identity::numbered(&format!("flood-{place}"), place as u64, 1),
            Some(number) => person(number),
        };
        let member = |place| Member {
            identity: identity(place),
            step: Step::Away,
            room: None,
            counter: 0,
            acked: 0,
            waiting: VecDeque::new(),
            speaks: Duration::ZERO,
            searches: Duration::ZERO,
            asked: None,
        };
        Ok(Self {
            fleet: Fleet::new(places)?,
            clock,
            server,
            heartbeat: Heartbeat::new(floods + people, clock.now()),
            habits,
            members: (0..floods + people).map(member).collect(),
            floods,
            newcomers: vec![None; NEWCOMERS],
            came: 0,
            comes: Duration::ZERO,
            body: Bytes::from(vec![b'x'; BODY]),
            acked: 0,
            batch: (0, Duration::ZERO),
            changes: VecDeque::new(),
            changed: 0,
            changes_at: Duration::ZERO,
            told_at: None,
            figures: Figures::default(),
        })
    }

    /// Has everybody come in.
    ///
    /// # Errors
    /// [`Fault::Stalled`] if that takes too long.
    pub fn gather(&mut self, patience: Duration) -> Result<(), Fault> {
        let end = self.clock.now() + patience;
        while self.members.iter().any(|member| member.step != Step::In) {
            if self.clock.now() > end {
                return Err(Fault::Stalled { what: "everybody's login".to_owned(), after: patience });
            }
            if let Some((code, text)) = self.figures.refused.pop() {
                return Err(Fault::Denied { code, text });
            }
            let entering = self.members.iter().filter(|m| !matches!(m.step, Step::Away | Step::In)).count();
            for _ in entering..ENTERING {
                let Some(place) = self.members.iter().position(|member| member.step == Step::Away) else {
                    break;
                };
                let source = self.source(0, place.saturating_sub(self.floods) as u64);
                self.fleet.connect_from(place, source, self.server)?;
                self.fleet.say(place, &self.members[place].identity.hello());
                self.members[place].step = Step::Login;
            }
            self.turn()?;
        }
        let now = self.clock.now();
        let people = u32::try_from(self.members.len() - self.floods).unwrap_or(1);
        let Habits { speaks_every, searches_every, .. } = self.habits;
        for (at, member) in (0..).zip(&mut self.members[self.floods..]) {
            member.speaks = now + speaks_every * at / people;
            member.searches = searches_every.map_or(Duration::MAX, |every| now + every * at / people);
        }
        Ok(())
    }

    /// Where somebody comes from, by their number among those who stay or those who come and go.
    fn source(&self, group: u8, number: u64) -> Option<IpAddr> {
        let number = u32::try_from(number % 250).unwrap_or(0);
        self.habits.network.map(|network| source::address(network + group, number))
    }

    /// Floods, talks, comes and goes for so long.
    ///
    /// # Errors
    /// [`Fault`] if the server ends a connection, or says what no server says.
    pub fn flood_for(&mut self, time: Duration) -> Result<(), Fault> {
        self.figures.served = vec![0; self.floods];
        self.figures.overtaken = vec![0; self.floods];
        let end = self.clock.now() + time;
        while self.clock.now() < end {
            self.fill_windows();
            self.talk();
            self.search();
            self.change_presence();
            self.let_come()?;
            self.turn()?;
        }
        Ok(())
    }

    /// What waits now counts with the time that it has waited so far.
    pub fn close_figures(&mut self) {
        let now = self.clock.now();
        self.figures.presence.extend(self.changes.iter().map(|(_, sent)| now - *sent));
        self.figures.logins.extend(self.newcomers.iter().flatten().map(|begun| now - *begun));
        self.figures.ticks.extend(self.told_at.map(|told| now - told));
        let people = &self.members[self.floods..];
        let waiting = people.iter().flat_map(|member| member.waiting.iter());
        self.figures.posts.extend(waiting.map(|(sent, _)| now - *sent));
        self.figures
            .searches
            .extend(people.iter().filter_map(|member| member.asked).map(|asked| now - asked));
        for (place, member) in self.members[..self.floods].iter().enumerate() {
            if let Some((sent, before)) = member.waiting.front() {
                self.figures.slowest = self.figures.slowest.max(now - *sent);
                self.figures.overtaken[place] = self.figures.overtaken[place].max(self.acked - before);
            }
        }
    }

    fn fill_windows(&mut self) {
        for place in 0..self.floods {
            while self.members[place].waiting.len() < FLOODED {
                self.post(place, self.body.clone());
            }
        }
    }

    fn talk(&mut self) {
        let now = self.clock.now();
        for place in self.floods..self.members.len() {
            if self.members[place].speaks <= now {
                self.members[place].speaks = now + self.habits.speaks_every;
                self.post(place, Bytes::from_static(b"what a person says"));
            }
        }
    }

    /// Has people search who have the answer to their last search.
    fn search(&mut self) {
        let (now, Some(every)) = (self.clock.now(), self.habits.searches_every) else { return };
        for (place, member) in (0..).zip(&mut self.members).skip(self.floods) {
            if member.searches > now || member.asked.is_some() {
                continue;
            }
            (member.searches, member.asked) = (now + every, Some(now));
            let (req, room, words, limit) = (Req(7), member.room, WORDS.to_owned(), 20);
            let search = ClientMsg::Search { req, room, words, limit, before_room: None, before: None };
            self.fleet.say(place, &search);
        }
    }

    fn post(&mut self, place: usize, body: Bytes) {
        let (now, acked) = (self.clock.now(), self.acked);
        let member = &mut self.members[place];
        let Some(room) = member.room else { return };
        member.counter += 1;
        member.waiting.push_back((now, acked));
        let counter = Counter::new(member.counter).unwrap_or(Counter::FIRST);
        let target = Target::Room { room };
        let (kind, reply_to, written) = (EntryKind::Text, None, Millis(0));
        self.fleet.say(place, &ClientMsg::Post { counter, target, kind, reply_to, written, body });
    }

    /// The first person is away with other words, again and again.
    fn change_presence(&mut self) {
        let now = self.clock.now();
        if self.changes_at > now {
            return;
        }
        self.changes_at = now + CHANGES_EVERY;
        self.changed += 1;
        self.changes.push_back((self.changed, now));
        let change = StateChange::Away { text: self.changed.to_string() };
        self.fleet.say(self.floods, &ClientMsg::State { req: Req(9), change });
    }

    /// Somebody comes, by turns somebody new and somebody known.
    fn let_come(&mut self) -> Result<(), Fault> {
        let now = self.clock.now();
        let Some(free) = self.newcomers.iter().position(Option::is_none) else { return Ok(()) };
        if self.comes > now {
            return Ok(());
        }
        self.comes = now + COMES_EVERY;
        self.came += 1;
        let number = if self.came.is_multiple_of(2) { self.came } else { self.came % 16 };
        let place = self.members.len() + free;
        self.fleet.connect_from(place, self.source(1, number), self.server)?;
        self.fleet.say(place, &Identity::numbered(&format!("new-{number}"), NEW + number, 1).hello());
        self.newcomers[free] = Some(now);
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Fault> {
        let now = self.clock.now();
        while let Some(place) = self.heartbeat.next_due(now) {
            self.fleet.say(place, &ClientMsg::Ping { nonce: 0 });
        }
        for (place, event) in self.fleet.turn(NAP)? {
            match event {
                Event::Heard(msg) => self.handle_message(place, msg)?,
                Event::Ended if place < self.members.len() => return Err(Fault::Closed(place)),
                Event::Ended => self.newcomers[place - self.members.len()] = None,
            }
        }
        Ok(())
    }

    fn handle_message(&mut self, place: usize, msg: ServerMsg) -> Result<(), Fault> {
        if let ServerMsg::Error { code, text, about, .. } = msg {
            if let Some(member) = self.members.get_mut(place)
                && about == protocol::message::ty::SEARCH
            {
                member.asked = None;
            }
            self.figures.refused.push((code, text));
            return Ok(());
        }
        if place >= self.members.len() {
            self.handle_newcomer(place, &msg);
            return Ok(());
        }
        match msg {
            ServerMsg::Ack { counter, .. } => self.handle_ack(place, counter.value()),
            ServerMsg::Page { .. } => {
                let asked = self.members[place].asked.take();
                self.figures.searches.extend(asked.map(|asked| self.clock.now() - asked));
            }
            ServerMsg::Roster { people, .. } if place == self.floods + 1 => {
                let told = people.iter().filter_map(|item| item.away.parse().ok()).max();
                told.into_iter().for_each(|told| self.handle_presence(told));
            }
            msg => self.handle_entering(place, &msg),
        }
        Ok(())
    }

    fn handle_newcomer(&mut self, place: usize, msg: &ServerMsg) {
        if matches!(msg, ServerMsg::Welcome { .. })
            && let Some(begun) = self.newcomers[place - self.members.len()].take()
        {
            self.figures.logins.push(self.clock.now() - begun);
            self.fleet.hang_up(place);
        }
    }

    fn handle_entering(&mut self, place: usize, msg: &ServerMsg) {
        let floods = place < self.floods;
        let member = &mut self.members[place];
        let next = match (member.step, msg) {
            (Step::Login, ServerMsg::Welcome { last_counter, .. }) => {
                member.step = Step::Joining;
                member.counter = last_counter.map_or(0, Counter::value);
                member.acked = member.counter;
                let name = if floods { "flood" } else { "people" }.to_owned();
                Some(ClientMsg::Join { req: Req(1), name })
            }
            (Step::Joining, ServerMsg::Rooms { change: RoomsChange::Added, req: Req(1), rooms, .. }) => {
                member.room = rooms.first().map(|room| room.room);
                member.step = if floods { Step::In } else { Step::Opening };
                let room = member.room.filter(|_| !floods);
                room.map(|room| ClientMsg::Open { req: Req(2), room, from: OpenFrom::Now })
            }
            (Step::Opening, ServerMsg::Opened { .. }) => {
                member.step = Step::In;
                None
            }
            _ => None,
        };
        if let Some(next) = next {
            self.fleet.say(place, &next);
        }
    }

    fn handle_ack(&mut self, place: usize, counter: u64) {
        let now = self.clock.now();
        let floods = place < self.floods;
        let member = &mut self.members[place];
        let fresh = counter.saturating_sub(member.acked);
        member.acked = member.acked.max(counter);
        for _ in 0..fresh {
            let Some((sent, before)) = member.waiting.pop_front() else { return };
            if floods {
                self.figures.slowest = self.figures.slowest.max(now - sent);
                let overtaken = &mut self.figures.overtaken[place];
                *overtaken = (*overtaken).max(self.acked - before);
            } else {
                self.figures.posts.push(now - sent);
            }
        }
        if floods {
            self.figures.served[place] += fresh;
            self.acked += fresh;
            let (before, begun) = self.batch;
            if self.acked - before >= FULL_BATCH as u64 {
                if before > 0 {
                    self.figures.batches.push(now - begun);
                }
                self.batch = (self.acked, now);
            }
        }
    }

    fn handle_presence(&mut self, told: u64) {
        let now = self.clock.now();
        while let Some((number, sent)) = self.changes.front().copied()
            && number <= told
        {
            self.figures.presence.push(now - sent);
            self.changes.pop_front();
        }
        if let Some(before) = self.told_at.replace(now) {
            self.figures.ticks.push(now - before);
        }
    }
}
