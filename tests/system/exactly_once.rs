//! Promise P2, seen from the wire: a device's counter makes each post count once, however often it is sent.

use super::harness::{Identity, Native, Server, all_of, bounded};
use protocol::code::Code;
use protocol::id::RoomId;
use protocol::message::{ClientMsg, OpenFrom, ServerMsg, Target, ty};
use std::collections::BTreeSet;

/// A client with the lobby open, and the lobby as a target.
async fn enter(server: &Server, identity: &Identity) -> (Native, Target) {
    let mut client = Native::login(server.addr(), identity).await;
    let room = client.lobby();
    client.open(room, OpenFrom::Last { count: 1_000 }).await;
    (client, Target::Room { room })
}

fn room_of(target: &Target) -> RoomId {
    match target {
        Target::Room { room } => *room,
        Target::Person { .. } => unreachable!("the lobby is a room"),
    }
}

#[tokio::test]
async fn a_post_sent_again_is_acknowledged_again_and_stored_once() {
    bounded(60, async {
        let server = Server::start().await;
        let (mut alice, lobby) = enter(&server, &Identity::new("alice")).await;
        alice.post_as(1, lobby.clone(), "once");
        alice.acked(1).await;
        alice.post_as(1, lobby.clone(), "once");
        alice.wait("two acks", |view| (view.acks == 2).then_some(())).await;
        alice.post_as(2, lobby.clone(), "then");
        alice.hears("then").await;
        alice.settle().await;
        assert_eq!(alice.texts(room_of(&lobby)), ["once", "then"]);
    })
    .await;
}

#[tokio::test]
async fn another_text_under_a_used_number_is_refused_and_drops_nothing_behind_it() {
    bounded(60, async {
        let server = Server::start().await;
        let (mut alice, lobby) = enter(&server, &Identity::new("alice")).await;
        alice.post_as(1, lobby.clone(), "once");
        alice.acked(1).await;
        alice.post_as(1, lobby.clone(), "something else");
        alice.post_as(2, lobby.clone(), "then");
        let refusal = alice.refusal().await;
        assert_eq!((refusal.code, refusal.detail), (Code::OtherContent, 2));
        assert_eq!((refusal.about, refusal.req, refusal.close), (ty::POST, 1, false));
        alice.acked(2).await;
        alice.settle().await;
        assert_eq!(alice.texts(room_of(&lobby)), ["once", "then"]);
    })
    .await;
}

#[tokio::test]
async fn a_gap_in_the_counters_is_refused_and_the_expected_one_is_told() {
    bounded(60, async {
        let server = Server::start().await;
        let (alice, lobby) = enter(&server, &Identity::new("alice")).await;
        alice.post_as(3, lobby.clone(), "too early");
        let refusal = alice.refusal().await;
        assert_eq!((refusal.code, refusal.detail), (Code::OutOfOrder, 1));
        assert_eq!((refusal.about, refusal.req, refusal.close), (ty::POST, 3, false));
        for counter in 1..=3 {
            alice.post_as(counter, lobby.clone(), &counter.to_string());
        }
        assert_eq!(alice.reads(room_of(&lobby), 3).await, ["1", "2", "3"]);
    })
    .await;
}

#[tokio::test]
async fn a_refused_post_leaves_its_counter_to_the_next() {
    bounded(60, async {
        let server = Server::start().await;
        let (alice, lobby) = enter(&server, &Identity::new("alice")).await;
        alice.post_as(1, lobby.clone(), "");
        assert_eq!(alice.refusal().await.code, Code::EmptyText);
        alice.post_as(1, lobby.clone(), "bell \u{7}");
        assert_eq!(alice.refusal().await.code, Code::BadText);
        alice.post_as(1, lobby, "fine");
        let entry = alice.hears("fine").await;
        assert_eq!(entry.counter.map(|counter| counter.value()), Some(1));
    })
    .await;
}

#[tokio::test]
async fn what_follows_a_refused_post_is_out_of_order() {
    bounded(60, async {
        let server = Server::start().await;
        let (alice, lobby) = enter(&server, &Identity::new("alice")).await;
        alice.post_as(1, lobby.clone(), "first");
        alice.post_as(2, lobby.clone(), "");
        alice.post_as(3, lobby.clone(), "third");
        assert_eq!(alice.refusal().await.code, Code::EmptyText);
        let refusal = alice.refusal().await;
        assert_eq!((refusal.code, refusal.req, refusal.detail), (Code::OutOfOrder, 3, 2));
        alice.post_as(2, lobby.clone(), "third");
        assert_eq!(alice.reads(room_of(&lobby), 2).await, ["first", "third"]);
    })
    .await;
}

