//! TCP.

use crate::address::Address;
use crate::drive::{Connect, Connecting};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};

/// Connects to an address, by any of the numbers that its name has.
#[derive(Clone, Debug)]
pub(super) struct Tcp {
    pub(super) address: Address,
    /// Whether the system asks the other side whether it is there: a classic server is never heard otherwise.
    pub(super) keepalive: bool,
}

/// A name that no number belongs to; told apart from a number that does not answer.
#[derive(Debug, thiserror::Error)]
#[error("unknown host")]
pub(super) struct UnknownHost;

impl Connect for Tcp {
    type Stream = TcpStream;

    fn connect(&self) -> Connecting<TcpStream> {
        let keepalive = self.keepalive;
        let (host, port) = (self.address.host.clone(), self.address.port());
        Box::pin(async move {
            let unknown = |_| io::Error::new(io::ErrorKind::NotFound, UnknownHost);
            let mut last = io::Error::new(io::ErrorKind::NotFound, UnknownHost);
            for address in lookup_host((host.as_str(), port)).await.map_err(unknown)? {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        if keepalive {
                            SockRef::from(&stream).set_tcp_keepalive(&probes())?;
                        }
                        return Ok(stream);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }
}

/// A silent connection is dead after 30 s.
fn probes() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3)
}
