//! What was written and is not acknowledged yet: numbered when it is first sent, resent until it is settled.
//!
//! A post gets its counter only when it goes out, and not before that was journalled. So whatever has no
//! counter was surely never sent, and whatever has one may have arrived.
//!
//! A refusal does not move the server's counter, so posts behind a refused one are refused too. The outbox
//! then sends nothing more until everything on the wire is answered, and only then numbers anew: no late
//! answer can be taken for one to a new number.

mod flight;
mod jobs;
mod record;
#[cfg(test)]
mod tests;
mod untold;
mod waiting;

pub use jobs::{DownJob, DownStage, Job, Offer, UpJob};
pub use record::{Content, Pending, Post, Record, Whereabouts};
pub use untold::Outcome;

use crate::clock::{Now, after};
use crate::transfer::JobId;
use flight::{Answer, Flight};
pub(crate) use jobs::Jobs;
use protocol::code::Code;
use protocol::id::{Counter, Epoch, Millis};
use protocol::limits::{WINDOW_BYTES, WINDOW_POSTS};
use protocol::message::ClientMsg;
use std::collections::VecDeque;
use untold::Untold;

/// A post that is not acknowledged after so long is shown as pending, in ms.
pub(crate) const PENDING_AFTER_MS: u64 = 500;

/// Records that are added before the journal is written anew, so that it does not grow for ever; and at least as many
/// as were written then, so that a long one is not written again and again.
const COMPACT_AFTER: usize = 256;

/// What a server has no space for is sent again after so long, in ms.
const FULL_MS: u64 = 2_000;

/// What became of a refused post.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It is dropped; tell its author.
    Dropped(Box<Pending>),
    /// It will be sent again.
    Again,
    /// Nothing on the wire has this number.
    Stale,
}

/// What a journal has that is not settled, to who might take it over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Nothing.
    Settled,
    /// Lines that were surely never sent, in order: anybody may say them.
    Unsent(Vec<Post>),
    /// Something that only its own person can settle: the server may know of it.
    Unsettled,
}

/// What a login settled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Settled {
    /// These had arrived.
    pub(crate) arrived: Vec<Pending>,
    /// These may have arrived in a history that is gone; they are not sent again.
    pub(crate) unknown: Vec<Pending>,
    /// These are about lines of a history that is gone, and were never sent.
    pub(crate) void: Vec<Pending>,
}

/// The posts of one device that are not settled.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Whether what the server has no space for waits until it has.
    patient: bool,
    /// The history that `acked` and all counters belong to.
    epoch: Option<Epoch>,
    /// The last counter that the server accepted, as far as is known.
    acked: Option<Counter>,
    /// Those with a counter come first, numbered `acked + 1`, `acked + 2` … without a gap.
    pending: VecDeque<Pending>,
    /// How many of `pending` are on the wire of this connection. Invariant: on the wire <= numbered.
    flight: Flight,
    /// Nothing is sent before this time: the server asked for a pause.
    hold_until: Option<Millis>,
    ready: VecDeque<ClientMsg>,
    /// Those that are over without being in a log, until their author was shown that.
    untold: Vec<Untold>,
    /// Transfers, which are kept with the posts.
    jobs: Jobs,
    records: Vec<Record>,
    /// Records that were added to the journal since it was written anew.
    added: usize,
    /// Records that were written then.
    rewritten: usize,
    rewrite: bool,
    next_serial: u64,
    /// Posts before this serial are in the journal.
    kept: u64,
    /// The same, once what was given out last has been kept.
    offered: u64,
}

impl Outbox {
    /// An outbox from its journal's records.
    pub(crate) fn restore(records: &[Record]) -> Self {
        let mut outbox = Self { added: records.len(), ..Self::default() };
        for record in records {
            outbox.replay(record);
        }
        // A crash may have come between an acknowledgement and its record, never the other way round.
        outbox.records.clear();
        (outbox.kept, outbox.offered) = (outbox.next_serial, outbox.next_serial);
        outbox
    }

