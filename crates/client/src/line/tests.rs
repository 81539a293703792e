//! What every event and every refusal looks like, in colour and without.

mod shelf;
mod transfers;

use super::*;
use crate::session::event::{
    Awaited, Classic, Entered, Listed, Loss, Quote, Quoted, Refusal, Rest, Said, Unkept, Unread, Welcome,
};
use crate::session::{Change, Place, Tally};
use protocol::code::Code;
use protocol::entry::{EntryKind, Revision};
use protocol::id::{ContentHash, Millis, PersonId, RoomId, Seq};
use protocol::message::{Durability, FileBody, Presence, RoomListing, RosterItem, Shape};
use transfers::transfers;

/// 2026-07-03 14:05:09 UTC.
const TIME: Millis = Millis(1_783_087_509_000);

const COLORED: Look = Look { color: true, screen: true, bell: true };

fn lobby() -> Place {
    Place::Room("lobby".into())
}

fn dev() -> Place {
    Place::Room("dev".into())
}

fn bob() -> Place {
    Place::Person("bob".into())
}

fn seq(value: u64) -> Seq {
    Seq::new(value).expect("tests count from 1")
}

fn said(kind: EntryKind, text: &str) -> Said {
    Said {
        place: lobby(),
        here: true,
        seq: seq(12),
        time: TIME,
        written: Millis(0),
        name: Some("bob".into()),
        mine: false,
        mention: false,
        kind,
        revision: Revision::Original,
        reply: None,
        text: text.into(),
        file: None,
    }
}

fn item(person: u64, name: &str, presence: Presence, away: &str) -> RosterItem {
    let person = PersonId::new(person).expect("tests count from 1");
    RosterItem { person, name: name.into(), presence, away: away.into() }
}

fn online() -> Presence {
    Presence { online: true, ..Presence::default() }
}

fn refusal(code: u16, detail: u64) -> Refusal {
    Refusal { code, detail, text: "the server's own words".into() }
}

/// Examples of every entry that can be said.
fn entries() -> Vec<Said> {
    let text = said(EntryKind::Text, "hi, \u{1b}[31mall\u{202e}");
    let kinds = [
        (EntryKind::Action, "waves"),
        (EntryKind::Topic, "tea"),
        (EntryKind::Topic, ""),
        (EntryKind::Reaction, "+1"),
        (EntryKind::FileOffer, "cat.jpg"),
        (EntryKind::File, "cat.jpg"),
        (EntryKind::File, ""),
        (EntryKind::System, "the disk is nearly full"),
        (EntryKind::Opaque, "\u{0}\u{1}"),
        (EntryKind::Other(200), "?"),
    ];
    let quote = |said| Some(Quote { seq: seq(3), said });
    let was = |text: &str, kind, time| Quoted { name: "carol\u{7}".into(), text: text.into(), time, kind };
    let earlier = Millis(TIME.0 - 3_600_000);
    let change = |kind, text: &str, was| Said { reply: quote(was), ..said(kind, text) };
    let mut all = vec![
        text.clone(),
        Said { name: None, ..text.clone() },
        Said { mine: true, name: Some("alice".into()), ..text.clone() },
        Said { mention: true, text: "alice: look\nthere".into(), ..text.clone() },
        Said { here: false, place: Place::Room("dev".into()), ..text.clone() },
        Said { here: false, place: bob(), ..text.clone() },
        Said { text: "one\n12:00 alice: forged\ttab".into(), ..text.clone() },
        Said { reply: quote(Some(was("is it up?", EntryKind::Text, earlier))), ..text.clone() },
        Said { reply: quote(None), ..text.clone() },
        Said { written: Millis(TIME.0 - 3_600_000), time: Millis(TIME.0 + 60_000), ..text.clone() },
        Said { revision: Revision::Edited, time: Millis(TIME.0 + 60_000), ..text.clone() },
        change(EntryKind::Edit, "it is\nup", Some(was("is it up?\u{1b}", EntryKind::Text, earlier))),
        change(EntryKind::Edit, "waves", Some(was("waevs", EntryKind::Action, earlier))),
        change(EntryKind::Edit, "it is up", None),
        change(EntryKind::Delete, "", Some(was("is it up?", EntryKind::Text, earlier))),
        change(EntryKind::Delete, "", Some(was("is it up?", EntryKind::Text, Millis(0)))),
        change(EntryKind::Delete, "", None),
        Said { revision: Revision::Deleted, time: Millis(TIME.0 + 86_400_000), ..text },
    ];
    all.extend(kinds.map(|(kind, text)| said(kind, text)));
    let file = FileBody {
        hash: ContentHash([0; 32]),
        size: 1_310_720,
        name: "ca\u{202e}t.png".into(),
        shape: Shape::File,
    };
    let sends = said(EntryKind::File, &file.name);
    all.push(Said { file: Some(file), ..sends });
    all
}

