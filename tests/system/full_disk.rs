//! A disk without space: known people come in, what needs a write is refused, and nothing is told twice.

use super::harness::{Classic, Identity, Native, Raw, Refusal, bounded};
use super::slow_store::Here;
use protocol::code::Code;
use protocol::id::{Epoch, RoomId, Seq};
use protocol::limits::{MAX_DEVICES, NUMBERS_AHEAD};
use protocol::message::{Action, ClientMsg, Durability, Range, ServerMsg, StateChange, ty};
use server::clock::SystemClock;
use server::hub::Settings;
use server::store::{
    Batch, Commit, Hits, MemoryLimits, MemoryStore, Oldest, Query, Read, Snapshot, Store, StoreError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A disk that can be made to have no space.
#[derive(Clone, Debug)]
struct Disk {
    store: MemoryStore,
    full: Arc<AtomicBool>,
    /// The most changes that it was asked to store at once while it was full.
    most: Arc<AtomicUsize>,
}

impl Disk {
    fn new() -> Self {
        let store = MemoryStore::new(Epoch([1; 16]), MemoryLimits::default());
        Self { store, full: Arc::default(), most: Arc::default() }
    }

    fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }
}

impl Oldest for Disk {
    fn oldest(&self, room: RoomId) -> Seq {
        self.store.oldest(room)
    }
}

impl Store for Disk {
    fn durability(&self) -> Durability {
        Durability::Disk
    }

    async fn load(&self) -> Result<Snapshot, StoreError> {
        self.store.load().await
    }

    async fn append(&self, batch: Batch) -> Result<Commit, StoreError> {
        if !self.full.load(Ordering::Relaxed) {
            return self.store.append(batch).await;
        }
        self.most.fetch_max(batch.changes.len(), Ordering::Relaxed);
        Ok(Commit::disk_full(batch.posts.len()))
    }

    async fn read(&self, room: RoomId, range: Range, limit: usize, bytes: usize) -> Result<Read, StoreError> {
        self.store.read(room, range, limit, bytes).await
    }

    async fn search(&self, query: Query) -> Result<Hits, StoreError> {
        self.store.search(query).await
    }
}

/// Posts, and waits until that is refused: the server knows then that there is no space.
async fn discover(client: &Native) {
    client.say(client.lobby(), "is there space?");
    assert_eq!(client.refusal().await.code, Code::DiskFull);
    client.forget_posts(1);
}

#[tokio::test]
async fn a_number_that_was_told_is_not_given_again_after_a_kill() {
    bounded(60, async {
        let disk = Disk::new();
        let server = Here::start(disk.clone()).await;
        let identity = Identity::new("alice");
        let alice = Native::login(server.addr, &identity).await;
        alice.say_all(alice.lobby(), ["stored".to_owned()]).await;
        disk.set_full(true);
        discover(&alice).await;
        // A device that nothing is stored of, and whose number everybody may know.
        let told = Native::login(server.addr, &identity.other_device()).await.device;
        assert!(told > alice.device);
        server.kill();
        disk.set_full(false);
        let server = Here::start(disk).await;
        let other = Native::login(server.addr, &identity.other_device()).await;
        assert!(other.device > told, "{} was told to another one", told.value());
        let bob = Native::enter(server.addr, "bob").await;
        assert!(bob.person > alice.person);
        assert_eq!(Native::login(server.addr, &identity).await.device, alice.device);
    })
    .await;
}

