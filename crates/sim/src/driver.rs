//! Carries a plan's faults out while the world runs, and heals everything in the end.

use crate::actor::{Crash, Phase};
use crate::coverage::Sometimes;
use crate::net::Pipe;
use crate::plan::{Fault, Kind, Plan, When};
use crate::record::Record;
use crate::rule::Rule;
use crate::store::Trap;
use crate::trace::Who;
use crate::world::World;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How long a server that failed stays away, in ms: somebody starts it again.
const REPAIR_MS: u64 = 1_500;

/// How long a server may take to stop, in ms: its drain, and what its connections may take after it.
const STOP_MS: u64 = 6_000;

/// A cut that outlasts every heartbeat, in ms.
const LONG_MS: u64 = 15_000;

/// What is to be done at a time.
#[derive(Clone, Debug)]
enum Deed {
    Begin(Kind),
    Release(usize),
    Mend(usize, bool, bool),
    StartServer,
    EndSlowSync,
    EndFull,
    CheckStopped(u64),
}

/// A server that was asked to stop.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    /// When, in ms.
    since: u64,
    /// How long it stays away.
    down_ms: u64,
}

/// Carries out what a plan says.
pub(crate) struct Driver {
    record: Record,
    deeds: BTreeMap<(u64, u64), Deed>,
    last: u64,
    /// Faults that wait for a batch, or for a piece of a file.
    at_batch: VecDeque<(Trap, Kind)>,
    at_piece: VecDeque<(u64, Kind)>,
    /// The host of each client.
    hosts: Vec<usize>,
    server_up: bool,
    stopping: Option<Stopping>,
    healed: bool,
}

impl Driver {
    pub(crate) fn new(plan: &Plan, record: &Record) -> Self {
        let mut driver = Self {
            record: record.clone(),
            deeds: BTreeMap::new(),
            last: 0,
            at_batch: VecDeque::new(),
            at_piece: VecDeque::new(),
            hosts: plan.clients.iter().map(|client| client.host).collect(),
            server_up: true,
            stopping: None,
            healed: false,
        };
        plan.faults.iter().for_each(|fault| driver.plan(fault));
        driver.at_batch.make_contiguous().sort_by_key(|(trap, _)| trap.nth);
        driver.at_piece.make_contiguous().sort_by_key(|(piece, _)| *piece);
        driver
    }

    fn plan(&mut self, fault: &Fault) {
        let kind = fault.kind.clone();
        match fault.when {
            When::At(ms) => self.later(ms, Deed::Begin(kind)),
            When::Append { nth, synced } => self.at_batch.push_back((Trap { nth, synced }, kind)),
            When::Chunk { nth } => self.at_piece.push_back((nth, kind)),
        }
    }

    fn later(&mut self, at: u64, deed: Deed) {
        self.last += 1;
        self.deeds.insert((at, self.last), deed);
    }

    /// Does what is due, between two steps of the world.
    pub(crate) fn act(&mut self, world: &mut World, now: u64) {
        while let Some(entry) = self.deeds.first_entry().filter(|entry| entry.key().0 <= now) {
            let deed = entry.remove();
            self.carry_out(deed, world, now);
        }
        self.watch_server(world, now);
        if !self.healed {
            world.store.set_trap_once(self.at_batch.front().map(|(trap, _)| *trap));
            world.disk.set_trap_once(self.at_piece.front().map(|(piece, _)| *piece));
        }
    }

    fn carry_out(&mut self, deed: Deed, world: &mut World, now: u64) {
        match deed {
            Deed::Begin(kind) => self.begin(&kind, world, now),
            Deed::Release(host) => self.release(host, world),
            Deed::Mend(host, up, down) => self.mend(host, up, down, world),
            Deed::StartServer => self.start_server(world),
            Deed::EndSlowSync => {
                world.store.set_slow(None);
                world.disk.set_slow(None);
            }
            Deed::EndFull => {
                world.store.set_full(false);
                world.disk.set_full(false);
                self.record.pages().set_full(false);
            }
            Deed::CheckStopped(since) => {
                // A server that was started since may have been asked to stop as well, later.
                if self.stopping.is_some_and(|stopping| stopping.since == since) && self.server_up {
                    let what = format!("the server was asked to stop at {since} ms, and still runs");
                    self.record.fail(Rule::NothingLeft, what);
                }
            }
        }
    }

