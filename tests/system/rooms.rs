//! Rooms, names and people: who is where, who is called what, and who may say what.

use super::harness::{Classic, Identity, Native, Server, bounded};
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::RoomId;
use protocol::message::{
    Action, ClientMsg, OpenFrom, Question, Reply, RoomsChange, ServerMsg, StateChange, Target, ty,
};

/// The room that `Rooms` says was added, changed or removed.
async fn told(client: &Native, wanted: RoomsChange) -> RoomId {
    let find = |msg: &ServerMsg| match msg {
        ServerMsg::Rooms { change, rooms, .. } if *change == wanted => rooms.first().map(|room| room.room),
        _ => None,
    };
    client.take(&format!("{wanted:?}"), find).await
}

#[tokio::test]
async fn a_room_is_made_by_joining_it_and_listed_for_all() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let mut bob = Native::enter(server.addr(), "bob").await;
        let dev = alice.join("dev").await;
        assert_eq!(bob.join("DEV").await, dev, "names are compared without their case");
        let after = String::new();
        let question = Question::Rooms { after };
        let Reply::Rooms { rooms } = bob.reply(|req| ClientMsg::Ask { req, question }).await else {
            panic!("not a list of rooms");
        };
        let list: Vec<_> = rooms.iter().map(|room| (room.name.as_str(), room.members)).collect();
        assert_eq!(list, [("dev", 2), ("lobby", 2)]);
    })
    .await;
}

#[tokio::test]
async fn joining_again_changes_nothing() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let dev = alice.join("dev").await;
        assert_eq!(alice.join("dev").await, dev);
        assert_eq!(alice.view(|view| view.rooms.len()), 2);
    })
    .await;
}

#[tokio::test]
async fn rooms_outlast_a_connection() {
    bounded(60, async {
        let server = Server::start().await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr(), &identity).await;
        let dev = alice.join("dev").await;
        alice.leave().await;
        let alice = Native::login(server.addr(), &identity).await;
        assert_eq!(alice.room("dev"), Some(dev));
    })
    .await;
}

#[tokio::test]
async fn who_parts_hears_and_says_nothing_more_there() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let mut bob = Native::enter(server.addr(), "bob").await;
        let room = alice.join("dev").await;
        bob.join("dev").await;
        alice.open(room, OpenFrom::Now).await;
        bob.open(room, OpenFrom::Now).await;
        let parted = alice.ask(|req| ClientMsg::Part { req, room }).await;
        assert!(matches!(parted, Ok(ServerMsg::Rooms { change: RoomsChange::Removed, .. })), "{parted:?}");
        bob.say(room, "alone at last");
        bob.hears("alone at last").await;
        bob.say(bob.lobby(), "in the lobby");
        alice.hears("in the lobby").await;
        alice.settle().await;
        assert!(alice.texts(room).is_empty());
        alice.say(room, "still here");
        assert_eq!(alice.refusal().await.code, Code::NotAMember);
        let open = alice.ask(|req| ClientMsg::Open { req, room, from: OpenFrom::Now }).await;
        assert_eq!(open.expect_err("not in it").code, Code::NotAMember);
    })
    .await;
}

#[tokio::test]
async fn a_closed_room_is_quiet_but_still_mine() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let bob = Native::enter(server.addr(), "bob").await;
        let room = alice.lobby();
        assert_eq!(alice.reply(|req| ClientMsg::Close { req, room }).await, Reply::Done);
        bob.say(room, "who listens?");
        bob.hears("who listens?").await;
        alice.settle().await;
        assert!(alice.texts(room).is_empty());
        alice.open(room, OpenFrom::Last { count: 1 }).await;
        assert_eq!(alice.reads(room, 1).await, ["who listens?"]);
    })
    .await;
}

