//! The rim of the real server: sockets, signals, the clock and the exit code.

use crate::banner::announce;
use crate::bounds::ConnectionBounds;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Plaintext, random_epoch, random_key};
use crate::connection::Shared;
use crate::descriptors;
use crate::drive::drive_hub;
use crate::files::{Contents, Disk, FileSystem, TemporaryFolder, open_folder};
use crate::half_frames::HalfFrames;
use crate::hub::{Hub, Settings, first_numbers};
use crate::lanes::lanes;
use crate::limits::Limits;
use crate::listener::{Listen, accept_all};
use crate::logging;
use crate::operator_socket::{self, OperatorSocket, Place};
use crate::places::Places;
use crate::priority::come_last;
use crate::signals::watch_signals;
use crate::store::{
    Batch, Change, Expiry, Folder, FolderError, Hiding, MemoryLimits, MemoryStore, MissingFiles, OpenError,
    Options, Reserved, Snapshot, SqliteStore, Store, StoreError, StoredFile,
};
use crate::turns::Turns;
use chrono::{DateTime, FixedOffset, Local, Offset};
use protocol::id::{Epoch, Millis};
use protocol::limits::MAX_AWAITING_COMMIT;
use protocol::message::Durability;
use protocol::size::human_size;
use protocol::system_words::plain_words;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, watch};

/// Events on their way to the hub.
const EVENTS: usize = 1_024;

/// Bytes of the operator's words: a page of text.
const MAX_MOTD: usize = 4_096;

/// Why the server ended.
#[derive(Debug, Error)]
pub enum RunError {
    /// It can't listen there.
    #[error("can't listen on {address}: {}", plain_words(source))]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The folder for files can't be made.
    #[error("can't make a folder for files in '{path}': {}", plain_words(source))]
    Folder {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The data folder can't be had.
    #[error(transparent)]
    Data(#[from] FolderError),
    /// What is in the data folder can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store failed.
    #[error("{error}{cause}", error = .0, cause = cause(.0))]
    Store(#[from] StoreError),
    /// The system did not give what every program gets.
    #[error("the system refused {what}: {}", plain_words(source))]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why it was refused.
        source: io::Error,
    },
}

/// Why the system failed the store, where it did.
fn cause(error: &StoreError) -> String {
    std::error::Error::source(error).map_or_else(String::new, |source| format!(": {}", plain_words(source)))
}

impl RunError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    "another server may run there: stop it, or take another port with --port"
                }
                io::ErrorKind::PermissionDenied => "ports below 1024 need more rights: take a higher one",
                io::ErrorKind::AddrNotAvailable => {
                    "this machine does not have that address: --host 0.0.0.0 means all that it has"
                }
                _ => "check --host and --port",
            },
            Self::Data(FolderError::Io { source, .. }) | Self::Folder { source, .. }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                "there is no space: make some there, then start again"
            }
            Self::Folder { .. } => {
                "name a folder that may be written to with --data, or --temp for the memory store"
            }
            Self::Data(error) => error.hint(),
            Self::Open(error) => error.hint(),
            Self::Store(StoreError::Changed { .. }) => {
                "stop what changes files in the data folder and put back what was there, or restore a backup"
            }
            Self::Store(_) => "nothing unconfirmed was acknowledged; check the disk, then start again",
            Self::System { .. } => "check the limits of this process",
        }
    }
}

/// Runs the server, and says on stderr why it ended if that was not asked for.
pub fn run(config: &Config) -> ExitCode {
    logging::init(config.log_format);
    let (last, code) = match start(config) {
        Ok(()) => (String::new(), ExitCode::SUCCESS),
        Err(error) => (format!("natterd: {error}\nhint: {}\n", error.hint()), ExitCode::from(3)),
    };
    logging::finish(&last);
    code
}

/// Threads that wait for the disk where files are, which all compete with those that serve people.
const DISK_THREADS: usize = 16;

/// The same of new people.
const NEW_DISK_THREADS: usize = 4;

