//! The log read back: cursors that begin in the past, pages, and histories that are not the one remembered.

use super::harness::{Identity, Native, Raw, Server, bounded};
use protocol::id::{Epoch, Millis, RoomId, Seq};
use protocol::limits::MAX_NUMBER;
use protocol::message::{ClientMsg, OpenFrom, Range, ServerMsg, TrimReason, ty};

fn seq(n: u64) -> Seq {
    Seq::new(n).expect("tests count from 1")
}

/// A client in a lobby with the texts "1" … "10".
async fn after_ten(server: &Server) -> (Native, RoomId) {
    let client = Native::enter(server.addr(), "alice").await;
    let room = client.lobby();
    client.say_all(room, (1..=10).map(|n| n.to_string())).await;
    client.reads(room, 10).await;
    (client, room)
}

async fn fetch(client: &mut Native, room: RoomId, range: Range, limit: u16) -> (Vec<u64>, bool) {
    let answer = client.ask(|req| ClientMsg::Fetch { req, room, range, limit }).await;
    let Ok(ServerMsg::Page { more, found, .. }) = answer else {
        panic!("not a page: {answer:?}");
    };
    assert!(found.iter().all(|found| found.room == room));
    for found in &found {
        // What a number says never changes.
        let said = found.entry.text();
        assert!(said.starts_with(&found.entry.seq.to_string()) || said.len() > 1_000, "{said}");
    }
    (found.iter().map(|found| found.entry.seq.value()).collect(), more)
}

#[tokio::test]
async fn pages_hold_what_was_asked_for_and_say_whether_there_is_more() {
    bounded(60, async {
        let server = Server::start().await;
        let (mut alice, room) = after_ten(&server).await;
        let time = alice.view(|view| view.open[&room].entries[0].time);
        for (range, limit, wanted, more) in [
            (Range::Latest, 3, vec![8, 9, 10], true),
            (Range::Latest, 100, (1..=10).collect(), false),
            (Range::Before { seq: seq(5) }, 2, vec![3, 4], true),
            (Range::Before { seq: seq(3) }, 5, vec![1, 2], false),
            (Range::Before { seq: seq(1) }, 5, vec![], false),
            (Range::After { seq: None }, 2, vec![1, 2], true),
            (Range::After { seq: Some(seq(8)) }, 5, vec![9, 10], false),
            (Range::After { seq: Some(seq(10)) }, 5, vec![], false),
            (Range::Between { first: seq(2), last: seq(4) }, 10, vec![2, 3, 4], false),
            (Range::Between { first: seq(9), last: seq(400) }, 10, vec![9, 10], false),
            (Range::Between { first: seq(4), last: seq(2) }, 10, vec![], false),
            (Range::BeforeTime { time }, 10, vec![], false),
            (Range::SinceTime { time }, 3, vec![1, 2, 3], true),
            (Range::SinceTime { time: Millis(MAX_NUMBER) }, 3, vec![], false),
        ] {
            let page = fetch(&mut alice, room, range.clone(), limit).await;
            assert_eq!(page, (wanted, more), "{range:?}, at most {limit}");
        }
        let (around, _) = fetch(&mut alice, room, Range::Around { seq: seq(5) }, 3).await;
        assert_eq!(around, [4, 5, 6]);
    })
    .await;
}

