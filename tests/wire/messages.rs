//! Messages of the native dialect: what is encoded is decoded, and nothing else is.

use super::arbitrary::{client_msg, server_msg};
use super::cases;
use super::vectors::{Message, vectors};
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::id::{DeviceId, Req, RoomId, RunId, Seq, ServerId};
use protocol::limits::HEADER;
use protocol::message::ty::{CHUNK, HELLO, WELCOME};
use protocol::message::{
    Attempt, ClientMsg, Proof, Purpose, RoomInfo, RoomKind, RoomsChange, SKIPPED, ServerMsg,
};
use protocol::wire::DecodeError;

/// Bytes of the last field of `Hello`, which may be absent, without its own last field, which may be absent, too.
pub(super) const ATTEMPT: usize = 21;

/// Bytes of the last field of `Welcome`, which may be absent.
pub(super) const SERVER: usize = 16;

fn says_errand(msg: &ClientMsg) -> bool {
    matches!(msg, ClientMsg::Hello { attempt: Some(Attempt { errand: true, .. }), .. })
}

fn says_which_server(msg: &ServerMsg) -> bool {
    matches!(msg, ServerMsg::Welcome { server: Some(_), .. })
}

#[test]
fn a_login_without_an_attempt_is_one_of_an_older_client() {
    let hello = |attempt| ClientMsg::Hello {
        min_version: 1,
        max_version: 1,
        features: 0,
        device: DeviceId([1; 16]),
        proof: Proof::None,
        purpose: Purpose::Chat,
        name: "alice".into(),
        agent: String::new(),
        attempt,
    };
    let attempt = Attempt { run: RunId([2; 16]), number: 3, only_if_free: true, errand: false };
    let whole = hello(Some(attempt)).encode();
    let older = &whole[HEADER..whole.len() - ATTEMPT];
    assert_eq!(older, &hello(None).encode()[HEADER..]);
    assert_eq!(ClientMsg::decode(HELLO, older), Ok(Some(hello(None))));
    // A client that knows attempts and no errands ends before that word, too.
    let errand = hello(Some(Attempt { errand: true, ..attempt })).encode();
    assert_eq!(errand[HEADER..errand.len() - 1], whole[HEADER..]);
}

