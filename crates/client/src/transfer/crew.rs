//! Jobs that are done at the same time, on one task: a few are under way, the others wait for their turn.

use super::JobId;
use protocol::id::ContentHash;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio::sync::watch;

/// What a job that is under way is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Signal {
    /// The hash of the whole, once it is known.
    pub(super) hash: Option<ContentHash>,
    /// It is not wanted any more.
    pub(super) cancelled: bool,
}

impl Signal {
    /// Waits until the job is not wanted any more.
    pub(super) async fn cancelled(signal: &mut watch::Receiver<Self>) {
        // An error says that the crew is gone, and the job with it.
        let _ = signal.wait_for(|signal| signal.cancelled).await;
    }
}

struct Member<'a, T> {
    signal: watch::Sender<Signal>,
    work: Pin<Box<dyn Future<Output = T> + 'a>>,
}

/// Jobs under way, and jobs that wait.
pub(super) struct Crew<'a, J, T> {
    most: usize,
    waiting: VecDeque<(JobId, J)>,
    members: BTreeMap<JobId, Member<'a, T>>,
}

impl<'a, J, T> Crew<'a, J, T> {
    /// At most so many are under way at the same time.
    pub(super) fn new(most: usize) -> Self {
        Self { most, waiting: VecDeque::new(), members: BTreeMap::new() }
    }

    /// Takes a job; it begins when its turn comes.
    pub(super) fn push(&mut self, id: JobId, job: J) {
        self.waiting.push_back((id, job));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.waiting.is_empty()
    }

    /// The next job whose turn it is.
    pub(super) fn pop(&mut self) -> Option<(JobId, J)> {
        if self.members.len() < self.most { self.waiting.pop_front() } else { None }
    }

    /// A job begins.
    pub(super) fn begin(&mut self, id: JobId, work: impl FnOnce(watch::Receiver<Signal>) -> Work<'a, T>) {
        let (signal, told) = watch::channel(Signal::default());
        self.members.insert(id, Member { signal, work: work(told) });
    }

    /// Tells a job that is under way something.
    pub(super) fn signal(&mut self, id: JobId, change: impl FnOnce(&mut Signal)) {
        if let Some(member) = self.members.get(&id) {
            member.signal.send_modify(change);
        }
    }

    /// A job that waits, to be changed.
    pub(super) fn waiting(&mut self, id: JobId) -> Option<&mut J> {
        self.waiting.iter_mut().find(|(at, _)| *at == id).map(|(_, job)| job)
    }

    /// Takes a job back that waits.
    pub(super) fn withdraw(&mut self, id: JobId) -> Option<J> {
        let at = self.waiting.iter().position(|(at, _)| *at == id)?;
        self.waiting.remove(at).map(|(_, job)| job)
    }

    /// The next job that is done, and what came of it. Waits for ever if none is under way. Cancelling this loses
    /// nothing.
    pub(super) async fn next(&mut self) -> (JobId, T) {
        let done = poll_fn(|cx| {
            for (id, member) in &mut self.members {
                if let Poll::Ready(result) = member.work.as_mut().poll(cx) {
                    return Poll::Ready((*id, result));
                }
            }
            Poll::Pending
        });
        let (id, result) = done.await;
        self.members.remove(&id);
        (id, result)
    }
}

/// What a member does.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
