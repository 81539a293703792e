//! Why a request may be refused: each code needs a cause, in what was there at some time since it was asked for.

use crate::record::Pages;
use crate::truth::{Line, Version};
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{PersonId, RoomId, Seq};
use protocol::message::{ClientMsg, Question, Target, ty};
use std::collections::BTreeMap;

/// The requests and posts of one connection.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// By request id, with the time in simulated microseconds.
    asked: BTreeMap<u64, (u64, ClientMsg)>,
    /// The same of posts, by counter.
    posts: BTreeMap<u64, (u64, ClientMsg)>,
    /// A post was refused: those behind it are out of order.
    broken_row: bool,
}

/// A refusal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) code: u16,
    /// The type of what was refused.
    pub(crate) about: u8,
    /// Its request, or its counter.
    pub(crate) req: u64,
}

impl Requests {
    /// The client says something.
    pub(crate) fn note(&mut self, message: &ClientMsg, now: u64) {
        let req = match message {
            ClientMsg::Post { counter, .. } => {
                self.posts.insert(counter.value(), (now, message.clone()));
                return;
            }
            ClientMsg::Join { req, .. }
            | ClientMsg::Part { req, .. }
            | ClientMsg::Open { req, .. }
            | ClientMsg::Close { req, .. }
            | ClientMsg::Fetch { req, .. }
            | ClientMsg::Search { req, .. }
            | ClientMsg::Mark { req, .. }
            | ClientMsg::State { req, .. }
            | ClientMsg::Ask { req, .. }
            | ClientMsg::Do { req, .. }
            | ClientMsg::Fetched { req, .. } => u64::from(req.0),
            _ => return,
        };
        self.asked.insert(req, (now, message.clone()));
    }

    /// The server refuses something of a client, whose person is this one: what it can't be refused for, if so.
    pub(crate) fn judge(&mut self, told: Told, person: Option<PersonId>, pages: &Pages) -> Option<String> {
        let asked =
            if told.about == ty::POST { self.posts.get(&told.req) } else { self.asked.get(&told.req) };
        let code = Code::from_number(told.code);
        let has_cause = code.is_some_and(|code| has_cause(code, asked, person, self.broken_row, pages));
        let text = (!has_cause).then(|| {
            let name = code.map_or("an unknown code", Code::name);
            format!("is refused {asked:?} with {name} ({}), and there is no reason for it", told.code)
        });
        // A number that was used already is no gap.
        self.broken_row |= told.about == ty::POST && code != Some(Code::OtherContent);
        text
    }
}

/// Whether there is a reason to refuse this, which was asked for at that time.
fn has_cause(
    code: Code,
    asked: Option<&(u64, ClientMsg)>,
    person: Option<PersonId>,
    broken_row: bool,
    pages: &Pages,
) -> bool {
    let (since, message) = asked.map_or((0, None), |(at, message)| (*at, Some(message)));
    let in_room =
        |room: RoomId| person.is_some_and(|person| pages.truth.members.was_in_since(person, room, since));
    match code {
        // Judged by rules of their own, or the end of a connection that another one took over.
        Code::Silent
        | Code::Stalled
        | Code::Fenced
        | Code::InUse
        | Code::OtherContent
        | Code::LoginTimeout => true,
        // A server that stops has no room for anybody.
        Code::Busy | Code::ServerFull => pages.limits.is_some() || pages.was_struck_lately(),
        // A server that ends forgets an upload of which nothing was settled yet.
        Code::NoSuchTransfer => is_about_files(message) && pages.was_struck_lately(),
        Code::TooFast => pages.limits.is_some(),
        Code::DiskFull => pages.was_full_since(since),
        Code::OutOfOrder => broken_row,
        // Who is not one of two must not learn that they talk.
        Code::NotAMember | Code::NoSuchRoom => message.and_then(room_of).is_some_and(|room| !in_room(room)),
        Code::NoSuchPerson => match message {
            Some(ClientMsg::Ask { question: Question::Whois { name }, .. }) => {
                !pages.is_called_since(name, since)
            }
            Some(ClientMsg::Post { target: Target::Person { person }, .. }) => {
                !pages.truth.members.is_known(*person)
            }
            _ => false,
        },
        Code::NotOpen => matches!(message, Some(ClientMsg::Close { .. } | ClientMsg::State { .. })),
        Code::NotAllowed => message.is_some_and(|message| is_of_others(message, person, pages)),
        Code::NoSuchEntry => message.is_some_and(|message| is_about_what_is_gone(message, since, pages)),
        _ => false,
    }
}

fn is_about_files(message: Option<&ClientMsg>) -> bool {
    matches!(message, Some(ClientMsg::Post { kind: EntryKind::File | EntryKind::FileOffer, .. }))
}