#[test]
fn a_welcome_without_the_servers_id_is_one_of_an_older_server() {
    let welcome = |id| {
        let vector = vectors().into_iter().find_map(|vector| match vector.message {
            Message::Server(message @ ServerMsg::Welcome { .. }) => Some(message),
            _ => None,
        });
        let mut message = vector.expect("there is a vector of Welcome");
        if let ServerMsg::Welcome { server, .. } = &mut message {
            *server = id;
        }
        message
    };
    let whole = welcome(Some(ServerId([7; 16]))).encode();
    let older = &whole[HEADER..whole.len() - 16];
    assert_eq!(older, &welcome(None).encode()[HEADER..]);
    assert_eq!(ServerMsg::decode(WELCOME, older), Ok(Some(welcome(None))));
    assert_eq!(ServerMsg::decode(WELCOME, &whole[HEADER..]), Ok(Some(welcome(Some(ServerId([7; 16]))))));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn client_messages_come_out_as_they_went_in(msg in client_msg()) {
        let bytes = msg.encode();
        prop_assert_eq!(ClientMsg::decode_owned(bytes[4], &bytes.slice(HEADER..)), Ok(Some(msg.clone())));
        prop_assert_eq!(ClientMsg::decode(bytes[4], &bytes[HEADER..]), Ok(Some(msg)));
    }

    #[test]
    fn a_payload_is_decoded_alike_by_who_lends_and_who_owns_it(ty in any::<u8>(), payload in vec(any::<u8>(), 0..60)) {
        for ty in [ty, CHUNK] {
            let owned = payload.clone().into();
            prop_assert_eq!(ClientMsg::decode_owned(ty, &owned), ClientMsg::decode(ty, &payload));
        }
    }

    #[test]
    fn server_messages_come_out_as_they_went_in(msg in server_msg()) {
        let bytes = msg.encode();
        prop_assert_eq!(ServerMsg::decode(bytes[4], &bytes[HEADER..]), Ok(Some(msg)));
    }

    #[test]
    fn a_header_says_the_type_and_the_length(client in client_msg(), server in server_msg()) {
        for (bytes, ty) in [(client.encode(), client.ty()), (server.encode(), server.ty())] {
            prop_assert_eq!(bytes[4], ty);
            prop_assert_eq!(u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize, bytes.len() - 4);
        }
    }

    #[test]
    fn encoding_appends_and_touches_nothing_before(client in client_msg(), server in server_msg()) {
        let mut out = bytes::BytesMut::new();
        client.encode_into(&mut out);
        server.encode_into(&mut out);
        prop_assert_eq!(&out[..], [client.encode(), server.encode()].concat());
    }

    #[test]
    fn different_client_messages_have_different_bytes(one in client_msg(), other in client_msg()) {
        prop_assert_eq!(one.encode() == other.encode(), one == other);
    }

    #[test]
    fn different_server_messages_have_different_bytes(one in server_msg(), other in server_msg()) {
        prop_assert_eq!(one.encode() == other.encode(), one == other);
    }

    #[test]
    fn a_client_message_with_one_byte_changed_is_another_or_none(
        msg in client_msg(), at in any::<usize>(), to in any::<u8>()
    ) {
        // What decodes to the same message must encode to the bytes that it came from.
        let bytes = msg.encode();
        let mut payload = bytes[HEADER..].to_vec();
        if let Some(byte) = at.checked_rem(payload.len()).map(|at| &mut payload[at]) {
            *byte = to;
        }
        if let Ok(Some(decoded)) = ClientMsg::decode(bytes[4], &payload) {
            prop_assert!(payload.starts_with(&decoded.encode()[HEADER..]));
        }
    }

    #[test]
    fn a_truncated_client_message_is_never_another(msg in client_msg(), at in any::<usize>()) {
        let bytes = msg.encode();
        let payload = &bytes[HEADER..];
        if let Some(at) = at.checked_rem(payload.len()) {
            // Without its last fields it is what older clients send.
            let errand = usize::from(says_errand(&msg));
            let older = [payload.len() - errand, payload.len().saturating_sub(ATTEMPT + errand)];
            prop_assume!(msg.ty() != HELLO || !older.contains(&at));
            prop_assert_eq!(ClientMsg::decode(bytes[4], &payload[..at]), Err(DecodeError::Truncated));
        }
    }

    #[test]
    fn a_truncated_server_message_is_never_another(msg in server_msg(), at in any::<usize>()) {
        let bytes = msg.encode();
        let payload = &bytes[HEADER..];
        if let Some(at) = at.checked_rem(payload.len()) {
            // Without its last field it is what older servers send.
            prop_assume!(!says_which_server(&msg) || at != payload.len() - SERVER);
            prop_assert_eq!(ServerMsg::decode(bytes[4], &payload[..at]), Err(DecodeError::Truncated));
        }
    }

    #[test]
    fn what_stands_behind_the_last_field_is_ignored(
        client in client_msg(), server in server_msg(), more in vec(any::<u8>(), 0..20)
    ) {
        // What may be absent is not the last field of a message without it.
        prop_assume!(client.ty() != HELLO || says_errand(&client));
        prop_assume!(server.ty() != WELCOME || says_which_server(&server));
        let longer = [&client.encode()[HEADER..], &more].concat();
        prop_assert_eq!(ClientMsg::decode(client.ty(), &longer), Ok(Some(client)));
        let longer = [&server.encode()[HEADER..], &more].concat();
        prop_assert_eq!(ServerMsg::decode(server.ty(), &longer), Ok(Some(server)));
    }

    #[test]
    fn noise_is_decoded_or_refused(ty in any::<u8>(), payload in vec(any::<u8>(), 0..200)) {
        if let Ok(Some(msg)) = ClientMsg::decode(ty, &payload) {
            prop_assert_eq!(msg.ty(), ty);
        }
        if let Ok(Some(msg)) = ServerMsg::decode(ty, &payload) {
            prop_assert_eq!(msg.ty(), ty);
        }
    }
}

