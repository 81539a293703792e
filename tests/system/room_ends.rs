//! Rooms that end, conversations that wait for a first word, and people who are unused: strangers can't use any of them
//! up.

use super::clocks::Watch;
use super::harness::{Classic, Identity, Native, View, bounded};
use super::slow_store::Here;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Epoch, PersonId, RoomId};
use protocol::message::{ClientMsg, OpenFrom, Question, Reply, Target};
use server::keep::{KeepRule, Retention};
use server::limits::Bounds;
use server::store::{MemoryLimits, MemoryStore, Snapshot, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const DAY: i64 = 86_400_000;

const BOUNDS: Bounds = Bounds { people: 100, provisional: 50, rooms: 5, rooms_per_person: 4, unanswered: 3 };

/// Bounds under which one person may make all rooms.
const FREE: Bounds = Bounds { rooms_per_person: 50, ..BOUNDS };

fn store() -> MemoryStore {
    MemoryStore::new(Epoch([1; 16]), MemoryLimits::default())
}

async fn start(store: &MemoryStore, clock: &Arc<Watch>, bounds: Bounds) -> Here {
    Here::start_with(store.clone(), clock.clone(), |settings| settings.limits.bounds = bounds).await
}

async fn known(store: &MemoryStore) -> Snapshot {
    store.load().await.expect("memory does not fail")
}

async fn rooms_in(store: &MemoryStore) -> Vec<RoomId> {
    known(store).await.rooms.into_iter().map(|room| room.room).collect()
}

/// Waits until the store has no such room.
async fn ends(store: &MemoryStore, room: RoomId) {
    while rooms_in(store).await.contains(&room) {
        sleep(Duration::from_millis(20)).await;
    }
}

/// The names of the rooms that are listed.
async fn listed(client: &mut Native) -> Vec<String> {
    let question = Question::Rooms { after: String::new() };
    match client.reply(|req| ClientMsg::Ask { req, question }).await {
        Reply::Rooms { rooms } => rooms.into_iter().map(|room| room.name).collect(),
        other => panic!("not a list: {other:?}"),
    }
}

async fn join(client: &mut Native, name: &str) -> Result<(), Code> {
    let name = name.to_owned();
    client.ask(|req| ClientMsg::Join { req, name }).await.map(drop).map_err(|refusal| refusal.code)
}

async fn part(client: &mut Native, room: RoomId) {
    client.ask(|req| ClientMsg::Part { req, room }).await.expect("one may leave");
}

async fn mark(client: &mut Native, room: RoomId, text: &str) {
    client.open(room, OpenFrom::Last { count: 9 }).await;
    let seq = client.hears(text).await.seq;
    client.reply(|req| ClientMsg::Mark { req, room, seq }).await;
}

/// Writes to somebody: why not, if not.
async fn write(from: &Native, to: PersonId, text: &str) -> Result<(), Code> {
    from.try_post(Target::Person { person: to }, EntryKind::Text, text).await
}

#[tokio::test]
async fn a_room_that_nobody_is_in_is_hidden_and_does_not_count() {
    bounded(60, async {
        let (store, clock) = (store(), Watch::new(0));
        let server = start(&store, &clock, FREE).await;
        let mut alice = Native::enter(server.addr, "alice").await;
        let mut rooms = Vec::new();
        for n in 1..BOUNDS.rooms {
            rooms.push(alice.join(&format!("r{n}")).await);
            alice.say(rooms[n - 1], "something");
        }
        alice.acked(4).await;
        assert_eq!(join(&mut alice, "one-more").await, Err(Code::NoMoreRooms));
        part(&mut alice, rooms[0]).await;
        assert_eq!(listed(&mut alice).await, ["lobby", "r2", "r3", "r4"]);
        join(&mut alice, "one-more").await.expect("there is place again");
        assert_eq!(join(&mut alice, "r1").await, Err(Code::NoMoreRooms), "it would count again");
        part(&mut alice, rooms[1]).await;
        assert_eq!(alice.join("r1").await, rooms[0]);
        alice.open(rooms[0], OpenFrom::Last { count: 9 }).await;
        alice.hears("something").await;
        server.kill();
        let server = start(&store, &clock, FREE).await;
        let mut bob = Native::login(server.addr, &Identity::new("bob")).await;
        assert_eq!(listed(&mut bob).await, ["lobby", "one-more", "r1", "r3", "r4"], "also after a restart");
        assert_eq!(join(&mut bob, "r2").await, Err(Code::NoMoreRooms));
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn a_room_that_nobody_is_in_and_of_which_nothing_is_kept_ends() {
    bounded(60, async {
        let (store, clock) = (store(), Watch::new(0));
        let age = KeepRule { age_ms: Some((30 * DAY).unsigned_abs()), ..KeepRule::default() };
        let keep = Retention { default: age, ..Retention::default() };
        let begin =
            || Here::start_with(store.clone(), clock.clone(), |settings| settings.keep = keep.clone());
        let server = begin().await;
        let mut alice = Native::enter(server.addr, "alice").await;
        let (silent, spoken, lived_in) =
            (alice.join("silent").await, alice.join("spoken").await, alice.join("lived-in").await);
        alice.say(spoken, "something");
        alice.say(lived_in, "something");
        alice.acked(2).await;
        part(&mut alice, silent).await;
        part(&mut alice, spoken).await;
        ends(&store, silent).await;
        assert_ne!(alice.join("silent").await, silent, "its number is not given again");
        assert!(rooms_in(&store).await.contains(&spoken));
        let newest = *rooms_in(&store).await.last().expect("there are rooms");
        part(&mut alice, newest).await;
        ends(&store, newest).await;
        server.kill();
        let server = begin().await;
        let mut bob = Native::enter(server.addr, "bob").await;
        assert!(bob.join("silent").await > newest, "also after a restart");
        clock.pass(31 * DAY);
        ends(&store, spoken).await;
        assert!(rooms_in(&store).await.contains(&lived_in));
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn the_emptiest_abandoned_room_ends_when_there_are_too_many() {
    bounded(60, async {
        let (store, clock) = (store(), Watch::new(0));
        let server = start(&store, &clock, FREE).await;
        let mut stranger = Native::enter(server.addr, "stranger").await;
        let mut rooms = Vec::new();
        for n in 1..BOUNDS.rooms {
            let room = stranger.join(&format!("r{n}")).await;
            for text in 0..n {
                stranger.say(room, &format!("{text}"));
            }
            rooms.push(room);
        }
        stranger.acked(10).await;
        stranger.leave().await;
        let mut early = Native::enter(server.addr, "early").await;
        clock.pass(29 * DAY);
        assert_eq!(join(&mut early, "mine").await, Err(Code::NoMoreRooms));
        early.leave().await;
        server.stop().await;
        let server = start(&store, &clock, FREE).await;
        clock.pass(2 * DAY);
        ends(&store, rooms[0]).await;
        let mut alice = Native::enter(server.addr, "alice").await;
        join(&mut alice, "mine").await.expect("an abandoned one made place");
        assert_eq!(listed(&mut alice).await, ["lobby", "mine", "r2", "r3", "r4"]);
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn so_many_strangers_wait_for_an_answer_and_friends_get_through() {
    bounded(60, async {
        let (store, clock) = (store(), Watch::new(0));
        let bounds = Bounds { rooms: 100, ..BOUNDS };
        let mut server = start(&store, &clock, bounds).await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr, &identity).await;
        let me = alice.person;
        alice.join("team").await;
        let mut friend = Native::enter(server.addr, "friend").await;
        friend.join("team").await;
        let identities: Vec<_> =
            (0..bounds.unanswered).map(|n| Identity::new(&format!("stranger{n}"))).collect();
        let mut first = None;
        for known in &identities {
            let stranger = Native::login(server.addr, known).await;
            write(&stranger, me, "word").await.expect("so many may wait");
            first.get_or_insert(stranger.person);
        }
        server.kill();
        server = start(&store, &clock, bounds).await;
        let mut alice = Native::login(server.addr, &identity).await;
        let friend = {
            drop(friend);
            let mut friend = Native::enter(server.addr, "friend").await;
            friend.join("team").await;
            friend
        };
        let one_more = Native::enter(server.addr, "one-more").await;
        assert_eq!(write(&one_more, me, "word").await, Err(Code::Unanswered), "also after a restart");
        let stranger = Native::login(server.addr, &identities[1]).await;
        write(&stranger, me, "another").await.expect("what is there goes on");
        write(&friend, me, "it is me").await.expect("who shares a room gets through");
        join(&mut alice, "other").await.expect("rooms of others do not count");
        for person in [first.expect("there is one"), friend.person] {
            write(&alice, person, "yes?").await.expect("she may answer");
        }
        write(&one_more, me, "word").await.expect("one was answered");
        server.kill();
    })
    .await;
}

/// A guest who writes to alice and leaves: the number of their conversation.
async fn word_of_a_guest(server: &Here, alice: &Native) -> RoomId {
    let mut guest = Classic::enter(server.addr, "guest").await;
    guest.say("/msg alice are you there?").await;
    let find = |view: &mut View| view.rooms.values().find(|room| room.name == "guest").map(|room| room.room);
    let room = alice.wait("the conversation", find).await;
    guest.quit().await;
    guest.ended().await;
    room
}

#[tokio::test]
async fn a_conversation_with_a_guest_ends_after_their_grace_once_it_was_read() {
    bounded(60, async {
        let (store, clock) = (store(), Watch::new(0));
        let server = start(&store, &clock, Bounds::default()).await;
        let mut alice = Native::enter(server.addr, "alice").await;
        let room = word_of_a_guest(&server, &alice).await;
        assert!(rooms_in(&store).await.contains(&room), "not at once");
        mark(&mut alice, room, "are you there?").await;
        clock.pass(5_000);
        ends(&store, room).await;
        alice.wait("the end", |view| (!view.rooms.contains_key(&room)).then_some(())).await;
        assert!(known(&store).await.spoke.iter().all(|(spoken, _)| *spoken != room));
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn what_a_guest_wrote_is_kept_until_it_was_read() {
    bounded(60, async {
        let (store, clock) = (store(), Watch::new(0));
        let server = start(&store, &clock, Bounds::default()).await;
        let identity = Identity::new("alice");
        let alice = Native::login(server.addr, &identity).await;
        let room = word_of_a_guest(&server, &alice).await;
        alice.leave().await;
        clock.pass(120_000);
        server.kill();
        let server = start(&store, &clock, Bounds::default()).await;
        clock.pass(120_000);
        let mut alice = Native::login(server.addr, &identity).await;
        mark(&mut alice, room, "are you there?").await;
        clock.pass(120_000);
        ends(&store, room).await;
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn who_never_did_anything_that_lasts_is_forgotten_after_thirty_days() {
    bounded(60, async {
        let (store, clock) = (store(), Watch::new(0));
        let server = start(&store, &clock, Bounds::default()).await;
        let mut people = Vec::new();
        for name in ["unused", "poster", "member", "addressed", "two-devices", "writer"] {
            let identity = Identity::new(name);
            let mut client = Native::login(server.addr, &identity).await;
            let room = client.join("room").await;
            match name {
                "poster" => {
                    client.say(client.lobby(), "hello");
                    client.acked(1).await;
                }
                "writer" => write(&client, people[3], "for you").await.expect("one may write"),
                "two-devices" => Native::login(server.addr, &identity.other_device()).await.leave().await,
                _ => {}
            }
            if name != "member" {
                part(&mut client, room).await;
            }
            people.push(client.person);
            client.leave().await;
        }
        let stored = async || known(&store).await.people.into_iter().map(|(id, ..)| id).collect::<Vec<_>>();
        assert_eq!(stored().await, people);
        clock.pass(29 * DAY);
        server.stop().await;
        let server = start(&store, &clock, Bounds::default()).await;
        sleep(Duration::from_millis(1_500)).await;
        assert_eq!(stored().await, people, "not too early, a restart or not");
        clock.pass(2 * DAY);
        while stored().await != people[1..] {
            sleep(Duration::from_millis(20)).await;
        }
        let again = Native::login(server.addr, &Identity::new("unused")).await;
        assert!(!people.contains(&again.person), "the number is not given again");
        server.kill();
    })
    .await;
}
