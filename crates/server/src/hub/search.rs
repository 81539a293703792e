//! Searches: who may look where, and how much at once.

use super::{Effect, FoundAnswer, Hub};
use crate::clock::Now;
use crate::conn::ConnId;
use crate::rate::Payers;
use crate::store::{Query, Words};
use protocol::code::Code;
use protocol::id::{PersonId, RoomId, Seq};
use protocol::limits::rates::Bucket;
use protocol::limits::{MAX_FETCH, MAX_FRAME, MAX_QUERY, MAX_WORDS, SEARCH_MS};
use protocol::search_terms::TooBroad;

/// Bytes of entries in one answer: what one frame takes with its head, and with the room in front of each entry.
const ANSWER: usize = MAX_FRAME as usize - 8 * 1024;

/// What somebody wants to find.
pub(super) struct Wanted {
    pub room: Option<RoomId>,
    pub words: String,
    pub limit: u16,
    pub before: Option<(RoomId, Seq)>,
}

/// Why a search is refused, and the number that goes with it.
pub(super) type Refused = (Code, u64);

impl Hub {
    /// Looks for words where this person may look, and answers when they are found.
    pub(super) fn search(
        &mut self,
        conn: ConnId,
        wanted: Wanted,
        answer: FoundAnswer,
        now: Now,
    ) -> Result<(), Refused> {
        let Some(session) = self.sessions.get(&conn) else {
            return Ok(());
        };
        let (conn, person) = (session.conn.clone(), session.person);
        let Wanted { room, words, limit, before } = wanted;
        if words.len() > MAX_QUERY {
            return Err((Code::BodyTooLarge, MAX_QUERY as u64));
        }
        let parsed = Words::parse(&words);
        if parsed.is_empty() {
            return Err((Code::EmptyText, 0));
        }
        parsed.check().map_err(|broad| {
            let detail = match broad {
                TooBroad::Words => MAX_WORDS,
                TooBroad::Prefix(least) => least,
            };
            (Code::TooBroad, detail as u64)
        })?;
        let rooms = match room {
            Some(room) => self.authorize(person, room).map(|()| vec![room]).map_err(|code| (code, 0))?,
            None => self.rooms_of(person),
        };
        before.map_or(Ok(()), |before| self.check_begin(person, before)).map_err(|code| (code, 0))?;
        self.pay(conn.id, Bucket::Searches, 1, now)?;
        let payers = self.payers(person, conn.peer.ip(), now.steady).map_or_else(Vec::new, Payers::to_vec);
        let limit = usize::from(limit.clamp(1, MAX_FETCH));
        let query = Query { rooms, words, before, limit, bytes: ANSWER, ms: SEARCH_MS, comes_last: false };
        self.effects.push(Effect::Search { conn, answer, person, payers, query, permit: self.permit.take() });
        Ok(())
    }

    /// Whether this is an entry that the person may read.
    fn check_begin(&self, person: PersonId, (room, seq): (RoomId, Seq)) -> Result<(), Code> {
        self.authorize(person, room)?;
        let head = self.rooms.find(room).and_then(|found| found.log.head());
        let is_kept = Some(seq) <= head && seq >= self.history.oldest(room);
        if is_kept { Ok(()) } else { Err(Code::NoSuchEntry) }
    }
}
