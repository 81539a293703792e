//! A writer must keep to the protocol's rules itself, or what it finds is its own fault.

use super::super::staging::{hear, writer};
use super::*;

const NOW: Duration = Duration::ZERO;

fn error(code: Code, counter: u64) -> ServerMsg {
    let text = String::new();
    ServerMsg::Error { code: code.number(), about: ty::POST, req: counter, close: false, detail: 0, text }
}

fn ack(counter: u64) -> ServerMsg {
    ServerMsg::Ack { counter: Counter::new(counter).unwrap(), room: None, seq: None }
}

fn posted(writer: &mut Writer, now: Duration) -> Vec<u64> {
    let posts = std::iter::from_fn(|| writer.poll_post(now));
    let counter = |post| match post {
        ClientMsg::Post { counter, .. } => counter.value(),
        other => panic!("not a post: {other:?}"),
    };
    posts.map(counter).collect()
}

/// The server ends, and says at the return that it has so many posts.
fn return_to(writer: &mut Writer, stored: u64) {
    writer.handle_end();
    writer.greet();
    super::super::staging::let_in(writer, Counter::new(stored));
}

#[test]
fn after_a_refusal_it_goes_on_where_it_was_refused_when_all_is_answered() {
    let mut writer = writer(3, false);
    assert_eq!(posted(&mut writer, NOW), [1, 2, 3]);
    hear(&mut writer, ack(1));
    hear(&mut writer, error(Code::DiskFull, 2));
    assert_eq!(posted(&mut writer, PAUSE * 2), [0; 0]);
    hear(&mut writer, error(Code::OutOfOrder, 3));
    assert_eq!(posted(&mut writer, NOW), [0; 0], "the disk gets a moment");
    assert_eq!(posted(&mut writer, PAUSE), [2, 3, 4]);
    assert_eq!((writer.acked, writer.refusals, writer.repeats), (1, 1, 2));
}

#[test]
fn another_refusal_is_a_violation() {
    let mut writer = writer(2, false);
    assert_eq!(posted(&mut writer, NOW), [1, 2]);
    for code in [Code::OutOfOrder, Code::NotAMember] {
        let told = writer.handle_message(error(code, 1), NOW);
        assert!(matches!(told, Err(Violation::Refused { .. })), "{told:?}");
    }
}

#[test]
fn after_a_cut_a_writer_goes_on_behind_what_the_server_has_and_a_stubborn_one_behind_what_it_was_told() {
    for (stubborn, next) in [(false, [4, 5]), (true, [2, 3])] {
        let mut writer = writer(4, stubborn);
        assert_eq!(posted(&mut writer, NOW), [1, 2, 3, 4]);
        hear(&mut writer, ack(1));
        return_to(&mut writer, 3);
        assert_eq!(posted(&mut writer, NOW)[..2], next);
        assert_eq!(writer.acked, 3, "what the server says it has is a promise");
    }
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_a_violation() {
    let mut writer = writer(2, false);
    assert_eq!(posted(&mut writer, NOW), [1, 2]);
    assert!(matches!(writer.handle_message(ack(3), NOW), Err(Violation::Invented { .. })));
}

#[test]
fn a_membership_that_is_gone_after_a_cut_is_a_violation() {
    let mut writer = writer(2, false);
    writer.handle_end();
    writer.greet();
    hear(&mut writer, super::super::staging::welcome(None));
    let none = ServerMsg::Rooms { req: Req(0), change: RoomsChange::All, more: false, rooms: Vec::new() };
    assert!(matches!(writer.handle_message(none, NOW), Err(Violation::Membership { .. })));
}
