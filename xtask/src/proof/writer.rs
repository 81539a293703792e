//! Somebody who posts all the time, keeps a journal of what was acknowledged, and goes on after each cut.

use super::body::{Bodies, body, room_of};
use super::violation::Violation;
use bytes::Bytes;
use load::identity::Identity;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Counter, DeviceNo, Epoch, Millis, Req, RoomId};
use protocol::message::{ClientMsg, RoomInfo, RoomsChange, ServerMsg, Target, ty};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a writer waits after the server said that its disk is full.
const PAUSE: Duration = Duration::from_millis(100);

/// What a writer is to do.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Rooms that it posts to, by name.
    pub rooms: Vec<String>,
    /// How long its posts are.
    pub bodies: Bodies,
    /// Posts that it leaves unanswered at most.
    pub window: usize,
    /// Whether it sends again what was not acknowledged, also where the server says that it has it.
    pub stubborn: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is none.
    Away,
    /// `Hello` was said.
    Login,
    /// The room with this index is being joined.
    Joining(usize),
    /// It may post.
    Posting,
    /// The server wants it to go.
    Leaving,
}

/// A writer. Its journal is outside of the server, so it survives whatever becomes of that.
#[derive(Debug)]
pub struct Writer {
    /// Its number among all writers.
    pub number: usize,
    /// Who it is to the server.
    pub identity: Identity,
    habits: Habits,
    /// The rooms' numbers, as far as it has been let in.
    ids: Vec<Option<RoomId>>,
    /// How far it is.
    pub step: Step,
    /// Its device as entries show it.
    pub device: Option<DeviceNo>,
    epoch: Option<Epoch>,
    /// The last post that was acknowledged, or that the server said it has. Invariant: acked <= reached.
    pub acked: u64,
    /// The last post that was sent on this connection, or need not be. Invariant: sent <= reached.
    sent: u64,
    /// The last post that was ever sent.
    pub reached: u64,
    /// Those under way on this connection.
    unanswered: BTreeSet<u64>,
    /// The first post that was refused because the disk is full, until all that are under way are answered.
    refused: Option<u64>,
    resume_at: Duration,
    /// Refusals because of a full disk.
    pub refusals: u64,
    /// Posts that were sent again.
    pub repeats: u64,
    /// When the last acknowledgement came.
    pub acked_at: Duration,
}

impl Writer {
    /// A writer who has never been there.
    pub fn new(number: usize, run: u64, habits: Habits) -> Self {
        let ids = vec![None; habits.rooms.len()];
        Self {
            number,
            identity: Identity::numbered(&format!("w-{number}"), number as u64, run),
            habits,
            ids,
            step: Step::Away,
            device: None,
            epoch: None,
            acked: 0,
            sent: 0,
            reached: 0,
            unanswered: BTreeSet::new(),
            refused: None,
            resume_at: Duration::ZERO,
            refusals: 0,
            repeats: 0,
            acked_at: Duration::ZERO,
        }
    }

    /// The first words of a new connection.
    pub fn greet(&mut self) -> ClientMsg {
        self.step = Step::Login;
        self.unanswered.clear();
        self.refused = None;
        self.identity.hello()
    }

    /// The connection has ended.
    pub fn handle_end(&mut self) {
        self.step = Step::Away;
    }

    /// Takes in what the server said, and gives what is to be said now, apart from posts.
    ///
    /// # Errors
    /// [`Violation`] if it must not say that.
    pub fn handle_message(&mut self, msg: ServerMsg, now: Duration) -> Result<Option<ClientMsg>, Violation> {
        match msg {
            ServerMsg::Welcome { device, last_counter, epoch, .. } => {
                self.device = Some(device);
                self.handle_welcome(last_counter.map_or(0, Counter::value), epoch)?;
            }
            ServerMsg::Rooms { change: RoomsChange::All, more, rooms, .. } => {
                return self.handle_rooms(more, &rooms);
            }
            ServerMsg::Rooms { change: RoomsChange::Added, rooms, req, .. } if req != Req(0) => {
                return Ok(self.handle_joined(&rooms));
            }
            ServerMsg::Ack { counter, .. } => self.handle_ack(counter.value(), now)?,
            ServerMsg::Error { code, about, req, text, .. } => {
                self.handle_error(code, about, req, text, now)?;
            }
            ServerMsg::GoAway { .. } => self.step = Step::Leaving,
            _ => {}
        }
        Ok(None)
    }

