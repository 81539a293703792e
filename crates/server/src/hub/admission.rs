//! Who gets a place: clients for chat, connections for files, and devices of one person.

use super::Hub;
use crate::bounds::ConnectionBounds;
use crate::clock::Now;
use crate::inbound::{Hello, Login};
use crate::refusals::Refusals;
use crate::store::{Change, CredentialHash};
use protocol::code::Code;
use protocol::id::PersonId;
use protocol::limits::KNOWN_SHARE;
use protocol::message::Proof;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// With fewer people nobody is forgotten who has no connection for files any more.
const MIN_SWEEP: usize = 64;

/// What is counted of those who come.
#[derive(Debug)]
pub(super) struct Admission {
    bounds: ConnectionBounds,
    /// Connections for files that people may still have.
    bulk: BTreeMap<PersonId, Arc<Semaphore>>,
    /// With so many people those are forgotten who have no connection for files.
    sweep_at: usize,
    /// Logins that were refused.
    refusals: Refusals,
}

impl Admission {
    pub(super) fn new(bounds: ConnectionBounds) -> Self {
        Self { bounds, bulk: BTreeMap::new(), sweep_at: MIN_SWEEP, refusals: Refusals::of("logins") }
    }

    /// A connection for files of a person, which is counted until this is dropped.
    pub(super) fn bulk(&mut self, person: PersonId) -> Option<OwnedSemaphorePermit> {
        let most = self.bounds.bulk_per_person;
        if self.bulk.len() >= self.sweep_at {
            self.bulk.retain(|_, left| left.available_permits() < most);
            self.sweep_at = (2 * self.bulk.len()).max(MIN_SWEEP);
        }
        let left = self.bulk.entry(person).or_insert_with(|| Arc::new(Semaphore::new(most)));
        left.clone().try_acquire_owned().ok()
    }

    pub(super) fn count_refusal(&mut self, code: Code, now: Now) {
        log(self.refusals.add(code, now.steady));
    }

    /// Tells the log what was counted, if it is time for that.
    pub(super) fn log_refusals(&mut self, now: Now) {
        log(self.refusals.line(now.steady));
    }
}

fn log(line: Option<String>) {
    if let Some(line) = line {
        tracing::info!("{line}");
    }
}

impl Hub {
    /// Whether there is a place for another client. Some are left for people who are known, and a device that is connected
    /// already takes the place of its older connection.
    pub(super) fn check_client_place(&self, login: &Login) -> Result<(), Code> {
        let (taken, most) = (self.sessions.len(), self.settings.max_clients);
        let has_place = match login {
            _ if self.draining => false,
            _ if taken < most - most / KNOWN_SHARE => true,
            Login::Native(hello) => match self.person_who_proves(hello) {
                Some(person) => {
                    self.is_stored(person) && taken < most || self.session_of(person, hello).is_some()
                }
                None => false,
            },
            Login::Classic(_) => false,
        };
        if has_place { Ok(()) } else { Err(Code::ServerFull) }
    }

    /// The person whose secret this is, if it is anybody's.
    pub(super) fn person_who_proves(&self, hello: &Hello) -> Option<PersonId> {
        let Proof::Secret { secret } = &hello.proof else { return None };
        self.people.proved_by(&CredentialHash::of(secret))
    }

    /// Makes room for another device of a person: the one that was not seen for longest goes, one that never posted first.
    ///
    /// # Errors
    /// [`Code::ServerFull`] where all of them are connected, or still have something to be stored.
    pub(super) fn make_room_for_device(&mut self, person: PersonId) -> Result<(), Code> {
        while self.devices.count(person) >= self.admission.bounds.devices {
            let by_device = &self.by_device;
            let oldest = self.devices.oldest(person, |device| by_device.contains_key(&device));
            let device = oldest.ok_or(Code::ServerFull)?;
            self.devices.forget(device);
            self.change_of(person, Change::DeviceGone { device });
        }
        Ok(())
    }
}
