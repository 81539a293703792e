//! What senders pay for with tokens of their buckets, and how they are held when they go too fast.

use super::{Hub, Voice};
use crate::clock::{Now, Steady};
use crate::conn::ConnId;
use crate::rate::{Patience, Payers};
use protocol::code::Code;
use protocol::id::PersonId;
use protocol::limits::rates::Bucket;
use protocol::limits::requests::row;
use protocol::message::ClientMsg;
use std::net::IpAddr;

/// Tokens of requests that a login costs: it is told all rooms of its person, and others are told of it.
const LOGIN_TOKENS: u32 = 10;

/// Why something is refused, and the number that goes with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Denied {
    pub code: Code,
    pub detail: u64,
}

impl From<Code> for Denied {
    fn from(code: Code) -> Self {
        Self { code, detail: 0 }
    }
}

impl From<Denied> for (Code, u64) {
    fn from(denied: Denied) -> Self {
        (denied.code, denied.detail)
    }
}

fn too_fast(wait: u64) -> Denied {
    Denied { code: Code::TooFast, detail: wait.max(1) }
}

impl Hub {
    /// Takes tokens for what a session does. If that is too fast, it is held for a while, and refused beyond that;
    /// a classic one is only held, since its client can't send again what was refused. Whoever is refused is held as
    /// well, for as long as may be: else a flood would go on at full speed as a flood of refusals.
    pub(super) fn pay(&mut self, conn: ConnId, bucket: Bucket, tokens: u32, now: Now) -> Result<(), Denied> {
        let Some(session) = self.sessions.get(&conn) else { return Ok(()) };
        let Some(payers) = session.payers else { return Ok(()) };
        let patience = match session.voice {
            Voice::Classic { .. } => Patience::Endless,
            Voice::Native if bucket.holds() => Patience::Ms(self.settings.limits.max_hold_ms),
            Voice::Native => Patience::None,
        };
        let is_new = self.known.is_new(Some(session.person), self.people.last(), now.steady);
        let payers = payers.who_are_new(is_new);
        let taken = self.rates.take(bucket, payers, tokens, patience, now.steady);
        let hold = match taken {
            Ok(hold) => hold,
            Err(wait) if bucket.holds() || is_new => wait.min(self.settings.limits.max_hold_ms),
            Err(_) => 0,
        };
        if hold > 0 {
            session.conn.hold_until(now.steady.after(hold));
        }
        taken.map(drop).map_err(too_fast)
    }

    /// The same for a native frame that is no post.
    pub(super) fn pay_request(&mut self, conn: ConnId, msg: &ClientMsg, now: Now) -> Result<(), Denied> {
        if row(msg).buckets.contains(&Bucket::Requests) {
            self.pay(conn, Bucket::Requests, 1, now)
        } else {
            Ok(())
        }
    }

    /// Whether a person may log in, known or new: nobody is held for that.
    pub(super) fn pay_login(
        &mut self,
        person: Option<PersonId>,
        peer: IpAddr,
        now: Now,
    ) -> Result<(), Denied> {
        let local = self.settings.limits.local;
        let Some(payers) = Payers::of(person, peer, local) else { return Ok(()) };
        let payers = payers.who_are_new(self.known.is_new(person, self.people.last(), now.steady));
        let mut take = |bucket, tokens| self.rates.take(bucket, payers, tokens, Patience::None, now.steady);
        if person.is_none() {
            take(Bucket::People, 1).map_err(too_fast)?;
        }
        take(Bucket::Requests, LOGIN_TOKENS).map_err(too_fast)?;
        Ok(())
    }

    /// Who pays for what this person does from this address.
    pub(super) fn payers(&mut self, person: PersonId, peer: IpAddr, now: Steady) -> Option<Payers> {
        let is_new = self.known.is_new(Some(person), self.people.last(), now);
        Some(Payers::of(Some(person), peer, self.settings.limits.local)?.who_are_new(is_new))
    }

    /// Whether somebody may take a new name as they log in.
    pub(super) fn may_rename(&mut self, payers: Option<Payers>, now: Steady) -> bool {
        payers.is_none_or(|payers| self.rates.take(Bucket::Names, payers, 1, Patience::None, now).is_ok())
    }
}
