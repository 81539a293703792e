//! A disk without space: known people come in, what needs a write is refused, and nothing is told twice.

use super::harness::{Identity, Native, bounded};
use super::slow_store::Here;
use protocol::code::Code;
use protocol::id::{Epoch, RoomId, Seq};
use protocol::message::{ClientMsg, Durability, Range};
use server::store::{
    Batch, Commit, Hits, MemoryLimits, MemoryStore, Oldest, Query, Read, Snapshot, Store, StoreError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::sleep;

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
        let posts = vec![Err(Code::DiskFull); batch.posts.len()];
        Ok(Commit { posts, changes: Err(Code::DiskFull), trimmed: Vec::new(), untrimmed: Vec::new() })
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