    /// What it has that is not settled.
    pub(crate) fn standing(&self) -> Standing {
        let is_over = |job: &Job| matches!(job, Job::Down(DownJob { stage: DownStage::Settled, .. }));
        let is_tied = |pending: &Pending| {
            pending.counter.is_some() || pending.post.file.is_some() || pending.post.is_about_a_line()
        };
        let all_over = self.untold.is_empty() && self.jobs.iter().all(|(_, job)| is_over(job));
        if !all_over || self.pending.iter().any(is_tied) {
            Standing::Unsettled
        } else if self.pending.is_empty() {
            Standing::Settled
        } else {
            Standing::Unsent(self.pending.iter().map(|pending| pending.post.clone()).collect())
        }
    }

    /// What the server has no space for waits until it has.
    pub(crate) const fn wait_for_space(&mut self) {
        self.patient = true;
    }

    fn replay(&mut self, record: &Record) {
        self.jobs.replay(record);
        match record {
            Record::Job { .. } | Record::JobGone { .. } => {}
            Record::Begun { posts, .. } => self.next_serial = self.next_serial.max(*posts),
            Record::Epoch { epoch, acked } => (self.epoch, self.acked) = (Some(*epoch), *acked),
            Record::Post { serial, post } => {
                self.next_serial = self.next_serial.max(serial + 1);
                self.pending.push_back(Pending::new(*serial, post.clone(), Millis(0)));
            }
            Record::Sent { serial, counter, target } => {
                if let Some(pending) = self.pending.iter_mut().find(|pending| pending.serial == *serial) {
                    pending.counter = Some(*counter);
                    pending.post.target = Some(target.clone());
                }
            }
            Record::Acked { counter } => {
                self.settle(*counter);
            }
            Record::Failed { serial, post, outcome } => self.replay_failed(*serial, post, outcome),
            Record::Gone { serial } => {
                self.pending.retain(|pending| pending.serial != *serial);
                self.untold.retain(|untold| untold.serial != *serial);
            }
        }
    }

    /// Takes a post; it goes out when its turn comes.
    pub(crate) fn push(&mut self, post: Post, now: Now) {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.jobs.handle_post(&post);
        self.record(Record::Post { serial, post: post.clone() });
        self.pending.push_back(Pending::new(serial, post, now.steady));
    }

    /// A login: settles what the server knows, and begins to send.
    pub(crate) fn handle_welcome(&mut self, epoch: Epoch, last: Option<Counter>) -> Settled {
        let same = self.epoch == Some(epoch) && last >= self.acked;
        let mut settled = Settled::default();
        if same {
            settled.arrived = last.map(|last| self.settle(last)).unwrap_or_default();
            // Else they would arrive again at each start.
            let arrived = last.filter(|_| !settled.arrived.is_empty());
            self.records.extend(arrived.map(|counter| Record::Acked { counter }));
        } else {
            let sent = self.pending.iter().take_while(|pending| pending.counter.is_some()).count();
            settled.unknown = self.pending.drain(..sent).collect();
            let renewed = self.epoch.is_some_and(|known| known != epoch);
            settled.void = self.renew(renewed);
            self.rewrite = true;
        }
        (self.epoch, self.acked) = (Some(epoch), last.max(self.acked.filter(|_| same)));
        self.flight.open(WINDOW_POSTS, WINDOW_BYTES);
        settled
    }

    /// Nothing that waits has a target any more. In another history the numbers of lines mean other lines: gives
    /// what can't be said without them.
    fn renew(&mut self, renewed: bool) -> Vec<Pending> {
        let mut void = Vec::new();
        for mut pending in std::mem::take(&mut self.pending) {
            if renewed && pending.post.is_about_a_line() {
                void.push(pending);
                continue;
            }
            pending.post.target = None;
            pending.post.reply_to = pending.post.reply_to.filter(|_| !renewed);
            self.pending.push_back(pending);
        }
        void
    }

    /// Takes the server's window.
    pub(crate) fn set_window(&mut self, posts: u16, bytes: u32) {
        self.flight.open(posts, bytes);
    }

