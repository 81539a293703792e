//! Leaving well: what was said is acknowledged and seen first, as far as there is patience.

use super::event::{End, Event};
use super::outbox::{DownStage, Job, Pending};
use super::requests::Asked;
use super::{Phase, Session};
use crate::clock::{Now, after, since};
use protocol::id::{Counter, Millis};
use protocol::message::ClientMsg;
use std::collections::BTreeSet;

/// After its acknowledgement one's own line comes at once; a room that is not open would never show it. In ms.
const UNSEEN_MS: u64 = 2_000;

/// What stands between the wish to leave and leaving.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    wish: Option<Wish>,
    /// Posts that are acknowledged, and that the log has not shown yet.
    unseen: BTreeSet<Counter>,
    /// The same, where a login told that they had arrived: an earlier process may have shown them.
    arrived: BTreeSet<Counter>,
    last_ack: Millis,
}

#[derive(Clone, Copy, Debug)]
struct Wish {
    /// Leave at this time in any case; `None` waits for as long as it takes.
    until: Option<Millis>,
}

impl Leaving {
    pub(super) fn is_leaving(&self) -> bool {
        self.wish.is_some()
    }

    pub(super) fn handle_acked(&mut self, posts: &[Pending], now: Millis) {
        self.unseen.extend(posts.iter().filter_map(|pending| pending.counter));
        self.last_ack = now;
    }

    /// A login tells that these had arrived.
    pub(super) fn handle_arrived(&mut self, posts: &[Pending], now: Millis) {
        self.arrived = posts.iter().filter_map(|pending| pending.counter).collect();
        self.last_ack = now;
    }

    pub(super) fn handle_seen(&mut self, counter: Counter) {
        self.unseen.remove(&counter);
        self.arrived.remove(&counter);
    }

    /// All that was missed has come: what had arrived and was not in it was shown before.
    pub(super) fn handle_resumed(&mut self) {
        self.arrived.clear();
    }

    /// Whether something is acknowledged that the log has not shown yet.
    pub(super) fn has_unseen(&self) -> bool {
        !self.unseen.is_empty() || !self.arrived.is_empty()
    }

    /// Whether what is acknowledged was shown, or is not going to be.
    pub(super) fn is_all_seen(&self, now: Now) -> bool {
        !self.has_unseen() || since(now.steady, self.last_ack) >= UNSEEN_MS
    }

    pub(super) fn forget_unseen(&mut self) {
        self.unseen.clear();
        self.arrived.clear();
    }

    /// When what has not been shown is not waited for any more.
    pub(super) fn unseen_timeout(&self) -> Option<Millis> {
        self.has_unseen().then(|| after(self.last_ack, UNSEEN_MS))
    }

    pub(super) fn timeout(&self) -> Option<Millis> {
        let wish = self.wish?;
        wish.until.into_iter().chain(self.unseen_timeout()).min()
    }
}

impl Session {
    /// The user wants to leave. What is not acknowledged is waited for, at most `patience` ms if that is given;
    /// what is not acknowledged then stays in the outbox.
    pub fn handle_leave(&mut self, patience: Option<u64>, now: Now) {
        self.leaving.wish = Some(Wish { until: patience.map(|ms| after(now.steady, ms)) });
        self.advance(now);
    }

    /// Whether everything that was typed has been done, answered and shown.
    pub fn is_settled(&self, now: Now) -> bool {
        self.phase == Phase::Up
            && self.outbox.len() == 0
            && self.transfers.is_settled(|id| !self.errand && self.outbox.jobs().is_growing(id))
            && !self.requests.any(|asked| !matches!(asked, Asked::Mark | Asked::Typing))
            && self.joining.is_empty()
            && !self.resume.is_active()
            && self.deferred.is_none()
            && self.held.is_none()
            && self.leaving.is_all_seen(now)
    }

    /// Whether the next process of this profile has something to go on with.
    pub fn is_unfinished(&self) -> bool {
        let sends = self.outbox.jobs().iter().any(|(_, job)| matches!(job, Job::Up(_)));
        self.outbox.len() > 0 || sends || self.is_receiving()
    }

    /// Whether an earlier process of this profile began to receive something that is not here yet.
    pub fn is_receiving(&self) -> bool {
        self.outbox
            .jobs()
            .iter()
            .any(|(_, job)| matches!(job, Job::Down(job) if job.stage == DownStage::Coming))
    }

    /// How many posts were written and how many files were to be sent or received, in this process and in earlier ones
    /// of this profile.
    pub fn begun(&self) -> (u64, u64) {
        let (posts, jobs) = self.outbox.begun();
        (posts, jobs.0)
    }

    pub(super) fn advance_leaving(&mut self, now: Now) {
        let Some(wish) = self.leaving.wish.filter(|_| self.end().is_none()) else {
            return;
        };
        let offline = wish.until.is_some() && !self.is_connected();
        // Nothing can be sent any more, and nobody types again.
        let stuck = self.unkept.is_outbox();
        if offline || stuck || wish.until.is_some_and(|until| now.steady >= until) || self.is_settled(now) {
            self.abandon_transfers();
            self.advance_marks(now.steady, true);
            if self.is_connected() {
                self.out.push_back(ClientMsg::Bye {});
            }
            let gone = self.tell_gone();
            if self.outbox.len() > gone {
                self.tell(Event::Leaving { pending: self.outbox.len() - gone });
            }
            self.end_with(End::Quit, now);
        }
    }
}