fn start(config: &Config) -> Result<(), RunError> {
    let failed = |source| RunError::System { what: "threads", source };
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(DISK_THREADS).build();
    let runtime = runtime.map_err(failed)?;
    // New people get the time that everybody else leaves.
    let new_people = Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(NEW_DISK_THREADS)
        .thread_name("new-people")
        .on_thread_start(come_last)
        .build()
        .map_err(failed)?;
    let of_new_people = new_people.handle().clone();
    let result = runtime.block_on(async {
        let address = format!("{}:{}", config.host, config.port);
        let failed = |source| RunError::Listen { address: address.clone(), source };
        let listener = TcpListener::bind((config.host.as_str(), config.port)).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        let network = Network { listener, local, new_people: of_new_people };
        let (stop, stopped) = watch::channel(false);
        let signals = watch_signals(stop).map_err(|source| RunError::System { what: "signals", source })?;
        let result = match config.on_disk() {
            None => serve_memory(config, network, stopped).await,
            Some(durability) => serve_folder(config, durability, network, stopped).await,
        };
        signals.abort();
        if result.is_ok() {
            tracing::info!("stopped");
        }
        result
    });
    // All connections had their time to end.
    new_people.shutdown_background();
    result
}

/// Where the network comes in.
struct Network {
    listener: TcpListener,
    local: SocketAddr,
    new_people: Handle,
}

/// Serves what lives as long as the program.
async fn serve_memory(
    config: &Config,
    network: Network,
    stopped: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let Network { listener, local, new_people } = network;
    tracing::info!("all data is in memory, and ends with this process");
    let epoch = fresh_epoch()?;
    let store = MemoryStore::new(epoch, MemoryLimits::default());
    let folder = temporary_folder(config, epoch)?;
    let space = file_space(config, folder.path());
    let contents = Contents::new(Disk, folder.path().to_owned(), space);
    let operator = bind_operator(Place::Port(local.port()));
    announce(local, config.plaintext, operator.as_ref());
    let clock = Arc::new(SystemClock::start());
    let settings = settings(config, space)?;
    let listeners = Listeners { network: listener, operator, new_people: Some(new_people) };
    serve_until(listeners, store, contents, clock, settings, config.plaintext, stopped).await?;
    Ok(())
}

/// Serves what is in the data folder.
async fn serve_folder(
    config: &Config,
    durability: Durability,
    network: Network,
    stopped: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let Network { listener, local, new_people } = network;
    let options = Options { durability, fresh_epoch: fresh_epoch()?, accept_loss: config.accept_loss };
    let folder = Folder::create(&config.data.clone().unwrap_or_else(Folder::default_path))?;
    say_where(&folder);
    let (path, data) = (folder.contents(), folder.path().to_owned());
    let store = SqliteStore::open(folder, &options)?;
    let files = store.load().await?.files;
    let named = files.iter().map(|file| file.hash).collect();
    let failed = |source| RunError::Folder { path: path.display().to_string(), source };
    open_folder(&path).map_err(failed)?;
    let space = file_space(config, &path);
    let contents = if store.is_new() {
        // No file is collected for the want of entries that name it: in a folder that looks new and is not, all are.
        Contents::new(Disk, path.clone(), space)
    } else {
        Contents::open(Disk, path.clone(), space, &named).await.map_err(failed)?
    };
    let clock = Arc::new(SystemClock::start());
    look_for_files(config, &store, &contents, &files, clock.now().wall);
    let operator = bind_operator(Place::Folder(&data));
    announce(local, config.plaintext, operator.as_ref());
    let settings = settings(config, space)?;
    let listeners = Listeners { network: listener, operator, new_people: Some(new_people) };
    let served = serve_until(listeners, store.clone(), contents, clock, settings, config.plaintext, stopped);
    let failed = store.failed();
    tokio::select! {
        biased;
        error = failed => return Err(error.into()),
        served = served => served?,
    }
    store.close().await?;
    Ok(())
}

