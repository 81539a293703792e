//! The glue around the hub: it takes events, commits turns, and offers the news to all connections.

use crate::answers::carry_out;
use crate::clock::Clock;
use crate::hub::Hub;
use crate::inbound::Event;
use crate::lanes::Incoming;
use crate::search_queue::SearchQueue;
use crate::sequencer::Turn;
use crate::store::{Commit, ErasureId, Store, StoreError};
use protocol::message::Durability;
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;

/// How long a drain may take before connections are closed all the same.
const DRAIN: Duration = Duration::from_millis(1_500);

type UnderWay<T> = Pin<Box<dyn Future<Output = T> + Send>>;

type Committing = UnderWay<(Turn, Result<Commit, StoreError>)>;

/// Drives the hub until `stop` turns true and everything that was accepted is committed.
///
/// # Errors
/// [`StoreError`] if the store fails: nothing more is acknowledged then, and the process is to end.
pub async fn drive_hub<St: Store>(
    mut hub: Hub,
    store: St,
    clock: Arc<dyn Clock>,
    mut incoming: Incoming,
    mut stop: watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let mut committing: Option<Committing> = None;
    let mut erasing: Option<UnderWay<ErasureId>> = None;
    let mut batch = Vec::new();
    let mut stopping = false;
    let searches = SearchQueue::new(clock.clone());
    let far = tokio::time::sleep(Duration::from_secs(86_400 * 365));
    tokio::pin!(far);
    loop {
        // A timer would come last, and never while events follow each other within a millisecond: what is due is
        // looked for first, once a turn, so that neither keeps out the other.
        let now = clock.now();
        if hub.next_tick() <= now.steady {
            hub.handle_tick(now);
        }
        if committing.is_none() {
            incoming.begin_batch();
        }
        let tick = Duration::from_millis(hub.next_tick().since(now.steady).max(1));
        tokio::select! {
            biased;
            (turn, commit) = end_of(&mut committing), if committing.is_some() => {
                committing = None;
                hub.handle_commit(turn, commit?, clock.now());
            }
            erasure = end_of(&mut erasing), if erasing.is_some() => {
                erasing = None;
                hub.handle_erased(erasure, clock.now());
            }
            _ = stop.changed(), if !stopping => {
                stopping = true;
                hub.handle_shutdown();
                far.as_mut().reset(tokio::time::Instant::now() + DRAIN);
            }
            n = incoming.take(&mut batch) => {
                if n == 0 {
                    return finish(&mut hub, committing, &*clock).await;
                }
                take_events(&mut hub, &mut batch, &*clock);
                if store.durability() == Durability::Memory {
                    hear_all(&mut hub, &mut incoming, &mut batch, &*clock).await;
                }
            }
            // It only wakes the loop.
            () = tokio::time::sleep(tick) => {}
            () = &mut far => stopping = true,
        }
        if stopping && committing.is_none() && hub.is_settled() {
            hub.handle_settled(clock.now());
        }
        if committing.is_none()
            && let Some(turn) = hub.next_turn(clock.now())
        {
            committing = Some(begin(commit(store.clone(), turn)).await);
            incoming.begin_batch();
        }
        if erasing.is_none() {
            erasing = hub.next_erasure().map(|erasure| erase(store.clone(), erasure));
        }
        for effect in hub.take_effects() {
            drop(tokio::spawn(carry_out(effect, store.clone(), searches.clone())));
        }
        offer_news(&mut hub).await;
        let is_late = tokio::time::Instant::now() >= far.deadline();
        if stopping && committing.is_none() && hub.is_settled() || is_late {
            // A batch that takes this long is left to the store, which ends behind it; nobody was told of it.
            hub.close_all();
            return Ok(());
        }
    }
}

/// Ends when nobody can say anything any more. A batch that is with the store is waited for: it may fail.
async fn finish(hub: &mut Hub, committing: Option<Committing>, clock: &dyn Clock) -> Result<(), StoreError> {
    if let Some(committing) = committing {
        let (turn, commit) = committing.await;
        hub.handle_commit(turn, commit?, clock.now());
        offer_news(hub).await;
    }
    hub.close_all();
    Ok(())
}

fn take_events(hub: &mut Hub, batch: &mut Vec<Event>, clock: &dyn Clock) {
    let now = clock.now();
    batch.drain(..).for_each(|event| hub.handle_event(event, now));
}

/// Without a sync to wait for, hears all readable connections before the batch is closed.
async fn hear_all(hub: &mut Hub, incoming: &mut Incoming, batch: &mut Vec<Event>, clock: &dyn Clock) {
    for _ in 0..2 {
        tokio::task::yield_now().await;
        incoming.take_known(batch);
        take_events(hub, batch, clock);
    }
}

