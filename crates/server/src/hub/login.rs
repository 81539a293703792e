//! Who comes and who goes: logins of both dialects, fencing, and the end of a session.

use super::devices::SEEN_MS;
use super::paying::Denied;
use super::sessions::Arrival;
use super::{Hub, Session, Voice};
use crate::clock::Now;
use crate::conn::{Conn, ConnId};
use crate::inbound::{Hello, Login, Refusal};
use crate::keep::Retention;
use crate::page::pages;
use crate::rate::Payers;
use crate::store::CredentialHash;
use crate::voice;
use bytes::Bytes;
use protocol::code::Code;
use protocol::id::{DeviceNo, PersonId, Req, RoomId};
use protocol::limits::{
    DEAD_AFTER_MS, MAX_AGENT, MAX_BODY, MAX_CHUNK, MAX_FRAME, PING_AFTER_MS, PRESENCE_GRACE_MS, VERSION,
};
use protocol::message::{Durability, Limits, Proof, RoomsChange, ServerMsg, ty};
use protocol::name::PersonName;
use protocol::text::sanitize_line;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The shortest wait that somebody is sent away for, in ms.
const MIN_BUSY_MS: u64 = 250;

impl Hub {
    pub(super) fn handle_login(&mut self, conn: &Arc<Conn>, login: &Login, now: Now) {
        // Whoever had to give their place away meanwhile has no session.
        let has_place = if conn.admit() { self.check_client_place(login) } else { Err(Code::ServerFull) };
        let done = has_place.map_err(Denied::from).and_then(|()| match login {
            Login::Native(hello) => self.login_native(conn, hello, now),
            Login::Classic(name) => self.login_classic(conn, name, now),
        });
        if let Err(Denied { code, detail }) = done {
            conn.linger();
            tracing::debug!(conn = %conn.id, peer = %conn.peer, code = code.name(), "login refused");
            self.admission.count_refusal(code, now);
            let last_words = match login {
                // Clients come back by themselves after `busy`, those of older versions too.
                Login::Native(_) if code == Code::TooFast => {
                    let words = "too many came from your address at once: come back in a moment".to_owned();
                    Refusal::about(Code::Busy, ty::HELLO, 0)
                        .with(detail.max(MIN_BUSY_MS))
                        .encode_saying(words)
                }
                Login::Native(hello) if code == Code::InUse => self.in_use(hello),
                Login::Native(_) => Refusal::about(code, ty::HELLO, 0).encode_closing(),
                Login::Classic(_) => voice::server_line(code.text()),
            };
            self.send_to(conn, last_words);
            conn.close();
        }
    }

    fn login_native(&mut self, conn: &Arc<Conn>, hello: &Hello, now: Now) -> Result<(), Denied> {
        if !(hello.min_version..=hello.max_version).contains(&VERSION) {
            return Err(Code::Version.into());
        }
        if hello.agent.len() > MAX_AGENT {
            return Err(Code::BadText.into());
        }
        let name = PersonName::parse(&hello.name).map_err(|_| Code::BadName)?;
        let (person, device) = match &hello.proof {
            Proof::None => {
                self.pay_login(None, conn.peer.ip(), now)?;
                let person = self.add_person(&PersonName::made_safe_new(name.as_str()), None, now)?;
                (person, self.device_of_guest(person, now))
            }
            Proof::Secret { secret } => {
                let credential = CredentialHash::of(secret);
                self.check_closed(&credential, hello)?;
                let known = self.people.proved_by(&credential);
                self.pay_login(known, conn.peer.ip(), now)?;
                let person = match known {
                    Some(person) => {
                        self.take_over(conn, person, hello, now)?;
                        person
                    }
                    None => {
                        self.add_person(&PersonName::made_safe_new(name.as_str()), Some(credential), now)?
                    }
                };
                self.check_login_space(person, hello)?;
                if self.devices.known(person, hello.device).is_none() {
                    self.make_room_for_device(person)?;
                }
                self.rename_on_login(person, &name, conn, now);
                self.link_device(person, hello)?;
                (person, self.device_of(person, hello, now))
            }
        };
        self.begin_session(conn, person, device, Voice::Native, &sanitize_line(&hello.agent), now);
        let is_stored = self.is_stored(person);
        if let Some(session) = self.sessions.get_mut(&conn.id) {
            // Of a provisional person nothing is on its way to the store.
            let after = if is_stored { self.sequencer.changes_added() } else { self.first_changes };
            session.arrival = Some(Box::new(Arrival::new(now.steady, after)));
            session.attempt = hello.attempt;
            self.arriving.insert(conn.id);
        }
        if let Some(known) = self.people.find_mut(person) {
            known.errands += usize::from(hello.attempt.is_some_and(|attempt| attempt.errand));
            known.errand = known.errands == known.connections;
        }
        self.welcome_if_settled(conn.id, now);
        Ok(())
    }

