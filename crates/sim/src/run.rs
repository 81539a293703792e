//! Runs a plan: faults and talk first, then everything is healed and must converge, then everybody leaves.

use crate::actor::Phase;
use crate::coverage::Coverage;
use crate::driver::Driver;
use crate::plan::{Op, Plan};
use crate::presence::misjudged;
use crate::record::Record;
use crate::rule::{Rule, Violation};
use crate::trace::Happened;
use crate::verdict::{judge_contents, judge_log, judge_named, judge_topics, unsettled};
use crate::world::{TICK_MS, World};
use server::hub::Sizes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// How long everybody may take to catch up once all is healed, in ms.
const SETTLE_MS: u64 = 30_000;

/// How long it may take until no room is kept longer than it should be, in ms.
const TRIMMED_MS: u64 = 6_000;

/// How long everybody may take to leave, and the server to give up what was half open when they did, in ms.
/// A file's connection is given up after a minute without progress.
const LEAVE_MS: u64 = 90_000;

/// How long the server may take to forget who has left, in ms: a time of grace, and a while until it looks again.
const FORGOTTEN_MS: u64 = 8_000;

/// How often it is looked at who is told to be there, in ms.
const LOOK_MS: u64 = 500;

/// The server's tasks when nobody is there: the hub's loop is its host's own, the listener is one.
const IDLE_TASKS: usize = 1;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The rule that was broken.
    pub violation: Option<Violation>,
    /// What took effect.
    pub coverage: Coverage,
    /// Two runs have it in common only if all that happened is the same.
    pub digest: u64,
    /// How many events there were.
    pub events: u64,
    /// The newest of them.
    pub newest: Vec<Happened>,
    /// All, if that was asked for.
    pub all: Vec<Happened>,
    /// Simulated ms.
    pub simulated_ms: u64,
    /// Lines that were typed.
    pub typed: u64,
    /// Entries that became durable.
    pub entries: u64,
    /// Bytes that each client read on its connections for files.
    pub bulk_bytes: Vec<u64>,
    /// Entries that were shown to somebody.
    pub shown: u64,
}

/// Runs a plan. Everything that happens is kept if `keep_all`.
pub fn run(plan: &Plan, keep_all: bool) -> Report {
    let record = Record::new(plan.clients.len(), keep_all);
    let folder = Folder::of(plan);
    let world = World::simulated(plan, &record, folder.as_ref().map(Folder::path));
    let mut report = run_world(plan, &record, world, u64::MAX);
    if let Some(folder) = folder.filter(|folder| !folder.path().exists()) {
        let what = format!(
            "the folder '{}' is gone, in which files were sent and received",
            folder.path().display()
        );
        let at = report.simulated_ms * 1_000;
        report.violation = Some(Violation { rule: Rule::Surroundings, at, what });
    }
    report
}

/// Runs a plan in this world, for at most so many ms.
pub(crate) fn run_world(plan: &Plan, record: &Record, world: World, most_ms: u64) -> Report {
    crate::panics::keep_quietly(&plan.name);
    let simulated_ms = {
        let mut run = Run::new(plan, record, world, most_ms);
        run.all();
        run.now
    };
    let mut pages = record.pages();
    let pages = &mut *pages;
    Report {
        violation: pages.broken.take(),
        coverage: std::mem::take(&mut pages.coverage),
        digest: pages.trace.digest(),
        events: pages.trace.count(),
        newest: pages.trace.newest().cloned().collect(),
        all: pages.trace.all().to_vec(),
        simulated_ms,
        typed: pages.fates.len() as u64,
        entries: pages.truth.entries(),
        bulk_bytes: pages.sights.iter().map(|sight| sight.bulk_bytes).collect(),
        shown: pages.sights.iter().map(|sight| sight.shown).sum(),
    }
}