    /// The next post, if one may be sent now.
    pub fn poll_post(&mut self, now: Duration) -> Option<ClientMsg> {
        let open = self.step == Step::Posting && self.refused.is_none() && now >= self.resume_at;
        if !open || self.unanswered.len() >= self.habits.window {
            return None;
        }
        self.sent += 1;
        self.repeats += u64::from(self.sent <= self.reached);
        self.reached = self.reached.max(self.sent);
        self.unanswered.insert(self.sent);
        Some(ClientMsg::Post {
            counter: Counter::new(self.sent)?,
            target: Target::Room { room: self.ids[self.room(self.sent)]? },
            kind: EntryKind::Text,
            reply_to: None,
            written: Millis(0),
            body: Bytes::from(self.body(self.sent)),
        })
    }

    /// The body of its post with this counter.
    pub fn body(&self, counter: u64) -> String {
        body(self.number, counter, self.habits.bodies)
    }

    /// The room of its post with this counter, once it has been let in.
    pub fn room_of(&self, counter: u64) -> Option<RoomId> {
        self.ids[self.room(counter)]
    }

    fn room(&self, counter: u64) -> usize {
        room_of(self.number, counter, self.ids.len())
    }

    fn handle_welcome(&mut self, told: u64, epoch: Epoch) -> Result<(), Violation> {
        let (writer, acked) = (self.number, self.acked);
        if self.epoch.is_some_and(|known| known != epoch) {
            return Err(Violation::NewHistory { what: format!("writer {writer} is told another epoch") });
        }
        self.epoch = Some(epoch);
        if told < acked {
            return Err(Violation::Forgotten { writer, acked, told });
        }
        if told > self.reached {
            let what = format!("post {told} of writer {writer}, who never sent it, is said to be stored");
            return Err(Violation::Invented { what });
        }
        self.sent = if self.habits.stubborn { acked } else { told };
        // "Posts up to it are stored": a promise like any other acknowledgement.
        self.acked = told;
        Ok(())
    }

    fn handle_rooms(&mut self, more: bool, rooms: &[RoomInfo]) -> Result<Option<ClientMsg>, Violation> {
        if more || self.step != Step::Login {
            return Ok(None);
        }
        let gone =
            self.ids.iter().position(|id| id.is_some_and(|id| rooms.iter().all(|room| room.room != id)));
        if let Some(gone) = gone {
            return Err(Violation::Membership { writer: self.number, room: self.habits.rooms[gone].clone() });
        }
        Ok(self.join_next())
    }

    fn handle_joined(&mut self, rooms: &[RoomInfo]) -> Option<ClientMsg> {
        if let (Step::Joining(at), Some(room)) = (self.step, rooms.first()) {
            self.ids[at] = Some(room.room);
        }
        self.join_next()
    }

    fn join_next(&mut self) -> Option<ClientMsg> {
        let next = self.ids.iter().position(Option::is_none);
        self.step = next.map_or(Step::Posting, Step::Joining);
        let name = self.habits.rooms[next?].clone();
        Some(ClientMsg::Join { req: Req(u32::try_from(next? + 1).ok()?), name })
    }

    fn handle_ack(&mut self, counter: u64, now: Duration) -> Result<(), Violation> {
        if counter > self.sent {
            let what = format!(
                "an acknowledgement of post {counter}, but writer {} sent {}",
                self.number, self.sent
            );
            return Err(Violation::Invented { what });
        }
        self.acked = self.acked.max(counter);
        self.acked_at = now;
        self.unanswered = self.unanswered.split_off(&(counter + 1));
        self.settle(now);
        Ok(())
    }

    fn handle_error(
        &mut self,
        code: u16,
        about: u8,
        req: u64,
        text: String,
        now: Duration,
    ) -> Result<(), Violation> {
        let of_post = about == ty::POST && self.unanswered.remove(&req);
        if of_post && code == Code::DiskFull.number() {
            self.refusals += 1;
            self.refused = Some(self.refused.map_or(req, |first| first.min(req)));
        } else if !(of_post && code == Code::OutOfOrder.number() && self.refused.is_some()) {
            return Err(Violation::Refused { writer: self.number, code, text });
        }
        self.settle(now);
        Ok(())
    }

    /// After a refusal nothing is sent until all that is under way is answered; then it goes on where it was refused.
    fn settle(&mut self, now: Duration) {
        if let Some(first) = self.refused.filter(|_| self.unanswered.is_empty()) {
            self.refused = None;
            self.sent = first - 1;
            self.resume_at = now + PAUSE;
        }
    }
}

#[cfg(test)]
mod tests;
