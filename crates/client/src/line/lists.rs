//! Answers to questions about people and rooms.

use super::Renderer;
use super::said::safe;
use crate::session::Place;
use crate::session::event::Listed;
use protocol::id::Millis;
use protocol::message::RosterItem;

impl Renderer {
    pub(super) fn people(&self, place: &Place, people: &[RosterItem], offline: bool) -> Vec<String> {
        let when = if offline { "not connected; when the connection broke: " } else { "" };
        let place = safe(&place.to_string());
        let online: Vec<_> =
            people.iter().filter(|item| item.presence.online).map(|item| self.person(item)).collect();
        if online.is_empty() {
            return vec![self.info(&format!("{when}nobody is online in {place}"))];
        }
        vec![self.info(&format!("{when}{} online in {place}: {}", online.len(), online.join(", ")))]
    }

    fn person(&self, item: &RosterItem) -> String {
        let name = self.look.name(&safe(&item.name), false);
        match (item.presence.away, item.presence.guest) {
            (true, _) if item.away.is_empty() => format!("{name} (away)"),
            (true, _) => format!("{name} (away: {})", safe(&item.away)),
            (false, true) => format!("{name} (guest)"),
            (false, false) => name,
        }
    }

    pub(super) fn rooms(&self, rooms: &[Listed]) -> Vec<String> {
        if rooms.is_empty() {
            return vec![self.info("there are no rooms; type /join ROOM to make one")];
        }
        let mut out = vec![self.info(&count(rooms.len() as u64, "room"))];
        for Listed { listing: room, unread } in rooms {
            let mine = match unread {
                None => String::new(),
                Some(0) => "; you are in it".to_owned(),
                Some(new) => format!("; you are in it, {new} new"),
            };
            let topic =
                if room.topic.is_empty() { String::new() } else { format!(": {}", safe(&room.topic)) };
            let line =
                format!("#{} ({} of {} online{mine}){topic}", safe(&room.name), room.online, room.members);
            out.push(self.look.pad(&format!("   {line}")));
        }
        out
    }

    pub(super) fn whois(
        &self,
        item: &RosterItem,
        rooms: &[String],
        seen: Millis,
        agent: &str,
    ) -> Vec<String> {
        let state = if item.presence.online { "online" } else { "offline" };
        let mut out = vec![self.info(&format!("{} is {state}", self.person(item)))];
        let heard = self.zone.local(seen).format("%Y-%m-%d %H:%M").to_string();
        let rooms: Vec<_> = rooms.iter().map(|room| format!("#{}", safe(room))).collect();
        let facts = [
            ("last heard", if item.presence.online || seen == Millis(0) { String::new() } else { heard }),
            ("in", rooms.join(", ")),
            ("with", safe(agent)),
        ];
        for (what, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            out.push(self.look.pad(&format!("   {what} {value}")));
        }
        out
    }
}

/// `1 line`, `2 lines`.
pub(super) fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
