//! Promise P5: a slow reader costs only itself.

use super::harness::{Identity, Native, Raw, Server, bounded};
use protocol::id::RoomId;
use protocol::message::{OpenFrom, TrimReason};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of a body: the largest that is allowed, so that few messages make much traffic.
const BODY: usize = 16 * 1024;

/// What the memory store keeps of one room, with room for what a body has around it, in KiB.
const KEPT_OF_A_ROOM: u64 = 12 * 1024;

/// What the server may hold beside it for posts under way, blocks and buffers of a handful of connections, in KiB.
const BESIDE: u64 = 24 * 1024;

fn bodies(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("{n:08}{}", "x".repeat(BODY - 8)))
}

/// A writer and a reader of the lobby, and one who has stopped reading.
async fn enter(server: &Server) -> (Native, Native, Native, RoomId) {
    let writer = Native::enter(server.addr(), "writer").await;
    let reader = Native::enter(server.addr(), "reader").await;
    let sleeper = Native::enter(server.addr(), "sleeper").await;
    let room = writer.lobby();
    sleeper.set_reading(false);
    (writer, reader, sleeper, room)
}

async fn time_for(writer: &Native, reader: &Native, room: RoomId, count: usize) -> Duration {
    let before = reader.texts(room).len();
    let begun = Instant::now();
    writer.say_all(room, bodies(count)).await;
    reader.reads(room, before + count).await;
    begun.elapsed()
}

#[tokio::test]
async fn a_reader_that_sleeps_slows_nobody_and_is_told_where_history_begins() {
    bounded(150, async {
        let server = Server::start().await;
        let (writer, reader, sleeper, room) = enter(&server).await;
        sleeper.set_reading(true);
        let awake = time_for(&writer, &reader, room, 500).await;
        sleeper.set_reading(false);
        let memory = server.memory();

        // 32 MiB: four times what the store keeps, and far more than the sleeper's sockets take.
        let asleep = time_for(&writer, &reader, room, 2_000).await;
        let grown = server.memory().saturating_sub(memory);
        assert!(grown < KEPT_OF_A_ROOM + BESIDE, "the server has grown by {grown} KiB");
        let bound = 4 * 4 * awake + Duration::from_secs(5);
        assert!(asleep < bound, "{asleep:?} with a sleeper, {awake:?} for a quarter without");

        sleeper.set_reading(true);
        writer.say(room, "wake up");
        sleeper.hears("wake up").await;
        sleeper.view(|view| {
            let trims = &view.open[&room].trims;
            assert!(
                matches!(trims[..], [(TrimReason::Trimmed, _), ..]),
                "what is no longer kept was announced: {trims:?}"
            );
        });
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_sleeps_less_than_what_is_kept_misses_nothing() {
    bounded(90, async {
        let server = Server::start().await;
        let (writer, reader, sleeper, room) = enter(&server).await;
        // 6 MiB: more than the sockets and the tail hold, less than the store keeps.
        time_for(&writer, &reader, room, 384).await;
        sleeper.set_reading(true);
        let texts = sleeper.reads(room, 384).await;
        assert_eq!(texts, reader.texts(room));
        assert!(sleeper.view(|view| view.open[&room].trims.is_empty()));
    })
    .await;
}

#[tokio::test]
async fn many_sleepers_cost_no_more_than_their_buffers() {
    bounded(150, async {
        let server = Server::start().await;
        let (writer, reader, _sleeper, room) = enter(&server).await;
        let mut sleepers = Vec::new();
        for n in 0..40 {
            let mut sleeper = Native::login(server.addr(), &Identity::new(&format!("sleeper-{n}"))).await;
            sleeper.open(room, OpenFrom::Now).await;
            sleeper.set_reading(false);
            sleepers.push(sleeper);
        }
        let memory = server.memory();
        time_for(&writer, &reader, room, 1_000).await;
        let grown = server.memory().saturating_sub(memory);
        // Each may pin one frame of 64 KiB; a queue for each would be 40 times 16 MiB.
        assert!(grown < KEPT_OF_A_ROOM + BESIDE + 40 * 256, "the server has grown by {grown} KiB");
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_sleeps_but_pings_is_not_dead() {
    bounded(90, async {
        let server = Server::start().await;
        let (writer, _reader, sleeper, room) = enter(&server).await;
        // Somebody who says nothing at all is the clock: when they are given up, more than the time has passed.
        let mut silent = Raw::connect(server.addr()).await;
        silent.say(&Identity::new("silent").hello()).await;
        writer.say_all(room, bodies(300)).await;
        while silent.frame().await.is_some() {}
        sleeper.set_reading(true);
        writer.say(room, "still there?");
        sleeper.hears("still there?").await;
    })
    .await;
}
