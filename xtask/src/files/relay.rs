//! A relay in front of the server that counts what passes, can slow it down, and cuts all its links on command.

use super::pace::Pace;
use crate::failure::Failure;
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

/// Bytes that are passed on at once.
const PIECE: usize = 64 * 1024;

/// A relay. Its links end with it.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    links: Mutex<Vec<(TcpStream, TcpStream)>>,
    /// Bytes that the server and the clients were given.
    up: AtomicU64,
    down: AtomicU64,
    closed: AtomicBool,
}

impl Relay {
    /// In front of `server`, with so many bytes a second each way on each link.
    ///
    /// # Errors
    /// Fails if no port is free.
    pub fn start(server: SocketAddr, rate: Option<u64>) -> Result<Self, Failure> {
        let failed = |source| Failure::Read { path: PathBuf::from("127.0.0.1:0"), source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let state: Arc<State> = Arc::default();
        let shared = state.clone();
        spawn(move || {
            for client in listener.incoming() {
                if shared.closed.load(Ordering::SeqCst) {
                    return;
                }
                // A link that can't be made is one that the client sees broken.
                let _ = client.and_then(|client| link(&shared, client, server, rate));
            }
        });
        Ok(Self { address, state })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that have passed: to the server, and to the clients.
    pub fn passed(&self) -> (u64, u64) {
        (self.state.up.load(Ordering::SeqCst), self.state.down.load(Ordering::SeqCst))
    }

    /// Cuts all links; how many there were.
    pub fn cut(&self) -> usize {
        let links = std::mem::take(&mut *self.state.lock());
        for (client, server) in &links {
            // One that has ended already is as good as cut.
            let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        }
        links.len()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the listener, which then ends.
        drop(TcpStream::connect(self.address));
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(TcpStream, TcpStream)>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn link(state: &Arc<State>, client: TcpStream, server: SocketAddr, rate: Option<u64>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    state.lock().push((client.try_clone()?, server.try_clone()?));
    let (up, down) = ((client.try_clone()?, server.try_clone()?), (server, client));
    let (counts_up, counts_down) = (state.clone(), state.clone());
    spawn(move || pass(up, rate, &counts_up.up));
    spawn(move || pass(down, rate, &counts_down.down));
    Ok(())
}

/// Passes bytes on until either side ends.
fn pass((mut from, mut to): (TcpStream, TcpStream), rate: Option<u64>, passed: &AtomicU64) {
    let mut piece = vec![0; PIECE];
    let mut pace = Pace::new(rate);
    while let Ok(read @ 1..) = from.read(&mut piece) {
        pace.wait_for(read);
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
        passed.fetch_add(read as u64, Ordering::SeqCst);
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a proof with real processes runs beside them, not in a simulation"
)]
fn spawn(work: impl FnOnce() + Send + 'static) {
    drop(thread::spawn(work));
}
