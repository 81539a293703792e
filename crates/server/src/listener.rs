//! The listener: takes connections in, within limits.

use crate::conn::ConnId;
use crate::connection::{Shared, serve};
use crate::files::FileSystem;
use crate::store::Store;
use socket2::{SockRef, TcpKeepalive};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections beyond the logged-in ones: strangers that are about to log in or to be refused.
const STRANGERS: usize = 1_024;

/// Connections of one address other than this machine's own.
const PER_ADDRESS: usize = 256;

/// How long to wait when the machine has no more sockets.
const NO_SOCKETS: Duration = Duration::from_millis(100);

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
}

impl Listen for TcpListener {
    type Read = OwnedReadHalf;
    type Write = OwnedWriteHalf;

    async fn accept(&mut self) -> io::Result<(OwnedReadHalf, OwnedWriteHalf, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // We gather what there is to write ourselves; waiting for more only delays it.
        stream.set_nodelay(true)?;
        // Classic clients have no heartbeat: the kernel finds out that they are gone.
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(15))
            .with_interval(Duration::from_secs(5))
            .with_retries(3);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        let (read, write) = stream.into_split();
        Ok((read, write, peer))
    }
}

/// Open connections by address.
#[derive(Debug, Default)]
struct Addresses(Mutex<BTreeMap<IpAddr, usize>>);

impl Addresses {
    /// Counts a connection; false if the address has as many as it may.
    fn enter(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= PER_ADDRESS && !address.is_loopback() {
            return false;
        }
        *count += 1;
        true
    }

    fn leave(&self, address: IpAddr) {
        let address = address.to_canonical();
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
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
    let addresses = Arc::new(Addresses::default());
    let mut connections = JoinSet::new();
    let mut last = 0;
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
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken in");
                tokio::time::sleep(NO_SOCKETS).await;
                continue;
            }
        };
        if connections.len() >= max_clients + STRANGERS || !addresses.enter(peer.ip()) {
            tracing::debug!(%peer, "too many connections");
            continue;
        }
        last += 1;
        let (shared, addresses) = (shared.clone(), addresses.clone());
        connections.spawn(async move {
            serve(ConnId(last), peer, read, write, shared).await;
            addresses.leave(peer.ip());
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(ENDING, ended).await;
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
