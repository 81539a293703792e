//! What native clients ask for, one method for each message.

use super::paying::Denied;
use super::post::Post;
use super::search::Wanted;
use super::{Effect, FetchAnswer, FoundAnswer, Hub};
use crate::clock::Now;
use crate::conn::ConnId;
use crate::inbound::{Refusal, request_of};
use crate::sequencer::{NewReply, Request};
use crate::store::Change;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Millis, PersonId, Req, RoomId, Seq};
use protocol::limits::rates::Bucket;
use protocol::limits::{MAX_AWAY, MAX_FETCH, MAX_TOPIC};
use protocol::message::{Action, ClientMsg, Range, Reply, RoomsChange, ServerMsg, StateChange, ty};
use protocol::name::RoomName;
use protocol::text::check_line;

impl Hub {
    pub(super) fn handle_native(&mut self, conn: ConnId, msg: ClientMsg, now: Now) {
        let ty = msg.ty();
        if let Err(Denied { code, detail }) = self.pay_request(conn, &msg, now) {
            return self.refuse(conn, Refusal::about(code, ty, request_of(&msg)).with(detail), now);
        }
        let (req, done): (_, Result<(), Denied>) = match msg {
            ClientMsg::Post { counter, target, kind, reply_to, written, body } => {
                let post = Post { counter, target, kind, reply_to, written, body };
                return self.handle_post(conn, post, now);
            }
            ClientMsg::Ping { nonce } => return self.pong(conn, nonce, now.wall),
            ClientMsg::Bye {} => return self.close(conn, now),
            ClientMsg::Hello { .. } => (Req(0), Err(Code::AlreadyLoggedIn.into())),
            ClientMsg::Join { req, name } => (req, self.handle_join(conn, req, &name, now)),
            ClientMsg::Part { req, room } => (req, self.handle_part(conn, req, room, now)),
            ClientMsg::Open { req, room, from } => {
                (req, self.open_room(conn, req, room, &from).map_err(Denied::from))
            }
            ClientMsg::Close { req, room } => {
                let done = self.close_room(conn, room).map(|()| self.answer(conn, req, Reply::Done));
                (req, done.map_err(Denied::from))
            }
            ClientMsg::Fetch { req, room, range, limit } => {
                (req, self.handle_fetch(conn, req, room, range, limit))
            }
            ClientMsg::Mark { req, room, seq } => (req, self.handle_mark(conn, req, room, seq)),
            ClientMsg::State { req, change } => (req, self.handle_state(conn, req, change, now)),
            ClientMsg::Ask { req, question } => {
                (req, self.handle_ask(conn, req, &question).map_err(Denied::from))
            }
            ClientMsg::Do { req, room, action } => (req, self.handle_do(conn, req, room, &action, now)),
            ClientMsg::Search { req, room, words, limit, before_room, before } => {
                let wanted = Wanted { room, words, limit, before: before_room.zip(before) };
                return self.handle_search(conn, req, wanted, now);
            }
            ClientMsg::Operate { req, .. }
            | ClientMsg::Put { req, .. }
            | ClientMsg::Chunk { req, .. }
            | ClientMsg::Done { req, .. }
            | ClientMsg::Drop { req }
            | ClientMsg::Get { req, .. }
            | ClientMsg::Grant { req, .. }
            | ClientMsg::Check { req, .. } => (req, Err(Code::WrongPurpose.into())),
            ClientMsg::Fetched { req, room, seq } => {
                let done = self.person_of(conn).and_then(|person| self.handle_fetched(person, room, seq));
                let done = done.map(|()| self.answer_durably(conn, ty, req, Reply::Done));
                (req, done.map_err(Denied::from))
            }
        };
        if let Err(Denied { code, detail }) = done {
            let detail = match (code, ty) {
                (Code::BodyTooLarge, ty::DO) => MAX_TOPIC as u64,
                (Code::BodyTooLarge, _) => MAX_AWAY as u64,
                _ => detail,
            };
            self.refuse(conn, Refusal::about(code, ty, u64::from(req.0)).with(detail), now);
        }
    }

    pub(super) fn person_of(&self, conn: ConnId) -> Result<PersonId, Code> {
        self.sessions.get(&conn).map(|session| session.person).ok_or(Code::NotAllowed)
    }

    pub(super) fn answer(&mut self, conn: ConnId, req: Req, reply: Reply) {
        self.send(conn, &ServerMsg::Answer { req, more: false, reply });
    }

    /// Answers a request of this type once what was asked for is committed.
    fn answer_durably(&mut self, conn: ConnId, ty: u8, req: Req, reply: Reply) {
        let request = Some(Request { ty, req, later: None });
        let bytes = ServerMsg::Answer { req, more: false, reply }.encode();
        self.send_after_commit(conn, NewReply { bytes, about: None, request });
    }

    fn pong(&mut self, conn: ConnId, nonce: u64, time: Millis) {
        if let Some(session) = self.sessions.get(&conn) {
            session.conn.outlet().set_pong(ServerMsg::Pong { nonce, time }.encode());
            self.news.insert(conn, session.conn.clone());
        }
    }

