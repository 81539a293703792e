//! What a script that waits is told, and when.

use super::*;
use crate::session::event::{Awaited, Transfer, TransferStep};
use crate::transfer::{JobId, Keep, News, Origin, Shape, Step};
use protocol::id::{PersonId, TransferId};
use protocol::message::{Presence, RosterItem};

const MIB: u64 = 1 << 20;

fn eve(online: bool) -> RosterItem {
    let presence = Presence { online, ..Presence::default() };
    RosterItem { person: PersonId::new(6).expect("not 0"), name: "eve".into(), presence, away: String::new() }
}

fn roster(client: &mut Scripted, snapshot: bool, online: u32, people: Vec<RosterItem>) {
    client.say(ServerMsg::Roster {
        room: LOBBY,
        version: 2,
        snapshot,
        more: false,
        online,
        members: 2,
        people,
    });
}

/// A script in the lobby, where eve is, that receives a file of eve's which is not whole.
fn waiting_for_eve() -> Scripted {
    let mut client = Scripted::ready();
    client.session.run_errand();
    roster(&mut client, true, 1, vec![eve(true)]);
    let origin = Origin { transfer: Some(TransferId([3; 16])), hash: None };
    client.session.want(Wanted {
        room: LOBBY,
        seq: seq(4),
        origin,
        size: 5 * MIB,
        name: "cat.png".into(),
        shape: Shape::File,
        from: "eve".into(),
        keep: Keep::default(),
    });
    client
}

fn news(client: &mut Scripted, step: Step) {
    client.session.handle_news(News { id: JobId(1), step }, client.now);
    client.pass(0);
}

/// What was told of files and of what is waited for.
fn told(client: &mut Scripted) -> Vec<Result<TransferStep, Awaited>> {
    let told = |event| match event {
        Event::Transfer(Transfer { step, .. }) => Some(Ok(step)),
        Event::StillWaiting(awaited) => Some(Err(awaited)),
        _ => None,
    };
    client.events().into_iter().filter_map(told).collect()
}

#[test]
fn a_script_is_told_each_minute_what_it_waits_for() {
    let mut client = waiting_for_eve();
    client.pass(0);
    told(&mut client);
    client.pass(59_000);
    assert_eq!(told(&mut client), []);
    let receiving = |moved| Err(Awaited::Receiving { name: "cat.png".into(), moved, size: 5 * MIB });
    client.pass(1_000);
    assert_eq!(told(&mut client), [receiving(0)]);
    client.disconnect();
    told(&mut client);
    client.pass(60_000);
    assert_eq!(told(&mut client), [Err(Awaited::Server)]);
    assert_eq!(client.session.awaited(), Awaited::Server);
}

#[test]
fn a_person_at_a_prompt_is_not_told_so() {
    let mut client = Scripted::ready();
    client.pass(200_000);
    assert_eq!(told(&mut client), []);
}

#[test]
fn who_waits_for_a_file_whose_sender_goes_is_told() {
    let mut client = waiting_for_eve();
    news(&mut client, Step::Moved(2 * MIB));
    news(&mut client, Step::Waiting);
    assert_eq!(told(&mut client), [Ok(TransferStep::Waiting { moved: 2 * MIB, gone: false })]);
    roster(&mut client, false, 0, vec![eve(false)]);
    assert_eq!(told(&mut client), [Ok(TransferStep::Waiting { moved: 2 * MIB, gone: true })]);
}

#[test]
fn who_waits_for_a_file_of_somebody_who_is_gone_is_told_at_once() {
    let mut client = waiting_for_eve();
    roster(&mut client, true, 1, vec![RosterItem { name: "bob".into(), ..eve(true) }]);
    news(&mut client, Step::Waiting);
    assert_eq!(told(&mut client), [Ok(TransferStep::Waiting { moved: 0, gone: true })]);
    let from = "eve".to_owned();
    let expected = Awaited::Sender { name: "cat.png".into(), from, gone: true, moved: 0, size: 5 * MIB };
    assert_eq!(client.session.awaited(), expected);
}
