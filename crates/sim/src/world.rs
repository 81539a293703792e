//! A world: the server on one host, and the clients on a few others; what is handed in to them, and to what.

use crate::actor::{Actor, Orders};
use crate::disk::{ClientDisk, ServerDisk};
use crate::ground::{Ground, Simulated};
use crate::net::{Bucket, Host, Net, ServerClock};
use crate::plan::{KeepPlan, LimitsPlan, Link, Plan};
use crate::record::Record;
use crate::rule::Rule;
use crate::seed::stream;
use crate::store::SimStore;
use crate::trace::Who;
use rand::RngExt;
use server::config::Plaintext;
use server::files::Contents;
use server::hub::{Gauges, Settings};
use server::keep::{KeepRule, Retention};
use server::limits::Limits;
use server::listener::Listen;
use server::run::serve_until;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The step of the world: long, because every host costs something in every step.
pub(crate) const TICK_MS: u64 = 5;

/// A world that can be run.
pub(crate) struct World {
    pub(crate) ground: Box<dyn Ground>,
    pub(crate) net: Net,
    pub(crate) store: SimStore,
    pub(crate) disk: ServerDisk,
    pub(crate) orders: Orders,
    pub(crate) server: Server,
    /// What the server keeps.
    pub(crate) gauges: Arc<Gauges>,
}

/// What all hosts share with whoever watches them; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) net: Net,
    pub(crate) store: SimStore,
    pub(crate) disk: ServerDisk,
    pub(crate) orders: Orders,
    pub(crate) server: Server,
    /// The disk of each client.
    disks: Vec<ClientDisk>,
    limits: Limits,
    gauges: Arc<Gauges>,
}

/// The server's process, seen from outside; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server(Arc<Mutex<Process>>);

#[derive(Debug, Default)]
pub(crate) struct Process {
    /// Asks it to stop.
    pub(crate) stop: Option<watch::Sender<bool>>,
    /// It has ended by itself: whether that was asked for.
    pub(crate) ended: Option<bool>,
    starts: u64,
    /// The runtime that it runs on.
    runtime: Option<tokio::runtime::Handle>,
}

impl Server {
    pub(crate) fn process(&self) -> MutexGuard<'_, Process> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tasks of the server that are alive.
    pub(crate) fn tasks(&self) -> usize {
        self.process().runtime.as_ref().map_or(0, |runtime| runtime.metrics().num_alive_tasks())
    }
}

impl Parts {
    /// What a plan needs.
    pub(crate) fn new(plan: &Plan, record: &Record) -> Self {
        let hosts = plan.links.iter().map(Host::new).collect();
        Self {
            net: Net::new(record.clone(), plan.net, plan.seed, hosts),
            store: SimStore::new(record.clone(), plan.store, plan.seed),
            disk: ServerDisk::new(record.clone(), plan.store.sync_ms, plan.seed),
            orders: Orders::default(),
            server: Server::default(),
            disks: (0..plan.clients.len()).map(|at| disk_of(plan, at, record)).collect(),
            limits: plan.limits.map(LimitsPlan::limits).unwrap_or_default(),
            gauges: Arc::default(),
        }
    }
}

impl World {
    /// The world of a plan in turmoil, before anything has happened.
    pub(crate) fn simulated(plan: &Plan, record: &Record, folder: Option<&PathBuf>) -> Self {
        let parts = Parts::new(plan, record);
        let ground = Simulated::new(plan, &parts, folder);
        Self::on(Box::new(ground), parts)
    }

    /// These parts, on this ground.
    pub(crate) fn on(ground: Box<dyn Ground>, parts: Parts) -> Self {
        let Parts { net, store, disk, orders, server, gauges, .. } = parts;
        Self { ground, net, store, disk, orders, server, gauges }
    }
}

impl Host {
    fn new(link: &Link) -> Self {
        let (up, down) = (Bucket::new(link.up), Bucket::new(link.down));
        let (queue, latency) = (link.queue_ms * 1_000, link.latency_ms * 1_000);
        Self { up, down, cut_up: false, cut_down: false, held: false, queue, latency }
    }
}