/// Which kind of event this is. A new kind does not compile until it has a number here, and then the test below
/// fails until it has an example.
fn number(event: &Event) -> usize {
    match event {
        Event::Connecting => 0,
        Event::Welcome(_) => 1,
        Event::Reconnected => 2,
        Event::Lost(_) => 3,
        Event::Resumed(_) => 4,
        Event::GoingAway { .. } => 5,
        Event::NewHistory => 6,
        Event::Trimmed { .. } => 7,
        Event::Gap { .. } => 8,
        Event::Entered(_) => 9,
        Event::Switched { .. } => 10,
        Event::Left { .. } => 11,
        Event::Unread { .. } => 12,
        Event::Said(_) => 13,
        Event::Person { .. } => 14,
        Event::Pending { .. } => 15,
        Event::Refused { .. } => 16,
        Event::Uncertain { .. } => 17,
        Event::History { .. } => 18,
        Event::People { .. } => 19,
        Event::Rooms { .. } => 20,
        Event::Whois { .. } => 21,
        Event::Topic { .. } => 22,
        Event::Named { .. } => 23,
        Event::Away { .. } => 24,
        Event::Ignoring { .. } => 25,
        Event::Ignored { .. } => 26,
        Event::Motd { .. } => 27,
        Event::Help { .. } => 28,
        Event::Clear => 29,
        Event::Mistake { .. } => 30,
        Event::Error { .. } => 31,
        Event::Leaving { .. } => 32,
        Event::Notice { .. } => 33,
        Event::Context { .. } => 34,
        Event::Transfer(_) => 35,
        Event::Classic(Classic::Help) => 36,
        Event::Classic(Classic::MayBeLost { .. }) => 37,
        Event::News { .. } => 38,
        Event::Elsewhere { .. } => 39,
        Event::Withdrawn { .. } => 40,
        Event::Void { .. } => 41,
        Event::Found { .. } => 42,
        Event::Around { .. } => 43,
        Event::Unkept { .. } => 44,
        Event::KeptAgain => 45,
        Event::Gone { .. } => 46,
        Event::Files { .. } => 47,
        Event::StillWaiting(_) => 48,
        Event::Comings { .. } => 49,
        Event::Fenced { .. } => 50,
    }
}

const KINDS: usize = 51;

fn connection_events() -> Vec<Event> {
    let welcome = Welcome {
        name: "alice".into(),
        wanted: "Alice".into(),
        durability: Durability::Memory,
        storage: "messages are kept until the server stops".into(),
        motd: "Welcome!\nBe kind.\u{1b}".into(),
    };
    let taken =
        Welcome { name: "alice-2".into(), storage: String::new(), motd: String::new(), ..welcome.clone() };
    let mut events =
        vec![Event::Connecting, Event::Welcome(welcome), Event::Welcome(taken), Event::Reconnected];
    let losses = [Loss::Closed, Loss::Silent, Loss::Garbled, Loss::Announced, Loss::Fenced, Loss::Busy];
    events.extend(losses.map(Event::Lost));
    events.extend([
        Event::Resumed(Tally { missed: 37, lost: 0, doubled: 0 }),
        Event::GoingAway { text: "the server restarts".into(), after_ms: 1_500 },
        Event::GoingAway { text: String::new(), after_ms: 0 },
        Event::NewHistory,
        Event::Trimmed { place: lobby(), first: seq(120), gone: 83 },
        Event::Gap { place: lobby(), missing: 1 },
        Event::Leaving { pending: 2 },
        Event::Notice { text: "another natter uses this profile".into() },
    ]);
    let (name, moved, size) = ("ca\u{202e}t.png".to_owned(), 3 << 20, 5 << 20);
    let sender = |gone| Awaited::Sender { name: name.clone(), from: "bob".into(), gone, moved, size };
    events.extend(
        [
            Awaited::Server,
            Awaited::Answer,
            Awaited::Sending { name: name.clone(), moved, size },
            Awaited::Receiving { name: name.clone(), moved, size },
            sender(false),
            sender(true),
        ]
        .map(Event::StillWaiting),
    );
    events
}

