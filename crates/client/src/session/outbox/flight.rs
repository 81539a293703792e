//! What is on the wire of one connection, and how each post of it was answered.

use protocol::id::Counter;
use std::collections::VecDeque;

/// How a post on the wire was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Not yet.
    Waiting,
    /// Refused, to be sent again.
    Again,
    /// Refused for good.
    Drop,
}

/// The posts on the wire, oldest first.
#[derive(Debug, Default)]
pub(super) struct Flight {
    posts: VecDeque<(Answer, usize)>,
    /// Sum of the sizes in `posts`. Invariant: <= `max_bytes`, unless one post alone is larger.
    bytes: usize,
    max_posts: usize,
    max_bytes: usize,
    /// Refusals of posts that the server could not read, so that it could not name them.
    pub(super) unnamed: usize,
    /// The counter that the server waits for, if it said so.
    pub(super) expected: Option<Counter>,
}

impl Flight {
    /// The connection may carry so much.
    pub(super) fn open(&mut self, posts: u16, bytes: u32) {
        self.max_posts = usize::from(posts.max(1));
        self.max_bytes = bytes as usize;
    }

    /// Posts on the wire.
    pub(super) fn len(&self) -> usize {
        self.posts.len()
    }

    /// Takes a post of this size if it fits.
    pub(super) fn push(&mut self, size: usize) -> Option<()> {
        let fits = self.posts.is_empty() || self.bytes + size <= self.max_bytes;
        if self.posts.len() >= self.max_posts || !fits {
            return None;
        }
        self.bytes += size;
        self.posts.push_back((Answer::Waiting, size));
        Some(())
    }

    /// The first `n` are settled.
    pub(super) fn settle(&mut self, n: usize) {
        let n = n.min(self.posts.len());
        self.bytes -= self.posts.drain(..n).map(|(_, size)| size).sum::<usize>();
    }

    /// The post at this place was refused.
    pub(super) fn answer(&mut self, at: usize, answer: Answer) {
        if let Some((state, _)) = self.posts.get_mut(at).filter(|(state, _)| *state != Answer::Drop) {
            *state = answer;
        }
    }

    /// Whether the post at this place is not answered yet.
    pub(super) fn is_waiting(&self, at: usize) -> bool {
        self.posts.get(at).is_some_and(|(state, _)| *state == Answer::Waiting)
    }

    /// Whether something was refused, so that the numbers behind it are void.
    pub(super) fn is_refused(&self) -> bool {
        self.posts.iter().any(|(state, _)| *state != Answer::Waiting)
    }

    /// Whether everything on the wire is answered.
    pub(super) fn is_answered(&self) -> bool {
        self.posts.iter().all(|(state, _)| *state != Answer::Waiting)
    }

    /// Empties the wire; the answers in order.
    pub(super) fn take_answers(&mut self) -> Vec<Answer> {
        self.bytes = 0;
        self.posts.drain(..).map(|(state, _)| state).collect()
    }
}