/// The disk of a client. Two devices of one person share its secret and nothing else.
fn disk_of(plan: &Plan, at: usize, record: &Record) -> ClientDisk {
    let disk = ClientDisk::new(record.clone());
    let mut secrets = stream(plan.seed, "secret", u64::from(plan.clients[at].person));
    let mut devices = stream(plan.seed, "device", at as u64);
    let mut hex = |words: usize, devices_only: bool| {
        let rng = if devices_only { &mut devices } else { &mut secrets };
        (0..words).map(|_| format!("{:016x}", rng.random::<u64>())).collect::<String>()
    };
    disk.lay_down("identity", format!("secret {}\ndevice {}\n", hex(4, false), hex(2, true)).into_bytes());
    disk
}

/// Who is on a host.
pub(crate) fn actors(host: usize, plan: &Plan, parts: &Parts, folder: Option<&PathBuf>) -> Vec<Actor> {
    let here = plan.clients.iter().enumerate().filter(|(_, client)| client.host == host && !client.absent);
    let actor = |(at, client): (usize, &crate::plan::ClientPlan)| Actor {
        net: parts.net.clone(),
        id: u16::try_from(at).unwrap_or(u16::MAX),
        plan: client.clone(),
        disk: parts.disks[at].clone(),
        orders: parts.orders.clone(),
        seed: plan.seed,
        folder: folder.cloned(),
    };
    here.map(actor).collect()
}

/// One process of the server; it ends with its host.
pub(crate) async fn serve<L: Listen + 'static>(listener: L, parts: Parts) -> std::io::Result<()> {
    let Parts { net, store, disk, server, limits, gauges, .. } = parts;
    let (stop, stopped) = watch::channel(false);
    let start = {
        let mut process = server.process();
        process.starts += 1;
        (process.stop, process.ended) = (Some(stop), None);
        process.runtime = Some(tokio::runtime::Handle::current());
        process.starts
    };
    net.record.note(Who::Server, "starts", start);
    let KeepPlan { count, age_ms, bytes } = store.keeps();
    let settings = Settings {
        max_clients: 10_000,
        max_file: 1 << 30,
        motd: String::new(),
        zone: |_| chrono::FixedOffset::east_opt(0).expect("UTC is a time zone"),
        keep: Retention { default: KeepRule { age_ms, count, bytes }, rooms: BTreeMap::new() },
        files: server::hub::FileRules::default(),
        accept_clock: false,
        run_key: 0x5a5a,
        limits,
        gauges: Some(gauges),
    };
    let contents = open_contents(&net, &store, disk).await?;
    let clock = Arc::new(ServerClock(net.clone()));
    let served =
        serve_until(listener.into(), store, contents, clock, settings, Plaintext::Anywhere, stopped).await;
    net.record.note(Who::Server, if served.is_ok() { "stops" } else { "fails" }, start);
    server.process().ended = Some(served.is_ok());
    std::future::pending().await
}

/// The contents that entries name. All of them must be there, whole, whatever has crashed.
async fn open_contents(
    net: &Net,
    store: &SimStore,
    disk: ServerDisk,
) -> std::io::Result<Contents<ServerDisk>> {
    // A store that forgets is about to.
    let files = if store.forgets() { Vec::new() } else { store.known().files };
    let named: BTreeSet<_> = files.into_iter().map(|file| file.hash).collect();
    let bytes = disk.contents();
    for hash in &named {
        let name = blake3::Hash::from_bytes(hash.0).to_hex();
        let whole =
            bytes.iter().any(|(found, bytes)| *found == *name && blake3::hash(bytes).to_hex() == name);
        if !whole {
            net.record.fail(
                Rule::WholeFiles,
                format!("an entry names the content {name}, which is lost or damaged"),
            );
        }
    }
    Contents::open(disk, PathBuf::from("/"), 1 << 30, &named).await
}
