//! The two ends of a real connection: the sockets as they are, with somebody who listens and takes notes.

use super::passage::{CONNECT_AGAIN, pass};
use super::proxy::Behind;
use crate::coverage::Sometimes;
use crate::net::{End, Net, Owner, Pipe, Tap};
use server::listener::Listen;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A client's connection, with a tap on it.
#[derive(Debug)]
pub(crate) struct Tapped {
    net: Net,
    owner: Owner,
    stream: TcpStream,
    tap: Option<Tap>,
    /// It has two ends, of which this is one.
    _pipe: Arc<Pipe>,
}

/// Connects a client to its host's door.
///
/// # Errors
/// The system's.
pub(crate) async fn connect(
    net: Net,
    owner: Owner,
    door: SocketAddr,
    tap: Option<Tap>,
) -> io::Result<Tapped> {
    let host = net.host_of(door.ip());
    // The first segment and its answer.
    pass(&net, host, End::Client, None, CONNECT_AGAIN).await;
    pass(&net, host, End::Server, None, CONNECT_AGAIN).await;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(net.plan.window)?;
    socket.set_send_buffer_size(net.plan.window)?;
    socket.bind(SocketAddr::new(door.ip(), 0))?;
    let pipe = net.pipe(socket.local_addr()?);
    pipe.state().owner = Some(owner);
    let stream = socket.connect(door).await?;
    stream.set_nodelay(true)?;
    Ok(Tapped { net, owner, stream, tap, _pipe: pipe })
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.net.record.work();
        let from = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let read = &buf.filled()[from..];
        if this.owner.bulk
            && let Some(sight) = this.net.record.pages().sights.get_mut(usize::from(this.owner.client))
        {
            sight.bulk_bytes += read.len() as u64;
        }
        if let Some(tap) = &mut this.tap {
            tap.hear(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl Tapped {
    /// The first `n` bytes of these went out.
    fn sent(&mut self, slices: &[IoSlice<'_>], mut n: usize) {
        let Some(tap) = &mut self.tap else { return };
        for slice in slices {
            let part = &slice[..n.min(slice.len())];
            tap.say(part);
            n -= part.len();
        }
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.net.record.work();
        let n = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.sent(slices, n);
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The server's listener: its own, and whose the connections are.
pub(super) struct Door {
    pub(super) net: Net,
    pub(super) listener: TcpListener,
    pub(super) behind: Behind,
}

impl Listen for Door {
    type Read = OwnedReadHalf;
    type Write = Watched;

    async fn accept(&mut self) -> io::Result<(OwnedReadHalf, Watched, SocketAddr)> {
        let (read, inner, peer) = Listen::accept(&mut self.listener).await?;
        Ok((read, Watched { net: self.net.clone(), inner, pipe: self.behind.pipe(peer) }, peer))
    }
}

/// The half that the server writes.
pub(super) struct Watched {
    net: Net,
    inner: OwnedWriteHalf,
    pipe: Option<Arc<Pipe>>,
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.net.record.work();
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        if written.is_pending() {
            self.net.record.hit(Sometimes::WriterParked);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let is_reaped = self.pipe.as_ref().is_some_and(|pipe| {
            let state = pipe.state();
            state.dark && !state.reset
        });
        if is_reaped && !self.net.state().server_ends {
            self.net.record.hit(Sometimes::HalfOpenReaped);
        }
    }
}