    /// The connection is gone, and with it what was on its wire.
    pub(crate) fn handle_disconnected(&mut self) {
        if self.flight.is_refused() {
            self.renumber();
        }
        self.flight = Flight::default();
        self.hold_until = None;
        self.ready.clear();
    }

    /// All posts up to `counter` are kept by the server. Returns those that were pending.
    pub(crate) fn handle_ack(&mut self, counter: Counter) -> Vec<Pending> {
        let settled = self.settle(counter);
        if !settled.is_empty() {
            self.record(Record::Acked { counter });
        }
        if !self.flight.is_refused() {
            self.flight.expected = None;
        }
        self.finish_refusal();
        settled
    }

    /// A post was refused. `counter` is `None` if the server could not even read it.
    pub(crate) fn handle_refusal(
        &mut self,
        counter: Option<Counter>,
        code: u16,
        detail: u64,
        now: Now,
    ) -> Verdict {
        let Some(counter) = counter else {
            self.flight.unnamed += 1;
            return Verdict::Again;
        };
        let Some(at) = self.on_wire(counter) else {
            return Verdict::Stale;
        };
        let pending = self.pending[at].clone();
        let verdict = match Code::from_number(code) {
            Some(Code::OutOfOrder) => self.handle_out_of_order(at, detail),
            Some(Code::OtherContent) => {
                // Something else used this number, and perhaps others behind it: the next one goes on from where it is.
                self.flight.expected = Counter::new(detail);
                self.flight.answer(at, Answer::Drop);
                Verdict::Dropped(pending.into())
            }
            Some(Code::TooFast) => self.hold(at, detail.max(50), now),
            Some(Code::DiskFull) if self.patient => self.hold(at, FULL_MS, now),
            _ => {
                self.flight.answer(at, Answer::Drop);
                Verdict::Dropped(pending.into())
            }
        };
        self.finish_refusal();
        verdict
    }

    /// The post is sent again after a pause of so many ms.
    fn hold(&mut self, at: usize, ms: u64, now: Now) -> Verdict {
        self.hold_until = Some(after(now.steady, ms));
        self.flight.answer(at, Answer::Again);
        Verdict::Again
    }

    /// The post was behind one that was refused. `expected` names that one, which matters if the server could
    /// not read its number.
    fn handle_out_of_order(&mut self, at: usize, expected: u64) -> Verdict {
        self.flight.answer(at, Answer::Again);
        self.flight.expected = Counter::new(expected);
        let unread = Counter::new(expected).and_then(|counter| self.on_wire(counter));
        match unread.filter(|at| self.flight.unnamed > 0 && self.flight.is_waiting(*at)) {
            None => Verdict::Again,
            Some(at) => {
                self.flight.unnamed -= 1;
                self.flight.answer(at, Answer::Drop);
                Verdict::Dropped(self.pending[at].clone().into())
            }
        }
    }

    fn on_wire(&self, counter: Counter) -> Option<usize> {
        let first = Counter::after(self.acked).value();
        let at = usize::try_from(counter.value().checked_sub(first)?).ok()?;
        (at < self.flight.len()).then_some(at)
    }

    /// Numbers anew once everything on the wire is answered.
    fn finish_refusal(&mut self) {
        if self.flight.is_refused() && self.flight.is_answered() {
            self.renumber();
        }
    }

    /// Takes the numbers from the first refused post on, which the server can't have accepted. What stands
    /// in front of it may have arrived and keeps its number.
    fn renumber(&mut self) {
        let expected = self.flight.expected.take().filter(|_| self.flight.is_answered());
        self.acked = expected.map_or(self.acked, Counter::before);
        let answers = self.flight.take_answers();
        let first = answers.iter().position(|answer| *answer != Answer::Waiting).unwrap_or(answers.len());
        let mut answers = answers.into_iter().chain(std::iter::repeat(Answer::Again));
        let mut at = 0..;
        self.pending.retain_mut(|pending| {
            if at.next() >= Some(first) {
                pending.counter = None;
            }
            answers.next() != Some(Answer::Drop)
        });
        self.rewrite = true;
    }