fn room_events() -> Vec<Event> {
    let entered = Entered {
        place: lobby(),
        topic: "tea".into(),
        empty: true,
        people: vec!["bob".into(), "car\u{202e}ol".into()],
        online: 3,
    };
    let with = |people: &[&str], online| Entered {
        topic: String::new(),
        empty: false,
        people: people.iter().map(|name| (*name).to_owned()).collect(),
        online,
        ..entered.clone()
    };
    let many: Vec<_> = (1..15).map(|n| format!("p{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let new = |place, count, mentions| Unread { place, count, mentions };
    let mut events = vec![
        Event::Entered(entered.clone()),
        Event::Entered(with(&["bob"], 2)),
        Event::Entered(with(&many, 15)),
        Event::Entered(with(&[], 1)),
        Event::Entered(with(&[], 900)),
        Event::Entered(Entered { place: bob(), ..with(&[], 1) }),
        Event::Entered(Entered { place: bob(), ..with(&["bob"], 2) }),
        Event::Switched { place: bob() },
        Event::Left { place: lobby() },
        Event::Unread { place: lobby(), count: 1 },
        Event::Elsewhere { place: lobby(), count: 60 },
        Event::News { rooms: vec![new(lobby(), 3, 0), new(bob(), 1, 1), new(dev(), 1_200, 2)] },
    ];
    let changes = [
        Change::Came,
        Change::Left,
        Change::Renamed("robert".into()),
        Change::Away(String::new()),
        Change::Away("lunch\u{7}".into()),
        Change::Back,
    ];
    events.extend(changes.map(|change| Event::Person { name: "bob".into(), change }));
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    events.push(Event::Comings { came: names(&["bob"]), left: names(&["carol", "dan\u{7}"]) });
    events.push(Event::Comings {
        came: names(&["a", "b", "c"]),
        left: (0..40).map(|n| n.to_string()).collect(),
    });
    let by = "device 2 of alice is connected from 192.0.2.7".to_owned();
    events.push(Event::Fenced { by, since: TIME });
    events
}

fn answers() -> Vec<Event> {
    let away = Presence { away: true, ..online() };
    let guest = Presence { guest: true, ..online() };
    let people = vec![
        item(1, "alice", online(), ""),
        item(2, "bob", away, "lunch"),
        item(3, "carol", away, ""),
        item(4, "dan", guest, ""),
    ];
    let listed = |name: &str, topic: &str, unread| {
        let (name, topic) = (name.into(), topic.into());
        Listed { listing: RoomListing { room: RoomId::FIRST, name, topic, members: 5, online: 3 }, unread }
    };
    let entries = vec![said(EntryKind::Text, "one"), said(EntryKind::Action, "waves")];
    let part = |rest| Event::History { place: lobby(), entries: entries.clone(), rest };
    let offline = item(2, "bob", Presence::default(), "");
    vec![
        Event::Context { place: lobby(), entries: entries.clone() },
        part(Rest::Older),
        part(Rest::Newer),
        part(Rest::Now),
        part(Rest::Begins(Some(Seq::FIRST))),
        part(Rest::Begins(Some(seq(12)))),
        Event::History { place: lobby(), entries: Vec::new(), rest: Rest::Now },
        Event::History { place: lobby(), entries: Vec::new(), rest: Rest::Begins(None) },
        Event::People { place: lobby(), people: people.clone(), offline: false },
        Event::People { place: lobby(), people, offline: true },
        Event::People { place: bob(), people: Vec::new(), offline: false },
        Event::Rooms {
            rooms: vec![
                listed("lobby", "", Some(0)),
                listed("dev", "tea\u{1b}", None),
                listed("ops", "", Some(12)),
            ],
        },
        Event::Rooms { rooms: Vec::new() },
        Event::Files { place: dev(), files: shelf::files(), more: true },
        Event::Files { place: bob(), files: Vec::new(), more: false },
        Event::Whois {
            person: item(1, "alice", online(), ""),
            rooms: vec!["lobby".into(), "dev".into()],
            seen: TIME,
            agent: "natter/0.1.0".into(),
        },
        Event::Whois { person: offline, rooms: Vec::new(), seen: TIME, agent: String::new() },
        Event::Topic { place: lobby(), topic: "tea".into() },
        Event::Topic { place: lobby(), topic: String::new() },
        Event::Named { name: "robert".into() },
        Event::Away { on: true, text: "lunch".into() },
        Event::Away { on: true, text: String::new() },
        Event::Away { on: false, text: String::new() },
        Event::Ignoring { name: "eve".into(), on: true },
        Event::Ignoring { name: "eve".into(), on: false },
        Event::Ignored { names: vec!["eve".into(), "mallory".into()] },
        Event::Ignored { names: Vec::new() },
        Event::Motd { text: "Be kind.".into() },
        Event::Motd { text: String::new() },
        Event::Help { about: None },
        Event::Help { about: protocol::command::find("part") },
        Event::Clear,
    ]
}

/// Parts of histories with changed lines, and what was found.
fn readings() -> Vec<Event> {
    let quote = |said| Some(Quote { seq: seq(3), said });
    let line = |n, kind, text: &str| Said { seq: seq(n), ..said(kind, text) };
    let entries = vec![
        Said { revision: Revision::Edited, ..line(12, EntryKind::Text, "tea") },
        Said { revision: Revision::Deleted, ..line(13, EntryKind::Text, "") },
        Said { reply: quote(None), ..line(14, EntryKind::Edit, "tea") },
        Said { reply: quote(None), ..line(15, EntryKind::Delete, "") },
    ];
    let hits = vec![
        Said { time: Millis(TIME.0 + 60_000), ..line(40, EntryKind::Text, "more Tea\nfor \u{1b}all") },
        Said { here: false, place: dev(), ..line(30, EntryKind::Action, "makes tea") },
        line(20, EntryKind::File, "tea.png"),
        Said { mine: true, ..line(10, EntryKind::Topic, "tea") },
    ];
    let found = |place, first, hits: &[Said], more| {
        let (words, hits) = ("tea\u{1b}".into(), hits.to_vec());
        Event::Found { place, words, first, hits, more, offline: false }
    };
    let offline = |event| match event {
        Event::Found { place, words, first, hits, more, .. } => {
            Event::Found { place, words, first, hits, more, offline: true }
        }
        other => other,
    };
    vec![
        Event::Around { place: dev(), seq: seq(13), entries: entries.clone(), offline: false },
        Event::Around { place: dev(), seq: seq(13), entries: entries.clone(), offline: true },
        Event::History { place: dev(), entries: entries.clone(), rest: Rest::Offline },
        Event::History { place: dev(), entries: Vec::new(), rest: Rest::Offline },
        found(None, 1, &hits, true),
        found(Some(lobby()), 9, &hits[..2], false),
        found(Some(lobby()), 1, &[], false),
        found(None, 1, &[], false),
        found(None, 11, &[], false),
        offline(found(Some(lobby()), 1, &hits[..1], false)),
        offline(found(Some(lobby()), 1, &[], false)),
    ]
}

fn failures() -> Vec<Event> {
    let change = |kind, text: &str, code: Code| Event::Refused {
        place: lobby(),
        kind,
        text: text.into(),
        refusal: refusal(code.number(), 0),
    };
    vec![
        Event::Pending { place: lobby(), text: "hi\nthere".into() },
        Event::Withdrawn { place: lobby(), text: "hi".into() },
        change(EntryKind::Text, "hi", Code::NoSuchPerson),
        change(EntryKind::Edit, "/edit #3 hi", Code::NotAllowed),
        change(EntryKind::Delete, "/delete #3", Code::NoSuchEntry),
        change(EntryKind::Delete, "/delete #3", Code::TooFast),
        Event::Void { place: lobby(), text: "/delete #3".into() },
        Event::Unkept { what: Unkept::Outbox, reason: "No space left on device".into() },
        Event::Unkept { what: Unkept::Cursors, reason: "No space left on device".into() },
        Event::KeptAgain,
        Event::Gone { lines: vec!["hi\u{1b}".into(), "there".into()] },
        Event::Classic(Classic::Help),
        Event::Classic(Classic::MayBeLost { lines: vec!["hi\u{1b}".into(), "/users".into()] }),
        Event::Uncertain { place: lobby(), text: "hi".into() },
        Event::Mistake { text: "there is no command /jion".into(), hint: "did you mean /join?".into() },
        Event::Error { about: "/join dev".into(), refusal: refusal(Code::TooManyRooms.number(), 0) },
        Event::Error { about: String::new(), refusal: refusal(999, 0) },
    ]
}

fn everything() -> Vec<Event> {
    let said = entries().into_iter().map(Event::Said);
    let others = [connection_events(), room_events(), answers(), readings(), failures(), transfers()];
    said.chain(others.into_iter().flatten()).collect()
}

fn screen(look: Look, events: &[Event]) -> String {
    let mut renderer = Renderer::new(look, Zone::East(3_600));
    let lines = events.iter().flat_map(|event| {
        let channel = Renderer::channel(event);
        renderer.render(event).into_iter().map(move |line| (channel, line))
    });
    let mark = |channel| match channel {
        Channel::Data => "out",
        Channel::Diagnostics => "err",
        Channel::Failures => "ERR",
    };
    lines.map(|(channel, line)| format!("{}| {}\n", mark(channel), line.replace('\x1b', "^["))).collect()
}

#[test]
fn every_kind_of_event_has_an_example() {
    let seen: std::collections::BTreeSet<_> = everything().iter().map(number).collect();
    assert_eq!(seen, (0..KINDS).collect());
}

#[test]
fn every_event_is_rendered_plainly() {
    insta::assert_snapshot!("plain", screen(Look::PLAIN, &everything()));
}

#[test]
fn every_event_is_rendered_in_colour() {
    insta::assert_snapshot!("color", screen(COLORED, &everything()));
}

#[test]
fn every_refusal_is_told_with_a_hint() {
    let error = |code: &Code| Event::Refused {
        place: lobby(),
        kind: EntryKind::Text,
        text: "hi".into(),
        refusal: refusal(code.number(), 1_500),
    };
    let events: Vec<_> = Code::ALL.iter().map(error).collect();
    insta::assert_snapshot!("refusals", screen(Look::PLAIN, &events));
}

#[test]
fn coming_back_says_in_words_what_was_missed() {
    for (tally, words) in [
        (Tally::default(), "back: nothing missed"),
        (Tally { missed: 37, ..Tally::default() }, "back: 37 missed, all here, none twice"),
        (Tally { missed: 3, lost: 1, doubled: 2 }, "back: 3 missed, 1 lost, 2 twice"),
    ] {
        let lines = Renderer::new(Look::PLAIN, Zone::East(0)).render(&Event::Resumed(tally));
        assert_eq!(lines, [format!("-- {words}")]);
    }
}

#[test]
fn a_hint_tells_no_number_that_is_not_known() {
    for code in Code::ALL {
        let hint = hint(Some(*code), 0);
        assert!(!hint.split_whitespace().any(|word| word == "0"), "{code:?}: {hint}");
    }
}

#[test]
fn nothing_remote_reaches_the_screen_raw() {
    for look in [Look::PLAIN, Look { color: false, ..COLORED }] {
        for event in everything() {
            for line in Renderer::new(look, Zone::East(0)).render(&event) {
                let raw = |c: char| c.is_control() && c != '\x07';
                assert!(!line.contains(raw) && !line.contains('\u{202e}'), "{line:?}");
                assert!(look.bell || !line.contains('\x07'), "{line:?}");
            }
        }
    }
}
