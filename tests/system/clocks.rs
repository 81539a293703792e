//! Clocks that jump: nothing is deleted because of one until somebody had the time to see it.

use super::harness::{Identity, Native, Refusal, Server, bounded, eventually, run};
use super::revisions::revise;
use super::slow_store::Here;
use protocol::code::Code;
use protocol::entry::EntryKind;
use protocol::id::{Epoch, Millis, RoomId, Seq};
use protocol::message::{ClientMsg, Durability, OpenFrom, Range, ServerMsg};
use server::clock::{Clock, Now, SystemClock};
use server::keep::{KeepRule, Retention};
use server::store::{Folder, MemoryLimits, MemoryStore, Oldest, Options, SqliteStore, Store};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const LINES: u64 = 50;

/// The clock of a machine: people set it, and time passes in leaps.
pub struct Watch {
    real: SystemClock,
    /// By how much the wall clock was set ahead, in ms.
    set: AtomicI64,
    /// How much time has passed in leaps, in ms.
    passed: AtomicU64,
}

impl Watch {
    pub fn new(set: i64) -> Arc<Self> {
        Arc::new(Self { real: SystemClock::start(), set: AtomicI64::new(set), passed: AtomicU64::new(0) })
    }

    fn set(&self, ms: i64) {
        self.set.fetch_add(ms, Ordering::Relaxed);
    }

    pub fn pass(&self, ms: i64) {
        self.passed.fetch_add(ms.unsigned_abs(), Ordering::Relaxed);
    }
}

impl Clock for Watch {
    fn now(&self) -> Now {
        let (real, passed) = (self.real.now(), self.passed.load(Ordering::Relaxed));
        let wall = (real.wall.0 + passed).saturating_add_signed(self.set.load(Ordering::Relaxed));
        Now { steady: real.steady.after(passed), wall: Millis(wall) }
    }
}

fn keep_days(days: i64) -> Retention {
    let age = KeepRule { age_ms: Some((days * DAY).unsigned_abs()), ..KeepRule::default() };
    Retention { default: age, ..Retention::default() }
}

async fn start(store: impl Store, clock: &Arc<Watch>) -> Here {
    Here::start_with(store, clock.clone(), |settings| settings.keep = keep_days(30)).await
}

/// Says some lines in the lobby.
async fn say_lines(client: &Native) {
    client.say_all(client.lobby(), (1..=LINES).map(|n| format!("line {n}"))).await;
}

/// What a new cursor in the lobby is told to be the oldest entry.
async fn oldest_shown(client: &mut Native) -> u64 {
    client.open(client.lobby(), OpenFrom::Now).await.oldest.value()
}

/// How many entries are found by a word that each has, and how many of all can be fetched.
async fn found_and_fetched(client: &mut Native) -> (usize, usize) {
    let room = client.lobby();
    let (words, before_room, before) = ("line".to_owned(), None, None);
    let search = |req| ClientMsg::Search { req, room: Some(room), words, limit: 100, before_room, before };
    let hits = page(client.ask(search).await);
    let fetched = client.ask(|req| ClientMsg::Fetch { req, room, range: Range::Latest, limit: 100 }).await;
    (hits, page(fetched))
}

/// How many entries an answer holds.
fn page(answer: Result<ServerMsg, Refusal>) -> usize {
    match answer {
        Ok(ServerMsg::Page { found, .. }) => found.len(),
        other => panic!("not a page: {other:?}"),
    }
}