    fn handle_join(&mut self, conn: ConnId, req: Req, name: &str, now: Now) -> Result<(), Denied> {
        let person = self.person_of(conn)?;
        let name = RoomName::parse(name).map_err(|_| Code::BadName)?;
        let room = self.join_room(conn, person, &name, now)?;
        self.answer_with_room(conn, ty::JOIN, req, RoomsChange::Added, room, person);
        let others: Vec<_> = self.sessions_of(person).map(|c| c.id).filter(|id| *id != conn).collect();
        for other in others {
            self.tell_room(other, RoomsChange::Added, room, person);
        }
        Ok(())
    }

    fn handle_part(&mut self, conn: ConnId, req: Req, room: RoomId, now: Now) -> Result<(), Denied> {
        let person = self.person_of(conn)?;
        self.authorize(person, room)?;
        self.check_space()?;
        let conns: Vec<_> = self.sessions_of(person).map(|c| c.id).collect();
        for id in conns {
            if id == conn {
                self.answer_with_room(conn, ty::PART, req, RoomsChange::Removed, room, person);
            } else {
                self.tell_room(id, RoomsChange::Removed, room, person);
            }
        }
        self.remove_member(room, person, now);
        Ok(())
    }

    fn handle_fetch(
        &mut self,
        conn: ConnId,
        req: Req,
        room: RoomId,
        range: Range,
        limit: u16,
    ) -> Result<(), Denied> {
        let person = self.person_of(conn)?;
        self.authorize(person, room)?;
        let limit = limit.clamp(1, MAX_FETCH);
        let Some(session) = self.sessions.get(&conn) else {
            return Ok(());
        };
        let answer = FetchAnswer::Page(req);
        let (conn, permit) = (session.conn.clone(), self.permit.take());
        self.effects.push(Effect::Fetch { conn, answer, room, range, limit, permit });
        Ok(())
    }

    fn handle_search(&mut self, conn: ConnId, req: Req, wanted: Wanted, now: Now) {
        if let Err((code, detail)) = self.search(conn, wanted, FoundAnswer::Page(req), now) {
            self.refuse(conn, Refusal::about(code, ty::SEARCH, u64::from(req.0)).with(detail), now);
        }
    }

    fn handle_mark(&mut self, conn: ConnId, req: Req, room: RoomId, seq: Seq) -> Result<(), Denied> {
        let person = self.person_of(conn)?;
        self.authorize(person, room)?;
        let space = self.check_space();
        let Some(found) = self.rooms.find_mut(room) else {
            return Err(Code::NoSuchRoom.into());
        };
        if Some(seq) > found.log.head() {
            return Err(Code::NoSuchEntry.into());
        }
        let read = found.members.entry(person).or_default();
        if Some(seq) > *read {
            space?;
            *read = Some(seq);
            found.mentions.read(person, seq);
            self.change_of(person, Change::Mark { room, person, seq });
            let others: Vec<_> = self.sessions_of(person).map(|c| c.id).filter(|id| *id != conn).collect();
            for other in others {
                self.tell_room(other, RoomsChange::Changed, room, person);
            }
        }
        self.answer_durably(conn, ty::MARK, req, Reply::Done);
        Ok(())
    }

    fn handle_state(&mut self, conn: ConnId, req: Req, change: StateChange, now: Now) -> Result<(), Denied> {
        let person = self.person_of(conn)?;
        match change {
            StateChange::Typing { room, on } => {
                self.authorize(person, room)?;
                // Nobody is told that somebody types to them whom they have blocked.
                if self.check_blocked_in(person, room).is_ok() {
                    self.set_typing(person, room, on, now);
                }
                return Ok(());
            }
            StateChange::Away { text } => self.set_away(person, Some(&text), now)?,
            StateChange::Back => self.set_away(person, None, now)?,
            StateChange::Name { name } => {
                let name = self.set_name(conn, person, &name, now)?;
                self.answer_durably(conn, ty::STATE, req, Reply::Named { name });
                return Ok(());
            }
        }
        self.answer(conn, req, Reply::Done);
        Ok(())
    }

    fn handle_do(
        &mut self,
        conn: ConnId,
        req: Req,
        room: Option<RoomId>,
        action: &Action,
        now: Now,
    ) -> Result<(), Denied> {
        let person = self.person_of(conn)?;
        match action {
            Action::Block { person: other } => self.set_block(person, *other, true)?,
            Action::Unblock { person: other } => self.set_block(person, *other, false)?,
            action => {
                let room = room.ok_or(Code::NoSuchRoom)?;
                self.authorize(person, room)?;
                let Action::Topic { text } = action else {
                    return Err(Code::Unsupported.into());
                };
                self.set_topic(conn, person, room, text, now)?;
            }
        }
        self.answer_durably(conn, ty::DO, req, Reply::Done);
        Ok(())
    }

    /// Sets the topic of a room that this person is in. It is shown once it is stored.
    pub(super) fn set_topic(
        &mut self,
        conn: ConnId,
        person: PersonId,
        room: RoomId,
        text: &str,
        now: Now,
    ) -> Result<(), Denied> {
        if text.len() > MAX_TOPIC {
            return Err(Code::BodyTooLarge.into());
        }
        check_line(text).map_err(|_| Code::BadText)?;
        self.check_space()?;
        let shape = self.rooms.find(room).ok_or(Code::NoSuchRoom)?.shape.clone();
        self.pay(conn, Bucket::Topics, 1, now)?;
        self.store_person(person)?;
        self.sequencer.change(Change::Room { room, shape, topic: text.to_owned() });
        self.append(room, person, EntryKind::Topic, text, now);
        Ok(())
    }
}
