//! The record of a run: what happened, what everybody promised and saw, and the first rule that was broken.

use crate::coverage::{Coverage, Sometimes};
use crate::meant::Meanings;
use crate::real::WallClock;
use crate::rule::{Rule, Violation};
use crate::sight::Sight;
use crate::trace::{Happened, Token, Trace, Who};
use crate::truth::Truth;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reads, writes and connections of one step of the whole world: far beyond what any run needs.
const MAX_WORK: u64 = 3_000_000;

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
