//! Logging in, and what a new history means.

use super::event::{Event, Welcome};
use super::outbox::Outcome;
use super::{Phase, Session, Tally};
use crate::clock::Now;
use protocol::limits::VERSION;
use protocol::message::{Attempt, ClientMsg, Proof, Purpose, ServerMsg};

impl Session {
    pub(super) fn log_in(&mut self, now: Now) {
        self.phase = Phase::Login { since: now.steady };
        self.attempts = self.attempts.saturating_add(1);
        let name = self.wanted_name();
        self.out.push_back(ClientMsg::Hello {
            min_version: VERSION,
            max_version: VERSION,
            features: 0,
            device: self.config.device,
            proof: Proof::Secret { secret: self.config.secret.clone() },
            purpose: Purpose::Chat,
            name,
            agent: self.config.agent.clone(),
            attempt: Some(Attempt {
                run: self.config.run,
                number: self.attempts,
                only_if_free: self.fenced.is_some(),
                errand: self.errand || !self.config.interactive,
            }),
        });
    }

    /// The name that is asked for: the one that this person goes by, whatever the profile is called. One that the server
    /// made up since another was taken is not theirs, if nobody has that any more.
    fn wanted_name(&self) -> String {
        let is_made_up = self.welcome.is_none() && is_numbered(&self.name, &self.config.name);
        if is_made_up { self.config.name.clone() } else { self.name.clone() }
    }

    pub(super) fn handle_welcome(&mut self, message: ServerMsg, now: Now) {
        let ServerMsg::Welcome {
            limits,
            person,
            name,
            device,
            last_counter,
            epoch,
            durability,
            time,
            storage,
            motd,
            server,
            ..
        } = message
        else {
            return;
        };
        self.phase = Phase::Listing;
        self.logins += 1;
        self.fenced = None;
        self.me = Some(person);
        self.device = Some(device);
        self.server_time = (time, now.steady);
        self.max_body = usize::try_from(limits.body).unwrap_or(usize::MAX);
        self.heartbeat.set_times(limits.ping_after_ms, limits.dead_after_ms);
        self.keeper.note_name(&name);
        self.keeper.note_server(server);
        let wanted = self.wanted_name();
        let welcome = Welcome { name: name.clone(), wanted, durability, storage, motd };
        let before = std::mem::replace(&mut self.name, name.clone());
        match self.welcome.replace(welcome.clone()) {
            None => self.tell(Event::Welcome(welcome)),
            Some(_) => {
                self.tell(Event::Reconnected);
                if before != name {
                    self.tell(Event::Named { name });
                }
            }
        }
        if self.epoch.is_some_and(|known| known != epoch) {
            self.forget_history();
        }
        // Direct rooms that come up from here on are news, unless this profile never saw a history.
        self.returning |= self.epoch.replace(epoch).is_some();
        let settled = self.outbox.handle_welcome(epoch, last_counter);
        self.outbox.set_window(limits.window_posts, limits.window_bytes);
        self.leaving.handle_arrived(&settled.arrived, now.steady);
        self.tell_untold();
        settled.unknown.into_iter().for_each(|pending| self.tell_failed(pending, Outcome::Uncertain));
        settled.void.into_iter().for_each(|pending| self.tell_failed(pending, Outcome::Void));
        self.resume.begin();
    }

    /// Numbers of the old history mean nothing in the new one: names lead on.
    fn forget_history(&mut self) {
        self.tell(Event::NewHistory);
        self.reread = self.keeper.public_rooms();
        self.joining.extend(self.reread.clone());
        self.keeper.forget_history();
        self.rooms.retain(|_| false);
        self.ignored.forget_numbers();
        self.leaving.forget_unseen();
        self.forget_offers();
    }

    /// Says how much was missed: always after a reconnection, and when coming back if there was something.
    pub(super) fn tell_resumed(&mut self, tally: Tally) {
        if self.logins > 1 || tally != Tally::default() {
            self.tell(Event::Resumed(tally));
        }
    }
}

/// Whether a name is another one with a number, as a server makes them.
fn is_numbered(name: &str, other: &str) -> bool {
    let number = name.strip_prefix(other).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
