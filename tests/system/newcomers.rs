//! New people: nothing is stored of whoever only looked in, and strangers leave room for others.

use super::harness::{Bent, Classic, Identity, Native, Raw, Refusal, bounded};
use super::slow_store::Here;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Counter, Epoch, PersonId};
use protocol::message::{Action, ClientMsg, OpenFrom, Reply, StateChange, Target};
use server::clock::SystemClock;
use server::limits::Bounds;
use server::store::{MemoryLimits, MemoryStore, Snapshot, Store};
use std::sync::Arc;

/// Small bounds, which strangers reach soon.
const BOUNDS: Bounds =
    Bounds { people: 40, provisional: 20, rooms: 100, rooms_per_person: 50, unanswered: 10 };

fn store() -> MemoryStore {
    MemoryStore::new(Epoch([1; 16]), MemoryLimits::default())
}

async fn start(store: &MemoryStore) -> Here {
    let clock = Arc::new(SystemClock::start());
    Here::start_with(store.clone(), clock, |settings| settings.limits.bounds = BOUNDS).await
}

async fn stored(store: &MemoryStore) -> Snapshot {
    store.load().await.expect("memory does not fail")
}

/// Somebody who has said "welcome" in the lobby.
async fn welcoming(server: &Here) -> Native {
    let host = Native::enter(server.addr, "host").await;
    host.say(host.lobby(), "welcome");
    host.acked(1).await;
    host
}

/// Why a login is refused.
async fn refused(server: &Here, identity: &Identity) -> Code {
    let mut raw = Raw::connect(server.addr).await;
    raw.say(&identity.hello()).await;
    raw.find(|msg| Refusal::of(&msg)).await.expect("a reason").code
}