/// What comes of something that is under way; never, if nothing is.
async fn end_of<T>(under_way: &mut Option<UnderWay<T>>) -> T {
    match under_way {
        Some(future) => future.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Waits for the end of an erasure.
fn erase<St: Store>(store: St, erasure: ErasureId) -> UnderWay<ErasureId> {
    Box::pin(async move {
        store.erased(erasure).await;
        erasure
    })
}

fn commit<St: Store>(store: St, turn: Turn) -> Committing {
    Box::pin(async move {
        if !turn.needs_store() {
            return (turn, Ok(Commit::of(Vec::new())));
        }
        let batch = turn.batch();
        let commit = store.append(batch).await;
        (turn, commit)
    })
}

/// Hands the batch to the store at once, so that it is written while the one before it is delivered.
async fn begin(mut committing: Committing) -> Committing {
    match poll_fn(|cx| Poll::Ready(committing.as_mut().poll(cx))).await {
        Poll::Ready(done) => Box::pin(ready(done)),
        Poll::Pending => committing,
    }
}

/// Writes to every connection that has news, in one go: waking a task for each costs more than the writes.
async fn offer_news(hub: &mut Hub) {
    let news = hub.take_news();
    if news.is_empty() {
        return;
    }
    // The writes are many and none of them waits, so they must not count against the task's budget: a
    // socket that seems full because of it would be left to its own task.
    tokio::task::unconstrained(async { news.values().for_each(|conn| conn.offer()) }).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Now, Steady};
    use crate::conn::{Conn, ConnId};
    use crate::files::{Contents, Disk};
    use crate::hub::staging::settings;
    use crate::hub::{Settings, first_numbers};
    use crate::inbound::Login;
    use crate::lanes::lanes;
    use crate::limits::Limits;
    use crate::store::{MemoryLimits, MemoryStore};
    use protocol::id::{ContentHash, Epoch, Millis, PersonId};
    use protocol::limits::PROGRESS_MS;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    /// A clock that goes on by a third of a millisecond whenever it is looked at.
    #[derive(Default)]
    struct Looked(AtomicU64);

    impl Clock for Looked {
        fn now(&self) -> Now {
            let ms = self.0.fetch_add(1, Ordering::Relaxed) / 3;
            Now { steady: Steady(ms), wall: Millis(1_783_000_000_000 + ms) }
        }
    }

    async fn a_hub(clock: &Looked) -> (Hub, MemoryStore) {
        let store = MemoryStore::new(Epoch([7; 16]), MemoryLimits::default());
        let settings = Settings { max_file: 1 << 20, ..settings() };
        let contents = Arc::new(Contents::new(Disk, std::path::PathBuf::new(), 1 << 20));
        let snapshot = store.load().await.unwrap();
        let durability = store.durability();
        let reserved = first_numbers(&snapshot);
        (
            Hub::new(
                settings,
                snapshot,
                reserved,
                durability,
                Arc::new(store.clone()),
                contents,
                clock.now(),
            ),
            store,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_run_while_events_never_stop() {
        let clock = Arc::new(Looked::default());
        let (hub, store) = a_hub(&clock).await;
        let (events, incoming) = lanes(1);
        let (_stop, stopped) = watch::channel(false);
        let driven = tokio::spawn(drive_hub(hub, store, clock.clone(), incoming, stopped));

        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let conn = Arc::new(Conn::new(
            ConnId(1),
            peer,
            Box::pin(tokio::io::sink()),
            &Limits::default(),
            clock.now().steady,
        ));
        let permit = conn.bundles.clone().acquire_owned().await.unwrap();
        let login = Login::Classic("alice".to_owned());
        assert!(events.of(true).send(Event::Login { conn: conn.clone(), login, permit }).await.is_ok());
        // It stopped half way through a frame: a tick is to end it.
        conn.hear(clock.now().steady, true);
        let hash = ContentHash([0; 32]);
        let begun = clock.now().steady;
        while !conn.outlet().is_closing() {
            let (answer, _) = tokio::sync::oneshot::channel();
            let event = Event::MayRead { person: PersonId::FIRST, hash, answer };
            assert!(events.of(false).send(event).await.is_ok());
            assert!(clock.now().steady.since(begun) < 3 * PROGRESS_MS, "no tick ran");
        }
        drop(events);
        assert!(driven.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_batch_is_with_the_store_as_soon_as_it_is_begun() {
        let given = Arc::new(AtomicBool::new(false));
        let store = given.clone();
        let committing: Committing = Box::pin(async move {
            store.store(true, Ordering::Relaxed);
            std::future::pending().await
        });
        let _committing = begin(committing).await;
        assert!(given.load(Ordering::Relaxed), "nobody waited for it yet");
    }
}