    fn begin(&mut self, kind: &Kind, world: &mut World, now: u64) {
        self.record.note(Who::Fault, kind.word(), kind.target());
        self.hinder(kind);
        match *kind {
            Kind::Hold { host, ms } => self.hold(host, now + ms, world),
            Kind::Cut { host, ms, up, down } => self.cut(host, now + ms, (up, down), world, ms),
            Kind::Reset { client } => pipes_of(world, client).iter().for_each(|pipe| pipe.reset()),
            Kind::ResetAll => world.net.pipes().iter().for_each(|pipe| pipe.reset()),
            Kind::Stall { client, ms } => {
                pipes_of(world, client).iter().for_each(|pipe| pipe.stall_until((now + ms) * 1_000));
            }
            Kind::HalfOpen { client } => pipes_of(world, client).iter().for_each(|pipe| pipe.darken()),
            Kind::ClientCrash { client, down_ms, power } => {
                if power {
                    pipes_of(world, client).iter().for_each(|pipe| pipe.darken());
                }
                world.orders.order_crash(client, Crash { down_ms, power });
            }
            Kind::ServerCrash { down_ms, power } => self.crash_server(world, now, down_ms, power),
            Kind::ServerStop { down_ms } => self.stop_server(world, now, down_ms),
            Kind::SlowSync { ms, sync_ms } => {
                world.store.set_slow(Some(sync_ms));
                world.disk.set_slow(Some(sync_ms));
                self.later(now + ms, Deed::EndSlowSync);
            }
            Kind::SyncFails => world.store.set_fails(true),
            Kind::DiskFull { ms } => {
                world.store.set_full(true);
                self.record.pages().set_full(true);
                world.disk.set_full(true);
                self.later(now + ms, Deed::EndFull);
            }
            Kind::Clock { by_ms } => {
                world.net.skew(by_ms);
                self.record.pages().skew(by_ms);
                if world.store.keeps().age_ms.is_some() {
                    self.record.pages().truth.note_clock(by_ms);
                }
            }
        }
    }

    /// Notes whom a fault may delay until they connect again.
    fn hinder(&self, kind: &Kind) {
        let mut pages = self.record.pages();
        let now = pages.now();
        pages.strike();
        let is_servers = !matches!(
            kind,
            Kind::Hold { .. }
                | Kind::Cut { .. }
                | Kind::Stall { .. }
                | Kind::HalfOpen { .. }
                | Kind::Reset { .. }
                | Kind::ClientCrash { .. }
        );
        if is_servers {
            pages.strike_server();
        }
        for (at, sight) in pages.sights.iter_mut().enumerate() {
            let is_hit = match *kind {
                Kind::Hold { host, .. } | Kind::Cut { host, .. } => self.hosts.get(at) == Some(&host),
                Kind::Stall { client, .. } | Kind::HalfOpen { client } => usize::from(client) == at,
                Kind::ServerCrash { .. } | Kind::ServerStop { .. } | Kind::SyncFails => true,
                _ => false,
            };
            if is_hit {
                sight.hinder(now);
            }
        }
    }

    /// Whether nothing is wrong with a host's link yet; one thing at a time.
    fn is_whole(&self, host: usize, world: &World) -> bool {
        let state = world.net.state();
        state.hosts.get(host).is_some_and(|host| !host.held && !host.cut_up && !host.cut_down)
    }

    fn hold(&mut self, host: usize, until: u64, world: &mut World) {
        if !self.is_whole(host, world) {
            return;
        }
        world.net.state().hosts[host].held = true;
        world.ground.hold(host);
        self.later(until, Deed::Release(host));
    }

    fn release(&mut self, host: usize, world: &mut World) {
        if std::mem::take(&mut world.net.state().hosts[host].held) {
            if pipes_at(world, host).iter().any(|pipe| under_way(pipe) > (0, 0)) {
                self.record.hit(Sometimes::HeldAndReleased);
            }
            world.ground.release(host);
        }
    }

    fn cut(&mut self, host: usize, until: u64, (up, down): (bool, bool), world: &mut World, ms: u64) {
        if !self.is_whole(host, world) {
            return;
        }
        {
            let mut state = world.net.state();
            (state.hosts[host].cut_up, state.hosts[host].cut_down) = (up, down);
        }
        world.ground.cut(host, up, down);
        for pipe in pipes_at(world, host) {
            let (above, below) = under_way(&pipe);
            if up && above > 0 || down && below > 0 {
                world.net.note_loss(&pipe);
            }
        }
        if ms > LONG_MS && up != down && !pipes_at(world, host).is_empty() {
            self.record.hit(Sometimes::LongOneWayCut);
        }
        self.later(until, Deed::Mend(host, up, down));
    }

    fn mend(&mut self, host: usize, up: bool, down: bool, world: &mut World) {
        let was_cut = {
            let mut state = world.net.state();
            let host = &mut state.hosts[host];
            std::mem::take(&mut host.cut_up) | std::mem::take(&mut host.cut_down)
        };
        if !was_cut {
            return;
        }
        world.ground.mend(host, up, down);
        self.give_up_classic(pipes_at(world, host));
    }

