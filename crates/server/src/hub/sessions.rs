//! Sessions: connections that have logged in, what is said to them, and how they end.

use super::Hub;
use crate::clock::{Now, Steady};
use crate::conn::{Conn, ConnId, Pause};
use crate::inbound::{Inbound, Refusal};
use crate::rate::Payers;
use crate::sequencer::{About, Delivery, NewReply, Reply};
use bytes::Bytes;
use protocol::code::{Code, Fate};
use protocol::id::{DeviceNo, Millis, PersonId, RoomId, Seq};
use protocol::limits::{ARRIVAL_MS, BUSY_MS, DEAD_AFTER_MS, PROGRESS_MS};
use protocol::message::{Attempt, ServerMsg, ty};
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
    /// Who pays for what it does; `None` where nobody does.
    pub(super) payers: Option<Payers>,
    /// Until `Welcome` is sent: nothing may be answered in front of it.
    pub(super) arrival: Option<Box<Arrival>>,
    /// Which attempt of its client this is.
    pub(super) attempt: Option<Attempt>,
    /// When it logged in.
    pub(super) since: Millis,
    /// The last line that a classic user said in each room, for `/edit` and `/delete`.
    pub(super) said: BTreeMap<RoomId, Seq>,
    /// Bytes that are reserved for the file that a classic client is sending.
    pub(super) file_space: u64,
    /// What its peer had taken when it was looked at, as long as it is not read for the answers that it does not take.
    pub(super) progress: Option<Progress>,
}

/// How much a peer had taken, and since when nothing more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    written: u64,
    since: Steady,
}

/// A native session whose `Welcome` waits: for what makes its person to be stored, and for everything that its device
/// sent before to be stored or refused, so that the counter it is told is the one that new posts go on from.
#[derive(Debug)]
pub(super) struct Arrival {
    since: Steady,
    /// Changes that must be stored first, as [`crate::sequencer::Sequencer::changes_added`] counts them.
    after: u64,
    pub(super) early: Vec<Early>,
    /// The peer has said all that it will.
    gone: bool,
}

impl Arrival {
    pub(super) fn new(since: Steady, after: u64) -> Self {
        Self { since, after, early: Vec::new(), gone: false }
    }
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
    /// Sends `Welcome` to everybody who waits for nothing any more, and hears what they said meanwhile.
    pub(super) fn welcome_arrived(&mut self, now: Now) {
        for conn in self.arriving.clone() {
            self.welcome_if_settled(conn, now);
        }
    }

    /// Sends `Welcome` unless something must be stored or refused first: it tells the last counter that is stored.
    pub(super) fn welcome_if_settled(&mut self, conn: ConnId, now: Now) {
        let (stored, is_full) = (self.changes_stored, self.full.is_some());
        let Some(session) = self.sessions.get(&conn) else { return };
        let (person, device) = (session.person, session.device);
        let settled = self.is_settled_device(device);
        // On a full disk, who is known already is let in: a new device has a number that is reserved.
        let may_tell = is_full && self.numbers.may_tell_device(device);
        let is_stored = |after| after <= stored || may_tell;
        let arrival = self
            .sessions
            .get_mut(&conn)
            .and_then(|session| session.arrival.take_if(|arrival| settled && is_stored(arrival.after)));
        let Some(arrival) = arrival else { return };
        self.arriving.remove(&conn);
        self.welcome(conn, person, device, now);
        for Early { inbound, permit } in arrival.early {
            self.handle_bundle(conn, inbound, permit, now);
        }
        if arrival.gone {
            self.end_session(conn, true, now);
        }
    }

    /// Sends those away who waited for too long: they come back when the store may have caught up.
    pub(super) fn end_arrivals(&mut self, now: Now) {
        let late = |conn: &ConnId| {
            let arrival = self.sessions.get(conn).and_then(|session| session.arrival.as_ref());
            arrival.is_some_and(|arrival| now.steady.since(arrival.since) >= ARRIVAL_MS)
        };
        let late: Vec<_> = self.arriving.iter().copied().filter(late).collect();
        for conn in late {
            let busy = Refusal::about(Code::Busy, ty::HELLO, 0).with(u64::from(BUSY_MS));
            self.refuse(conn, busy, now);
        }
    }

