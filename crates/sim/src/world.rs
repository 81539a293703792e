//! A world: the server on one simulated host, and the clients on a few others.

use crate::actor::{Actor, Orders};
use crate::disk::{ClientDisk, ServerDisk};
use crate::net::{Bucket, Host, Net, SERVER, ServerClock, SimListener};
use crate::plan::{KeepPlan, Link, Plan};
use crate::record::Record;
use crate::rule::Rule;
use crate::seed::stream;
use crate::store::SimStore;
use crate::trace::Who;
use protocol::limits::DEFAULT_PORT;
use rand::RngExt;
use server::config::Plaintext;
use server::files::Contents;
use server::hub::Settings;
use server::keep::{KeepRule, Retention};
use server::run::serve_until;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use turmoil::{Builder, Sim};

/// The step of the world: long, because every host costs something in every step.
pub(crate) const TICK_MS: u64 = 5;

/// Segments that a simulated connection holds, and connections that may wait to be accepted.
const TCP_CAPACITY: usize = 4_096;

/// A world that can be run.
pub(crate) struct World {
    pub(crate) sim: Sim<'static>,
    pub(crate) net: Net,
    pub(crate) store: SimStore,
    pub(crate) disk: ServerDisk,
    pub(crate) orders: Orders,
    pub(crate) server: Server,
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

/// The name of a client's host.
pub(crate) fn host_name(host: usize) -> String {
    format!("host{host}")
}

impl World {
    /// The world of a plan, before anything has happened.
    pub(crate) fn new(plan: &Plan, record: &Record, folder: Option<&PathBuf>) -> Self {
        let mut sim = build(plan);
        let hosts = plan.links.iter().map(Host::new).collect();
        let net = Net::new(record.clone(), plan.net, plan.seed, hosts);
        let store = SimStore::new(record.clone(), plan.store, plan.seed);
        let disk = ServerDisk::new(record.clone(), plan.store.sync_ms, plan.seed);
        let server = Server::default();
        let (start_net, start_store, start_disk, start_server) =
            (net.clone(), store.clone(), disk.clone(), server.clone());
        sim.host(SERVER, move || {
            let served =
                serve(start_net.clone(), start_store.clone(), start_disk.clone(), start_server.clone());
            async move {
                served.await?;
                Ok(())
            }
        });
        let mut world = Self { sim, net, store, disk, orders: Orders::default(), server };
        world.add_clients(plan, record, folder);
        world
    }

    fn add_clients(&mut self, plan: &Plan, record: &Record, folder: Option<&PathBuf>) {
        let disks: Vec<_> = (0..plan.clients.len()).map(|at| disk_of(plan, at, record)).collect();
        for (host, link) in plan.links.iter().enumerate() {
            let (net, orders, plan, disks) =
                (self.net.clone(), self.orders.clone(), plan.clone(), disks.clone());
            let folder = folder.cloned();
            self.sim.host(host_name(host), move || {
                let actors = actors(host, &plan, &net, &orders, &disks, folder.as_ref());
                async move {
                    actors.into_iter().for_each(|actor| drop(tokio::task::spawn_local(actor.live())));
                    std::future::pending().await
                }
            });
            let address = self.sim.lookup(host_name(host));
            self.net.place_host(address, host);
            let latency = Duration::from_millis(link.latency_ms);
            self.sim.set_link_max_message_latency(SERVER, host_name(host), latency);
        }
    }
}

fn build(plan: &Plan) -> Sim<'static> {
    Builder::new()
        .rng_seed(plan.seed)
        // Both default to something that no two runs share.
        .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(crate::net::EPOCH_MS))
        .simulation_duration(Duration::from_secs(86_400 * 365))
        .tick_duration(Duration::from_millis(TICK_MS))
        .tcp_capacity(TCP_CAPACITY)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        .build()
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

fn actors(
    host: usize,
    plan: &Plan,
    net: &Net,
    orders: &Orders,
    disks: &[ClientDisk],
    folder: Option<&PathBuf>,
) -> Vec<Actor> {
    let here = plan.clients.iter().enumerate().filter(|(_, client)| client.host == host && !client.absent);
    let actor = |(at, client): (usize, &crate::plan::ClientPlan)| Actor {
        net: net.clone(),
        id: u16::try_from(at).unwrap_or(u16::MAX),
        plan: client.clone(),
        disk: disks[at].clone(),
        orders: orders.clone(),
        seed: plan.seed,
        folder: folder.cloned(),
    };
    here.map(actor).collect()
}

/// One process of the server; it ends with its host.
async fn serve(net: Net, store: SimStore, disk: ServerDisk, server: Server) -> std::io::Result<()> {
    let listener = turmoil::net::TcpListener::bind(("0.0.0.0", DEFAULT_PORT)).await?;
    let (stop, stopped) = watch::channel(false);
    let start = {
        let mut process = server.process();
        process.starts += 1;
        (process.stop, process.ended) = (Some(stop), None);
        process.runtime = Some(tokio::runtime::Handle::current());
        process.starts
    };
    net.record.note(Who::Server, "starts", start);
    let utc = chrono::FixedOffset::east_opt(0).expect("UTC is a time zone");
    let KeepPlan { count, age_ms } = store.keeps();
    let settings = Settings {
        max_clients: 10_000,
        max_file: 1 << 30,
        motd: String::new(),
        offset: utc,
        keep: Retention { default: KeepRule { age_ms, count, bytes: None }, rooms: BTreeMap::new() },
        files: server::hub::FileRules::default(),
    };
    let contents = open_contents(&net, &store, disk).await?;
    let clock = Arc::new(ServerClock(net.clone()));
    let listener = SimListener { net: net.clone(), listener };
    let served = serve_until(listener, store, contents, clock, settings, Plaintext::Anywhere, stopped).await;
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