#[tokio::test]
async fn a_resent_post_is_acknowledged_before_rights_are_looked_at() {
    bounded(60, async {
        let server = Server::start().await;
        let (mut alice, _) = enter(&server, &Identity::new("alice")).await;
        let room = alice.join("dev").await;
        alice.post_as(1, Target::Room { room }, "said while I was in");
        alice.acked(1).await;
        let parted = alice.ask(|req| ClientMsg::Part { req, room }).await;
        assert!(matches!(parted, Ok(ServerMsg::Rooms { .. })), "{parted:?}");
        alice.post_as(1, Target::Room { room }, "said while I was in");
        alice.wait("a second ack", |view| (view.acks == 2).then_some(())).await;
        alice.post_as(2, Target::Room { room }, "said from outside");
        assert_eq!(alice.refusal().await.code, Code::NotAMember);
    })
    .await;
}

#[tokio::test]
async fn a_newer_connection_of_a_device_fences_the_older_one() {
    bounded(60, async {
        let server = Server::start().await;
        let identity = Identity::new("alice");
        let (old, lobby) = enter(&server, &identity).await;
        let (new, _) = enter(&server, &identity).await;
        let refusal = old.refusal().await;
        assert_eq!((refusal.code, refusal.close), (Code::Fenced, true));
        old.ended().await;
        old.post_as(1, lobby.clone(), "from the grave");
        assert_eq!((new.person, new.device, &new.name), (old.person, old.device, &old.name));
        new.post_as(1, lobby.clone(), "from here");
        assert_eq!(new.reads(room_of(&lobby), 1).await, ["from here"]);
    })
    .await;
}

#[tokio::test]
async fn a_device_that_comes_back_goes_on_where_it_was() {
    bounded(60, async {
        let server = Server::start().await;
        let identity = Identity::new("alice");
        let (first, lobby) = enter(&server, &identity).await;
        let room = room_of(&lobby);
        first.say_all(room, (1..=5).map(|n| n.to_string())).await;
        drop(first);
        let (again, _) = enter(&server, &identity).await;
        assert_eq!(again.view(|view| view.posted), 5, "told in the welcome");
        again.post_as(5, lobby.clone(), "5");
        again.wait("the ack of what was resent", |view| (view.acks == 1).then_some(())).await;
        again.post_as(6, lobby, "6");
        assert_eq!(again.reads(room, 6).await, ["1", "2", "3", "4", "5", "6"]);
    })
    .await;
}

#[tokio::test]
async fn two_devices_of_a_person_count_apart() {
    bounded(60, async {
        let server = Server::start().await;
        let identity = Identity::new("alice");
        let (desk, lobby) = enter(&server, &identity).await;
        let (phone, _) = enter(&server, &identity.other_device()).await;
        assert_eq!((desk.person, &desk.name), (phone.person, &phone.name));
        assert_ne!(desk.device, phone.device);
        desk.post_as(1, lobby.clone(), "from the desk");
        phone.hears("from the desk").await;
        phone.post_as(1, lobby.clone(), "from the phone");
        let texts = desk.reads(room_of(&lobby), 2).await;
        assert_eq!(texts, ["from the desk", "from the phone"]);
    })
    .await;
}

#[tokio::test]
async fn readers_of_a_busy_room_read_one_order() {
    bounded(60, async {
        let server = Server::start().await;
        let mut clients = Vec::new();
        for name in ["a", "b", "c", "d"] {
            clients.push(enter(&server, &Identity::new(name)).await.0);
        }
        let room = clients[0].lobby();
        let talks = clients[..3].iter().map(|client| {
            let texts = (0..500).map(|n| format!("{} {n}", client.name));
            client.say_all(room, texts)
        });
        all_of(talks).await;
        let mut views = BTreeSet::new();
        for client in &clients {
            views.insert(client.reads(room, 1_500).await);
        }
        assert_eq!(views.len(), 1, "all four read the same");
        let view = views.pop_first().expect("one view");
        for name in ["a", "b", "c"] {
            let of_one: Vec<_> = view.iter().filter(|text| text.starts_with(name)).collect();
            let said: Vec<_> = (0..500).map(|n| format!("{name} {n}")).collect();
            assert_eq!(of_one, said.iter().collect::<Vec<_>>());
        }
    })
    .await;
}
