//! Sessions: connections that have logged in, what is said to them, and how they end.

use super::Hub;
use crate::clock::Now;
use crate::conn::{Conn, ConnId};
use crate::inbound::{Inbound, Refusal};
use bytes::Bytes;
use protocol::code::{Code, Fate};
use protocol::id::{DeviceNo, PersonId, RoomId, Seq};
use protocol::limits::{DEAD_AFTER_MS, PROGRESS_MS};
use protocol::message::ServerMsg;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// A connection that has logged in.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) conn: Arc<Conn>,
    pub(super) person: PersonId,
    pub(super) device: DeviceNo,
    pub(super) voice: Voice,
    /// What came before `Welcome` could be sent: nothing may be answered in front of it.
    pub(super) early: Option<Vec<Early>>,
    /// The last line that a classic user said in each room, for `/edit` and `/delete`.
    pub(super) said: BTreeMap<RoomId, Seq>,
}

/// Frames that wait for their session's `Welcome`.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) inbound: Vec<Inbound>,
    /// Held, so that no more than this is read meanwhile.
    pub(super) permit: OwnedSemaphorePermit,
}

/// The dialect of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Voice {
    Native,
    /// Stands in one room, and may have been addressed by somebody.
    Classic {
        current: RoomId,
    },
}

impl Hub {
    /// `Welcome` is on its way: what came before it is heard now.
    pub(super) fn hear_early(&mut self, conn: ConnId, now: Now) {
        let early = self.sessions.get_mut(&conn).and_then(|session| session.early.take());
        for Early { inbound, permit } in early.into_iter().flatten() {
            self.handle_bundle(conn, inbound, permit, now);
        }
    }

    /// Queues a frame and notes that there is something to write.
    pub(super) fn send_to(&mut self, conn: &Arc<Conn>, bytes: Bytes) {
        conn.outlet().push_control(bytes);
        self.news.insert(conn.id, conn.clone());
    }

    /// Sends to a session, behind what it still waits for.
    pub(super) fn send(&mut self, conn: ConnId, msg: &ServerMsg) {
        self.send_bytes(conn, msg.encode());
    }

    pub(super) fn send_bytes(&mut self, conn: ConnId, bytes: Bytes) {
        if let Some(conn) = self.sessions.get(&conn).map(|session| session.conn.clone()) {
            self.send_to(&conn, bytes);
        }
    }

    /// Sends once what was accepted so far of this device is committed, and every change.
    pub(super) fn send_after_commit(&mut self, conn: ConnId, bytes: Bytes) {
        if let Some(session) = self.sessions.get(&conn) {
            self.sequencer.reply(session.conn.clone(), session.device, bytes);
        }
    }

    /// Answers with an error, which may end the session.
    pub(super) fn refuse(&mut self, conn: ConnId, refusal: Refusal, now: Now) {
        let Some(session) = self.sessions.get(&conn) else {
            return;
        };
        let bytes = match session.voice {
            Voice::Native => refusal.encode(),
            Voice::Classic { .. } => crate::voice::server_line(refusal.code.text()),
        };
        self.send_bytes(conn, bytes);
        if refusal.code.fate() == Fate::Close {
            tracing::info!(conn = %conn, code = refusal.code.name(), "refused");
            self.close(conn, now);
        }
    }

    /// Ends a session on purpose; what is queued is still written.
    pub(super) fn close(&mut self, conn: ConnId, now: Now) {
        if let Some(session) = self.sessions.get(&conn) {
            session.conn.close();
            self.news.insert(conn, session.conn.clone());
        }
        self.end_session(conn, false, now);
    }

    /// Connections that were silent for too long, or stopped half way through a frame.
    pub(super) fn reap(&mut self, now: Now) {
        let silent = |session: &Session| now.steady.since(session.conn.heard());
        let dead: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| !session.conn.is_paused())
            .filter_map(|(id, session)| match session.voice {
                Voice::Native if silent(session) > DEAD_AFTER_MS => Some((*id, Code::Silent)),
                _ if session.conn.is_mid_frame() && silent(session) > PROGRESS_MS => {
                    Some((*id, Code::Stalled))
                }
                _ => None,
            })
            .collect();
        for (conn, code) in dead {
            // It may be a broken link, so the person has their grace.
            self.send_bytes(conn, Refusal::of(code).encode());
            if let Some(session) = self.sessions.get(&conn) {
                session.conn.close();
            }
            tracing::info!(conn = %conn, code = code.name(), "reaped");
            self.end_session(conn, true, now);
        }
    }
}
