//! What a server forgets: devices that nobody saw for 90 days, and guests whose server was killed.

use super::harness::{Classic, Identity, Native, bounded};
use super::slow_store::Here;
use protocol::id::{Epoch, Millis};
use protocol::limits::DEVICE_DAYS;
use server::clock::{Clock, Now, SystemClock};
use server::store::{MemoryLimits, MemoryStore, Snapshot, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// Time that can be made to have passed, by so many ms.
struct Ahead(SystemClock, AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> Now {
        let (now, ahead) = (self.0.now(), self.1.load(Ordering::Relaxed));
        Now { steady: now.steady.after(ahead), wall: Millis(now.wall.0 + ahead) }
    }
}

fn store() -> MemoryStore {
    MemoryStore::new(Epoch([1; 16]), MemoryLimits::default())
}

/// Waits until the store knows this.
async fn until(store: &MemoryStore, known: impl Fn(&Snapshot) -> bool) {
    while !known(&store.load().await.expect("memory is read")) {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_device_that_was_not_seen_for_90_days_is_forgotten_and_another_number_is_given() {
    bounded(60, async {
        let (store, clock) = (store(), Arc::new(Ahead(SystemClock::start(), AtomicU64::new(0))));
        let server = Here::start_at(store.clone(), clock.clone()).await;
        let identity = Identity::new("alice");
        let alice = Native::login(server.addr, &identity).await;
        let first = alice.device;
        alice.say_all(alice.lobby(), ["one".to_owned(), "two".to_owned()]).await;
        alice.leave().await;
        until(&store, |known| known.devices.iter().any(|device| device.counter.is_some())).await;
        clock.1.store((u64::from(DEVICE_DAYS) + 1) * 86_400_000, Ordering::Relaxed);
        until(&store, |known| known.devices.is_empty()).await;
        let alice = Native::login(server.addr, &identity).await;
        assert!(alice.device > first, "numbers are not given out again");
        assert_eq!(alice.view(|view| view.posted), 0, "its counter is forgotten as well");
        alice.say_all(alice.lobby(), ["three".to_owned()]).await;
        server.stop().await;
        let server = Here::start(store).await;
        let again = Native::login(server.addr, &identity).await;
        assert_eq!((again.device, again.person), (alice.device, alice.person));
        assert_eq!(again.view(|view| view.posted), 1);
    })
    .await;
}

#[tokio::test]
async fn guests_of_a_killed_server_end_at_the_next_start() {
    bounded(60, async {
        let store = store();
        let server = Here::start(store.clone()).await;
        let mut guest = Classic::enter(server.addr, "alice").await;
        let bob = Native::enter(server.addr, "bob").await;
        guest.say("I am a guest").await;
        let said = bob.hears("I am a guest").await;
        server.kill();
        until(&store, |known| known.people.iter().any(|(id, ..)| Some(*id) == said.person)).await;
        let server = Here::start(store.clone()).await;
        until(&store, |known| known.people.iter().all(|(id, ..)| Some(*id) != said.person)).await;
        let alice = Native::enter(server.addr, "alice").await;
        assert_eq!(alice.name, "alice", "the name is free again");
        assert!(Some(alice.person) > said.person, "and the number is not");
        let members: Vec<_> = store.load().await.expect("memory is read").rooms[0].members.clone();
        assert!(members.iter().all(|member| Some(member.person) != said.person), "{members:?}");
    })
    .await;
}
