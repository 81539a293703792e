//! Frames that break the layout, from somebody who is logged in.

use super::samples::{
    MARK, ask, cut_short, framed, grown, header, hello, post, requests, state, transfers, with_bad_utf8,
    with_byte, with_number,
};
use super::{Answer, Case, case};
use protocol::classic::ty as classic_ty;
use protocol::code::Code;
use protocol::limits::{HEADER, MAX_FRAME, MAX_NUMBER};
use protocol::message::{Question, ServerMsg, StateChange, ty};

/// The layout's rules, one after the other.
pub fn cases() -> Vec<Case> {
    let mut cases = lengths_and_types();
    cases.extend(requests().iter().map(|(name, msg)| {
        case(format!("{name} cut short"), cut_short(msg), Answer::Close(Code::Malformed))
    }));
    cases.extend(texts());
    cases.extend(numbers());
    cases.extend(choices());
    cases.extend(transfers().iter().map(|(name, msg)| {
        case(format!("{name} on a chat connection"), msg.encode(), Answer::Keep(Code::WrongPurpose))
    }));
    cases
}

fn lengths_and_types() -> Vec<Case> {
    let too_large = Answer::Close(Code::FrameTooLarge);
    let unknown = Answer::Close(Code::UnknownType);
    let mut cases = vec![
        case("a frame of length 0", [0; 4], Answer::Close(Code::EmptyFrame)),
        case("a frame one byte over the limit", header(MAX_FRAME + 1, ty::POST), too_large),
        case("a frame of 4 GiB", header(u32::MAX, ty::POST), too_large),
        case("the first bytes of TLS after the login", b"\x16\x03\x01\x02\x00", too_large),
        case("an unknown type", framed(0xee, b"what?"), unknown),
        case("type 0", framed(0, b""), unknown),
        case("a classic TEXT after a native login", framed(classic_ty::TEXT, b"hi"), unknown),
        case("a classic JOIN after a native login", framed(classic_ty::JOIN, b"eve"), unknown),
        case("the largest skipped frame", framed(0x70, &vec![0; MAX_FRAME as usize - 1]), Answer::Silence),
        case("a skipped type with nothing in it", framed(0x7f, b""), Answer::Silence),
        case("a ping with more at its end", ping_grown(), Answer::Silence),
        case("half a frame, then the end", &post("hi").encode()[..9], Answer::SilentEnd),
        case("a second login", hello("eve", "a test").encode(), Answer::Keep(Code::AlreadyLoggedIn)),
    ];
    for ty in ServerMsg::TYPES {
        let name = ServerMsg::type_name(*ty).expect("a type of the table has a name");
        cases.push(case(format!("{name} from a client"), framed(*ty, b"\0\0\0\0"), unknown));
    }
    cases
}

/// `State` is answered by nothing when it is about typing, so the bytes at its end have no effect to be seen.
fn ping_grown() -> Vec<u8> {
    let change = StateChange::Typing { room: super::samples::LOBBY, on: true };
    grown(&state(change))
}

fn texts() -> Vec<Case> {
    let mut cases: Vec<_> = requests()
        .iter()
        .filter(|(_, msg)| msg.encode().windows(MARK.len()).any(|part| part == MARK.as_bytes()))
        .map(|(name, msg)| {
            let name = format!("{name} with a text that is not UTF-8");
            case(name, with_bad_utf8(msg), Answer::Keep(Code::BadUtf8))
        })
        .collect();
    for (name, msg) in [
        ("a new name", state(StateChange::Name { name: MARK.into() })),
        ("a list's beginning", ask(Question::Rooms { after: MARK.into() })),
        ("a body", post(MARK)),
    ] {
        let name = format!("{name} that is not UTF-8");
        cases.push(case(name, with_bad_utf8(&msg), Answer::Keep(Code::BadUtf8)));
    }
    cases
}

/// Where a number that must lie in 1 ..= 2⁶³ − 1 stands in the payload of each sample.
const NUMBERS: [(&str, usize, &str); 8] = [
    ("Part", 4, "room"),
    ("Open", 4, "room"),
    ("Close", 4, "room"),
    ("Post", 0, "counter"),
    ("Post", 9, "room"),
    ("Fetch", 4, "room"),
    ("Fetch", 13, "number"),
    ("Mark", 12, "number"),
];

fn numbers() -> Vec<Case> {
    let bad = Answer::Keep(Code::BadNumber);
    let samples = requests();
    let find = |name: &str| &samples.iter().find(|(known, _)| *known == name).expect("a sample").1;
    let spoiled = NUMBERS.iter().flat_map(|(name, at, field)| {
        [0, MAX_NUMBER + 1, u64::MAX].map(|number| {
            let bytes = with_number(find(name), *at, number);
            case(format!("{name} with the {field} {number}"), bytes, bad)
        })
    });
    let mut cases: Vec<_> = spoiled.collect();
    // Here 0 says "none", and only what is too large is wrong.
    cases.push(case("a reply to 2⁶³", with_number(find("Post"), 18, MAX_NUMBER + 1), bad));
    cases.push(case("a topic of room 2⁶³", with_number(find("Do"), 4, MAX_NUMBER + 1), bad));
    cases.push(case("a search in room 2⁶³", with_number(find("Search"), 4, MAX_NUMBER + 1), bad));
    let end = find("Search").encode().len() - HEADER;
    cases.push(case("a search before entry 2⁶³", with_number(find("Search"), end - 8, MAX_NUMBER + 1), bad));
    cases
}

fn choices() -> Vec<Case> {
    let unsupported = Answer::Keep(Code::Unsupported);
    let typing = state(StateChange::Typing { room: super::samples::LOBBY, on: true });
    let samples = requests();
    let find = |name: &str| &samples.iter().find(|(known, _)| *known == name).expect("a sample").1;
    vec![
        case("an unknown place to open from", with_byte(find("Open"), 12, 9), unsupported),
        case("an unknown target", with_byte(find("Post"), 8, 9), unsupported),
        case("an unknown range", with_byte(find("Fetch"), 12, 9), unsupported),
        case("an unknown change of state", with_byte(find("State"), 4, 9), unsupported),
        case("an unknown question", with_byte(find("Ask"), 4, 9), unsupported),
        case("an unknown action", with_byte(find("Do"), 12, 99), unsupported),
        case("a flag that is neither 0 nor 1", with_byte(&typing, 13, 2), unsupported),
    ]
}