#[tokio::test]
async fn a_clean_stop_gives_back_numbers_that_were_not_told() {
    bounded(60, async {
        let disk = Disk::new();
        for n in 1..=3 {
            let server = Here::start(disk.clone()).await;
            let guest = Native::enter(server.addr, &format!("guest-{n}")).await;
            assert_eq!((guest.person.value(), guest.device.value()), (n, n));
            guest.leave().await;
            server.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn known_people_log_in_on_a_full_disk() {
    bounded(60, async {
        let disk = Disk::new();
        let server = Here::start(disk.clone()).await;
        let identity = Identity::new("alice");
        let alice = Native::login(server.addr, &identity).await;
        alice.say_all(alice.lobby(), ["stored".to_owned()]).await;
        disk.set_full(true);
        discover(&alice).await;
        let (person, device) = (alice.person, alice.device);
        alice.leave().await;
        let again = Native::login(server.addr, &identity).await;
        assert_eq!((again.person, again.device), (person, device));
        let elsewhere = Native::login(server.addr, &identity.other_device()).await;
        assert_eq!(elsewhere.person, person);
        // It posts nothing before its row is stored, and is told so.
        discover(&elsewhere).await;
        server.kill();
        // The same on a server that finds its disk full at its start, with no numbers reserved.
        let server = Here::start(disk.clone()).await;
        let mut again = Native::login(server.addr, &identity).await;
        assert_eq!((again.person, again.device), (person, device));
        discover(&again).await;
        disk.set_full(false);
        // It is asked again four times a second.
        while again.ask(|req| ClientMsg::Join { req, name: "a-room".into() }).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        again.say_all(again.lobby(), ["there is space".to_owned()]).await;
    })
    .await;
}

/// Asks for something that has to be stored.
async fn ask_for(client: &mut Native, what: u8, other: RoomId) -> Result<ServerMsg, Refusal> {
    let lobby = client.lobby();
    match what {
        ty::JOIN => client.ask(|req| ClientMsg::Join { req, name: "new".into() }).await,
        ty::PART => client.ask(|req| ClientMsg::Part { req, room: other }).await,
        ty::MARK => client.ask(|req| ClientMsg::Mark { req, room: lobby, seq: Seq::FIRST }).await,
        ty::STATE => {
            let change = StateChange::Name { name: "alice-too".into() };
            client.ask(|req| ClientMsg::State { req, change }).await
        }
        _ => {
            let action = Action::Topic { text: "tea".into() };
            client.ask(|req| ClientMsg::Do { req, room: Some(lobby), action }).await
        }
    }
}

const REQUESTS: [u8; 5] = [ty::JOIN, ty::PART, ty::MARK, ty::STATE, ty::DO];

#[tokio::test]
async fn whatever_needs_a_write_is_refused_at_once_on_a_full_disk() {
    bounded(90, async {
        for first in REQUESTS {
            let disk = Disk::new();
            let server = Here::start(disk.clone()).await;
            let mut alice = Native::enter(server.addr, "alice").await;
            let mut bob = Native::enter(server.addr, "bob").await;
            let (at_alice, at_bob) = (alice.join("other").await, bob.join("other").await);
            alice.say_all(alice.lobby(), ["a line".to_owned()]).await;
            disk.set_full(true);
            // The first request finds it out, the others come when it is known.
            let refused = ask_for(&mut alice, first, at_alice).await.expect_err("there is no space");
            assert_eq!((refused.code, refused.about), (Code::DiskFull, first));
            for later in REQUESTS {
                let refused = ask_for(&mut bob, later, at_bob).await.expect_err("there is no space");
                assert_eq!((refused.code, refused.about), (Code::DiskFull, later), "after {first}");
            }
            disk.set_full(false);
            while ask_for(&mut bob, ty::MARK, at_bob).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
            alice.settle().await;
            server.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_person_who_finds_the_disk_full_is_sent_away_at_once() {
    bounded(60, async {
        let disk = Disk::new();
        let server = Here::start(disk.clone()).await;
        let alice = Native::login(server.addr, &Identity::new("alice")).await;
        disk.set_full(true);
        discover(&alice).await;
        let bob = Identity::new("bob");
        for _ in 0..3 {
            let begun = Instant::now();
            let mut raw = Raw::connect(server.addr).await;
            raw.say(&bob.hello()).await;
            let refusal = raw.find(|msg| Refusal::of(&msg)).await.expect("the reason comes before the end");
            assert_eq!((refusal.code, refusal.close), (Code::DiskFull, true));
            assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        }
        disk.set_full(false);
        sleep(Duration::from_millis(1_000)).await;
        assert_eq!(Native::login(server.addr, &bob).await.name, "bob");
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_space_is_bounded_and_offered_a_little_at_a_time() {
    bounded(90, async {
        let disk = Disk::new();
        let clock = Arc::new(SystemClock::start());
        let many = |settings: &mut Settings| settings.max_clients = 2_000;
        let server = Here::start_with(disk.clone(), clock, many).await;
        let identity = Identity::new("alice");
        let alice = Native::login(server.addr, &identity).await;
        let mut guests = Vec::new();
        for n in 0..30 {
            guests.push(Classic::enter(server.addr, &format!("guest-{n}")).await);
        }
        disk.set_full(true);
        discover(&alice).await;
        // The first batch was what came in one turn; from here on the disk is only asked.
        disk.most.store(0, Ordering::Relaxed);
        drop(guests);
        let mut let_in = 0;
        for _ in 0..NUMBERS_AHEAD + 50 {
            let mut raw = Raw::connect(server.addr).await;
            raw.say(&identity.other_device().hello()).await;
            match raw.find(Some).await.expect("an answer") {
                ServerMsg::Welcome { .. } => let_in += 1,
                other => {
                    let refusal = Refusal::of(&other).expect("let in or refused");
                    assert_eq!(refusal.code, Code::DiskFull);
                    break;
                }
            }
            raw.say(&ClientMsg::Bye {}).await;
            while raw.frame().await.is_some() {}
        }
        assert!((1..=NUMBERS_AHEAD).contains(&let_in), "{let_in} new devices");
        assert!(disk.most.load(Ordering::Relaxed) <= 16, "{:?}", disk.most);
        disk.set_full(false);
        loop {
            let known = disk.load().await.expect("memory is read");
            // Of one person's devices those that were not used make room for others.
            let devices = usize::try_from(let_in + 1).unwrap_or(MAX_DEVICES).min(MAX_DEVICES);
            if known.people.len() == 1 && known.devices.len() == devices {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