/// Waits until a new cursor begins there.
async fn until_shown_from(client: &mut Native, oldest: u64) {
    while oldest_shown(client).await != oldest {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_clock_that_jumps_while_the_server_runs_hides_and_does_not_delete() {
    bounded(90, async {
        let store = MemoryStore::new(Epoch([1; 16]), MemoryLimits::default());
        let clock = Watch::new(0);
        let server = start(store.clone(), &clock).await;
        let identity = Identity::new("alice");
        let mut alice = Native::login(server.addr, &identity).await;
        say_lines(&alice).await;
        clock.set(90 * DAY);
        until_shown_from(&mut alice, LINES).await;
        assert_eq!(found_and_fetched(&mut alice).await, (1, 1), "the newest entry is always shown");
        assert_eq!(store.oldest(RoomId::FIRST), Seq::FIRST, "nothing is deleted");
        clock.set(-90 * DAY);
        until_shown_from(&mut alice, 1).await;
        let all = usize::try_from(LINES).expect("a small number");
        assert_eq!(found_and_fetched(&mut alice).await, (all, all));
        clock.set(90 * DAY);
        until_shown_from(&mut alice, LINES).await;
        clock.pass(7 * DAY - HOUR);
        // A restart is no reason to begin anew, nor to delete at once.
        server.stop().await;
        let server = start(store.clone(), &clock).await;
        let mut alice = Native::login(server.addr, &identity).await;
        until_shown_from(&mut alice, LINES).await;
        assert_eq!(store.oldest(RoomId::FIRST), Seq::FIRST);
        clock.pass(2 * HOUR);
        eventually("the end of the doubt", || (store.oldest(RoomId::FIRST).value() == LINES).then_some(()))
            .await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_shown_again_and_is_past_its_age_by_now_is_deleted_by_the_next_pass() {
    bounded(60, async {
        let store = MemoryStore::new(Epoch([1; 16]), MemoryLimits::default());
        let clock = Watch::new(0);
        let server =
            Here::start_with(store.clone(), clock.clone(), |settings| settings.keep = keep_days(3)).await;
        let mut alice = Native::login(server.addr, &Identity::new("alice")).await;
        say_lines(&alice).await;
        clock.set(90 * DAY);
        until_shown_from(&mut alice, LINES).await;
        // Four days later it is set right.
        clock.pass(4 * DAY);
        clock.set(-90 * DAY);
        eventually("a pass", || (store.oldest(RoomId::FIRST).value() == LINES).then_some(())).await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_hidden_can_not_be_changed() {
    bounded(60, async {
        let store = MemoryStore::new(Epoch([1; 16]), MemoryLimits::default());
        let clock = Watch::new(0);
        let server = start(store.clone(), &clock).await;
        let mut alice = Native::login(server.addr, &Identity::new("alice")).await;
        say_lines(&alice).await;
        clock.set(90 * DAY);
        until_shown_from(&mut alice, LINES).await;
        let room = alice.lobby();
        for kind in [EntryKind::Edit, EntryKind::Delete] {
            let text = if kind == EntryKind::Edit { "other words" } else { "" };
            revise(&alice, room, kind, 1, text);
            assert_eq!(alice.refusal().await.code, Code::NoSuchEntry);
            alice.forget_posts(1);
            let counter = revise(&alice, room, kind, LINES, text);
            alice.acked(counter.value()).await;
        }
        clock.set(-90 * DAY);
        until_shown_from(&mut alice, 1).await;
        let fetched = alice.ask(|req| ClientMsg::Fetch { req, room, range: Range::Latest, limit: 100 }).await;
        let Ok(ServerMsg::Page { found, .. }) = fetched else { panic!("not a page: {fetched:?}") };
        assert_eq!(found[0].entry.text(), "line 1");
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn devices_are_not_forgotten_by_a_clock_that_jumped() {
    bounded(60, async {
        let store = MemoryStore::new(Epoch([1; 16]), MemoryLimits::default());
        let server = start(store.clone(), &Watch::new(0)).await;
        let identity = Identity::new("alice");
        let alice = Native::login(server.addr, &identity).await;
        say_lines(&alice).await;
        let device = alice.device;
        server.stop().await;
        let clock = Watch::new(400 * DAY);
        let server = start(store.clone(), &clock).await;
        let mut bob = Native::enter(server.addr, "bob").await;
        until_shown_from(&mut bob, LINES).await;
        let alice = Native::login(server.addr, &identity).await;
        assert_eq!(alice.device, device);
        assert_eq!(alice.view(|view| view.posted), LINES, "its counter is known");
    })
    .await;
}

/// A folder with lines that a server stored so long ago, and what time it was then.
async fn old_folder(data: &Path, days: i64) {
    let options = Options { durability: Durability::Disk, fresh_epoch: Epoch([7; 16]), accept_loss: false };
    let folder = Folder::create(data).expect("a temporary folder can be made");
    let store = SqliteStore::open(folder, &options).expect("an empty folder takes a log");
    let server = start(store.clone(), &Watch::new(-days * DAY)).await;
    say_lines(&Native::login(server.addr, &Identity::new("alice")).await).await;
    server.stop().await;
    store.close().await.expect("the disk holds");
}

async fn natterd(data: &Path, args: &[&str]) -> String {
    let data = data.to_str().expect("temporary folders have plain names");
    let finished = run("natterd", &[args, &["--data", data]].concat()).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.out
}

#[tokio::test]
async fn a_clock_far_ahead_at_the_start_deletes_nothing_until_it_is_accepted() {
    bounded(90, async {
        let parent = tempfile::tempdir().expect("a temporary folder can be made");
        let data = parent.path().join("data");
        old_folder(&data, 90).await;
        let said = natterd(&data, &["verify"]).await;
        assert!(said.contains("note: the clock of this machine is 90 days ahead"), "{said}");
        let mut server = Server::start_in_with(&data, &["--keep-age", "30d"]).await;
        let line = server.err().line("days ahead").await;
        assert!(line.contains("90 days ahead") && line.contains("--accept-clock"), "{line}");
        let mut bob = Native::enter(server.addr(), "bob").await;
        until_shown_from(&mut bob, LINES).await;
        server.stop().await;
        let kept = natterd(&data, &["export", "--jsonl", "lobby"]).await.lines().count() as u64;
        assert_eq!(kept, LINES, "nothing is deleted");
        let said = natterd(&data, &["verify"]).await;
        assert!(said.contains("90 days ahead") && said.contains("\nok"), "{said}");
        let mut server = Server::start_in_with(&data, &["--keep-age", "30d", "--accept-clock"]).await;
        let mut bob = Native::enter(server.addr(), "bob").await;
        until_shown_from(&mut bob, LINES).await;
        server.stop().await;
        assert_eq!(natterd(&data, &["export", "--jsonl", "lobby"]).await.lines().count(), 1);
        let said = natterd(&data, &["verify"]).await;
        assert!(!said.contains("days ahead"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_room_whose_time_ran_ahead_is_named_and_mended() {
    bounded(60, async {
        let parent = tempfile::tempdir().expect("a temporary folder can be made");
        let data = parent.path().join("data");
        old_folder(&data, -800).await;
        let said = natterd(&data, &["verify"]).await;
        assert!(said.contains("the newest message of #lobby has a time 799 days ahead"), "{said}");
        let mut server = Server::start_in_with(&data, &[]).await;
        server.err().line("newest message of #lobby").await;
        server.stop().await;
        let said = natterd(&data, &["repair"]).await;
        assert!(said.contains("50 messages had a time that is yet to come"), "{said}");
        let said = natterd(&data, &["verify"]).await;
        assert!(!said.contains("ahead") && said.contains("\nok"), "{said}");
        let server = Server::start_in_with(&data, &["--keep-age", "30d"]).await;
        let bob = Native::enter(server.addr(), "bob").await;
        bob.say(bob.lobby(), "now");
        let time = bob.hears("now").await.time;
        let now = SystemClock::start().now().wall;
        assert!(time <= now && now.0 - time.0 < 60_000, "{time:?} is not {now:?}");
    })
    .await;
}
