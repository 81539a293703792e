//! Well-formed requests for what is not there, not allowed or too much.

use super::samples::{ELSEWHERE, LOBBY, PRIVATE, REQ, act, ask, nobody, nowhere, post, state};
use super::{Answer, Case, case};
use bytes::Bytes;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Counter, Millis, RoomId, Seq};
use protocol::limits::{MAX_AWAY, MAX_BODY, MAX_QUERY, MAX_TOPIC};
use protocol::message::{Action, ClientMsg, OpenFrom, Question, Range, StateChange, Target};

/// What is asked for in vain.
pub fn cases() -> Vec<Case> {
    let mut cases = in_room("a room of others", ELSEWHERE, Code::NotAMember);
    cases.extend(in_room("a conversation of two others", PRIVATE, Code::NoSuchRoom));
    cases.extend(in_room("a room that is not there", nowhere(), Code::NoSuchRoom));
    cases.extend(posts());
    cases.extend(bodies());
    cases.extend(names());
    cases.extend(people());
    cases.extend(lines());
    cases.extend(searches());
    cases.extend(revisions());
    cases
}

fn refused(name: impl Into<String>, msg: &ClientMsg, code: Code) -> Case {
    case(name, msg.encode(), Answer::Keep(code))
}

/// Everything that can be tried on a room that one is not in.
fn in_room(what: &str, room: RoomId, code: Code) -> Vec<Case> {
    let (req, topic) = (REQ, Action::Topic { text: "mine".into() });
    let close = if code == Code::NotAMember { Code::NotOpen } else { code };
    let refused = |verb: &str, msg: ClientMsg, code| refused(format!("{verb} {what}"), &msg, code);
    vec![
        refused("leaving", ClientMsg::Part { req, room }, code),
        refused("opening", ClientMsg::Open { req, room, from: OpenFrom::Now }, code),
        refused("reading", ClientMsg::Fetch { req, room, range: Range::Latest, limit: 5 }, code),
        refused("marking", ClientMsg::Mark { req, room, seq: Seq::FIRST }, code),
        refused("naming the topic of", ClientMsg::Do { req, room: Some(room), action: topic }, code),
        refused("asking who is in", ask(Question::People { room: Some(room), after: None }), code),
        refused("searching", search(Some(room), "hi", None), code),
        refused("searching before an entry of", search(None, "hi", Some((room, Seq::FIRST))), code),
        refused("typing in", state(StateChange::Typing { room, on: true }), code),
        refused("speaking in", to(Target::Room { room }), code),
        refused("closing", ClientMsg::Close { req, room }, close),
    ]
}

fn search(room: Option<RoomId>, words: &str, before: Option<(RoomId, Seq)>) -> ClientMsg {
    let (before_room, before) = before.unzip();
    ClientMsg::Search { req: REQ, room, words: words.into(), limit: 5, before_room, before }
}

fn searches() -> Vec<Case> {
    let too_long = Answer::KeepWith(Code::BodyTooLarge, MAX_QUERY as u64);
    let never = Some((LOBBY, Seq::new(1 << 40).expect("a number")));
    let [words, letters, signs] = [8, 3, 2].map(|least| Answer::KeepWith(Code::TooBroad, least));
    vec![
        refused("a search for nothing", &search(None, "", None), Code::EmptyText),
        refused("a search for signs", &search(Some(LOBBY), " !? \"* - ", None), Code::EmptyText),
        case("a search for 513 bytes", search(None, &"x".repeat(MAX_QUERY + 1), None).encode(), too_long),
        case("a search for nine words", search(None, "a b c d e f g h i", None).encode(), words),
        case("a search for all that begins with te", search(None, "te*", None).encode(), letters),
        case("a search for all with one sign", search(None, "日*", None).encode(), signs),
        refused("a search before what was never said", &search(None, "hi", never), Code::NoSuchEntry),
    ]
}

fn revision(kind: EntryKind, reply_to: Option<Seq>, target: Target, text: &'static str) -> ClientMsg {
    let body = Bytes::from_static(text.as_bytes());
    ClientMsg::Post { counter: Counter::FIRST, target, kind, reply_to, written: Millis(0), body }
}

/// Edits and deletes of what is not there, and such that say too much or too little.
fn revisions() -> Vec<Case> {
    let lobby = Target::Room { room: LOBBY };
    let (edit, delete) = (EntryKind::Edit, EntryKind::Delete);
    let never = Seq::new(1 << 40);
    let words = Answer::KeepWith(Code::BodyTooLarge, 0);
    let to_nobody = revision(delete, Some(Seq::FIRST), Target::Person { person: nobody() }, "");
    vec![
        refused("an edit of nothing", &revision(edit, None, lobby.clone(), "hi"), Code::NoSuchEntry),
        refused("a delete of nothing", &revision(delete, None, lobby.clone(), ""), Code::NoSuchEntry),
        refused(
            "an edit of what was never said",
            &revision(edit, never, lobby.clone(), "hi"),
            Code::NoSuchEntry,
        ),
        refused(
            "a delete of what was never said",
            &revision(delete, never, lobby.clone(), ""),
            Code::NoSuchEntry,
        ),
        refused("an edit to nothing", &revision(edit, Some(Seq::FIRST), lobby.clone(), " "), Code::EmptyText),
        refused(
            "an edit to a bell",
            &revision(edit, Some(Seq::FIRST), lobby.clone(), "\u{7}"),
            Code::BadText,
        ),
        case("a delete with words", revision(delete, Some(Seq::FIRST), lobby, "why").encode(), words),
        refused("a delete in a conversation with nobody", &to_nobody, Code::NoSuchEntry),
    ]
}

