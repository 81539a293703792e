//! Read marks: how far a person has read, on all their devices.

use super::harness::{Identity, Native, Server, bounded};
use super::revisions::revise;
use protocol::entry::EntryKind;
use protocol::id::{RoomId, Seq};
use protocol::message::{ClientMsg, Reply, RoomInfo, RoomsChange, ServerMsg};

async fn mark(client: &mut Native, room: RoomId, n: u64) {
    let seq = Seq::new(n).expect("tests count from 1");
    let reply = client.reply(|req| ClientMsg::Mark { req, room, seq }).await;
    assert_eq!(reply, Reply::Done);
}

/// What the server tells of the lobby at a login.
async fn lobby_at_login(server: &Server, identity: &Identity) -> RoomInfo {
    let client = Native::login(server.addr(), identity).await;
    let lobby = client.lobby();
    client.view(|view| view.rooms[&lobby].clone())
}

#[tokio::test]
async fn a_read_mark_moves_forward_only_and_counts_what_is_unread() {
    bounded(60, async {
        let server = Server::start().await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr(), &identity).await;
        let bob = Native::enter(server.addr(), "bob").await;
        let room = bob.lobby();
        bob.say_all(room, (1..=5).map(|n| format!("{n}"))).await;
        mark(&mut alice, room, 3).await;
        mark(&mut alice, room, 2).await;
        let info = lobby_at_login(&server, &identity.other_device()).await;
        assert_eq!((info.read.map(Seq::value), info.unread), (Some(3), 2));
        assert_eq!((info.oldest.value(), info.newest.map(Seq::value)), (1, Some(5)));
    })
    .await;
}

#[tokio::test]
async fn other_devices_are_told_how_far_one_has_read() {
    bounded(60, async {
        let server = Server::start().await;
        let identity = Identity::new("alice");
        let mut desk = Native::login(server.addr(), &identity).await;
        let phone = Native::login(server.addr(), &identity.other_device()).await;
        let room = desk.lobby();
        desk.say_all(room, ["one".to_owned(), "two".to_owned()]).await;
        mark(&mut desk, room, 2).await;
        let read = |msg: &ServerMsg| match msg {
            ServerMsg::Rooms { change: RoomsChange::Changed, rooms, .. } => {
                rooms.iter().find(|info| info.room == room)?.read.map(Seq::value)
            }
            _ => None,
        };
        assert_eq!(phone.take("a read mark", read).await, 2);
    })
    .await;
}

#[tokio::test]
async fn who_is_named_is_told_how_often_until_it_is_read() {
    bounded(60, async {
        let server = Server::start_durable().await;
        let identity = Identity::new("Alice");
        let mut alice = Native::login(server.addr(), &identity).await;
        let mut bob = Native::enter(server.addr(), "bob").await;
        let room = bob.lobby();
        let said = [
            "hi all",                        // 1
            "hello @alice!",                 // 2
            "alice: are you there?",         // 3
            "ALICE, please (@alice) @alice", // 4: one entry, one mention
            "mail to me@alice or @alice2",   // 5: nobody
            "@bob @bob",                     // 6: nobody names themselves
        ];
        bob.say_all(room, said.map(str::to_owned)).await;
        let counts = |info: RoomInfo| (info.unread, info.mentions);
        assert_eq!(counts(lobby_at_login(&server, &identity.other_device()).await), (6, 3));
        mark(&mut alice, room, 2).await;
        assert_eq!(counts(lobby_at_login(&server, &identity.other_device()).await), (4, 2));
        // An edit names in the place of what it changes, a delete nobody.
        let edit = |target, text| revise(&bob, room, EntryKind::Edit, target, text);
        let last = [edit(1, "@alice"), edit(3, "never mind"), edit(5, "@alice after all")][2];
        bob.acked(last.value()).await;
        assert_eq!(counts(lobby_at_login(&server, &identity.other_device()).await), (7, 2));
        let counter = revise(&bob, room, EntryKind::Delete, 4, "");
        bob.acked(counter.value()).await;
        assert_eq!(counts(lobby_at_login(&server, &identity.other_device()).await), (8, 1));
        let mut server = server;
        server.restart().await;
        assert_eq!(counts(lobby_at_login(&server, &identity.other_device()).await), (8, 1), "as before");
        bob = Native::enter(server.addr(), "bob-again").await;
        mark(&mut Native::login(server.addr(), &identity).await, room, 10).await;
        assert_eq!(counts(lobby_at_login(&server, &identity.other_device()).await), (0, 0));
        bob.settle().await;
    })
    .await;
}