    /// The peer has said all that it will: what it said is heard before its session ends.
    pub(super) fn handle_gone(&mut self, conn: ConnId, now: Now) {
        match self.sessions.get_mut(&conn).and_then(|session| session.arrival.as_mut()) {
            Some(arrival) => arrival.gone = true,
            None => self.end_session(conn, true, now),
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
    ///
    /// Nothing comes in front of a `Welcome` that waits, and the list of rooms behind it is as new as this would be.
    pub(super) fn send_after_commit(&mut self, conn: ConnId, reply: NewReply) {
        if let Some(session) = self.sessions.get(&conn).filter(|session| session.arrival.is_none()) {
            self.sequencer.reply(session.conn.clone(), session.device, reply);
        }
    }

    /// Sends a reply whose commit is over. Whoever does not take what they are told unasked is sent away: they learn all
    /// of it when they come again.
    pub(super) fn send_reply(&mut self, reply: Reply, now: Now) {
        let Reply { conn, bytes, about, .. } = reply;
        let mut outlet = conn.outlet();
        let taken = match about {
            None => {
                outlet.push_control(bytes);
                true
            }
            Some(About { room, delivery: Delivery::Newest }) => {
                outlet.set_notice(room, bytes);
                true
            }
            Some(About { room, delivery }) => {
                outlet.drop_notice(room);
                match delivery {
                    Delivery::Unasked => outlet.push_unasked(bytes),
                    _ => {
                        outlet.push_control(bytes);
                        true
                    }
                }
            }
        };
        drop(outlet);
        self.news.insert(conn.id, conn.clone());
        if !taken {
            tracing::info!(conn = %conn.id, "takes nothing of what it is told");
            self.reap_session(conn.id, Code::Stalled, now);
        }
    }

    /// The store had no room: whoever waits for it is told so, and does not wait until there is.
    pub(super) fn refuse_waiting(&mut self, code: Code, now: Now) {
        for (conn, ty, req) in self.sequencer.refuse_requests() {
            self.send_to(&conn, Refusal::about(code, ty, u64::from(req.0)).encode());
        }
        for waiter in self.sequencer.take_all_waiters() {
            // Whoever waited may be gone.
            let _ = waiter.send(Err(code));
        }
        let waits_for_room = |conn: &ConnId| {
            self.sessions.get(conn).is_some_and(|session| self.is_settled_device(session.device))
        };
        let waiting: Vec<_> = self.arriving.iter().copied().filter(waits_for_room).collect();
        for conn in waiting {
            self.send_bytes(conn, Refusal::about(code, ty::HELLO, 0).encode_closing());
            self.close(conn, now);
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

    /// Connections that were silent for too long, stopped half way through a frame, or take nothing of their answers.
    pub(super) fn reap(&mut self, now: Now) {
        let dead: Vec<_> = self
            .sessions
            .iter_mut()
            .filter_map(|(id, session)| session.cause_of_death(now).map(|code| (*id, code)))
            .collect();
        for (conn, code) in dead {
            self.reap_session(conn, code, now);
        }
    }

    /// Ends a session that is dead for all that is known. It may be a broken link, so the person has their grace.
    fn reap_session(&mut self, conn: ConnId, code: Code, now: Now) {
        self.send_bytes(conn, Refusal::of(code).encode());
        if let Some(session) = self.sessions.get(&conn) {
            session.conn.close();
        }
        tracing::info!(conn = %conn, code = code.name(), "reaped");
        self.end_session(conn, true, now);
    }
}

impl Session {
    /// Why this connection is dead, if it is.
    fn cause_of_death(&mut self, now: Now) -> Option<Code> {
        match self.conn.pause() {
            // The server has not caught up with it: its silence says nothing.
            Some(Pause::Server) => None,
            // The kernel ends it, after longer: a terminal may be stopped for a moment.
            Some(Pause::Answers) if self.voice != Voice::Native => None,
            Some(Pause::Answers) => {
                let written = self.conn.outlet().written();
                let progress = self.progress.get_or_insert(Progress { written, since: now.steady });
                if progress.written != written {
                    *progress = Progress { written, since: now.steady };
                }
                (now.steady.since(progress.since) > PROGRESS_MS).then_some(Code::Stalled)
            }
            None => {
                self.progress = None;
                let silence = now.steady.since(self.conn.heard());
                match self.voice {
                    Voice::Native if silence > DEAD_AFTER_MS => Some(Code::Silent),
                    _ if self.conn.is_mid_frame() && silence > PROGRESS_MS => Some(Code::Stalled),
                    _ => None,
                }
            }
        }
    }
}
