//! What will be in no log: its author is told, by the next process if this one could not show it.

use super::{Outbox, Post, Record};
use crate::session::event::{Event, Refusal};

/// Why a post will be in no log, or may not be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was refused for good.
    Refused(Refusal),
    /// It was never sent, because what it is about is not in the server's new history.
    Void,
    /// It was sent before the server's history was lost: nobody knows whether it arrived.
    Uncertain,
}

/// A post that is over, and whose author has not been shown that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Untold {
    pub(super) serial: u64,
    post: Post,
    outcome: Outcome,
    /// It is told once so many events have been shown; `None` until this process tells it.
    queued: Option<u64>,
}

impl Outcome {
    /// What is shown.
    pub(crate) fn event(self, post: Post) -> Event {
        let text = post.words();
        let Post { place, kind, .. } = post;
        match self {
            Self::Refused(refusal) => Event::Refused { place, kind, text, refusal },
            Self::Void => Event::Void { place, text },
            Self::Uncertain => Event::Uncertain { place, text },
        }
    }
}

impl Untold {
    fn record(&self) -> Record {
        Record::Failed { serial: self.serial, post: self.post.clone(), outcome: self.outcome.clone() }
    }
}

impl Outbox {
    pub(super) fn replay_failed(&mut self, serial: u64, post: &Post, outcome: &Outcome) {
        self.next_serial = self.next_serial.max(serial + 1);
        self.pending.retain(|pending| pending.serial != serial);
        let (post, outcome) = (post.clone(), outcome.clone());
        self.untold.push(Untold { serial, post, outcome, queued: None });
    }

    /// A post is over. Its author is told once so many events have been shown.
    pub(crate) fn owe(&mut self, serial: u64, post: Post, outcome: Outcome, queued: u64) {
        let untold = Untold { serial, post, outcome, queued: Some(queued) };
        self.record(untold.record());
        self.untold.push(untold);
    }

    /// What an earlier process did not show. They are told by the events behind the first `queued`.
    pub(crate) fn retell(&mut self, queued: u64) -> Vec<Event> {
        let untold = self.untold.iter_mut().filter(|untold| untold.queued.is_none());
        let told = untold.zip(queued + 1..).map(|(untold, at)| {
            untold.queued = Some(at);
            untold.outcome.clone().event(untold.post.clone())
        });
        told.collect()
    }

    /// The first `shown` events have been shown.
    pub(crate) fn handle_shown(&mut self, shown: u64) {
        let is_told = |untold: &mut Untold| untold.queued.is_some_and(|queued| queued <= shown);
        let told = self.untold.extract_if(.., is_told);
        self.records.extend(told.map(|untold| Record::Gone { serial: untold.serial }));
    }

    /// The records of what has not been told. They stand behind those of the posts.
    pub(super) fn untold(&self) -> impl Iterator<Item = Record> {
        self.untold.iter().map(Untold::record)
    }
}