/// A real folder for files, if any are sent; removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn path(&self) -> &PathBuf {
        &self.0
    }

    pub(crate) fn of(plan: &Plan) -> Option<Self> {
        static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let sends = |op: &Op| matches!(op, Op::Send { .. });
        plan.clients.iter().flat_map(|client| &client.steps).any(|step| sends(&step.op)).then(|| {
            let number = LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let name = format!("natter-sim-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            // One that can't be made is missed at the end.
            let _ = std::fs::create_dir_all(&path);
            Self(path)
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Run<'a> {
    plan: &'a Plan,
    record: Record,
    world: World,
    driver: Driver,
    now: u64,
    /// It ends then at the latest.
    most_ms: u64,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, record: &Record, world: World, most_ms: u64) -> Self {
        for (client, sight) in plan.clients.iter().zip(&mut record.pages().sights) {
            let link = plan.links.get(client.host).map_or((0, 0), |link| (link.up, link.down));
            let looks_away = client.steps.iter().any(|step| matches!(step.op, Op::LookAway { .. }));
            sight.slow = looks_away || link != (0, 0);
            sight.forgetful = client.forgetful;
        }
        (record.pages().prompt_ms, record.pages().limits) = (plan.prompt_ms, plan.limits);
        Self { plan, record: record.clone(), world, driver: Driver::new(plan, record), now: 0, most_ms }
    }

    fn all(&mut self) {
        self.until(self.plan.safety_ms, |_| false);
        if self.is_broken() {
            return;
        }
        self.driver.heal(&mut self.world, self.now);
        let healed = self.now;
        let settled =
            self.until(healed + SETTLE_MS, |run| run.now.is_multiple_of(100) && run.unsettled().is_none());
        if !settled && let Some((rule, what)) = self.unsettled() {
            self.record.fail(rule, format!("after {SETTLE_MS} ms in which everything worked, {what}"));
        }
        if !self.plan.store.keep.is_all() {
            // What is past its bounds goes within two passes of silence.
            self.until(self.now + TRIMMED_MS, |_| false);
        }
        self.judge();
        if !self.is_broken() {
            self.leave();
        }
    }

    /// Steps until this time, or until `done`; whether it was done.
    fn until(&mut self, end: u64, done: impl Fn(&Self) -> bool) -> bool {
        while self.now < end.min(self.most_ms) && !self.is_broken() {
            self.step();
            if done(self) {
                return true;
            }
        }
        false
    }

    fn step(&mut self) {
        self.driver.act(&mut self.world, self.now);
        self.now += TICK_MS;
        let stepped = catch_unwind(AssertUnwindSafe(|| self.world.ground.step(self.now)));
        self.record.pages().step(self.now * 1_000);
        if self.now.is_multiple_of(LOOK_MS) {
            self.judge_presence();
        }
        match stepped {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.record.fail(Rule::NoPanic, format!("a host ended: {error}")),
            Err(_) => self.record.fail(Rule::NoPanic, crate::panics::take()),
        }
    }

    fn judge_presence(&self) {
        let mut pages = self.record.pages();
        if self.driver.server_is_up()
            && let Some(wrong) = misjudged(self.plan, &pages)
        {
            pages.fail(Rule::PresenceTold, wrong);
        }
    }

    fn is_broken(&self) -> bool {
        self.record.pages().broken.is_some()
    }

    fn unsettled(&self) -> Option<(Rule, String)> {
        if !self.driver.server_is_up() {
            return Some((Rule::Converges, "the server is not up".to_owned()));
        }
        unsettled(self.plan, &self.record.pages(), &self.world.store)
    }

    fn judge(&self) {
        let mut pages = self.record.pages();
        let wrong = judge_log(&pages, self.plan.store.memory);
        let contents = self.world.disk.contents();
        let wrong = wrong.or_else(|| judge_contents(&contents));
        let wrong = wrong.or_else(|| judge_named(&self.world.store.known(), &contents));
        let wrong = wrong.or_else(|| {
            let overkept = pages.truth.overkept(self.plan.store.keep, pages.earliest_now());
            overkept.map(|what| (Rule::KeptAsPromised, what))
        });
        let wrong = wrong.or_else(|| judge_topics(&pages, &self.world.store.known()));
        if let Some((rule, what)) = wrong {
            pages.fail(rule, what);
        }
    }

    /// Everybody leaves; the server is then as it was before anybody came.
    fn leave(&mut self) {
        self.world.orders.set_phase(Phase::Leave);
        let deserted = |run: &Self| {
            run.now.is_multiple_of(100)
                && run.record.pages().sights.iter().all(|sight| !sight.running)
                && run.world.server.tasks() <= IDLE_TASKS
        };
        if !self.until(self.now + LEAVE_MS, deserted) {
            let here = self.record.pages().sights.iter().filter(|sight| sight.running).count();
            let tasks = self.world.server.tasks();
            let what = format!(
                "when everybody had left, {here} clients still ran and {tasks} tasks of the server, with connections of {:?}",
                self.world.net.left()
            );
            self.record.fail(Rule::NothingLeft, what);
            return;
        }
        let is_empty = |run: &Self| run.world.gauges.read() == Sizes::default();
        if !self.until(self.now + FORGOTTEN_MS, is_empty) {
            let what = format!("when everybody had left, the server kept {:?}", self.world.gauges.read());
            self.record.fail(Rule::NothingLeft, what);
        }
    }
}