    /// Whoever is not known for certain must not be taken for somebody new: their rooms and their posts are another's.
    pub(super) fn check_closed(&self, credential: &CredentialHash, hello: &Hello) -> Result<(), Code> {
        let is_closed = self.people.is_closed(credential) || self.devices.is_closed(hello.device);
        if is_closed { Err(Code::Damaged) } else { Ok(()) }
    }

    /// On a full disk, whoever is known is let in, a new device only with a number that is reserved: so no more is
    /// waiting to be stored than numbers were reserved.
    fn check_login_space(&self, person: PersonId, hello: &Hello) -> Result<(), Code> {
        let has_number = self.devices.known(person, hello.device).is_some() || self.has_device_number();
        if has_number { Ok(()) } else { self.check_space() }
    }

    /// Ends the older connection of this device, unless that one is to stay.
    ///
    /// # Errors
    /// [`Code::Fenced`] for an attempt that its client gave up before it made the other one; [`Code::InUse`] if the
    /// other one is alive and the client wants a free device only.
    fn take_over(&mut self, conn: &Arc<Conn>, person: PersonId, hello: &Hello, now: Now) -> Result<(), Code> {
        let Some(session) = self.session_of(person, hello) else { return Ok(()) };
        if let (Some(this), Some(other)) = (hello.attempt, session.attempt)
            && this.run == other.run
            && this.number < other.number
        {
            return Err(Code::Fenced);
        }
        let alive = now.steady.since(session.conn.heard()) < DEAD_AFTER_MS;
        if alive && hello.attempt.is_some_and(|attempt| attempt.only_if_free) {
            return Err(Code::InUse);
        }
        let older = session.conn.clone();
        let words = self.connected(person, session.device, conn);
        tracing::info!(conn = %older.id, by = %conn.id, "fenced");
        self.send_to(&older, Refusal::of(Code::Fenced).with(now.wall.0).encode_saying(words));
        self.close(older.id, now);
        Ok(())
    }

    /// The connection that this device has already.
    pub(super) fn session_of(&self, person: PersonId, hello: &Hello) -> Option<&Session> {
        let device = self.devices.known(person, hello.device)?;
        self.sessions.get(self.by_device.get(&device)?).map(Box::as_ref)
    }

    /// Who has the device, and since when, for another client with the same secret.
    fn in_use(&self, hello: &Hello) -> Bytes {
        let refusal = Refusal::about(Code::InUse, ty::HELLO, 0);
        match self.person_who_proves(hello).and_then(|person| Some((person, self.session_of(person, hello)?)))
        {
            Some((person, session)) => {
                let words = self.connected(person, session.device, &session.conn);
                refusal.with(session.since.0).encode_saying(words)
            }
            None => refusal.encode_closing(),
        }
    }

    fn connected(&self, person: PersonId, device: DeviceNo, conn: &Conn) -> String {
        format!("device {device} of {} is connected from {}", self.name_of(person), conn.peer.ip())
    }

