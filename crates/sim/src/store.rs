//! The simulated store: the pure logs of the memory store, which lose what was not synced, and fail on demand.

use crate::coverage::Sometimes;
use crate::net::token_of;
use crate::plan::{KeepPlan, StorePlan};
use crate::record::Record;
use crate::rule::Rule;
use crate::seed::stream;
use crate::trace::Who;
use protocol::entry::EntryKind;
use protocol::id::{Epoch, RoomId, Seq};
use protocol::limits::ERASE_MS;
use protocol::message::{Durability, Range};
use rand::RngExt;
use rand::rngs::SmallRng;
use server::store::{
    Batch, Commit, ErasureId, Hits, Logs, Oldest, Query, Read, Snapshot, Store, StoreError, Words,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A full disk says so after this time, in ms.
const REFUSAL: u64 = 1;

/// How long it takes until the server hears that a batch is stored, in ms.
const UNHEARD_MS: std::ops::RangeInclusive<u64> = 0..=4;

/// How long it takes until a deleted text has left the disk, in ms: mostly; else up to [`ERASE_MS`].
const ERASED_MS: std::ops::RangeInclusive<u64> = 0..=10;

/// Batches that a full disk may be offered in a second.
const MAX_REFUSALS: u64 = 400;

/// A store that outlives its servers; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SimStore {
    record: Record,
    plan: StorePlan,
    platter: Arc<Mutex<Platter>>,
}

/// What the disk holds and how it behaves.
#[derive(Debug)]
struct Platter {
    logs: Logs,
    starts: u8,
    /// The batch that is on its way to the disk.
    under_way: Option<Batch>,
    appends: u64,
    trap: Option<Trap>,
    sprung: bool,
    full: bool,
    /// When a full disk refused last, and how often within that second.
    refusals: (u64, u64),
    slow_ms: Option<u64>,
    fails: bool,
    failed: bool,
    rng: SmallRng,
    /// The newest erasure, and what it takes.
    erasure: u64,
    erasing: SmallRng,
}

/// The batch at which the server is to crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Trap {
    pub(crate) nth: u64,
    /// Behind the sync, in front of the acknowledgement.
    pub(crate) synced: bool,
}

/// How one batch goes.
struct Course {
    ms: u64,
    trap: Option<bool>,
    full: bool,
    fails: bool,
}

impl SimStore {
    pub(crate) fn new(record: Record, plan: StorePlan, seed: u64) -> Self {
        let platter = Platter {
            logs: Logs::default(),
            starts: 0,
            under_way: None,
            appends: 0,
            trap: None,
            sprung: false,
            full: false,
            refusals: (0, 0),
            slow_ms: None,
            fails: false,
            failed: false,
            rng: stream(seed, "store", 0),
            erasure: 0,
            erasing: stream(seed, "erasure", 0),
        };
        Self { record, plan, platter: Arc::new(Mutex::new(platter)) }
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server stops at this batch.
    pub(crate) fn set_trap_once(&self, trap: Option<Trap>) {
        self.platter().trap = trap;
    }

    /// Whether it forgets everything when a server starts.
    pub(crate) fn forgets(&self) -> bool {
        self.plan.memory
    }

    /// How much of each room it is to keep.
    pub(crate) fn keeps(&self) -> KeepPlan {
        self.plan.keep
    }

    /// Whether a batch is on its way to the disk.
    pub(crate) fn is_busy(&self) -> bool {
        self.platter().under_way.is_some()
    }

    /// Whether the trap has sprung: the server is to crash now.
    pub(crate) fn take_sprung(&self) -> bool {
        std::mem::take(&mut self.platter().sprung)
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.platter().full = full;
    }

    pub(crate) fn set_slow(&self, ms: Option<u64>) {
        self.platter().slow_ms = ms;
    }

    pub(crate) fn set_fails(&self, fails: bool) {
        self.platter().fails = fails;
    }

    /// Whether a sync has failed since this was asked last.
    pub(crate) fn take_failed(&self) -> bool {
        std::mem::take(&mut self.platter().failed)
    }

    /// What a server would be told that starts now.
    pub(crate) fn known(&self) -> Snapshot {
        self.platter().logs.snapshot(Epoch([0; 16]))
    }

    /// The server is gone. A batch that was not synced may have reached the disk or not.
    pub(crate) fn crash(&self) {
        let mut platter = self.platter();
        platter.failed = false;
        let Some(batch) = platter.under_way.take() else { return };
        self.record.hit(Sometimes::CrashUnsynced);
        if platter.rng.random() && !self.plan.memory {
            self.apply(&mut platter, &batch);
        }
    }

    fn course(&self, batch: &Batch) -> Course {
        let mut platter = self.platter();
        platter.appends += 1;
        let nth = platter.appends;
        let full = platter.full;
        let ms = match platter.slow_ms {
            _ if full => REFUSAL,
            Some(ms) => ms,
            None => platter.rng.random_range(self.plan.sync_ms.0..=self.plan.sync_ms.1),
        };
        if full {
            self.count_refusal(&mut platter);
        } else {
            platter.under_way = Some(batch.clone());
        }
        let trap = platter.trap.filter(|trap| trap.nth <= nth && !full).map(|trap| trap.synced);
        if trap.is_some() {
            platter.trap = None;
        }
        Course { ms, trap, full, fails: platter.fails && !full }
    }

    fn count_refusal(&self, platter: &mut Platter) {
        let second = self.record.pages().now() / 1_000_000;
        let count = if platter.refusals.0 == second { platter.refusals.1 + 1 } else { 1 };
        platter.refusals = (second, count);
        if count > MAX_REFUSALS {
            self.record
                .fail(Rule::Watchdog, "the server offers a full disk the same again and again".to_owned());
        }
    }

    /// The batch is durable.
    fn apply(&self, platter: &mut Platter, batch: &Batch) -> Commit {
        let mut commit = platter.logs.append(batch);
        let mut pages = self.record.pages();
        let now = pages.now();
        for change in batch.changes.iter().filter(|_| commit.changes.is_ok()) {
            if let Some(wrong) = pages.truth.take_change(change, now) {
                pages.fail(Rule::OnlyMembers, wrong);
            }
        }
        // Rooms are trimmed before the entries come.
        let (earliest, latest) = pages.server_times();
        for (room, first) in &commit.trimmed {
            let (keep, wall) = (self.plan.keep, pages.trusted_time());
            let wrong = pages.truth.wrongly_trimmed(room.value(), first.value(), keep, wall);
            // Of a room that has ended nothing is kept.
            if let Some(wrong) = wrong.filter(|_| pages.truth.members.has_room(*room)) {
                pages.fail(Rule::KeptAsPromised, wrong);
            }
            pages.note(Who::Server, "keeps from here on", None, first.value());
            pages.truth.trim(room.value(), first.value(), now);
        }
        let erasure = ErasureId(platter.erasure + 1);
        for (post, outcome) in batch.posts.iter().zip(&commit.posts) {
            let Ok(seq) = outcome else { continue };
            if let (EntryKind::Delete, Some(target), false) = (post.kind, post.reply_to, self.plan.memory) {
                platter.erasure = erasure.0;
                commit.erasure = Some(erasure);
                pages.truth.begin_erasure(erasure, post.room.value(), target.value());
            }
            let token = token_of(&post.body);
            pages.note(Who::Server, "has in its log", token, seq.value());
            let wrong = pages.truth.mistimed(post.room.value(), post.time.0, earliest, latest);
            if let Some(wrong) = wrong {
                pages.fail(Rule::KeptAsPromised, wrong);
            }
            if let Some(wrong) = pages.misunderstood(post, seq.value()) {
                pages.fail(Rule::AboutTheRightLine, wrong);
            }
            if let Some(wrong) = pages.truth.add(post, seq.value(), now) {
                pages.fail(Rule::AtMostOnce, wrong);
            }
        }
        commit
    }

    /// Stands still for ever: the server is to crash at this very point.
    async fn spring(&self, what: Option<Sometimes>) -> Result<Commit, StoreError> {
        if let Some(what) = what {
            self.record.hit(what);
        }
        self.platter().sprung = true;
        std::future::pending().await
    }
}

impl Oldest for SimStore {
    fn oldest(&self, room: RoomId) -> Seq {
        self.platter().logs.oldest(room)
    }
}

impl Store for SimStore {
    fn durability(&self) -> Durability {
        if self.plan.memory { Durability::Memory } else { Durability::Disk }
    }