/// Says where everything is kept, before anything can fail there.
fn say_where(folder: &Folder) {
    let path = std::path::absolute(folder.path()).unwrap_or_else(|_| folder.path().to_owned());
    let state = if folder.has_database() { "goes on there" } else { "begins there" };
    tracing::info!("all data is in the folder '{}', and {state}", path.display());
}

/// Says how many files are missing that messages name, and takes down how long they are kept from now on.
fn look_for_files(
    config: &Config,
    store: &SqliteStore,
    contents: &Contents<Disk>,
    files: &[StoredFile],
    now: Millis,
) {
    let known = store.expiry();
    let mut expiry = Expiry { keep_ms: config.files.keep_files, before: known.horizon(now) };
    let missing = MissingFiles::find(files, expiry.horizon(now), |hash| contents.size(hash).is_some());
    let MissingFiles { lost, .. } = missing;
    if lost > 0 && config.accept_loss {
        tracing::warn!(lost, "files that messages name are missing in 'contents', which is accepted");
        expiry.before = expiry.before.max(Millis(missing.newest.map_or(0, |newest| newest.0 + 1)));
    } else if lost > 0 {
        tracing::error!(
            lost,
            "files that messages name are missing in 'contents': put them back and start again, or start with \
             --accept-loss"
        );
    }
    if let Err(error) = store.set_expiry(expiry) {
        tracing::warn!(%error, "how long files are kept could not be written down: verify may miss some");
    }
}

/// Bytes that all files may have: what the operator says, else half of what is free there with what files have already, so
/// that each start finds the same.
fn file_space(config: &Config, folder: &Path) -> u64 {
    if let Some(mib) = config.file_space_mib {
        return mib.saturating_mul(1 << 20);
    }
    match disk_space(folder) {
        Ok((free, used)) => (free.saturating_add(used)) / 2,
        Err(error) => {
            tracing::warn!(%error, "how much of the disk is free could not be found out: files may take 8 GiB");
            8 << 30
        }
    }
}

/// Bytes that are free where this folder is, and those that its files have.
fn disk_space(folder: &Path) -> io::Result<(u64, u64)> {
    let disk = rustix::fs::statvfs(folder)?;
    let mut used = 0_u64;
    for file in std::fs::read_dir(folder)? {
        used = used.saturating_add(file?.metadata()?.len());
    }
    Ok((disk.f_bavail.saturating_mul(disk.f_frsize), used))
}

/// Makes the operator's socket. A server serves without one as well, and says so.
fn bind_operator(place: Place<'_>) -> Option<OperatorSocket> {
    let runtime = operator_socket::runtime_folder();
    let Some(path) = place.path(runtime.as_deref()) else {
        tracing::info!(
            "there is no place for the operator's socket: set XDG_RUNTIME_DIR, or take a shorter --data"
        );
        return None;
    };
    match OperatorSocket::bind(path.clone()) {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the operator's socket could not be made");
            None
        }
    }
}

/// Where connections come from.
#[derive(Debug)]
pub struct Listeners<L> {
    /// Everybody's.
    pub network: L,
    /// The operator's.
    pub operator: Option<OperatorSocket>,
    /// Where new people are served, if not where everybody is.
    pub new_people: Option<Handle>,
}

impl<L> From<L> for Listeners<L> {
    fn from(network: L) -> Self {
        Self { network, operator: None, new_people: None }
    }
}