#[test]
fn a_type_is_known_or_skipped_or_refused() {
    assert_eq!(SKIPPED, 0x70..=0x7f, "the range that WIRE.md keeps free");
    for ty in 0..=u8::MAX {
        let client = ClientMsg::decode(ty, &[]);
        let server = ServerMsg::decode(ty, &[]);
        let checks = [
            (client.map(|msg| msg.is_some()), ClientMsg::TYPES, ClientMsg::type_name(ty)),
            (server.map(|msg| msg.is_some()), ServerMsg::TYPES, ServerMsg::type_name(ty)),
        ];
        for (decoded, types, name) in checks {
            assert_eq!(types.contains(&ty), name.is_some(), "type {ty:#04x}");
            match (types.contains(&ty), SKIPPED.contains(&ty)) {
                (true, false) => assert_ne!(decoded, Err(DecodeError::UnknownType(ty)), "type {ty:#04x}"),
                (false, true) => assert_eq!(decoded, Ok(false), "type {ty:#04x}"),
                (false, false) => assert_eq!(decoded, Err(DecodeError::UnknownType(ty)), "type {ty:#04x}"),
                (true, true) => panic!("type {ty:#04x} has a meaning and is skipped"),
            }
        }
    }
}

#[test]
fn no_type_is_used_twice_or_by_both_dialects() {
    let mut types = [ClientMsg::TYPES, ServerMsg::TYPES, &[1, 2, 3, 4, 5, 6]].concat();
    types.sort_unstable();
    let all = types.len();
    types.dedup();
    assert_eq!(types.len(), all, "{types:02x?}");
}

#[test]
fn numbers_outside_their_range_are_refused_and_zero_is_none_where_that_is_allowed() {
    for value in [0, 1 << 63, u64::MAX] {
        let payload = [&[0; 4][..], &value.to_be_bytes()].concat();
        assert_eq!(
            ClientMsg::decode(0x12, &payload),
            Err(DecodeError::Number(value)),
            "Part of room {value}"
        );
    }
    let payload = [&[0; 4][..], &0_u64.to_be_bytes(), &[0, 0, 0, 1], &[0; 16]].concat();
    let search = ClientMsg::decode(0x17, &payload).unwrap().unwrap();
    assert!(matches!(search, ClientMsg::Search { room: None, .. }), "{search:?}");
    let payload = [&[0; 4][..], &(1_u64 << 63).to_be_bytes(), &[0, 0, 0, 1]].concat();
    assert_eq!(ClientMsg::decode(0x17, &payload), Err(DecodeError::Number(1 << 63)));
}

#[test]
fn an_unknown_choice_a_bad_flag_and_bad_text_are_told_apart() {
    let typing = |on| [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9][..], &[on]].concat();
    let cases: [(&str, u8, Vec<u8>, DecodeError); 3] = [
        ("State with the change 9", 0x19, vec![0, 0, 0, 1, 9], DecodeError::UnknownTag(9)),
        ("typing that is neither on nor off", 0x19, typing(2), DecodeError::UnknownTag(2)),
        ("Join of a room named ff", 0x11, vec![0, 0, 0, 1, 0, 1, 0xff], DecodeError::Utf8),
    ];
    for (what, ty, payload, error) in cases {
        assert_eq!(ClientMsg::decode(ty, &payload), Err(error), "{what}");
    }
}

/// Nobody knows how long a choice of a later version is, so nothing behind it can be read.
#[test]
fn an_unknown_choice_in_a_list_ends_the_list() {
    let known = |number| RoomInfo {
        room: RoomId::new(number).expect("from 1"),
        kind: RoomKind::Public,
        name: "dev".into(),
        topic: String::new(),
        oldest: Seq::FIRST,
        newest: None,
        read: None,
        unread: 0,
        mentions: 0,
    };
    let rooms = |rooms| ServerMsg::Rooms { req: Req(0), change: RoomsChange::All, more: false, rooms };
    let mut bytes = rooms(vec![known(1), known(2), known(3)]).encode().to_vec();
    let second = bytes.windows(8).position(|part| part == 2_u64.to_be_bytes()).expect("room 2");
    bytes[second + 8] = 99;
    assert_eq!(ServerMsg::decode(bytes[4], &bytes[5..]), Ok(Some(rooms(vec![known(1)]))));
}