    /// Takes all posts up to `counter` out.
    fn settle(&mut self, counter: Counter) -> Vec<Pending> {
        let done =
            self.pending.iter().take_while(|pending| pending.counter.is_some_and(|own| own <= counter));
        let done = done.count();
        self.acked = self.acked.max(Some(counter));
        self.flight.settle(done);
        self.pending.drain(..done).collect()
    }

    /// Puts as many posts on the wire as the window takes.
    pub(crate) fn advance(&mut self, now: Now) {
        if self.flight.is_refused() || self.hold_until.is_some_and(|until| now.steady < until) {
            return;
        }
        self.hold_until = None;
        while self.send_next(now).is_some() {}
    }

    fn send_next(&mut self, now: Now) -> Option<()> {
        let at = self.flight.len();
        let counter = Counter::new(self.acked.map_or(0, Counter::value) + at as u64 + 1)?;
        let pending = self.pending.get_mut(at)?;
        let target = pending.post.target.clone()?;
        self.flight.push(pending.post.wire_len())?;
        if pending.counter != Some(counter) {
            pending.counter = Some(counter);
            let serial = pending.serial;
            let target = target.clone();
            self.records.push(Record::Sent { serial, counter, target });
        }
        self.ready.push_back(pending.post.message(counter, target, now.wall));
        Some(())
    }

    /// The next message for the wire.
    pub(crate) fn poll_transmit(&mut self) -> Option<ClientMsg> {
        self.ready.pop_front()
    }

    /// When there is something to do: a pause ends, or a post becomes late.
    pub(crate) fn timeout(&self) -> Option<Millis> {
        let late = self.pending.iter().find(|pending| !pending.announced);
        let late = late.map(|pending| after(pending.typed, PENDING_AFTER_MS));
        self.hold_until.into_iter().chain(late).min()
    }

    /// How many posts were ever written, and the number of the transfer that was begun last.
    pub(crate) fn begun(&self) -> (u64, JobId) {
        (self.next_serial, self.jobs.last())
    }

    /// Posts that are not settled.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// All that is not settled.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.pending.iter()
    }

    fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Whether something must be in the journal before anything else is sent.
    pub(crate) fn is_dirty(&self) -> bool {
        self.rewrite || !self.records.is_empty()
    }

    /// What must be in the journal before anything else is sent.
    pub(crate) fn poll_save(&mut self) -> Option<JournalSave> {
        // Whoever asks for more has kept what was given before.
        self.kept = self.offered;
        self.offered = self.next_serial;
        let compact = self.pending.is_empty() && self.added > COMPACT_AFTER.max(self.rewritten);
        if std::mem::take(&mut self.rewrite) || compact {
            self.records.clear();
            let all = self.snapshot();
            (self.added, self.rewritten) = (0, all.len());
            return Some(JournalSave::Replace(all));
        }
        if self.records.is_empty() {
            return None;
        }
        self.added += self.records.len();
        Some(JournalSave::Append(std::mem::take(&mut self.records)))
    }

    /// What was given out last could not be kept, and may stand in the journal by half: it is written anew.
    pub(crate) fn handle_unkept(&mut self) {
        self.offered = self.kept;
        self.rewrite = true;
    }

    /// Posts that are not in the journal.
    pub(crate) fn unkept(&self) -> impl Iterator<Item = &Pending> {
        self.pending.iter().filter(|pending| pending.serial >= self.kept)
    }

    fn snapshot(&self) -> Vec<Record> {
        let epoch = self.epoch.map(|epoch| Record::Epoch { epoch, acked: self.acked });
        let (posts, jobs) = self.begun();
        let begun = (posts > 0 || jobs > JobId(0)).then_some(Record::Begun { posts, jobs });
        // Transfers stand in front of the posts that end them.
        epoch
            .into_iter()
            .chain(begun)
            .chain(self.jobs.records())
            .chain(self.pending.iter().flat_map(Pending::records))
            .chain(self.untold())
            .collect()
    }
}

/// A change of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum JournalSave {
    /// Add these.
    Append(Vec<Record>),
    /// Replace all by these.
    Replace(Vec<Record>),
}