    fn login_classic(&mut self, conn: &Arc<Conn>, wanted: &str, now: Now) -> Result<(), Denied> {
        self.pay_login(None, conn.peer.ip(), now)?;
        let name = PersonName::made_safe_new(wanted);
        let person = self.add_person(&name, None, now)?;
        let device = self.device_of_guest(person, now);
        let current = self.lobby;
        self.begin_session(conn, person, device, Voice::Classic { current }, "classic", now);
        self.send_to(conn, voice::text_frame(protocol::classic::WELCOME));
        let given = self.name_of(person);
        if given != wanted {
            let why = if given == name.as_str() { "not allowed" } else { "taken" };
            let wanted = sanitize_line(wanted).chars().take(64).collect::<String>();
            self.send_to(
                conn,
                voice::server_line(&format!("The name '{wanted}' is {why}: you are {given}.")),
            );
        }
        self.read_classic(conn, person, current, true);
        Ok(())
    }

    fn device_of(&mut self, person: PersonId, hello: &Hello, now: Now) -> DeviceNo {
        // A known device needs no write, so that its person is let in on a full disk as well.
        let seen_before = self.devices.known(person, hello.device).is_some();
        let device = self.devices.of(person, Some(hello.device), now.wall);
        self.reserve_numbers();
        let seen = self.devices.see(device, now.wall, if seen_before { SEEN_MS } else { 0 });
        seen.into_iter().for_each(|change| self.change_of(person, change));
        device
    }

    /// Whoever comes with a second device is somebody who stays.
    fn link_device(&mut self, person: PersonId, hello: &Hello) -> Result<(), Code> {
        let is_second =
            self.devices.known(person, hello.device).is_none() && !self.devices.of_person(person).is_empty();
        if is_second { self.store_person(person) } else { Ok(()) }
    }

    fn device_of_guest(&mut self, guest: PersonId, now: Now) -> DeviceNo {
        let device = self.devices.of(guest, None, now.wall);
        self.reserve_numbers();
        device
    }

    fn begin_session(
        &mut self,
        conn: &Arc<Conn>,
        person: PersonId,
        device: DeviceNo,
        voice: Voice,
        agent: &str,
        now: Now,
    ) {
        let (said, since) = (BTreeMap::new(), now.wall);
        let payers = self.payers(person, conn.peer.ip(), now.steady);
        conn.set_new(payers.is_some_and(Payers::are_new));
        let (conn, arrival, attempt, progress, file_space) = (conn.clone(), None, None, None, 0);
        let session = Box::new(Session {
            conn,
            person,
            device,
            voice,
            payers,
            arrival,
            attempt,
            since,
            said,
            progress,
            file_space,
        });
        let (id, peer) = (session.conn.id, session.conn.peer);
        self.sessions.insert(id, session);
        self.by_device.insert(device, id);
        self.by_person.insert((person, id));
        if let Some(known) = self.people.find_mut(person) {
            known.connections += 1;
            known.leaving = None;
            known.errand = false;
            known.seen = now.wall;
            agent.clone_into(&mut known.agent);
        }
        self.leaving.remove(&person);
        self.people.settle_presence(person);
        self.stir(person, now);
        let name = self.name_of(person);
        tracing::info!(conn = %id, %peer, person = %person, name, agent, "login");
    }

    /// `features` are those that both sides have.
    pub(super) fn welcome_msg(
        &self,
        person: PersonId,
        device: DeviceNo,
        features: u64,
        now: Now,
    ) -> ServerMsg {
        ServerMsg::Welcome {
            version: VERSION,
            features,
            limits: limits(&self.settings.limits, self.file_limit(person)),
            person,
            name: self.name_of(person),
            device,
            last_counter: self.devices.stored(device),
            epoch: self.epoch,
            durability: self.durability.clone(),
            time: now.wall,
            storage: storage_sentence(&self.durability, &self.settings.keep),
            motd: self.settings.motd.clone(),
            server: Some(self.server),
        }
    }

