//! A connection that says and hears plain frames, right or wrong ones.

use super::PATIENCE;
use bytes::{Buf, Bytes, BytesMut};
use protocol::limits::{HEADER, MAX_BULK_FRAME, MAX_FRAME};
use protocol::message::{ClientMsg, ServerMsg};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// A bare connection to a server.
pub struct Raw {
    stream: TcpStream,
    frames: Frames,
}

impl Raw {
    /// Connects and says nothing.
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("the server listens");
        stream.set_nodelay(true).expect("a fresh socket takes options");
        Self { stream, frames: Frames::default() }
    }

    /// The same from another address of this machine, which stands for a stranger's.
    pub async fn connect_from(from: Ipv4Addr, addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be had");
        socket.bind((from, 0).into()).expect("all of 127.0.0.0/8 is this machine's");
        let stream = socket.connect(addr).await.expect("the server listens");
        stream.set_nodelay(true).expect("a fresh socket takes options");
        Self { stream, frames: Frames::default() }
    }

    /// The same for files.
    pub async fn connect_bulk(addr: SocketAddr) -> Self {
        let mut raw = Self::connect(addr).await;
        raw.frames.bulk = true;
        raw
    }

    /// Sends bytes. What the other side does not want to have is lost without a word, as it is for any client.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("the server reads");
    }

    /// Sends a message.
    pub async fn say(&mut self, msg: &ClientMsg) {
        self.send(&msg.encode()).await;
    }

    /// The next frame, `None` when the server has closed.
    pub async fn frame(&mut self) -> Option<(u8, Bytes)> {
        let next = timeout(PATIENCE, self.frames.next(&mut self.stream));
        next.await.expect("waited in vain for a frame or for the connection's end")
    }

    /// The next native message that matches; others are passed over. `None` when the server has closed.
    pub async fn find<R>(&mut self, mut look: impl FnMut(ServerMsg) -> Option<R>) -> Option<R> {
        loop {
            let (ty, payload) = self.frame().await?;
            let msg = ServerMsg::decode(ty, &payload);
            let msg = msg.unwrap_or_else(|error| panic!("type {ty:#04x}: {error}"));
            if let Some(found) = msg.and_then(&mut look) {
                return Some(found);
            }
        }
    }

    /// Tells the server that nothing more will be sent.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }
}

/// Cuts a stream into frames: naively, so as not to share the faults of `protocol`'s own way.
#[derive(Default)]
pub struct Frames {
    buffer: BytesMut,
    /// Whether they may be as large as on a connection for files.
    bulk: bool,
}

impl Frames {
    /// The next frame; `None` at the stream's end, however it came.
    ///
    /// # Panics
    /// If the server breaks the limit of a frame.
    pub async fn next(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Bytes)> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            match stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// A frame that lies whole in the buffer.
    fn take(&mut self) -> Option<(u8, Bytes)> {
        let len = u32::from_be_bytes(*self.buffer.first_chunk()?);
        let most = if self.bulk { MAX_BULK_FRAME } else { MAX_FRAME };
        assert!((1..=most).contains(&len), "a frame of {len} bytes");
        let end = 4 + len as usize;
        if self.buffer.len() < end {
            return None;
        }
        let mut frame = self.buffer.split_to(end).freeze();
        let ty = frame[HEADER - 1];
        frame.advance(HEADER);
        Some((ty, frame))
    }
}