fn to(target: Target) -> ClientMsg {
    let ClientMsg::Post { counter, kind, reply_to, written, body, .. } = post("hi") else {
        unreachable!("a post was made");
    };
    ClientMsg::Post { counter, target, kind, reply_to, written, body }
}

fn with_kind(kind: EntryKind, reply_to: Option<Seq>) -> ClientMsg {
    ClientMsg::Post {
        counter: Counter::FIRST,
        target: Target::Room { room: LOBBY },
        kind,
        reply_to,
        written: Millis(0),
        body: Bytes::from_static(b"hi"),
    }
}

fn numbered(counter: u64) -> ClientMsg {
    let ClientMsg::Post { target, kind, reply_to, written, body, .. } = post("hi") else {
        unreachable!("a post was made");
    };
    let counter = Counter::new(counter).expect("tests count from 1");
    ClientMsg::Post { counter, target, kind, reply_to, written, body }
}

fn posts() -> Vec<Case> {
    let out_of_order = Answer::KeepWith(Code::OutOfOrder, 1);
    let mut cases = vec![
        case("a post that skips a counter", numbered(2).encode(), out_of_order),
        case("a post far ahead", numbered(1 << 62).encode(), out_of_order),
        refused("a message to nobody", &to(Target::Person { person: nobody() }), Code::NoSuchPerson),
        refused(
            "an answer to what was never said",
            &with_kind(EntryKind::Text, Seq::new(1 << 40)),
            Code::NoSuchEntry,
        ),
    ];
    for kind in [EntryKind::Topic, EntryKind::System, EntryKind::Other(0), EntryKind::Other(200)] {
        let name = format!("a post of the kind {}", kind.number());
        cases.push(refused(name, &with_kind(kind, None), Code::BadKind));
    }
    let file = with_kind(EntryKind::File, None);
    cases.push(refused("a file that nobody brought", &file, Code::NoSuchFile));
    let offer = with_kind(EntryKind::FileOffer, None);
    cases.push(refused("an offer of an upload that nobody began", &offer, Code::NoSuchTransfer));
    cases
}

fn bodies() -> Vec<Case> {
    let too_large = Answer::KeepWith(Code::BodyTooLarge, MAX_BODY as u64);
    let mut cases = vec![
        case("a body one byte too long", post("x".repeat(MAX_BODY + 1)).encode(), too_large),
        case("the largest body that can be said", post("x".repeat(65_000)).encode(), too_large),
        refused("an empty body", &post(""), Code::EmptyText),
        refused("a body of blanks", &post(" \t\n\u{a0} "), Code::EmptyText),
    ];
    for (name, text) in [
        ("a bell", "\u{7}"),
        ("an escape", "\u{1b}[2J"),
        ("a carriage return", "a\rb"),
        ("a NUL", "a\0b"),
        ("a delete", "a\u{7f}b"),
        ("a C1 control", "a\u{9b}b"),
        ("an override of direction", "a\u{202e}b"),
        ("an isolate of direction", "a\u{2066}b"),
        ("a line separator", "a\u{2028}b"),
    ] {
        cases.push(refused(format!("a body with {name}"), &post(text), Code::BadText));
    }
    cases
}

fn names() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, name) in [
        ("nothing", String::new()),
        ("33 characters", "é".repeat(33)),
        ("a line feed", "a\nb".into()),
        ("an escape", "\u{1b}[1m".into()),
        ("a separator", "a::b".into()),
        ("a hash in front", "#dev".into()),
        ("60,000 characters", "x".repeat(60_000)),
    ] {
        let join = ClientMsg::Join { req: REQ, name: name.clone() };
        cases.push(refused(format!("a room's name of {what}"), &join, Code::BadName));
        let rename = state(StateChange::Name { name });
        cases.push(refused(format!("a new name of {what}"), &rename, Code::BadName));
    }
    cases
}

fn people() -> Vec<Case> {
    let whois = |name: &str| ask(Question::Whois { name: name.into() });
    let person = nobody();
    let unsupported = |name: &str, action: Action| refused(name, &act(action), Code::Unsupported);
    vec![
        refused("asking for nobody", &whois("nobody-of-that-name"), Code::NoSuchPerson),
        refused("asking for a name that can't be one", &whois("a b\u{7}"), Code::NoSuchPerson),
        unsupported("inviting", Action::Invite { person }),
        unsupported("kicking", Action::Kick { person, reason: String::new() }),
        unsupported("banning", Action::Ban { person, ms: 0, reason: String::new() }),
        unsupported("muting", Action::Mute { person, ms: 0 }),
    ]
}

/// Topics and the words of being away are one line, and short.
fn lines() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, text, code) in [
        ("a line feed", "a\nb".to_owned(), Code::BadText),
        ("a tab", "a\tb".to_owned(), Code::BadText),
        ("an escape", "\u{1b}[2J".to_owned(), Code::BadText),
        ("600 bytes", "x".repeat(600), Code::BodyTooLarge),
    ] {
        let topic = act(Action::Topic { text: text.clone() });
        cases.push(refused(format!("a topic with {what}"), &topic, code));
        let away = state(StateChange::Away { text });
        cases.push(refused(format!("an away text with {what}"), &away, code));
    }
    for (name, msg, limit) in [
        ("a topic", act(Action::Topic { text: "x".repeat(MAX_TOPIC + 1) }), MAX_TOPIC),
        ("an away text", state(StateChange::Away { text: "x".repeat(MAX_AWAY + 1) }), MAX_AWAY),
    ] {
        let answer = Answer::KeepWith(Code::BodyTooLarge, limit as u64);
        cases.push(case(format!("{name} one byte too long"), msg.encode(), answer));
    }
    cases
}
