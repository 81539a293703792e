//! Files that are given up, wanted again, or wait for their turn.

use super::*;
use crate::session::event::{Transfer, TransferStep};
use crate::session::{DownStage, Job, Wanted};
use crate::transfer::{JobId, Keep, News, Order, Origin, Shape, Step, Trouble};
use protocol::entry::Entry;
use protocol::id::TransferId;
use protocol::message::{FileBody, OfferBody};

const TRANSFER: TransferId = TransferId([3; 16]);

fn receiving() -> Scripted {
    let mut client = Scripted::with(true, Kept::default());
    client.connect();
    client.log_in(None);
    client.opened(LOBBY, None, 1);
    client.events();
    client
}

/// Eve is sending this.
fn offered(client: &mut Scripted) {
    let offer = OfferBody { transfer: TRANSFER, size: 1 << 30, name: "cat.png".into(), shape: Shape::File };
    let entry = Entry { kind: EntryKind::FileOffer, body: offer.encode(), ..entry(1, "", None) };
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry] });
}

fn get(client: &mut Scripted) -> JobId {
    let origin = Origin { transfer: Some(TRANSFER), hash: None };
    let (name, from) = ("cat.png".into(), "eve".into());
    let (shape, keep) = (Shape::File, Keep::default());
    client.session.want(Wanted { room: LOBBY, seq: seq(1), origin, size: 1 << 30, name, shape, from, keep })
}

fn news(client: &mut Scripted, id: JobId, step: Step) {
    client.session.handle_news(News { id, step }, client.now);
    client.pass(0);
}

fn steps(client: &mut Scripted) -> Vec<TransferStep> {
    let steps = client.events().into_iter().filter_map(|event| match event {
        Event::Transfer(Transfer { step, .. }) => Some(step),
        _ => None,
    });
    steps.collect()
}

#[test]
fn a_file_that_was_given_up_and_is_got_again_ends_when_its_sender_gives_it_up() {
    let mut client = receiving();
    offered(&mut client);
    let first = get(&mut client);
    client.line("/cancel");
    news(&mut client, first, Step::Cancelled);
    let second = get(&mut client);
    assert_ne!(first, second);
    let kept: Vec<_> = client.session.outbox.jobs().iter().collect();
    let [(id, Job::Down(job))] = kept[..] else { panic!("{kept:?}") };
    assert_eq!((id, job.stage), (second, DownStage::Coming), "nothing is left of the one that was given up");
    while client.session.poll_download().is_some() {}
    steps(&mut client);
    let delete = Entry { kind: EntryKind::Delete, reply_to: Some(seq(1)), ..entry(2, "", None) };
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![delete] });
    assert_eq!(client.session.poll_download(), Some(Order::Cancel(second)));
    assert_eq!(steps(&mut client), [TransferStep::Withdrawn]);
}

#[test]
fn that_a_file_goes_on_is_told_once_until_it_moves() {
    let mut client = receiving();
    offered(&mut client);
    let id = get(&mut client);
    let goes_on = |client: &mut Scripted| {
        for _ in 0..3 {
            news(client, id, Step::Resumed(8));
            news(client, id, Step::Broken(Trouble::WrongBlock));
        }
        steps(client).into_iter().filter(|step| matches!(step, TransferStep::Resumed { .. })).count()
    };
    assert_eq!(goes_on(&mut client), 1);
    news(&mut client, id, Step::Moved(9));
    assert_eq!(goes_on(&mut client), 1);
    news(&mut client, id, Step::Resumed(16));
    assert_eq!(steps(&mut client), [TransferStep::Resumed { at: 16 }], "another place is worth telling");
}

#[test]
fn a_file_that_waits_for_its_turn_or_for_a_connection_says_so() {
    let mut client = receiving();
    client.line("/send one");
    assert_eq!(steps(&mut client), []);
    client.line("/send two");
    assert_eq!(steps(&mut client), [TransferStep::Queued { ahead: 1 }]);
    client.line("/cancel");
    client.line("/cancel");
    client.disconnect();
    steps(&mut client);
    while let Some(order) = client.session.poll_upload() {
        if let Order::Cancel(id) = order {
            news(&mut client, id, Step::Cancelled);
        }
    }
    client.line("/send three");
    assert_eq!(steps(&mut client), [TransferStep::Queued { ahead: 0 }]);
}

#[test]
fn the_line_that_says_that_a_file_comes_is_not_said_to_be_the_file() {
    let mut client = receiving();
    let offer = OfferBody { transfer: TRANSFER, size: 1 << 30, name: "cat.png".into(), shape: Shape::File };
    let entry = Entry { kind: EntryKind::FileOffer, body: offer.encode(), ..entry(1, "", Some(1)) };
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry] });
    client.events();
    client.line("/delete #1");
    let events = client.events();
    let [Event::Mistake { text, hint }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(text, "line #1 only says that a file comes");
    assert!(hint.contains("/cancel") && hint.contains("/files"), "{hint}");
}

#[test]
fn a_file_must_be_named_to_be_taken_back() {
    let mut client = Scripted::ready();
    client.line("before");
    client.ack(1);
    client.comes_back(1, 1, "before");
    client.line("/send cat.png");
    client.line("/delete");
    let told = |client: &mut Scripted| {
        let mistake =
            |event| if let Event::Mistake { text, hint } = event { Some((text, hint)) } else { None };
        client.events().into_iter().filter_map(mistake).collect::<Vec<_>>()
    };
    let [(text, hint)] = &told(&mut client)[..] else { panic!("one mistake") };
    assert!(text.contains("'cat.png' is being sent") && hint.contains("/cancel cat.png"), "{text}: {hint}");
    client.line("/cancel cat.png");
    let body = FileBody {
        hash: protocol::id::ContentHash([7; 32]),
        size: 9,
        name: "cat.png".into(),
        shape: Shape::File,
    }
    .encode();
    let entry = Entry { kind: EntryKind::File, body, ..entry(2, "", Some(2)) };
    client.say(ServerMsg::Entries { room: LOBBY, entries: vec![entry] });
    client.sent();
    told(&mut client);
    client.line("/delete");
    let [(text, hint)] = &told(&mut client)[..] else { panic!("one mistake") };
    assert!(text.contains("the file 'cat.png'") && hint.contains("/delete #2"), "{text}: {hint}");
    assert_eq!(client.posts(), []);
    client.line("/delete #2");
    assert_eq!(client.posts().len(), 1);
}
