//! What the plan tells the clients while they run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What everybody does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) enum Phase {
    /// People talk, and things go wrong.
    #[default]
    Talk,
    /// Everything is healed: nobody says anything new.
    Settle,
    /// Everybody leaves.
    Leave,
}

/// A client is to die.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Crash {
    pub(crate) down_ms: u64,
    pub(crate) power: bool,
}

/// The orders; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    given: Arc<Mutex<Given>>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Given {
    phase: Phase,
    crashes: BTreeMap<u16, Crash>,
}

impl Orders {
    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.given().phase
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.given().phase = phase;
        self.changed.notify_waiters();
    }

    pub(crate) fn order_crash(&self, client: u16, crash: Crash) {
        self.given().crashes.insert(client, crash);
        self.changed.notify_waiters();
    }

    /// Waits for this client's death.
    pub(crate) async fn crash(&self, client: u16) -> Crash {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(crash) = self.given().crashes.remove(&client) {
                return crash;
            }
            changed.await;
        }
    }

    /// Waits for a later phase than this one.
    pub(crate) async fn later_than(&self, phase: Phase) -> Phase {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = self.phase();
            if now > phase {
                return now;
            }
            changed.await;
        }
    }
}
