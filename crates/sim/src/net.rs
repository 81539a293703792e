//! The simulated network, as the server sees it.

use protocol::id::Millis;
use server::clock::Clock;
use server::listener::Listen;
use std::io;
use std::net::SocketAddr;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A listener on a simulated host.
pub struct SimListener(pub turmoil::net::TcpListener);

impl Listen for SimListener {
    type Read = OwnedReadHalf;
    type Write = OwnedWriteHalf;

    async fn accept(&mut self) -> io::Result<(OwnedReadHalf, OwnedWriteHalf, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        let (read, write) = stream.into_split();
        Ok((read, write, peer))
    }
}

/// Simulated time, which stands still while a host computes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimClock;

impl Clock for SimClock {
    fn now(&self) -> Millis {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        Millis(crate::world::EPOCH_MS + u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}