#[tokio::test]
async fn two_hundred_thousand_strangers_leave_room_for_a_newcomer() {
    bounded(120, async {
        let store = store();
        let server = start(&store).await;
        let mut last = None;
        for n in 0..10 * BOUNDS.provisional {
            let stranger = Native::login(server.addr, &Identity::new(&format!("stranger{n}"))).await;
            assert!(last < Some(stranger.person), "a number is given once");
            last = Some(stranger.person);
            stranger.leave().await;
        }
        let snapshot = stored(&store).await;
        assert_eq!((snapshot.people.len(), snapshot.devices.len()), (0, 0));
        let newcomer = Native::enter(server.addr, "newcomer").await;
        newcomer.say(newcomer.lobby(), "hello");
        newcomer.acked(1).await;
        let classic = Classic::enter(server.addr, "old").await;
        drop(classic);
        server.kill();

        let server = start(&store).await;
        let later = Native::enter(server.addr, "later").await;
        assert!(last < Some(later.person), "also by a restart");
        assert_eq!(stored(&store).await.people.len(), 1);
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn only_when_all_provisional_people_are_online_is_the_server_full() {
    bounded(120, async {
        let store = store();
        let server = start(&store).await;
        let first = Identity::new("first");
        let mut online = vec![Native::login(server.addr, &first).await];
        for n in 1..BOUNDS.provisional {
            online.push(Native::login(server.addr, &Identity::new(&format!("p{n}"))).await);
        }
        let one_more = Identity::new("one-more");
        assert_eq!(refused(&server, &one_more).await, Code::ServerFull);
        // Whoever does something that lasts makes room, and so does whoever leaves.
        let poster = online.pop().expect("there are some");
        poster.say(poster.lobby(), "here I am");
        poster.acked(1).await;
        let mut second = Native::login(server.addr, &one_more).await;
        let another = Identity::new("another");
        assert_eq!(refused(&server, &another).await, Code::ServerFull);
        let gone = online.remove(0);
        let (person, name) = (gone.person, gone.name.clone());
        gone.leave().await;
        let again = Native::login(server.addr, &first).await;
        assert_eq!((again.person, &again.name), (person, &name), "who is remembered is the same");
        again.leave().await;
        Native::login(server.addr, &another).await.settle().await;
        second.settle().await;
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn a_person_who_only_looked_in_is_not_stored() {
    bounded(60, async {
        let store = store();
        let server = start(&store).await;
        let host = welcoming(&server).await;
        let visitor = Identity::new("visitor");
        let mut looks = Native::login(server.addr, &visitor).await;
        let lobby = looks.lobby();
        looks.open(lobby, OpenFrom::Last { count: 9 }).await;
        let seq = looks.hears("welcome").await.seq;
        looks.reply(|req| ClientMsg::Mark { req, room: lobby, seq }).await;
        let away = StateChange::Away { text: "tea".into() };
        looks.reply(|req| ClientMsg::State { req, change: away }).await;
        let change = StateChange::Name { name: "guest-of-honour".into() };
        let named = looks.reply(|req| ClientMsg::State { req, change }).await;
        assert_eq!(named, Reply::Named { name: "guest-of-honour".into() });
        host.wait("the new name", |view| {
            let people = &view.open.get(&lobby)?.roster.people;
            people.values().find(|item| item.name == "guest-of-honour").map(|_| ())
        })
        .await;
        let (person, device) = (looks.person, looks.device);
        looks.leave().await;
        let snapshot = stored(&store).await;
        assert_eq!(snapshot.people.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [host.person]);
        assert!(snapshot.devices.iter().all(|known| known.person == host.person));
        assert_eq!(snapshot.rooms[0].members.len(), 1);
        server.kill();

        let server = start(&store).await;
        let again = Native::login(server.addr, &visitor).await;
        assert!(again.person > person && again.device > device, "numbers that were told are not given again");
        assert_eq!(again.name, "visitor");
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn a_provisional_person_who_posts_survives_a_crash() {
    bounded(60, async {
        let store = store();
        let server = start(&store).await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr, &identity).await;
        let lobby = alice.lobby();
        alice.open(lobby, OpenFrom::Now).await;
        alice.say(lobby, "first");
        let seq = alice.hears("first").await.seq;
        alice.acked(1).await;
        alice.reply(|req| ClientMsg::Mark { req, room: lobby, seq }).await;
        let (person, device) = (alice.person, alice.device);
        server.kill();

        let server = start(&store).await;
        let again = Native::login(server.addr, &identity).await;
        assert_eq!((again.person, again.device), (person, device));
        // It goes on from the counter that the server has.
        assert_eq!(again.say(lobby, "second"), Counter::new(2).expect("a number"));
        again.acked(2).await;
        assert_eq!(again.view(|view| view.rooms[&lobby].read), Some(seq));
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn what_was_read_before_the_first_post_stays_read() {
    bounded(60, async {
        let store = store();
        let server = start(&store).await;
        let _host = welcoming(&server).await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr, &identity).await;
        let lobby = alice.lobby();
        alice.open(lobby, OpenFrom::Last { count: 9 }).await;
        let seq = alice.hears("welcome").await.seq;
        alice.reply(|req| ClientMsg::Mark { req, room: lobby, seq }).await;
        alice.say(lobby, "thanks");
        alice.acked(1).await;
        server.kill();
        let server = start(&store).await;
        let again = Native::login(server.addr, &identity).await;
        assert_eq!(again.view(|view| view.rooms[&lobby].read), Some(seq));
        server.kill();
    })
    .await;
}

/// Somebody new does something, or has it done to them: whether they are stored then.
async fn stays(deed: impl AsyncFnOnce(&Here, &Identity, &mut Native, &mut Native)) -> bool {
    let store = store();
    let server = start(&store).await;
    let mut host = Native::enter(server.addr, "host").await;
    let identity = Identity::new("somebody");
    let mut somebody = Native::login(server.addr, &identity).await;
    deed(&server, &identity, &mut somebody, &mut host).await;
    somebody.settle().await;
    let person = somebody.person;
    server.kill();
    let snapshot = stored(&store).await;
    let is_there = |id: PersonId| snapshot.people.iter().any(|(known, ..)| *known == id);
    let has_device = snapshot.devices.iter().any(|known| known.person == person);
    assert_eq!(is_there(person), has_device, "a person is stored with their devices");
    is_there(person)
}

#[tokio::test]
async fn whoever_does_something_that_lasts_is_stored() {
    bounded(120, async {
        assert!(!stays(async |_, _, _, _| {}).await);
        assert!(
            stays(async |_, _, somebody, _| {
                somebody.join("dev").await;
            })
            .await,
            "joining a room"
        );
        assert!(
            stays(async |_, _, somebody, _| {
                let (room, action) = (somebody.lobby(), Action::Topic { text: "tea".into() });
                somebody.reply(|req| ClientMsg::Do { req, room: Some(room), action }).await;
            })
            .await,
            "a topic"
        );
        assert!(
            stays(async |_, _, somebody, host| {
                host.post(Target::Person { person: somebody.person }, EntryKind::Text, "hi");
                host.acked(1).await;
            })
            .await,
            "a direct message"
        );
        assert!(
            stays(async |_, _, _, host| {
                host.say(host.lobby(), "@somebody hi");
                host.acked(1).await;
            })
            .await,
            "a mention"
        );
        assert!(
            stays(async |server, identity, _, _| {
                Native::login(server.addr, &identity.other_device()).await.settle().await;
            })
            .await,
            "a second device"
        );
    })
    .await;
}

#[tokio::test]
async fn a_post_that_is_refused_stores_nobody() {
    bounded(60, async {
        let is_stored = stays(async |_, _, somebody, _| {
            let room = somebody.lobby();
            somebody.post(Target::Room { room }, EntryKind::Text, " ");
            somebody.refusal().await;
            let nobody = PersonId::new(9_999).expect("a number");
            somebody.post_as(1, Target::Person { person: nobody }, "hi");
            somebody.refusal().await;
        })
        .await;
        assert!(!is_stored);
    })
    .await;
}

#[tokio::test]
async fn the_name_of_somebody_who_only_looked_in_is_free_when_they_have_left() {
    bounded(60, async {
        let store = store();
        let server = start(&store).await;
        let (first, second) = (Identity::new("alice"), Identity::new("alice"));
        let looked_in = Native::login(server.addr, &first).await;
        let meanwhile = Native::login(server.addr, &second).await;
        assert_eq!((&*looked_in.name, &*meanwhile.name), ("alice", "alice-2"));
        let person = looked_in.person;
        looked_in.leave().await;
        meanwhile.leave().await;
        let third = Native::login(server.addr, &Identity::new("alice")).await;
        assert_eq!(third.name, "alice");
        let back = Native::login(server.addr, &second).await;
        assert_eq!(back.name, "alice-2", "they were still remembered");
        let again = Native::login(server.addr, &first).await;
        assert!(again.person > person, "somebody else has the name: they are somebody new");
        assert_eq!(again.name, "alice-3");
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_lets_in_a_provisional_person_who_is_remembered() {
    bounded(60, async {
        let store = Bent::new();
        let server = Here::start(store.clone()).await;
        let visitor = Identity::new("visitor");
        let looks = Native::login(server.addr, &visitor).await;
        let person = looks.person;
        store.full.send_replace(true);
        looks.say(looks.lobby(), "is there room?");
        assert_eq!(looks.refusal().await.code, Code::DiskFull);
        drop(looks);
        let again = Native::login(server.addr, &visitor).await;
        assert_eq!(again.person, person);
        server.kill();
    })
    .await;
}

#[tokio::test]
async fn a_login_waits_for_no_commit() {
    bounded(60, async {
        let store = Bent::new();
        let server = Here::start(store.clone()).await;
        // The first one waits until the server has made its lobby.
        Native::login(server.addr, &Identity::new("first")).await.settle().await;
        store.open.send_replace(false);
        let mut second = Native::login(server.addr, &Identity::new("second")).await;
        second.settle().await;
        store.open.send_replace(true);
        server.kill();
    })
    .await;
}
