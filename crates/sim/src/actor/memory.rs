//! What a person remembers of what they were shown, to type the numbers of lines.

use crate::trace::Token;
use client::session::Place;
use client::session::event::Said;
use protocol::entry::EntryKind;
use std::collections::VecDeque;

/// Lines that a person remembers.
const KEPT: usize = 60;

/// Something to type about a line. Numbers count lines back from the newest one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum About {
    /// An answer to a line of somebody else.
    Answer(usize),
    /// Another text for a line of one's own.
    Edit(usize),
    /// The end of a line of one's own.
    Delete(usize),
    /// A search for a line, or for the last that was changed or taken back.
    Search { token: Token, gone: bool, everywhere: bool },
}

/// What a person remembers.
#[derive(Debug)]
pub(super) struct Memory {
    /// Where they are.
    here: String,
    lines: VecDeque<Line>,
    gone: Option<Token>,
}

#[derive(Debug)]
struct Line {
    place: String,
    seq: u64,
    token: Option<Token>,
    mine: bool,
}

impl Memory {
    pub(super) fn new() -> Self {
        let here = Place::Room("lobby".to_owned()).to_string();
        Self { here, lines: VecDeque::new(), gone: None }
    }

    pub(super) fn go_to(&mut self, place: &Place) {
        self.here = place.to_string();
    }

    /// Another history begins, and numbers mean nothing any more.
    pub(super) fn forget(&mut self) {
        self.lines.clear();
    }

    /// A line is shown.
    pub(super) fn take(&mut self, said: &Said) {
        let (place, token) = (said.place.to_string(), Token::find(&said.text));
        let target = said.reply.as_ref().map(|quote| quote.seq.value());
        let is_target = |line: &Line| line.place == place && Some(line.seq) == target;
        match said.kind {
            EntryKind::Text | EntryKind::Action if token.is_some() => {
                if self.lines.len() == KEPT {
                    self.lines.pop_front();
                }
                self.lines.push_back(Line { place, seq: said.seq.value(), token, mine: said.mine });
            }
            EntryKind::Edit => {
                if let Some(line) = self.lines.iter_mut().find(|line| is_target(line)) {
                    self.gone = std::mem::replace(&mut line.token, token).or(self.gone);
                }
            }
            EntryKind::Delete => {
                if let Some(at) = self.lines.iter().position(is_target) {
                    self.gone = self.lines.remove(at).and_then(|line| line.token).or(self.gone);
                }
            }
            _ => {}
        }
    }

    /// The number of a line here, of one's own or of somebody else.
    pub(super) fn number(&self, mine: bool, back: usize) -> Option<u64> {
        let here = self.lines.iter().rev().filter(|line| line.place == self.here && line.mine == mine);
        here.map(|line| line.seq).nth(back)
    }

    /// The last text that was changed or taken back.
    pub(super) fn gone(&self) -> Option<Token> {
        self.gone
    }
}
