//! Read marks: how far a person has read, on all their devices.

use super::harness::{Identity, Native, Server, bounded};
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
