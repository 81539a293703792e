//! Typing notices: telling a room that I type, and who else does there.

use super::requests::Asked;
use super::{Phase, Session};
use crate::clock::{Now, after};
use protocol::id::{Millis, Req, RoomId};
use protocol::limits::TYPING_EVERY_MS;
use protocol::message::{ClientMsg, StateChange};

/// What others were told of my typing.
#[derive(Debug, Default)]
pub(super) struct Typing {
    /// Nobody is told that I type, and I am not shown who does.
    off: bool,
    /// The room that was told that I type there, until it is told otherwise.
    room: Option<RoomId>,
    /// When a room was told last that I type. Invariant: such notices are at least [`TYPING_EVERY_MS`] apart.
    since: Option<Millis>,
    /// The last notice: it has an answer only if it is refused.
    req: Option<Req>,
}

impl Typing {
    /// I said something: whoever reads it knows that I have stopped typing it.
    pub(super) fn handle_posted(&mut self) {
        self.room = None;
    }

    /// The connection is gone, and with it all that was told.
    pub(super) fn handle_disconnected(&mut self) {
        (self.room, self.req) = (None, None);
    }
}

impl Session {
    /// Turns typing notices off, both ways.
    pub fn turn_off_typing(&mut self) {
        self.typing.off = true;
    }

    /// The line that is typed has changed; `on` says whether there is something in it that would be said.
    pub fn handle_typing(&mut self, on: bool, now: Now) {
        if self.phase != Phase::Up || self.typing.off {
            return;
        }
        let here = if on { self.room_at(&self.current) } else { None };
        if let Some(before) = self.typing.room.take_if(|room| Some(*room) != here) {
            self.send_typing(before, false);
        }
        let rested = self.typing.since.is_none_or(|since| now.steady >= after(since, TYPING_EVERY_MS));
        if let Some(room) = here.filter(|_| rested) {
            (self.typing.room, self.typing.since) = (Some(room), Some(now.steady));
            self.send_typing(room, true);
        }
    }

    fn send_typing(&mut self, room: RoomId, on: bool) {
        if let Some(unanswered) = self.typing.req.take() {
            self.requests.take(unanswered);
        }
        let req = self.requests.ask(Asked::Typing);
        self.typing.req = Some(req);
        self.out.push_back(ClientMsg::State { req, change: StateChange::Typing { room, on } });
    }

    /// Who types where I am has changed, or where I am.
    pub(super) fn collect_typing(&mut self) {
        let shown = self.phase == Phase::Up && !self.typing.off;
        let here = self.rooms.by_place(&self.current).filter(|_| shown);
        let people = here.into_iter().flat_map(|room| room.roster.people());
        let typing = people.filter(|item| item.presence.typing && item.presence.online);
        let others = typing.filter(|item| Some(item.person) != self.me);
        let shown = others.filter(|item| !self.ignored.hides(Some(item.person), &item.name));
        self.names.typing = shown.map(|item| item.name.clone()).collect();
    }
}
