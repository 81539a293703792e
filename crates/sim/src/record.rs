//! The record of a run: what happened, what everybody promised and saw, and the first rule that was broken.

use crate::coverage::{Coverage, Sometimes};
use crate::meant::Meanings;
use crate::plan::LimitsPlan;
use crate::real::WallClock;
use crate::rule::{Rule, Violation};
use crate::sight::Sight;
use crate::trace::{Happened, Token, Trace, Who};
use crate::truth::Truth;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reads, writes and connections of one step of the whole world: far beyond what any run needs.
const MAX_WORK: u64 = 3_000_000;

/// How long a fault and what it brings about may last, in microseconds.
const FELT: u64 = 60_000_000;

/// How long the server's own faults may be felt, in microseconds.
const SERVER_FELT: u64 = 27_000_000;

/// A clock that is off by less is taken as it is.
pub(crate) const A_DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// How long a server may take a disk for full that is not any more, in microseconds: until a sync of another batch ends,
/// however slow.
const FULL_AFTER: u64 = 5_000_000;

/// The record; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Record(Arc<Mutex<Pages>>);

/// What is written down.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) trace: Trace,
    pub(crate) coverage: Coverage,
    pub(crate) broken: Option<Violation>,
    pub(crate) truth: Truth,
    pub(crate) sights: Vec<Sight>,
    pub(crate) fates: BTreeMap<Token, Fate>,
    /// Lines that need not come in the order in which they were typed: they are requests, or wait for an upload.
    pub(crate) unordered: BTreeSet<Token>,
    /// Which lines were meant by those about other lines.
    pub(crate) meanings: Meanings,
    /// What guests typed, by the connection on which they did: each is another sender, since nobody knows them again.
    pub(crate) guests: BTreeMap<Token, u64>,
    /// Sizes of the files that were sent.
    pub(crate) files: BTreeMap<Token, u32>,
    /// When lines were typed, in microseconds.
    typed_at: BTreeMap<Token, u64>,
    /// Every line must be shown so soon after it was typed, in ms.
    pub(crate) prompt_ms: Option<u64>,
    /// What the server takes from its clients, where that is less than by default.
    pub(crate) limits: Option<LimitsPlan>,
    /// Until when the disk was full, in microseconds: for ever while it is.
    full_until: Option<u64>,
    /// How far the server's clock was ever off, in ms.
    skews: Vec<i64>,
    /// When something went wrong last, in microseconds.
    struck_at: Option<u64>,
    /// When the server's process ended last, in microseconds.
    server_ended_at: Option<u64>,
    /// When something went wrong with the server last, in microseconds.
    server_struck_at: Option<u64>,
    /// Times of recent logins, for storms.
    logins: Vec<u64>,
    /// The time between two steps.
    now: u64,
    /// What tells the time of a world that is not simulated.
    clock: Option<WallClock>,
    work: u64,
}

/// What its author knows of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It was typed: it may appear once or never.
    Typed,
    /// The server promised that it is kept.
    Acked,
    /// The server refused it for good.
    Refused,
    /// The author was told that nobody knows.
    Uncertain,
}

impl Record {
    pub(crate) fn new(clients: usize, keep_all: bool) -> Self {
        let pages = Pages {
            trace: Trace::new(keep_all),
            sights: (0..clients).map(|_| Sight::default()).collect(),
            ..Pages::default()
        };
        Self(Arc::new(Mutex::new(pages)))
    }

    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        // A panic is a violation by itself; what was written down before it still counts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, who: Who, what: &'static str, number: u64) {
        self.pages().note(who, what, None, number);
    }

    pub(crate) fn hit(&self, what: Sometimes) {
        self.pages().coverage.hit(what);
    }

    pub(crate) fn fail(&self, rule: Rule, what: String) {
        self.pages().fail(rule, what);
    }

    /// Counts a read, a write or a connection.
    ///
    /// # Panics
    /// If there were far too many since the last step: somebody goes in circles while no time passes.
    pub(crate) fn work(&self) {
        let mut pages = self.pages();
        pages.work += 1;
        if pages.work > MAX_WORK {
            pages.fail(Rule::Watchdog, "a step of the simulation does not end".to_owned());
            drop(pages);
            panic!("the watchdog stops a step that does not end");
        }
    }
}

impl Pages {
    pub(crate) fn note(&mut self, who: Who, what: &'static str, token: Option<Token>, number: u64) {
        let at = self.now();
        self.trace.note(Happened { at, who, what, token, number });
    }

    /// The first broken rule counts; what breaks after it may be its consequence.
    pub(crate) fn fail(&mut self, rule: Rule, what: String) {
        if self.broken.is_none() {
            let at = self.now();
            self.broken = Some(Violation { rule, at, what });
        }
    }

    /// The time in microseconds: simulated, or of a real clock.
    pub(crate) fn now(&self) -> u64 {
        match &self.clock {
            Some(clock) => clock.now(),
            None => turmoil::sim_elapsed().map_or(self.now, micros),
        }
    }

    /// From here on time is real.
    pub(crate) fn live_by(&mut self, clock: WallClock) {
        self.clock = Some(clock);
    }

    /// Something goes wrong.
    pub(crate) fn strike(&mut self) {
        self.struck_at = Some(self.now());
    }

    /// The server's process ends.
    pub(crate) fn note_server_end(&mut self) {
        self.server_ended_at = Some(self.now());
    }

    /// Whether the server's process has ended since then, or so shortly before that its last words came later.
    pub(crate) fn has_server_ended_since(&self, at: u64) -> bool {
        self.server_ended_at.is_some_and(|ended| ended.saturating_add(SERVER_FELT) >= at)
    }

