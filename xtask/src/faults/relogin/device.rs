//! A device that comes back without memory, and what it was told, written down outside of it.

use super::{Ending, PATIENCE};
use load::{caller::Caller, fault::Fault, identity::Identity};
use protocol::{
    code::Code,
    entry::{Entry, EntryKind},
    id::{Counter, DeviceNo, Millis, RoomId},
    limits::BUSY_MS,
    message::{ClientMsg, ServerMsg, Target},
};
use rustix::net::sockopt::set_socket_linger;
use std::{
    collections::BTreeMap,
    net::{Shutdown, SocketAddr},
    thread,
    time::Duration,
};

/// The log by device: counters and texts in their order.
#[derive(Default)]
pub struct Logs(BTreeMap<DeviceNo, Vec<(u64, String)>>);

impl Logs {
    /// Reads the next entry.
    pub fn read(&mut self, entry: &Entry) {
        if let (Some(device), Some(counter)) = (entry.device, entry.counter) {
            self.0.entry(device).or_default().push((counter.value(), entry.text().into_owned()));
        }
    }
}

/// A device, its connection, and its journal.
pub struct Device {
    identity: Identity,
    caller: Caller,
    room: RoomId,
    /// The connection before, which may still be told something.
    older: Option<Caller>,
    /// The text of each post that is stored or under way. Invariant: counter `n` stands at `n - 1`.
    journal: Vec<String>,
    /// The last post that was acknowledged, or counted by a welcome. Invariant: acked <= journal.len()
    acked: u64,
    /// Texts that were ever made: no two are alike.
    texts: u64,
    /// The first thing that must not have happened.
    wrong: Option<String>,
    /// Posts that a welcome counted and no acknowledgement told.
    pub unheard: u64,
    /// Posts that a welcome left out.
    pub dropped: u64,
    /// How often the server asked it to come back later.
    pub busy: u32,
}

impl Device {
    /// A device that has never been there.
    ///
    /// # Errors
    /// [`Fault`] if it is not let in.
    pub fn come(server: SocketAddr, identity: Identity, room: &str) -> Result<Self, Fault> {
        let mut caller = Caller::login(server, &identity, PATIENCE)?;
        let room = caller.join(room)?;
        Ok(Self {
            identity,
            caller,
            room,
            older: None,
            journal: Vec::new(),
            acked: 0,
            texts: 0,
            wrong: None,
            unheard: 0,
            dropped: 0,
            busy: 0,
        })
    }

    /// Sends so many posts, each with a new text, and waits for nothing.
    ///
    /// # Errors
    /// [`Fault`] if the connection is gone.
    pub fn post(&mut self, count: u64) -> Result<(), Fault> {
        for _ in 0..count {
            self.texts += 1;
            let text = format!("{} {}", self.identity.name, self.texts);
            self.journal.push(text.clone());
            self.caller.say(&ClientMsg::Post {
                counter: Counter::new(self.sent()).unwrap_or(Counter::FIRST),
                target: Target::Room { room: self.room },
                kind: EntryKind::Text,
                reply_to: None,
                written: Millis(0),
                body: text.into(),
            })?;
        }
        Ok(())
    }

    /// Ends the connection, whatever is under way, and says hello on another one at once.
    ///
    /// # Errors
    /// [`Fault`] if the server can't be reached.
    pub fn go_and_greet(&mut self, server: SocketAddr, ending: Ending) -> Result<(), Fault> {
        let connect = || Caller::connect(server, PATIENCE);
        match ending {
            Ending::Bye => self.caller.say(&ClientMsg::Bye {})?,
            Ending::Fin => self
                .caller
                .stream()
                .shutdown(Shutdown::Write)
                .map_err(Fault::system("the end of a connection"))?,
            // A connection that may not linger is reset when it is closed, which is when the next one takes its place.
            Ending::Rst => set_socket_linger(self.caller.stream(), Some(Duration::ZERO))
                .map_err(|error| Fault::system("the reset of a connection")(error.into()))?,
            Ending::Fenced => {}
        }
        let older = std::mem::replace(&mut self.caller, connect()?);
        self.older = (ending != Ending::Rst).then_some(older);
        self.caller.say(&self.identity.hello())
    }

