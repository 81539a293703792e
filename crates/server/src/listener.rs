//! The listener: takes connections in, within limits.

use crate::conn::ConnId;
use crate::connection::{Shared, serve};
use crate::files::FileSystem;
use crate::inbound::Refusal;
use crate::inbox::Inbox;
use crate::rate::{LocalAddresses, network};
use crate::store::Store;
use protocol::code::Code;
use protocol::limits::{MAX_PER_ADDRESS, MAX_STRANGERS};
use socket2::{SockRef, TcpKeepalive};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections that are told at once why they are turned away. Those beyond it are closed without a word.
const TURNED_AWAY: usize = 64;

/// How long that may take.
const TURNING_AWAY: Duration = Duration::from_secs(1);

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

    /// Ends a connection whose peer takes nothing for long: one without heartbeats, whose peer may be gone. Nothing by
    /// default: a simulated network does that itself.
    fn bound_unacknowledged(_write: &Self::Write) {}
}

impl Listen for TcpListener {
    type Read = OwnedReadHalf;
    type Write = OwnedWriteHalf;

    async fn accept(&mut self) -> io::Result<(OwnedReadHalf, OwnedWriteHalf, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        if let Err(error) = set_options(&stream) {
            // Its peer is gone already, most likely: whoever reads from it finds out.
            tracing::debug!(%peer, %error, "a socket without its options");
        }
        let (read, write) = stream.into_split();
        Ok((read, write, peer))
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

/// Open connections by network.
#[derive(Debug, Default)]
struct Addresses {
    open: Mutex<BTreeMap<IpAddr, usize>>,
    local: LocalAddresses,
}

impl Addresses {
    fn new(local: LocalAddresses) -> Self {
        Self { open: Mutex::default(), local }
    }

    /// Counts a connection; false if its network has as many as it may.
    fn enter(&self, address: IpAddr) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network(address)).or_default();
        if *count >= MAX_PER_ADDRESS && !self.local.is_exempt(address) {
            return false;
        }
        *count += 1;
        true
    }

    fn leave(&self, address: IpAddr) {
        let network = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&network);
            }
        }
    }
}

/// Takes connections in until `stop` turns true, then waits a moment for those that are left.
pub async fn accept_all<L: Listen, St: Store, F: FileSystem>(
    mut listener: L,
    shared: Arc<Shared<St, F>>,
    max_clients: usize,
    mut stop: watch::Receiver<bool>,
) {
    let addresses = Arc::new(Addresses::new(shared.limits.local));
    let mut connections = JoinSet::new();
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let (mut last, mut refusals) = (0, 0_u64);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                report_panic(ended);
                continue;
            }
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
        let refused = if connections.len() >= max_clients + MAX_STRANGERS {
            Some(Code::ServerFull)
        } else {
            (!addresses.enter(peer.ip())).then_some(Code::AddressFull)
        };
        if let Some(code) = refused {
            refusals += 1;
            let code_name = code.name();
            tracing::info!(%peer, code = code_name, refusals, "a connection was turned away");
            if let Ok(permit) = turned_away.clone().try_acquire_owned() {
                tokio::spawn(async move {
                    turn_away(read, write, code).await;
                    drop(permit);
                });
            }
            continue;
        }
        last += 1;
        let (shared, addresses) = (shared.clone(), addresses.clone());
        connections.spawn(async move {
            serve(ConnId(last), peer, read, write, L::bound_unacknowledged, shared).await;
            addresses.leave(peer.ip());
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(ENDING, ended).await;
}

/// Tells a connection why it is not taken, before anything of it is read. What it sends meanwhile is taken off the
/// socket: a close with bytes unread would throw the reason away.
async fn turn_away(read: impl AsyncRead + Unpin, mut write: impl AsyncWrite + Unpin, code: Code) {
    let last_words = Refusal::of(code).encode_closing();
    let said = async {
        write.write_all(&last_words).await?;
        write.shutdown().await?;
        Inbox::new(read).discard().await;
        io::Result::Ok(())
    };
    // Who does not listen is gone without having heard it.
    let _ = timeout(TURNING_AWAY, said).await;
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
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

#[cfg(test)]
mod refusals {
    use super::*;
    use protocol::message::ServerMsg;
    use tokio::io::{AsyncReadExt, duplex, split};

    #[test]
    fn an_address_has_so_many_connections_and_this_machine_any_number() {
        let addresses = Addresses::default();
        let (far, near): (IpAddr, IpAddr) = ([192, 0, 2, 7].into(), [127, 0, 0, 1].into());
        let (other, same): (IpAddr, IpAddr) =
            ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        for _ in 0..MAX_PER_ADDRESS {
            assert!(addresses.enter(far) && addresses.enter(near) && addresses.enter(other));
        }
        assert!(!addresses.enter(far) && addresses.enter(near));
        assert!(!addresses.enter(same), "of the same network");
        addresses.leave(far);
        assert!(addresses.enter(far), "one has left");
    }

    #[tokio::test]
    async fn a_connection_too_many_is_told_so_before_it_has_said_anything() {
        let (ours, mut theirs) = duplex(1_024);
        let (read, write) = split(ours);
        let turned = tokio::spawn(turn_away(read, write, Code::AddressFull));
        let mut heard = vec![0; Refusal::of(Code::AddressFull).encode_closing().len()];
        theirs.read_exact(&mut heard).await.unwrap();
        let msg = ServerMsg::decode(heard[4], &heard[5..]).unwrap().unwrap();
        assert!(matches!(msg, ServerMsg::Error { code: 116, close: true, about: 0, req: 0, .. }), "{msg:?}");
        drop(theirs);
        turned.await.unwrap();
    }
}