    pub(super) fn welcome(&mut self, conn: ConnId, person: PersonId, device: DeviceNo, now: Now) {
        let welcome = self.welcome_msg(person, device, 0, now);
        self.send(conn, &welcome);
        let rooms = self.rooms_of(person);
        let infos: Vec<_> = rooms.iter().filter_map(|room| self.room_info(*room, person)).collect();
        let pages =
            pages(self.settings.limits.portions.page, infos, |room| room.name.len() + room.topic.len() + 64);
        let last = pages.len() - 1;
        for (at, rooms) in pages.into_iter().enumerate() {
            let (change, more) = (RoomsChange::All, at < last);
            self.send(conn, &ServerMsg::Rooms { req: Req(0), change, more, rooms });
        }
    }

    /// Ends a session. `broken` says that the link broke, so the person stays present for a while.
    pub(super) fn end_session(&mut self, conn: ConnId, broken: bool, now: Now) {
        let Some(session) = self.sessions.remove(&conn) else {
            return;
        };
        self.release_classic(session.person, session.file_space);
        self.arriving.remove(&conn);
        if self.by_device.get(&session.device) == Some(&conn) {
            self.by_device.remove(&session.device);
        }
        let person = session.person;
        self.by_person.remove(&(person, conn));
        let rooms = self.rooms_of(person);
        for room in rooms {
            if let Some(room) = self.rooms.find_mut(room) {
                room.readers.remove(&conn);
            }
        }
        tracing::info!(conn = %conn, person = %person, broken, "logout");
        let Some(known) = self.people.find_mut(person) else {
            return;
        };
        known.connections -= 1;
        known.errands -= usize::from(session.attempt.is_some_and(|attempt| attempt.errand));
        known.seen = now.wall;
        if known.connections > 0 {
            let errand = known.errands == known.connections;
            if std::mem::replace(&mut known.errand, errand) != errand {
                self.stir(person, now);
            }
            return;
        }
        let guest = known.credential.is_none();
        if guest {
            self.end_guest(person, session.device, now);
        } else if broken && !self.draining {
            known.leaving = Some(now.steady.after(PRESENCE_GRACE_MS));
            self.leaving.insert(person);
        } else {
            self.people.settle_presence(person);
            self.stir(person, now);
        }
    }

    /// Grace times that are over.
    pub(super) fn end_graces(&mut self, now: Now) {
        let over = |hub: &Self, id: &PersonId| {
            hub.people.find(*id).and_then(|person| person.leaving).is_none_or(|until| until <= now.steady)
        };
        let gone: Vec<_> = self.leaving.iter().copied().filter(|id| over(self, id)).collect();
        for person in gone {
            self.leaving.remove(&person);
            if let Some(known) = self.people.find_mut(person) {
                known.leaving = None;
            }
            self.people.settle_presence(person);
            self.stir(person, now);
        }
    }

    pub(super) fn rooms_of(&self, person: PersonId) -> Vec<RoomId> {
        self.people.find(person).map(|known| known.rooms().to_vec()).unwrap_or_default()
    }

    pub(super) fn name_of(&self, person: PersonId) -> String {
        self.people.find(person).map(|known| known.name.to_string()).unwrap_or_default()
    }
}

fn limits(taken: &crate::limits::Limits, file: u64) -> Limits {
    Limits {
        frame: MAX_FRAME,
        body: u32::try_from(MAX_BODY).expect("a small constant"),
        chunk: MAX_CHUNK,
        window_posts: taken.window_posts,
        window_bytes: taken.window_bytes,
        ping_after_ms: u32::try_from(PING_AFTER_MS).expect("a small constant"),
        dead_after_ms: u32::try_from(DEAD_AFTER_MS).expect("a small constant"),
        file,
    }
}

/// What is stored, how long, and who can read it, honestly.
fn storage_sentence(durability: &Durability, keep: &Retention) -> String {
    let (place, but) = match durability {
        Durability::Memory => ("in this server's memory", ", at the longest until it stops"),
        Durability::Process => {
            ("on this server's disk", ", and the last ones are lost if its machine crashes")
        }
        Durability::Disk => ("on this server's disk", ""),
    };
    let (most, rooms) = (keep.default_words(), keep.room_words());
    format!("messages are kept {place}{most}{but}{rooms}; its operator can read them")
}
