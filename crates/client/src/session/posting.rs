//! From what is typed to a post: checked, put into the outbox, its place found by name.

use super::event::{Event, Refusal};
use super::outbox::{Outcome, Pending, Post};
use super::place::Place;
use super::requests::{Asked, Why};
use super::{Phase, Session};
use crate::clock::Now;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Counter, PersonId, Seq};
use protocol::message::{ClientMsg, Question, RosterItem, Target};
use protocol::name::NameKey;
use protocol::text::check_body;

impl Session {
    /// Says something at this place.
    pub(super) fn post(
        &mut self,
        place: Place,
        kind: EntryKind,
        reply_to: Option<Seq>,
        body: String,
        now: Now,
    ) {
        // What is said ends the reading of what was said.
        self.reading = None;
        if body.len() > self.max_body {
            let text = format!("that text is too long: {} bytes of at most {}", body.len(), self.max_body);
            return self.mistake(text, "say it in several lines");
        }
        if let Err(error) = check_body(&body) {
            return self.mistake(error.to_string(), "leave that character out");
        }
        let target = if self.phase == Phase::Up { self.target_of(&place) } else { None };
        let post = Post { place, target, kind, reply_to, written: now.wall, body, file: None };
        self.outbox.push(post, now);
        self.typing.handle_posted();
    }

    /// Sends what can be sent, looks up what can't, and tells what takes too long.
    pub(super) fn advance_posts(&mut self, now: Now) {
        while self.phase == Phase::Up {
            self.outbox.advance(now);
            let Some(place) = self.outbox.unresolved().cloned() else {
                break;
            };
            let Some(target) = self.target_of(&place) else {
                self.look_up(place);
                break;
            };
            self.outbox.resolve(target);
        }
        let offline = self.phase == Phase::Down && self.welcome.is_some();
        if self.welcome.is_some() {
            for post in self.outbox.announce(now.steady, offline) {
                let text = post.words();
                self.tell(Event::Pending { place: post.place, text });
            }
        }
    }

    pub(super) fn target_of(&self, place: &Place) -> Option<Target> {
        match place {
            Place::Room(_) => {
                let room = self.rooms.by_place(place)?;
                Some(Target::Room { room: room.info.room })
            }
            Place::Person(name) => self.person(name).map(|person| Target::Person { person }),
        }
    }

    /// The number of the person who has this name now.
    pub(super) fn person(&self, name: &str) -> Option<PersonId> {
        let key = NameKey::of(name);
        self.rooms.people().find(|(_, known)| NameKey::of(known) == key).map(|(person, _)| person)
    }

    fn look_up(&mut self, place: Place) {
        match place {
            Place::Room(name) => self.join(name),
            Place::Person(name) => {
                if !self.requests.any(|asked| matches!(asked, Asked::Whois { why: Why::Post, .. })) {
                    self.whois(name, Why::Post);
                }
            }
        }
    }

    pub(super) fn whois(&mut self, name: String, why: Why) {
        let asked = Asked::Whois { name: name.clone(), why };
        self.ask(asked, |req| ClientMsg::Ask { req, question: Question::Whois { name } });
    }

    /// The person was found for whom the next post is.
    pub(super) fn handle_addressee(&mut self, name: &str, person: &RosterItem) {
        let next = self.outbox.unresolved().is_some_and(|place| place.is(&Place::Person(name.to_owned())));
        if next {
            self.outbox.resolve(Target::Person { person: person.person });
        }
    }

    /// The next posts can't be sent, because their place can't be had.
    pub(super) fn fail_posts(&mut self, place: &Place, refusal: &Refusal) {
        while self.outbox.unresolved().is_some_and(|next| next.is(place)) {
            if let Some(pending) = self.outbox.drop_next() {
                self.tell_refused(pending, refusal.clone());
            }
        }
    }

    pub(super) fn tell_refused(&mut self, pending: Pending, refusal: Refusal) {
        if pending.post.kind == EntryKind::FileOffer && refusal.known() == Some(Code::NoSuchTransfer) {
            // A crash of the server took the upload that it tells of. The file is sent all the same.
            return;
        }
        self.refusals += 1;
        self.tell_failed(pending, Outcome::Refused(refusal));
    }

    /// Tells that a post is in no log, or may not be. That is kept until it was shown.
    pub(super) fn tell_failed(&mut self, pending: Pending, outcome: Outcome) {
        let Pending { serial, post, .. } = pending;
        self.tell(outcome.clone().event(post.clone()));
        self.outbox.owe(serial, post, outcome, self.queued);
    }

    /// Tells what an earlier process could not show. An errand that is gone on with fails by it.
    pub(super) fn tell_untold(&mut self) {
        for event in self.outbox.retell(self.queued) {
            self.refusals += u64::from(self.errand && matches!(event, Event::Refused { .. }));
            self.tell(event);
        }
    }

    pub(super) fn handle_ack(&mut self, counter: Counter, now: Now) {
        let acked = self.outbox.handle_ack(counter);
        self.told_full &= acked.is_empty();
        self.leaving.handle_acked(&acked, now.steady);
    }
}

impl Refusal {
    /// The code, if this version knows it.
    pub fn known(&self) -> Option<Code> {
        Code::from_number(self.code)
    }
}