#[tokio::test]
async fn a_topic_is_an_entry_and_is_told_on_opening() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let mut bob = Native::enter(server.addr(), "bob").await;
        let room = alice.lobby();
        let action = Action::Topic { text: "tea at five".into() };
        assert_eq!(alice.reply(|req| ClientMsg::Do { req, room: Some(room), action }).await, Reply::Done);
        let entry = bob.hears("tea at five").await;
        assert_eq!((entry.kind, entry.person), (EntryKind::Topic, Some(alice.person)));
        assert_eq!(bob.open(room, OpenFrom::Now).await.topic, "tea at five");
        let long = Action::Topic { text: "x".repeat(600) };
        let refused = alice.ask(|req| ClientMsg::Do { req, room: Some(room), action: long }).await;
        assert!(refused.is_err(), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn actions_and_replies_arrive_as_they_were_meant() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Native::enter(server.addr(), "alice").await;
        let bob = Native::enter(server.addr(), "bob").await;
        let room = alice.lobby();
        alice.post(Target::Room { room }, EntryKind::Action, "waves");
        let entry = bob.hears("waves").await;
        assert_eq!((entry.kind, entry.name.as_str()), (EntryKind::Action, "alice"));
        assert_eq!((entry.device, entry.counter.map(|n| n.value())), (Some(alice.device), Some(1)));
        bob.send(&ClientMsg::Post {
            counter: protocol::id::Counter::FIRST,
            target: Target::Room { room },
            kind: EntryKind::Text,
            reply_to: Some(entry.seq),
            written: protocol::id::Millis(12_345),
            body: "hello to you".into(),
        });
        let reply = alice.hears("hello to you").await;
        assert_eq!((reply.reply_to, reply.written.0), (Some(entry.seq), 12_345));
    })
    .await;
}

#[tokio::test]
async fn a_taken_name_gives_a_free_one() {
    bounded(60, async {
        let server = Server::start().await;
        let alice = Native::enter(server.addr(), "alice").await;
        let second = Native::enter(server.addr(), "Alice").await;
        let third = Native::enter(server.addr(), "ＡＬＩＣＥ").await;
        assert_eq!(alice.name, "alice");
        assert_eq!(second.name, "Alice-2");
        assert!(third.name.ends_with("-3"), "{}", third.name);
    })
    .await;
}

#[tokio::test]
async fn an_owned_name_waits_for_its_owner() {
    bounded(60, async {
        let server = Server::start().await;
        let identity = Identity::new("alice");
        let owner = Native::login(server.addr(), &identity).await;
        owner.say_all(owner.lobby(), ["here I am".to_owned()]).await;
        owner.leave().await;
        let guest = Native::login(server.addr(), &Identity::guest("alice")).await;
        assert_eq!(guest.name, "alice-2", "a guest can't take it");
        let stranger = Native::login(server.addr(), &Identity::new("alice")).await;
        assert_eq!(stranger.name, "alice-3", "nor can another person");
        assert_eq!(Native::login(server.addr(), &identity).await.name, "alice");
    })
    .await;
}

#[tokio::test]
async fn who_comes_back_under_another_name_is_still_the_same_person() {
    bounded(60, async {
        let server = Server::start().await;
        let identity = Identity::new("alice");
        let before = Native::login(server.addr(), &identity).await;
        let after = Native::login(server.addr(), &identity.wanting("alicia")).await;
        assert_eq!((after.person, after.name.as_str()), (before.person, "alicia"));
        let heir = Native::enter(server.addr(), "alice").await;
        assert_eq!(heir.name, "alice", "the old name is free");
    })
    .await;
}