/// Serves everybody who comes out of the listeners until `stop` turns true.
///
/// # Errors
/// [`StoreError`] if the store fails.
pub async fn serve_until<L: Listen + 'static, St: Store, F: FileSystem>(
    listeners: Listeners<L>,
    store: St,
    contents: Contents<F>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    plaintext: Plaintext,
    stop: watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let store = Hiding::new(store);
    let snapshot = store.load().await?;
    let max_file = settings.max_file;
    let limits = Arc::new(settings.limits.clone());
    let bounds = limits.connections;
    let history = Arc::new(store.clone());
    let index = Arc::new(contents.clone());
    let reserved = reserve_first(&store, &snapshot).await?;
    let hub = Hub::new(settings, snapshot, reserved, store.durability(), history, index, clock.now());
    let (events, incoming) = lanes(EVENTS);
    let awaiting = Arc::new(Semaphore::new(MAX_AWAITING_COMMIT));
    let operating = listeners.operator.map(|socket| tokio::spawn(socket.serve(events.of(false).clone())));
    let shared = Arc::new(Shared {
        store: store.clone(),
        contents,
        max_file,
        clock: clock.clone(),
        events,
        awaiting,
        plaintext,
        turns: Arc::new(Turns::new(&limits, clock.clone())),
        limits,
        half_frames: Arc::new(HalfFrames::new(
            bounds.half_frames,
            bounds.half_frames_per_address,
            clock.clone(),
        )),
        new_people: listeners.new_people,
    });
    let places = Arc::new(Places::new(bounds.places, bounds.per_address));
    let accepting = tokio::spawn(accept_all(listeners.network, shared, places, stop.clone()));
    let result = drive_hub(hub, store, clock, incoming, stop).await;
    if let Some(operating) = operating {
        operating.abort();
    }
    if result.is_ok() {
        // The connections write their last words; a panic in there was reported where it happened.
        let _ = accepting.await;
    }
    result
}

/// Reserves numbers for whoever comes first. On a full disk there are none, and nobody new is let in.
async fn reserve_first<St: Store>(store: &St, snapshot: &Snapshot) -> Result<Reserved, StoreError> {
    let numbers = first_numbers(snapshot);
    let changes = vec![Change::Reserve { numbers }];
    let commit = store.append(Batch { posts: Vec::new(), changes }).await?;
    Ok(if commit.changes.is_ok() { numbers } else { snapshot.last })
}

fn settings(config: &Config, space: u64) -> Result<Settings, RunError> {
    let bounds = config.connections.bounds();
    let afforded = descriptors::raise(usize::try_from(config.max_clients).unwrap_or(usize::MAX), &bounds);
    let max_file = config.max_file_mib.map_or(u64::MAX, |mib| mib.saturating_mul(1 << 20));
    let motd = protocol::text::sanitize(&config.motd);
    let motd = motd[..motd.floor_char_boundary(MAX_MOTD)].to_owned();
    let files = config.files.rules(space);
    if max_file > 0 {
        let [all, person, guests] = [space, files.person_bytes, files.guest_bytes].map(human_size);
        tracing::info!("files may take {all}, those of one person {person}, those of all guests {guests}");
    }
    let run_key = random_key::<8>().map_err(|source| RunError::System { what: "random numbers", source })?;
    Ok(Settings {
        max_clients: afforded.clients,
        max_file,
        motd,
        zone: local_zone,
        keep: config.keep.retention(),
        files,
        accept_clock: config.accept_clock,
        run_key: u64::from_le_bytes(run_key),
        limits: Limits {
            local: config.local_addresses(),
            connections: ConnectionBounds {
                places: afforded.places,
                turned_away: afforded.turned_away,
                ..bounds
            },
            ..Limits::default()
        },
        gauges: None,
    })
}

/// The offset of the machine's time zone at this time.
fn local_zone(at: Millis) -> FixedOffset {
    let time = i64::try_from(at.0).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    time.with_timezone(&Local).offset().fix()
}

/// Where files are kept until the server stops.
fn temporary_folder(config: &Config, epoch: Epoch) -> Result<TemporaryFolder, RunError> {
    let parent = config.temp.clone().unwrap_or_else(std::env::temp_dir);
    let id = format!("{:032x}", u128::from_be_bytes(epoch.0));
    TemporaryFolder::create(&parent, &id)
        .map_err(|source| RunError::Folder { path: parent.display().to_string(), source })
}

fn fresh_epoch() -> Result<Epoch, RunError> {
    random_epoch().map_err(|source| RunError::System { what: "random numbers", source })
}
