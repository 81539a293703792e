//! A socket that takes as many bytes as it was granted, and the smallest of executors.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncWrite;

#[derive(Debug, Default)]
struct State {
    written: Vec<u8>,
    granted: usize,
}

/// The socket; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pipe(Arc<Mutex<State>>);

impl Pipe {
    /// Lets so many bytes more be written.
    pub fn grant(&self, bytes: usize) {
        let mut state = self.0.lock().unwrap();
        state.granted = state.granted.saturating_add(bytes);
    }

    /// Takes what was written.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap().written)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock().unwrap();
        let taken = bytes.len().min(state.granted);
        if taken == 0 {
            return Poll::Pending;
        }
        state.granted -= taken;
        state.written.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a future that never waits.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the memory store never waits"),
    }
}