#[tokio::test]
async fn a_name_lent_to_a_guest_is_free_when_they_are_gone() {
    bounded(60, async {
        let server = Server::start().await;
        let mut visitor = Classic::enter(server.addr(), "visitor").await;
        visitor.quit().await;
        let mut next = Classic::enter(server.addr(), "visitor").await;
        next.say("/whois visitor").await;
        let told = next.notice("visitor").await;
        assert!(!told.contains("visitor-2"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_person_may_take_another_free_name() {
    bounded(60, async {
        let server = Server::start().await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr(), &identity).await;
        let _bob = Native::enter(server.addr(), "bob").await;
        let mut rename = async |name: &str| {
            let change = StateChange::Name { name: name.into() };
            alice.ask(|req| ClientMsg::State { req, change }).await
        };
        let taken = rename("Bob").await.expect_err("taken");
        assert_eq!((taken.code, taken.about), (Code::NameTaken, ty::STATE));
        for bad in ["a b", "", "x::y", "[op]", "Server", "a\u{202e}b"] {
            assert_eq!(rename(bad).await.expect_err(bad).code, Code::BadName, "{bad:?}");
        }
        let ServerMsg::Answer { reply: Reply::Named { name }, .. } = rename("carol").await.expect("free")
        else {
            panic!("not named");
        };
        assert_eq!(name, "carol");
    })
    .await;
}

#[tokio::test]
async fn whois_tells_what_is_known_of_a_person() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let mut bob = Native::enter(server.addr(), "bob").await;
        bob.join("dev").await;
        alice.join("dev").await;
        bob.join("secret").await;
        let whois = |name: &str| Question::Whois { name: name.into() };
        let question = whois("BOB");
        let answer = alice.reply(|req| ClientMsg::Ask { req, question }).await;
        let Reply::Whois { person, mut rooms, agent, .. } = answer else {
            panic!("not a whois: {answer:?}");
        };
        rooms.sort();
        assert_eq!((person.person, person.name.as_str()), (bob.person, "bob"));
        assert_eq!(rooms, ["dev", "lobby"], "only rooms that both are in");
        assert_eq!(agent, "natter's tests");
        let question = whois("nobody");
        let refused = alice.ask(|req| ClientMsg::Ask { req, question }).await;
        assert_eq!(refused.expect_err("nobody").code, Code::NoSuchPerson);
    })
    .await;
}

#[tokio::test]
async fn people_online_are_listed() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let _bob = Native::enter(server.addr(), "bob").await;
        let _carol = Classic::enter(server.addr(), "carol").await;
        let question = Question::People { room: None, after: None };
        let Reply::People { people } = alice.reply(|req| ClientMsg::Ask { req, question }).await else {
            panic!("not a list of people");
        };
        let list: Vec<_> = people
            .iter()
            .map(|item| (item.name.as_str(), item.presence.online, item.presence.guest))
            .collect();
        assert_eq!(list, [("alice", true, false), ("bob", true, false), ("carol", true, true)]);
    })
    .await;
}

#[tokio::test]
async fn the_first_direct_message_makes_the_room_for_both() {
    bounded(60, async {
        let server = Server::start().await;
        let mut alice = Native::enter(server.addr(), "alice").await;
        let mut bob = Native::enter(server.addr(), "bob").await;
        let mut carol = Native::enter(server.addr(), "carol").await;
        let person = alice.person_named("bob").await;
        alice.post(Target::Person { person }, EntryKind::Text, "just us");
        let room = told(&bob, RoomsChange::Added).await;
        assert_eq!(told(&alice, RoomsChange::Added).await, room);
        assert_eq!(bob.room("alice"), Some(room), "it has the other's name");
        assert_eq!(alice.room("bob"), Some(room));
        bob.open(room, OpenFrom::Last { count: 10 }).await;
        bob.hears("just us").await;
        let person = bob.person_named("alice").await;
        bob.post(Target::Person { person }, EntryKind::Text, "and back");
        bob.acked(1).await;
        alice.open(room, OpenFrom::Last { count: 10 }).await;
        assert_eq!(alice.reads(room, 2).await, ["just us", "and back"]);

        let open = carol.ask(|req| ClientMsg::Open { req, room, from: OpenFrom::Now }).await;
        let code = open.expect_err("not hers").code;
        assert!(matches!(code, Code::NotAMember | Code::NoSuchRoom), "{code:?}");
        carol.say(room, "let me in");
        let code = carol.refusal().await.code;
        assert!(matches!(code, Code::NotAMember | Code::NoSuchRoom), "{code:?}");
    })
    .await;
}
