//! The oracle must catch each way in which a log can be wrong.

use super::*;
use crate::proof::staging::{self, DEVICE, ROOM, hear};
use bytes::Bytes;
use protocol::entry::{EntryKind, Revision};
use protocol::id::{Millis, PersonId};
use protocol::message::ServerMsg;
use std::time::Duration;

/// A writer of one room who has posted so many, of which so many were acknowledged.
fn writer(posted: u64, acked: u64) -> Writer {
    let mut writer = staging::writer(100, false);
    (0..posted).for_each(|_| assert!(writer.poll_post(Duration::ZERO).is_some()));
    if let Some(counter) = Counter::new(acked) {
        hear(&mut writer, ServerMsg::Ack { counter, room: None, seq: None });
    }
    writer
}

fn entry(writer: &Writer, seq: u64, counter: u64) -> Entry {
    Entry {
        seq: Seq::new(seq).unwrap(),
        time: Millis(0),
        written: Millis(0),
        person: Some(PersonId::FIRST),
        name: "w-0".into(),
        device: Some(DEVICE),
        counter: Counter::new(counter),
        kind: EntryKind::Text,
        revision: Revision::Original,
        reply_to: None,
        body: Bytes::from(writer.body(counter)),
    }
}

/// What is found if the log holds these counters in this order.
fn found(writer: &Writer, log: &[u64]) -> Vec<Violation> {
    let entries = (1..).zip(log).map(|(seq, counter)| entry(writer, seq, *counter));
    read_all(writer, entries)
}

fn read_all(writer: &Writer, entries: impl Iterator<Item = Entry>) -> Vec<Violation> {
    let writers = std::slice::from_ref(writer);
    let (mut oracle, roll) = (Oracle::default(), Roll::new(writers));
    let mut found: Vec<_> = entries.filter_map(|entry| oracle.read(ROOM, &entry, &roll).err()).collect();
    found.extend(oracle.judge(writers));
    found
}

#[test]
fn a_log_with_all_that_was_acknowledged_and_some_that_was_not_is_right() {
    let writer = writer(5, 3);
    for log in [&[1, 2, 3][..], &[1, 2, 3, 4], &[1, 2, 3, 4, 5]] {
        assert_eq!(found(&writer, log), [], "{log:?}");
    }
}

#[test]
fn a_lost_post_is_found() {
    assert_eq!(found(&writer(5, 3), &[1, 2]), [Violation::Lost { writer: 0, counter: 3 }]);
}

#[test]
fn a_doubled_post_is_found() {
    let doubled = Violation::Doubled { writer: 0, counter: 2, room: ROOM, seq: Seq::new(4).unwrap() };
    assert_eq!(found(&writer(5, 3), &[1, 2, 3, 2]), [doubled]);
}

#[test]
fn posts_out_of_order_are_found() {
    let reordered = Violation::Reordered { writer: 0, counter: 2, before: 3, room: ROOM };
    assert_eq!(found(&writer(5, 3), &[1, 3, 2]), [reordered]);
}

#[test]
fn a_hole_before_a_post_that_nobody_confirmed_is_found() {
    assert_eq!(found(&writer(5, 3), &[1, 2, 3, 5]), [Violation::Hole { writer: 0, counter: 4, later: 5 }]);
}

#[test]
fn a_post_that_nobody_sent_is_found() {
    let found = found(&writer(3, 3), &[1, 2, 3, 4]);
    assert!(matches!(found[..], [Violation::Invented { .. }]), "{found:?}");
}

#[test]
fn another_text_and_another_place_are_found() {
    let writer = writer(2, 2);
    let altered = Violation::Altered { writer: 0, counter: 2, room: ROOM, seq: Seq::new(2).unwrap() };
    let other = Entry { body: Bytes::from_static(b"w0000-000000002 ."), ..entry(&writer, 2, 2) };
    assert_eq!(read_all(&writer, [entry(&writer, 1, 1), other].into_iter()), [altered]);
    let gap = Violation::Gap { room: ROOM, due: 2, got: 3 };
    let found = read_all(&writer, [entry(&writer, 1, 1), entry(&writer, 3, 2)].into_iter());
    assert_eq!(found, [gap, Violation::Lost { writer: 0, counter: 2 }]);
}

#[test]
fn what_a_reader_got_and_the_log_has_not_is_found() {
    let writer = writer(2, 2);
    let (mut oracle, roll) = (Oracle::default(), Roll::new(std::slice::from_ref(&writer)));
    oracle.read(ROOM, &entry(&writer, 1, 1), &roll).unwrap();
    let given = |seq, counter| Given { seq: Seq::new(seq).unwrap(), device: DEVICE, counter };
    assert_eq!(oracle.compare(ROOM, &[given(1, 1)]), Ok(()));
    for strange in [given(1, 2), given(2, 2)] {
        assert!(matches!(oracle.compare(ROOM, &[strange]), Err(Violation::Unread { .. })));
    }
}

#[test]
fn a_server_that_remembers_less_than_it_acknowledged_is_found() {
    let mut writer = writer(5, 3);
    writer.greet();
    let told = writer.handle_message(staging::welcome(Counter::new(2)), Duration::ZERO);
    assert_eq!(told, Err(Violation::Forgotten { writer: 0, acked: 3, told: 2 }));
}