    /// Classic clients have no heartbeat: the system's keepalive ends what lost bytes.
    fn give_up_classic(&self, pipes: Vec<Arc<Pipe>>) {
        for pipe in pipes {
            let given_up = {
                let state = pipe.state();
                (state.lossy || state.dark) && state.owner.is_none_or(|owner| owner.classic)
            };
            if given_up {
                self.record.hit(Sometimes::ClassicCut);
                pipe.reset();
            }
        }
    }

    fn crash_server(&mut self, world: &mut World, now: u64, down_ms: u64, power: bool) {
        if !self.server_up {
            return;
        }
        self.record.hit(Sometimes::ServerDied);
        if power {
            world.net.pipes().iter().for_each(|pipe| pipe.darken());
        }
        self.end_server(world, now, down_ms);
        if power {
            world.disk.lose_power(&mut crate::seed::stream(now, "power", 0));
        }
    }

    fn end_server(&mut self, world: &mut World, now: u64, down_ms: u64) {
        self.server_up = false;
        self.stopping = None;
        world.net.state().server_ends = true;
        self.record.pages().note_server_end();
        world.ground.crash_server();
        // It may have ended by itself in this very step: that is not the next one's end.
        (world.server.process().stop, world.server.process().ended) = (None, None);
        world.net.state().server_ends = false;
        world.store.crash();
        self.later(now + down_ms, Deed::StartServer);
    }

    fn start_server(&mut self, world: &mut World) {
        if !self.server_up {
            self.server_up = true;
            // Whoever is still connected to the process before it is told by its machine's TCP.
            self.give_up_classic(world.net.pipes());
            world.ground.start_server();
        }
    }

    fn stop_server(&mut self, world: &World, now: u64, down_ms: u64) {
        if !self.server_up || self.stopping.is_some() {
            return;
        }
        if world.server.process().stop.as_ref().map(|stop| stop.send_replace(true)).is_none() {
            // Its process is only just starting.
            self.later(now + 1, Deed::Begin(Kind::ServerStop { down_ms }));
            return;
        }
        if world.store.is_busy() {
            self.record.hit(Sometimes::Drained);
        }
        self.stopping = Some(Stopping { since: now, down_ms });
        self.later(now + STOP_MS, Deed::CheckStopped(now));
    }

    /// Looks whether the server ended by itself, or stands at a point where it is to crash.
    fn watch_server(&mut self, world: &mut World, now: u64) {
        if !self.server_up {
            return;
        }
        let ended = world.server.process().ended.take();
        if let Some(in_order) = ended {
            // A sync that fails while a stop drains ends the server with an error, as it should.
            let is_right = if in_order { self.stopping.is_some() } else { world.store.take_failed() };
            if !is_right {
                self.record
                    .fail(Rule::NothingLeft, format!("the server ended at {now} ms, in order: {in_order}"));
            }
            world.store.set_fails(false);
            self.end_server(world, now, self.stopping.map_or(REPAIR_MS, |stopping| stopping.down_ms));
        }
        if world.store.take_sprung()
            && let Some((_, kind)) = self.at_batch.pop_front()
        {
            self.begin(&kind, world, now);
        }
        if world.disk.take_sprung()
            && let Some((_, kind)) = self.at_piece.pop_front()
        {
            self.begin(&kind, world, now);
        }
    }

    /// Ends all faults: from here on everything works.
    pub(crate) fn heal(&mut self, world: &mut World, now: u64) {
        self.record.note(Who::Fault, "all is healed", 0);
        self.healed = true;
        let deeds = std::mem::take(&mut self.deeds);
        let ends = deeds.into_values().filter(|deed| !matches!(deed, Deed::Begin(_) | Deed::CheckStopped(_)));
        ends.for_each(|deed| self.carry_out(deed, world, now));
        world.store.set_trap_once(None);
        world.disk.set_trap_once(None);
        world.store.set_fails(false);
        if world.store.take_sprung() || world.disk.take_sprung() {
            self.crash_server(world, now, 0, false);
        }
        self.give_up_classic(world.net.pipes());
        world.orders.set_phase(Phase::Settle);
    }

    pub(crate) fn server_is_up(&self) -> bool {
        self.server_up && self.stopping.is_none()
    }
}

fn pipes_of(world: &World, client: u16) -> Vec<Arc<Pipe>> {
    let mut pipes = world.net.pipes();
    pipes.retain(|pipe| pipe.state().owner.is_some_and(|owner| owner.client == client));
    pipes
}

fn pipes_at(world: &World, host: usize) -> Vec<Arc<Pipe>> {
    let mut pipes = world.net.pipes();
    pipes.retain(|pipe| pipe.host == host);
    pipes
}

fn under_way(pipe: &Pipe) -> (usize, usize) {
    let state = pipe.state();
    (state.up.under_way, state.down.under_way)
}
