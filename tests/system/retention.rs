//! Retention: rooms are kept as long as the operator says, and everybody is told where history begins.

use super::harness::{Classic, Identity, Native, Server, bounded};
use protocol::id::{RoomId, Seq};
use protocol::message::{ClientMsg, OpenFrom, Range, RoomsChange, ServerMsg, TrimReason};

fn seq(n: u64) -> Seq {
    Seq::new(n).expect("tests count from 1")
}

/// Waits until this room's history is told to begin here.
async fn begins(client: &Native, room: RoomId, first: u64) {
    let told = |msg: &ServerMsg| match msg {
        ServerMsg::Rooms { change: RoomsChange::Changed, rooms, .. } => {
            rooms.iter().find(|info| info.room == room && info.oldest == seq(first)).map(|_| ())
        }
        _ => None,
    };
    client.take("where history begins", told).await;
}

async fn kept(client: &mut Native, room: RoomId) -> Vec<String> {
    let answer = client.ask(|req| ClientMsg::Fetch { req, room, range: Range::Latest, limit: 1_000 }).await;
    let Ok(ServerMsg::Page { found, .. }) = answer else { panic!("not a page: {answer:?}") };
    found.iter().map(|found| found.entry.text().into_owned()).collect()
}

/// A room that keeps five entries, and one that keeps all.
const FIVE: [&str; 4] = ["--keep-count", "5", "--keep-room", "log=all"];

async fn check_five(server: &Server) {
    let mut alice = Native::enter(server.addr(), "alice").await;
    let (lobby, log) = (alice.lobby(), alice.join("log").await);
    alice.say_all(log, (1..=20).map(|n| n.to_string())).await;
    alice.say_all(lobby, (1..=20).map(|n| n.to_string())).await;
    begins(&alice, lobby, 16).await;
    assert_eq!(kept(&mut alice, lobby).await, ["16", "17", "18", "19", "20"]);
    assert_eq!(kept(&mut alice, log).await.len(), 20, "a room may have a rule of its own");
    let epoch = alice.epoch;
    let opened = alice.open(lobby, OpenFrom::After { epoch, seq: Some(seq(3)) }).await;
    assert_eq!((opened.oldest, opened.next), (seq(16), seq(16)));
    let trims = alice.view(|view| view.open[&lobby].trims.clone());
    assert_eq!(trims, [(TrimReason::Trimmed, seq(16))]);
    let bob = Native::login(server.addr(), &Identity::new("bob")).await;
    let info = bob.view(|view| view.rooms[&lobby].clone());
    assert_eq!((info.oldest, info.unread), (seq(16), 5), "what is gone is not unread");
}

#[tokio::test]
async fn a_room_keeps_its_newest_entries_and_says_where_they_begin() {
    bounded(60, async { check_five(&Server::start_with(&FIVE).await).await }).await;
}

#[tokio::test]
async fn a_room_on_disk_begins_there_after_a_restart_as_well() {
    bounded(60, async {
        let mut server = Server::start_durable_with(&FIVE).await;
        check_five(&server).await;
        server.restart().await;
        let mut carol = Native::enter(server.addr(), "carol").await;
        let lobby = carol.lobby();
        assert_eq!(kept(&mut carol, lobby).await, ["16", "17", "18", "19", "20"]);
        carol.say_all(lobby, ["21".to_owned()]).await;
        begins(&carol, lobby, 17).await;
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_lags_behind_the_beginning_is_told_so() {
    bounded(60, async {
        let server = Server::start_with(&["--keep-count", "10"]).await;
        let sleeper = Native::enter(server.addr(), "sleeper").await;
        let alice = Native::enter(server.addr(), "alice").await;
        let lobby = alice.lobby();
        sleeper.set_reading(false);
        // More than the sockets between them hold.
        let long = "x".repeat(16_000);
        alice.say_all(lobby, (1..=1_000).map(|n| format!("{n} {long}"))).await;
        begins(&alice, lobby, 991).await;
        sleeper.set_reading(true);
        let (last, trims) = sleeper
            .wait("the last entry", |view| {
                let reading = view.open.get(&lobby)?;
                let last = reading.entries.last()?.seq;
                (last == seq(1_000)).then(|| (last, reading.trims.clone()))
            })
            .await;
        assert_eq!(last, seq(1_000));
        assert_eq!(trims, [(TrimReason::Trimmed, seq(991))], "the gap is announced once");
    })
    .await;
}

#[tokio::test]
async fn what_is_too_old_goes_though_nobody_says_anything() {
    bounded(60, async {
        let server = Server::start_with(&["--keep-age", "2s"]).await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let lobby = alice.lobby();
        alice.say_all(lobby, (1..=5).map(|n| n.to_string())).await;
        begins(&alice, lobby, 5).await;
        assert_eq!(kept(&mut alice, lobby).await, ["5"], "the newest entry stays");
    })
    .await;
}

#[tokio::test]
async fn everybody_is_told_at_login_how_long_messages_are_kept() {
    bounded(60, async {
        let keep = ["--keep-age", "90d", "--keep-room", "dev=count:100", "--keep-room", "log=all"];
        let server = Server::start_with(&keep).await;
        let alice = Native::enter(server.addr(), "alice").await;
        assert_eq!(
            alice.storage,
            "messages are kept in this server's memory for 90 days, at the longest until it stops; those of #dev: \
             at most 100 messages; those of #log without end; its operator can read them"
        );
    })
    .await;
}

#[tokio::test]
async fn classic_users_are_told_that_history_begins_there() {
    bounded(60, async {
        let server = Server::start_with(&["--keep-count", "3"]).await;
        let alice = Native::enter(server.addr(), "alice").await;
        let mut bob = Classic::enter(server.addr(), "bob").await;
        let lobby = alice.lobby();
        alice.say_all(lobby, (1..=9).map(|n| format!("line {n}"))).await;
        bob.hears("alice", "line 9").await;
        begins(&alice, lobby, 7).await;
        bob.say("/history").await;
        bob.notice("History begins here").await;
        bob.notice("line 7").await;
        bob.notice("line 9").await;
    })
    .await;
}
