//! The bare copy that transfers are compared with: a file is read, sent over one loopback connection, received,
//! written and synced, and nothing else.

use super::pace::Pace;
use crate::failure::Failure;
use load::clock::Clock;
use std::{
    fs::File,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Bytes of one read and one write.
const PIECE: usize = 256 * 1024;

/// Copies a file to each of these paths at once, each over a connection of its own, at most so many bytes a second
/// each; the time until the last one is synced.
///
/// # Errors
/// Fails if the disk or a socket does.
pub fn copy(from: &Path, to: &[PathBuf], rate: Option<u64>) -> Result<Duration, Failure> {
    let clock = Clock::start();
    thread::scope(|scope| {
        let copies: Vec<_> = to
            .iter()
            .map(|to| {
                let failed = |source| Failure::Write { path: to.clone(), source };
                scope.spawn(move || one(from, to, rate).map_err(failed))
            })
            .collect();
        copies.into_iter().try_for_each(|copy| copy.join().expect("a copy does not panic"))
    })?;
    Ok(clock.now())
}

fn one(from: &Path, to: &Path, rate: Option<u64>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let (accepted, _) = listener.accept()?;
    thread::scope(|scope| {
        let sending = scope.spawn(move || send(from, stream, rate));
        receive(accepted, to)?;
        sending.join().expect("sending does not panic")
    })
}

fn send(from: &Path, mut stream: TcpStream, rate: Option<u64>) -> io::Result<()> {
    let mut file = File::open(from)?;
    let mut piece = vec![0; PIECE];
    let mut pace = Pace::new(rate);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            read => {
                pace.wait_for(read);
                stream.write_all(&piece[..read])?;
            }
        }
    }
}

fn receive(mut stream: TcpStream, to: &Path) -> io::Result<()> {
    let mut file = File::create(to)?;
    let mut piece = vec![0; PIECE];
    loop {
        match stream.read(&mut piece)? {
            0 => return file.sync_all(),
            read => file.write_all(&piece[..read])?,
        }
    }
}
