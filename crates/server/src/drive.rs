//! The glue around the hub: it takes events, commits turns, and offers the news to all connections.

use crate::answers::carry_out;
use crate::clock::Clock;
use crate::hub::Hub;
use crate::inbound::Event;
use crate::sequencer::Turn;
use crate::store::{Commit, Store, StoreError};
use protocol::message::Durability;
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Events that are taken at once.
const EVENTS: usize = 1_024;

/// How long a drain may take before connections are closed all the same.
const DRAIN: Duration = Duration::from_millis(1_500);

type Committing = Pin<Box<dyn Future<Output = (Turn, Result<Commit, StoreError>)> + Send>>;

/// Drives the hub until `stop` turns true and everything that was accepted is committed.
///
/// # Errors
/// [`StoreError`] if the store fails: nothing more is acknowledged then, and the process is to end.
pub async fn drive_hub<St: Store>(
    mut hub: Hub,
    store: St,
    clock: Arc<dyn Clock>,
    mut events: mpsc::Receiver<Event>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let mut committing: Option<Committing> = None;
    let mut batch = Vec::with_capacity(EVENTS);
    let mut stopping = false;
    let far = tokio::time::sleep(Duration::from_secs(86_400 * 365));
    tokio::pin!(far);
    loop {
        let now = clock.now();
        let tick = Duration::from_millis(hub.next_tick().since(now.steady).max(1));
        tokio::select! {
            biased;
            (turn, commit) = poll_committing(&mut committing), if committing.is_some() => {
                committing = None;
                hub.handle_commit(turn, commit?, clock.now());
            }
            _ = stop.changed(), if !stopping => {
                stopping = true;
                hub.handle_shutdown();
                far.as_mut().reset(tokio::time::Instant::now() + DRAIN);
            }
            n = events.recv_many(&mut batch, EVENTS) => {
                if n == 0 {
                    return Ok(());
                }
                take_events(&mut hub, &mut batch, &*clock);
                if store.durability() == Durability::Memory {
                    // Without a sync to wait for, hear all readable connections before the batch is closed.
                    for _ in 0..2 {
                        tokio::task::yield_now().await;
                        while batch.len() < EVENTS && let Ok(event) = events.try_recv() {
                            batch.push(event);
                        }
                        take_events(&mut hub, &mut batch, &*clock);
                    }
                }
            }
            () = tokio::time::sleep(tick) => hub.handle_tick(clock.now()),
            () = &mut far => stopping = true,
        }
        if committing.is_none()
            && let Some(turn) = hub.next_turn(clock.now())
        {
            committing = Some(begin(commit(store.clone(), turn)).await);
        }
        for effect in hub.take_effects() {
            drop(tokio::spawn(carry_out(effect, store.clone())));
        }
        offer_news(&mut hub).await;
        if stopping && committing.is_none() && hub.is_settled() || far.is_elapsed() {
            hub.close_all();
            return Ok(());
        }
    }
}

fn take_events(hub: &mut Hub, batch: &mut Vec<Event>, clock: &dyn Clock) {
    let now = clock.now();
    batch.drain(..).for_each(|event| hub.handle_event(event, now));
}

async fn poll_committing(committing: &mut Option<Committing>) -> (Turn, Result<Commit, StoreError>) {
    match committing {
        Some(future) => future.as_mut().await,
        None => std::future::pending().await,
    }
}

fn commit<St: Store>(store: St, turn: Turn) -> Committing {
    Box::pin(async move {
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
    use std::sync::atomic::{AtomicBool, Ordering};

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