    /// Takes the last counter of the welcome for the whole truth: what it leaves out is forgotten.
    ///
    /// # Errors
    /// [`Fault`] if there is no welcome.
    pub fn await_welcome(&mut self, server: SocketAddr) -> Result<(), Fault> {
        while let Err(fault) = self.caller.await_welcome() {
            let Fault::Denied { code, .. } = fault else { return Err(fault) };
            if code != Code::Busy.number() {
                return Err(fault);
            }
            self.busy += 1;
            thread::sleep(Duration::from_millis(BUSY_MS.into()));
            self.caller = Caller::connect(server, PATIENCE)?;
            self.caller.say(&self.identity.hello())?;
        }
        self.hear_out_the_older();
        let told = self.caller.last_counter.map_or(0, Counter::value);
        if told < self.acked || told > self.sent() {
            let (acked, sent) = (self.acked, self.sent());
            self.complain(format!("{acked} acknowledged of {sent} posts, and a welcome counts {told}"));
        }
        self.unheard += told.saturating_sub(self.acked);
        self.dropped += self.sent().saturating_sub(told);
        self.journal.truncate(usize::try_from(told).unwrap_or(usize::MAX));
        self.acked = told.min(self.sent());
        Ok(())
    }

    /// Waits until all that was sent on this connection is acknowledged.
    ///
    /// # Errors
    /// [`Fault`] if it is not.
    pub fn await_acks(&mut self) -> Result<(), Fault> {
        let sent = self.sent();
        let answer = self.caller.find("an acknowledgement", |msg| match msg {
            ServerMsg::Ack { counter, .. } if counter.value() >= sent => Some(Ok(counter.value())),
            ServerMsg::Error { code, req, text, .. } => Some(Err((code, req, text))),
            _ => None,
        })?;
        match answer {
            Ok(acked) if acked == sent => {}
            Ok(acked) => self.complain(format!("post {acked} is acknowledged, and {sent} were sent")),
            Err((code, counter, text)) => {
                self.complain(format!("post {counter} is refused with error {code}: {text}"));
            }
        }
        self.acked = sent;
        Ok(())
    }

    /// What is wrong with what it was told, or with its part of the log.
    pub fn compare(&self, logs: &Logs) -> Option<String> {
        let name = &self.identity.name;
        if let Some(wrong) = &self.wrong {
            return Some(format!("{name}: {wrong}"));
        }
        let stored = self.caller.device.and_then(|device| logs.0.get(&device)).map_or(&[][..], Vec::as_slice);
        let due = (1..).zip(&self.journal);
        for (at, (counter, text)) in due.enumerate() {
            match stored.get(at) {
                Some((number, found)) if *number == counter && found == text => {}
                Some((number, found)) => {
                    return Some(format!(
                        "{name}: post {counter} is '{text}', stored is {number}, '{found}'"
                    ));
                }
                None => return Some(format!("{name}: post {counter} is acknowledged and not stored")),
            }
        }
        let more = stored.get(self.journal.len())?;
        Some(format!("{name}: post {}, '{}', was dropped or stored before, and is stored", more.0, more.1))
    }

    /// Posts that are in the log.
    pub fn stored(&self) -> u64 {
        self.acked
    }

    fn sent(&self) -> u64 {
        self.journal.len() as u64
    }

    /// Takes in what the connection before was told until its end, which the welcome of this one is behind.
    fn hear_out_the_older(&mut self) {
        let Some(mut older) = self.older.take() else { return };
        let mut acked = self.acked;
        // It ends in one way or another, and none of them is a fault here.
        let _ = older.find("its end", |msg| {
            if let ServerMsg::Ack { counter, .. } = msg {
                acked = acked.max(counter.value());
            }
            None::<()>
        });
        self.acked = acked;
    }

    fn complain(&mut self, what: String) {
        self.wrong.get_or_insert(what);
    }
}
