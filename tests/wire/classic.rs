//! The classic dialect: both directions, and what its clients get wrong.

use super::arbitrary::{Classic, classic};
use super::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::classic::{ClassicError, ClassicMsg, ClassicReply};
use protocol::limits::HEADER;

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_a_client_says_comes_out_as_it_went_in(classic in classic()) {
        if let Some(msg) = classic.msg() {
            let bytes = msg.encode();
            prop_assert_eq!(bytes[4], msg.ty());
            prop_assert_eq!(ClassicMsg::decode(bytes[4], &bytes[HEADER..]), Ok(msg));
        }
    }

    #[test]
    fn what_the_server_says_comes_out_as_it_went_in(classic in classic()) {
        let reply = classic.reply();
        let bytes = reply.encode();
        prop_assert_eq!(bytes[4], reply.ty());
        prop_assert_eq!(ClassicReply::decode(bytes[4], &bytes[HEADER..]), Ok(reply));
    }

    #[test]
    fn different_frames_have_different_bytes(one in classic(), other in classic()) {
        prop_assert_eq!(one.reply().encode() == other.reply().encode(), one == other);
        prop_assert_eq!(
            one.msg().map(|msg| msg.encode()) == other.msg().map(|msg| msg.encode()),
            one.msg() == other.msg()
        );
    }

    #[test]
    fn noise_is_decoded_or_refused(ty in 0..9_u8, payload in vec(prop_oneof![any::<u8>(), Just(b':')], 0..60)) {
        // What is decoded says again what it was decoded from.
        if let Ok(msg) = ClassicMsg::decode(ty, &payload) {
            prop_assert_eq!(&msg.encode()[HEADER..], &payload[..]);
        }
        if let Ok(reply) = ClassicReply::decode(ty, &payload) {
            prop_assert_eq!(&reply.encode()[HEADER..], &payload[..]);
        }
    }
}

#[test]
fn a_file_is_cut_at_its_first_separators() {
    let file = ClassicMsg::File { name: "a:b", content: b":c::d" };
    assert_eq!(ClassicMsg::decode(0x02, b"a:b:::c::d"), Ok(file));
    let reply = ClassicReply::File { from: "alice", name: "a.txt", content: b"::" };
    assert_eq!(ClassicReply::decode(0x02, b"alice::a.txt::::"), Ok(reply));
}

#[test]
fn a_file_without_its_separators_has_no_name() {
    assert_eq!(ClassicMsg::decode(0x02, b"a:txt"), Err(ClassicError::NoName));
    assert_eq!(ClassicReply::decode(0x02, b"alice::a.txt:"), Err(ClassicError::NoName));
}

#[test]
fn text_that_is_not_utf8_is_refused_and_the_content_of_a_file_may_be_anything() {
    assert_eq!(ClassicMsg::decode(0x01, b"a\xff"), Err(ClassicError::Utf8));
    assert_eq!(ClassicMsg::decode(0x03, b"\xc3"), Err(ClassicError::Utf8));
    assert_eq!(ClassicMsg::decode(0x02, b"\xff::a"), Err(ClassicError::Utf8));
    let file = ClassicMsg::File { name: "a", content: b"\xff" };
    assert_eq!(ClassicMsg::decode(0x02, b"a::\xff"), Ok(file));
}

#[test]
fn a_client_says_three_types_and_the_server_six() {
    for ty in 0..=u8::MAX {
        let client = ClassicMsg::decode(ty, b"a::b::c");
        let server = ClassicReply::decode(ty, b"a::b::c");
        assert_eq!(client.is_ok(), (1..=3).contains(&ty), "type {ty:#04x}: {client:?}");
        assert_eq!(server.is_ok(), (1..=6).contains(&ty), "type {ty:#04x}: {server:?}");
    }
}

/// A name that ended with a colon would move the separator: `a:` saying `hi` would read as `a` saying `:hi`.
#[test]
fn every_name_that_is_allowed_stays_whole_in_a_classic_line() {
    for name in ["alice", ":", "a:", "a:b", ":a", "a::", "[a"] {
        if let Ok(name) = protocol::name::PersonName::parse(name) {
            let line = format!("{name}::hi");
            assert_eq!(line.split_once("::"), Some((name.as_str(), "hi")), "{name}");
        }
    }
}

#[test]
fn a_reply_to_nobody_is_no_message() {
    assert_eq!(Classic::Leave("bob left the chat.".into()).msg(), None);
}