#[tokio::test]
async fn a_history_larger_than_a_frame_comes_in_pages() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let room = alice.lobby();
        let body = |n: usize| format!("{n}{}", "x".repeat(16_000));
        alice.say_all(room, (1..=12).map(body)).await;
        let mut read = Vec::new();
        loop {
            let after = read.last().copied().and_then(Seq::new);
            let (page, more) = fetch(&mut alice, room, Range::After { seq: after }, 100).await;
            assert!(!page.is_empty(), "a page that says that there is more leads on");
            read.extend(page);
            if !more {
                break;
            }
        }
        assert_eq!(read, (1..=12).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_cursor_begins_where_it_is_told_to() {
    bounded(60, async {
        let server = Server::start().await;
        let (mut alice, room) = after_ten(&server).await;
        let epoch = alice.epoch;
        for (from, next) in [
            (OpenFrom::Now, 11),
            (OpenFrom::Last { count: 3 }, 8),
            (OpenFrom::Last { count: 0 }, 11),
            (OpenFrom::Last { count: 500 }, 1),
            (OpenFrom::After { epoch, seq: None }, 1),
            (OpenFrom::After { epoch, seq: Some(seq(4)) }, 5),
            (OpenFrom::After { epoch, seq: Some(seq(10)) }, 11),
        ] {
            let opened = alice.open(room, from.clone()).await;
            assert_eq!((opened.oldest, opened.newest), (seq(1), Some(seq(10))), "{from:?}");
            assert_eq!(opened.next, seq(next), "{from:?}");
            let rest: Vec<_> = (next..=10).map(|n| n.to_string()).collect();
            assert_eq!(alice.reads(room, rest.len()).await, rest, "{from:?}");
            assert!(alice.view(|view| view.open[&room].trims.is_empty()), "{from:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_cursor_of_another_history_is_told_that_history_is_new() {
    bounded(60, async {
        let server = Server::start().await;
        let (mut alice, room) = after_ten(&server).await;
        let other = Epoch([7; 16]);
        let opened = alice.open(room, OpenFrom::After { epoch: other, seq: Some(seq(400)) }).await;
        assert_eq!(opened.next, seq(1));
        assert_eq!(alice.reads(room, 10).await.len(), 10);
        let trims = alice.view(|view| view.open[&room].trims.clone());
        assert_eq!(trims, [(TrimReason::NewHistory, seq(1))]);
    })
    .await;
}

#[tokio::test]
async fn opening_tells_the_room_first_then_where_history_begins_then_the_rest() {
    bounded(60, async {
        let server = Server::start().await;
        let (_alice, room) = after_ten(&server).await;
        // All is asked for in one breath, and more than once, since the order must not depend on luck.
        for n in 0..20 {
            let mut bob = Raw::connect(server.addr()).await;
            let from = OpenFrom::After { epoch: Epoch([7; 16]), seq: None };
            let open = ClientMsg::Open { req: protocol::id::Req(1), room, from };
            let hello = Identity::new(&format!("bob-{n}")).hello();
            bob.send(&[hello.encode(), open.encode()].concat()).await;
            let mut order = Vec::new();
            while !(order.contains(&ty::ENTRIES) && order.contains(&ty::ROSTER)) {
                order.push(bob.frame().await.expect("the connection goes on").0);
            }
            assert_eq!(order[..4], [ty::WELCOME, ty::ROOMS, ty::OPENED, ty::TRIMMED]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_in_memory_has_a_new_history_after_each_start() {
    bounded(60, async {
        let mut server = Server::start_to_be_restarted().await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr(), &identity).await;
        let (room, epoch) = (alice.lobby(), alice.epoch);
        alice.open(room, OpenFrom::Now).await;
        alice.say_all(room, ["gone".to_owned()]).await;
        server.restart().await;
        let mut alice = Native::login(server.addr(), &identity).await;
        assert_ne!(alice.epoch, epoch);
        assert_eq!(alice.view(|view| view.posted), 0, "counters begin anew with the history");
        let room = alice.lobby();
        let opened = alice.open(room, OpenFrom::After { epoch, seq: Some(seq(1)) }).await;
        assert_eq!((opened.oldest, opened.newest, opened.next), (seq(1), None, seq(1)));
        alice.settle().await;
        let trims = alice.view(|view| view.open[&room].trims.clone());
        assert_eq!(trims, [(TrimReason::NewHistory, seq(1))]);
    })
    .await;
}

#[tokio::test]
async fn time_never_runs_back_within_a_room() {
    bounded(60, async {
        let server = Server::start().await;
        let (alice, room) = after_ten(&server).await;
        let times: Vec<_> = alice.view(|view| view.open[&room].entries.iter().map(|e| e.time).collect());
        assert!(times.is_sorted(), "{times:?}");
        assert!(times[0].0 > 1_700_000_000_000, "milliseconds since 1970: {:?}", times[0]);
    })
    .await;
}