/// The room that a request is about.
fn room_of(message: &ClientMsg) -> Option<RoomId> {
    match message {
        ClientMsg::Part { room, .. }
        | ClientMsg::Open { room, .. }
        | ClientMsg::Close { room, .. }
        | ClientMsg::Fetch { room, .. }
        | ClientMsg::Mark { room, .. }
        | ClientMsg::Fetched { room, .. }
        | ClientMsg::Post { target: Target::Room { room }, .. } => Some(*room),
        ClientMsg::Do { room, .. } | ClientMsg::Search { room, .. } => *room,
        _ => None,
    }
}

/// Whether it changes what is not its author's, or what nobody may change.
fn is_of_others(message: &ClientMsg, person: Option<PersonId>, pages: &Pages) -> bool {
    let Some((room, target)) = changed(message) else { return false };
    let line = pages.truth.line(pages.truth.epoch(), room.value(), target.value());
    line.is_some_and(|line| line.person != person.map(PersonId::value) || !line.is_text())
}

fn changed(message: &ClientMsg) -> Option<(RoomId, Seq)> {
    match message {
        ClientMsg::Post {
            target: Target::Room { room },
            kind: EntryKind::Edit | EntryKind::Delete,
            reply_to: Some(seq),
            ..
        } => Some((*room, *seq)),
        _ => None,
    }
}

/// Whether the entry that it is about is deleted, or is not kept, or never was.
fn is_about_what_is_gone(message: &ClientMsg, since: u64, pages: &Pages) -> bool {
    let about = match message {
        ClientMsg::Post { target: Target::Room { room }, reply_to: Some(seq), .. }
        | ClientMsg::Mark { room, seq, .. }
        | ClientMsg::Fetched { room, seq, .. }
        | ClientMsg::Search { before_room: Some(room), before: Some(seq), .. } => Some((*room, *seq)),
        _ => None,
    };
    about.is_some_and(|(room, seq)| {
        let is_kept = seq.value() >= pages.truth.last_beginning(room.value());
        let line = pages.truth.line(pages.truth.epoch(), room.value(), seq.value());
        // It may have been stored only after the question was judged.
        let was_gone = |line: &Line| line.at() >= since || line.since(since).any(Version::is_deleted);
        !is_kept || line.is_none_or(was_gone)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use bytes::Bytes;
    use protocol::id::{Counter, Millis, Req};

    fn part(room: u64) -> ClientMsg {
        ClientMsg::Part { req: Req(1), room: RoomId::new(room).expect("not zero") }
    }

    fn post(kind: EntryKind, about: u64) -> ClientMsg {
        ClientMsg::Post {
            counter: Counter::FIRST,
            target: Target::Room { room: RoomId::FIRST },
            kind,
            reply_to: Seq::new(about),
            written: Millis(0),
            body: Bytes::new(),
        }
    }

    /// Whether this may be refused with that code, in a world in which nothing is wrong and the first room has entries 5 to 9.
    fn may_be(code: Code, message: &ClientMsg, change: impl FnOnce(&mut Pages)) -> bool {
        let record = Record::new(1, false);
        let mut pages = record.pages();
        pages.truth = crate::truth::Truth::with_room(5, 9);
        change(&mut pages);
        let mut requests = Requests::default();
        requests.note(message, 100);
        let about = if matches!(message, ClientMsg::Post { .. }) { ty::POST } else { ty::PART };
        let told = Told { code: code.number(), about, req: 1 };
        requests.judge(told, PersonId::new(1), &pages).is_none()
    }

    #[test]
    fn each_refusal_has_its_cause() {
        let text = post(EntryKind::Text, 0);
        assert!(
            !may_be(Code::DiskFull, &text, |_| ())
                && may_be(Code::DiskFull, &text, |pages| pages.set_full(true))
        );
        assert!(!may_be(Code::TooFast, &text, |_| ()) && !may_be(Code::NoSuchPerson, &text, |_| ()));
        assert!(!may_be(Code::BadText, &text, |_| ()) && !may_be(Code::Quota, &text, |_| ()));
        assert!(!may_be(Code::Busy, &text, |_| ()) && may_be(Code::Busy, &text, Pages::strike));
        assert!(may_be(Code::NotAMember, &part(7), |_| ()));
        let is_in = |pages: &mut Pages| {
            let room = RoomId::new(7).expect("not zero");
            let change = server::store::Change::Member { room, person: PersonId::FIRST, joined: true };
            // That nobody asked for it is another rule.
            let _ = pages.truth.members.take(&change, 0);
        };
        assert!(!may_be(Code::NotAMember, &part(7), is_in));
    }

    #[test]
    fn what_is_there_may_be_answered_and_what_is_ones_own_changed() {
        assert!(!may_be(Code::NoSuchEntry, &post(EntryKind::Text, 5), |_| ()));
        assert!(may_be(Code::NoSuchEntry, &post(EntryKind::Text, 4), |_| ()));
        assert!(may_be(Code::NoSuchEntry, &post(EntryKind::Text, 10), |_| ()));
        // All of them are the server's.
        assert!(may_be(Code::NotAllowed, &post(EntryKind::Edit, 5), |_| ()));
        assert!(!may_be(Code::NotAllowed, &post(EntryKind::Text, 5), |_| ()));
    }
}