    async fn load(&self) -> Result<Snapshot, StoreError> {
        let mut platter = self.platter();
        platter.under_way = None;
        if self.plan.memory && platter.starts > 0 {
            platter.logs = Logs::default();
        }
        platter.starts += 1;
        let epoch = if self.plan.memory { Epoch([platter.starts; 16]) } else { Epoch([1; 16]) };
        self.record.pages().truth.begin(epoch.0);
        self.record.pages().truth.end_erasures(ErasureId(platter.erasure));
        Ok(platter.logs.snapshot(epoch))
    }

    async fn append(&self, batch: Batch) -> Result<Commit, StoreError> {
        let Course { ms, trap, full, fails } = self.course(&batch);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        if ms > 500 && !full {
            self.record.hit(Sometimes::SlowSync);
        }
        if full {
            self.record.hit(Sometimes::DiskFull);
            return Ok(Commit::disk_full(batch.posts.len()));
        }
        if fails {
            self.record.hit(Sometimes::StoreFailed);
            self.platter().failed = true;
            let source = std::io::Error::other("simulated");
            return Err(StoreError::Io { doing: "synced a batch", source });
        }
        if trap == Some(false) {
            return self.spring(None).await;
        }
        let (commit, unheard_ms) = {
            let mut platter = self.platter();
            platter.under_way = None;
            let unheard_ms = platter.rng.random_range(UNHEARD_MS);
            (self.apply(&mut platter, &batch), unheard_ms)
        };
        if trap.is_some() {
            return self.spring(Some(Sometimes::CrashSynced)).await;
        }
        // Threads take their time, too: who reads now is given what the server does not know to be stored.
        tokio::time::sleep(Duration::from_millis(unheard_ms)).await;
        Ok(commit)
    }

    async fn erased(&self, erasure: ErasureId) {
        let ms = {
            let rng = &mut self.platter().erasing;
            if rng.random_ratio(1, 8) { rng.random_range(0..=ERASE_MS) } else { rng.random_range(ERASED_MS) }
        };
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.record.pages().truth.end_erasures(erasure);
    }

    async fn read(&self, room: RoomId, range: Range, limit: usize, bytes: usize) -> Result<Read, StoreError> {
        // A read takes a moment, in which more may be stored.
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(self.platter().logs.read(room, &range, limit, bytes))
    }

    async fn search(&self, query: Query) -> Result<Hits, StoreError> {
        let words = Words::parse(&query.words);
        let logs = &self.platter().logs;
        let mut scan = logs.search(&query);
        if !words.is_empty() {
            logs.scan(&query, &words, &mut scan, usize::MAX);
        }
        Ok(scan.hits)
    }
}
