//! The listener: takes connections in, within limits.

use crate::clock::Steady;
use crate::conn::ConnId;
use crate::connection::{Moved, Shared, serve};
use crate::files::FileSystem;
use crate::origin::Origin;
use crate::places::Places;
use crate::rate::{Patience, Payers, Rates};
use crate::refusals::Refusals;
use crate::store::Store;
use crate::turned_away::TurnedAway;
use protocol::code::Code;
use protocol::limits::rates::Bucket;
use socket2::{SockRef, TcpKeepalive};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How often it is looked whether refusals are to be counted in the log.
const COUNT_REFUSALS: Duration = Duration::from_secs(1);

/// Bytes that the system takes of a connection that is not taken in.
const KEPT_BUFFER: usize = 4 * 1_024;

/// How long to wait when the machine has no more sockets.
const NO_SOCKETS: Duration = Duration::from_millis(100);

/// How long bytes of a classic connection may be unacknowledged, or find its peer's window closed, before the kernel
/// gives it up: keepalive says nothing while bytes are on their way. Longer than a terminal that is stopped for a moment.
/// Native clients have heartbeats, and a slow reader among them is never dropped for being slow.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

/// How long connections may take to end once the server stops: the hub's drain comes first.
const ENDING: Duration = Duration::from_millis(2_300);

/// Something that connections come out of: TCP here, a simulated network elsewhere.
pub trait Listen: Send {
    /// The half of a connection that is read.
    type Read: AsyncRead + Unpin + Send + 'static;
    /// The half of a connection that is written.
    type Write: AsyncWrite + Unpin + Send + 'static;

    /// The next connection and where it comes from.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Read, Self::Write, SocketAddr)>> + Send;

    /// Makes a connection ready that is taken in. Nothing by default.
    fn prepare(_write: &Self::Write) {}

    /// Makes a connection ready that is not taken in, and is to hold little while it is kept. Nothing by default.
    fn keep(_write: &Self::Write) {}

    /// Closes a connection of which nothing was read.
    fn close(read: Self::Read, write: Self::Write) {
        drop((read, write));
    }

    /// Ends a connection whose peer takes nothing for long: one without heartbeats, whose peer may be gone. Nothing by
    /// default: a simulated network does that itself.
    fn bound_unacknowledged(_write: &Self::Write) {}
}

impl Listen for TcpListener {
    type Read = OwnedReadHalf;
    type Write = OwnedWriteHalf;

    async fn accept(&mut self) -> io::Result<(OwnedReadHalf, OwnedWriteHalf, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        let (read, write) = stream.into_split();
        Ok((read, write, peer))
    }

    fn prepare(write: &OwnedWriteHalf) {
        if let Err(error) = set_options(write.as_ref()) {
            // Its peer is gone already, most likely: whoever reads from it finds out.
            tracing::debug!(%error, "a socket without its options");
        }
    }

    fn keep(write: &OwnedWriteHalf) {
        // What it sends is not read; where the system does not do it, its buffer is as large as any other.
        let _ = SockRef::from(write.as_ref()).set_recv_buffer_size(KEPT_BUFFER);
    }