    /// Something goes wrong with the server.
    pub(crate) fn strike_server(&mut self) {
        self.server_struck_at = Some(self.now());
    }

    /// Whether something went wrong with the server since then, or still does.
    pub(crate) fn was_server_struck_since(&self, since: u64) -> bool {
        self.server_struck_at.is_some_and(|at| at.saturating_add(SERVER_FELT) >= since)
            || self.full_until.is_some_and(|until| until >= since)
    }

    /// Whether something went wrong so lately that it may still be felt.
    pub(crate) fn was_struck_lately(&self) -> bool {
        self.struck_at.is_some_and(|at| self.now() < at + FELT)
    }

    /// The server's clock is off by so much from now on.
    pub(crate) fn skew(&mut self, ms: i64) {
        self.skews.push(ms);
    }

    /// The earliest and the latest time that the server may have given to what is stored now, in ms since 1970: it may have
    /// waited, and the clock may have been set meanwhile.
    pub(crate) fn server_times(&self) -> (u64, u64) {
        let most = self.skews.iter().copied().fold(0, i64::max);
        (self.earliest_now().saturating_sub(FELT / 1_000), self.server_time(most))
    }

    /// The time by a clock that is off by so many ms, in ms since 1970.
    fn server_time(&self, skew: i64) -> u64 {
        (crate::net::EPOCH_MS + self.now() / 1_000).saturating_add_signed(skew)
    }

    /// The earliest time that it may be now by the server's clock, in ms since 1970.
    pub(crate) fn earliest_now(&self) -> u64 {
        self.server_time(self.skews.iter().copied().fold(0, i64::min))
    }

    /// The latest time that the server may go by when it deletes, in ms since 1970: a clock that jumped is not trusted.
    pub(crate) fn trusted_time(&self) -> u64 {
        let small = self.skews.iter().copied().filter(|skew| skew.unsigned_abs() < A_DAY_MS);
        self.server_time(small.fold(0, i64::max))
    }

    /// The disk is full from now on, or is not any more.
    pub(crate) fn set_full(&mut self, full: bool) {
        self.full_until = Some(if full { u64::MAX } else { self.now() });
    }

    /// Whether the disk was full at some time since then. A server does not try it again and again.
    pub(crate) fn was_full_since(&self, since: u64) -> bool {
        self.full_until.is_some_and(|until| until.saturating_add(FULL_AFTER) >= since)
    }

    /// Whether somebody has had this name since before then, and been there.
    pub(crate) fn is_called_since(&self, name: &str, since: u64) -> bool {
        // Another device may have taken another name for its person, which this one was not told.
        let is_all = |person| {
            let mut theirs = self.sights.iter().filter(|sight| sight.person == person);
            theirs.all(|sight| sight.name == name && sight.is_unhindered() && sight.own.rests_since(since))
        };
        self.sights.iter().any(|sight| sight.person.is_some() && sight.name == name && is_all(sight.person))
    }

    /// A step is over.
    pub(crate) fn step(&mut self, now: u64) {
        self.now = now;
        self.work = 0;
    }

    pub(crate) fn typed(&mut self, token: Token) {
        self.note(Who::Client(token.client), "types", Some(token), 0);
        self.fates.insert(token, Fate::Typed);
        self.typed_at.insert(token, self.now());
    }

    /// A client is shown a line: that must be soon after it was typed, if that is asked. A file takes its time.
    pub(crate) fn judge_age(&mut self, client: u16, token: Token) {
        let is_file = token.is_offer() || self.files.contains_key(&token);
        let (Some(most), Some(at), false) = (self.prompt_ms, self.typed_at.get(&token), is_file) else {
            return;
        };
        let age = self.now().saturating_sub(*at) / 1_000;
        if age > most {
            self.fail(Rule::Prompt, format!("c{client} is shown {token} {age} ms after it was typed"));
        }
    }

    /// A line was promised to be kept.
    pub(crate) fn acked(&mut self, token: Token) {
        match self.fates.insert(token, Fate::Acked) {
            Some(Fate::Acked) => return,
            Some(Fate::Refused) => {
                self.fail(Rule::AtMostOnce, format!("{token} was refused, then acknowledged"));
            }
            _ => {}
        }
        self.note(Who::Client(token.client), "is told that the log has", Some(token), 0);
        if !self.truth.has(token) {
            self.fail(Rule::Durable, format!("{token} was acknowledged, and is not in the durable log"));
        }
    }

    /// A line was refused.
    pub(crate) fn refused(&mut self, token: Token, code: u16) {
        self.note(Who::Client(token.client), "is refused", Some(token), u64::from(code));
        self.fates.insert(token, Fate::Refused);
        if self.truth.has(token) {
            self.fail(Rule::AtMostOnce, format!("{token} was refused, and is in the log"));
        }
    }

    pub(crate) fn uncertain(&mut self, token: Token) {
        self.note(Who::Client(token.client), "can't know about", Some(token), 0);
        self.fates.insert(token, Fate::Uncertain);
        if self.truth.epoch() == 0 {
            self.fail(
                Rule::Durable,
                format!(
                    "c{} is told that nobody knows about {token}, in a history that was never lost",
                    token.client
                ),
            );
        }
    }

    /// A login worked.
    pub(crate) fn logged_in(&mut self) {
        let now = self.now();
        self.logins.retain(|at| at + 1_000_000 > now);
        self.logins.push(now);
        // The first second is everybody's arrival, not a return.
        if self.logins.len() == 32 && now > 5_000_000 {
            self.coverage.hit(Sometimes::Storm);
        }
    }
}

/// A duration in microseconds.
pub(crate) fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
