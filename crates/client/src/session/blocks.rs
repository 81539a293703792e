//! Whom I block: the server keeps the list, and refuses what they write to me directly.

use super::Session;
use super::event::Event;
use super::requests::{Asked, Why, last_person};
use protocol::id::PersonId;
use protocol::message::{Action, ClientMsg, Question, RosterItem};

impl Session {
    /// `/block NAME` and `/unblock NAME`: the server knows the number of whoever has the name.
    pub(super) fn block(&mut self, name: &str, on: bool) {
        if self.is_online(if on { "/block" } else { "/unblock" }) {
            self.whois(name.to_owned(), Why::Block { on });
        }
    }

    /// The person was found.
    pub(super) fn block_person(&mut self, found: RosterItem, on: bool) {
        let RosterItem { person, name, .. } = found;
        let action = if on { Action::Block { person } } else { Action::Unblock { person } };
        self.ask(Asked::Block { name, on }, |req| ClientMsg::Do { req, room: None, action });
    }

    pub(super) fn handle_blocked(&mut self, name: &str, on: bool) {
        let text = if on {
            format!(
                "{name} is blocked: nothing that they write to you alone is taken; /unblock {name} ends that"
            )
        } else {
            format!("{name} is not blocked and can write to you")
        };
        self.tell(Event::Notice { text });
    }

    /// `/block` alone.
    pub(super) fn ask_blocks(&mut self) {
        if self.is_online("/block") {
            self.ask_blocks_after(None, Vec::new());
        }
    }

    fn ask_blocks_after(&mut self, after: Option<PersonId>, so_far: Vec<String>) {
        let question = Question::Blocks { after };
        self.ask(Asked::Blocks { so_far }, |req| ClientMsg::Ask { req, question });
    }

    pub(super) fn handle_blocks(&mut self, mut so_far: Vec<String>, people: &[RosterItem], more: bool) {
        so_far.extend(people.iter().map(|person| person.name.clone()));
        match last_person(people).filter(|_| more) {
            Some(after) => self.ask_blocks_after(Some(after), so_far),
            None if so_far.is_empty() => self.tell(Event::Notice { text: "nobody is blocked".into() }),
            None => self.tell(Event::Notice { text: format!("blocked: {}", so_far.join(", ")) }),
        }
    }
}