    fn close(read: OwnedReadHalf, write: OwnedWriteHalf) {
        // To end the stream in order first costs as much again.
        write.forget();
        drop(read);
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn bound_unacknowledged(write: &OwnedWriteHalf) {
        if let Err(error) = SockRef::from(write.as_ref()).set_tcp_user_timeout(Some(UNACKNOWLEDGED)) {
            tracing::debug!(%error, "a socket without its options");
        }
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    // We gather what there is to write ourselves; waiting for more only delays it.
    stream.set_nodelay(true)?;
    // Classic clients have no heartbeat: the kernel finds out that they are gone.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Whether an error of `accept` is about one connection, which ended while it waited or was not let through: the next
/// one can be taken at once. All others are taken for a lack of descriptors or memory.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
        PermissionDenied,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
    )
}

/// Takes connections in until `stop` turns true, then waits a moment for those that are left.
pub async fn accept_all<L: Listen, St: Store, F: FileSystem>(
    mut listener: L,
    shared: Arc<Shared<St, F>>,
    places: Arc<Places>,
    mut stop: watch::Receiver<bool>,
) {
    let (mut connections, everybody) = (JoinSet::new(), Handle::current());
    let new_people = shared.new_people.clone().unwrap_or(everybody);
    let mut turned_away = TurnedAway::<L>::new(shared.limits.connections.turned_away);
    let mut rates = Rates::new(shared.limits.rates.clone());
    let mut refusals = Refusals::of("connections");
    let mut last = 0;
    let mut count_refusals = tokio::time::interval(COUNT_REFUSALS);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                go_on(&mut connections, ended, &new_people);
                continue;
            }
            _ = count_refusals.tick() => {
                log_refusals(refusals.line(shared.clock.now().steady));
                continue;
            }
            () = turned_away.end_due() => continue,
            accepted = listener.accept() => accepted,
        };
        let (read, write, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection ended before it was taken in");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken in");
                tokio::time::sleep(NO_SOCKETS).await;
                continue;
            }
        };
        let is_exempt = shared.limits.local.is_exempt(peer.ip());
        let entered = places.enter(Origin::of(peer.ip()), is_exempt);
        let entered = entered.and_then(|place| Ok((place, hold_of(&mut rates, peer, &shared)?)));
        let (place, hold) = match entered {
            Ok(entered) => entered,
            Err(code) => {
                tracing::debug!(%peer, code = code.name(), "a connection was turned away");
                log_refusals(refusals.add(code, shared.clock.now().steady));
                turned_away.add(read, write, code).await;
                continue;
            }
        };
        L::prepare(&write);
        last += 1;
        let served = serve(ConnId(last), peer, read, write, L::bound_unacknowledged, place, shared.clone());
        if hold.is_zero() {
            // A task that could wait would be larger, for all.
            connections.spawn(served);
        } else {
            let held = async move {
                // Nothing of it is read until then: whoever connects again and again waits for themself.
                tokio::time::sleep(hold).await;
                served.await
            };
            connections.spawn(held);
        }
    }
    log_refusals(refusals.line(Steady(u64::MAX)));
    drop(listener);
    let ended = async {
        while let Some(ended) = connections.join_next().await {
            go_on(&mut connections, ended, &new_people);
        }
    };
    let _ = timeout(ENDING, ended).await;
}

/// Goes on with a connection of somebody new, where new people are served.
fn go_on(
    connections: &mut JoinSet<Option<Moved>>,
    ended: Result<Option<Moved>, tokio::task::JoinError>,
    new_people: &Handle,
) {
    match ended {
        Ok(None) => {}
        Ok(Some(moved)) => {
            connections.spawn_on(moved.go_on(false), new_people);
        }
        Err(error) if error.is_panic() => tracing::error!(%error, "a connection's task panicked"),
        Err(_) => {}
    }
}

/// For how long nothing is read of a connection that just came, since too many came from there.
///
/// # Errors
/// [`Code::Busy`] if that is too long.
fn hold_of<St, F>(rates: &mut Rates, peer: SocketAddr, shared: &Shared<St, F>) -> Result<Duration, Code> {
    let Some(payers) = Payers::of(None, peer.ip(), shared.limits.local) else { return Ok(Duration::ZERO) };
    let (payers, patience) = (payers.who_are_new(true), Patience::Ms(shared.limits.max_hold_ms));
    let taken = rates.take(Bucket::Connections, payers, 1, patience, shared.clock.now().steady);
    taken.map(Duration::from_millis).map_err(|_| Code::Busy)
}

fn log_refusals(line: Option<String>) {
    if let Some(line) = line {
        tracing::info!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_ended_early_is_no_lack_of_descriptors() {
        assert!(is_of_one_connection(&io::ErrorKind::ConnectionAborted.into()));
        assert!(!is_of_one_connection(&io::Error::from_raw_os_error(24)), "EMFILE");
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[tokio::test]
    async fn bytes_that_nobody_acknowledges_end_a_classic_connection() {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (read, write, _) = Listen::accept(&mut listener).await.unwrap();
        let socket = SockRef::from(read.as_ref());
        assert_eq!(socket.tcp_user_timeout().unwrap(), None, "native readers may be slow");
        <TcpListener as Listen>::bound_unacknowledged(&write);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }
}
