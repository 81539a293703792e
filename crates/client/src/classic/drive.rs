//! The glue between a classic session and the world.

use super::frames::{Frames, Moved, Taken};
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::session::{ClassicEnd, ClassicSession};
use crate::backoff::Backoff;
use crate::clock::{Clock, Now, since};
use crate::drive::{Connect, DriveError, Input, Ports, Ready, Step, attempt};
use crate::session::event::Loss;
use crate::transfer::{Failure, Opening, Received, Source, candidates};
use rand::{Rng, RngExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// The longest time to wait for the last bytes and the last lines to go out.
const FAREWELL: Duration = Duration::from_secs(2);

/// Bytes that may wait for the socket before no more is read from a file.
const MAX_UNSENT: usize = 128 * 1024;

/// How long a person waits for what is not sent when they leave, in ms.
const PATIENCE_MS: u64 = 2_000;

/// A client of a classic server: a session and all that drives it.
#[derive(Debug)]
pub struct ClassicClient<C, K, R> {
    /// Decides.
    pub session: ClassicSession,
    /// Connects.
    pub connect: C,
    /// Tells the time.
    pub clock: K,
    /// Spreads the attempts to connect, and makes names.
    pub rng: R,
    /// Where lines come from and events go to.
    pub ports: Ports,
    /// Where files are received.
    pub folder: Received,
    /// Where paths that begin with `~` lie.
    pub home: Option<PathBuf>,
}

/// One connection.
struct Wire<S> {
    frames: Frames<S>,
    incoming: Option<(Incoming, u64)>,
    outgoing: Option<Outgoing>,
}

impl<C: Connect, K: Clock, R: Rng> ClassicClient<C, K, R> {
    /// Drives the client until its session ends, however often the connection breaks.
    ///
    /// # Errors
    /// [`DriveError::Connect`]
    pub async fn drive(&mut self) -> Result<ClassicEnd, DriveError> {
        let mut backoff = Backoff::default();
        let mut wait = 0;
        while let Some(stream) = self.drive_until_connected(wait, &mut backoff).await? {
            let (joins, begun) = (self.session.joins(), self.clock.now());
            self.drive_connection(stream).await;
            if self.session.joins() > joins {
                backoff.handle_end(since(self.clock.now().steady, begun.steady));
            }
            wait = backoff.next_wait(&mut self.rng);
        }
        // A face that is gone shows nothing any more.
        let _ = tokio::time::timeout(FAREWELL, self.ports.finish(&mut self.session)).await;
        Ok(self.session.end().cloned().unwrap_or(ClassicEnd::Quit))
    }

    async fn drive_until_connected(
        &mut self,
        mut wait: u64,
        backoff: &mut Backoff,
    ) -> Result<Option<C::Stream>, DriveError> {
        loop {
            let connecting = attempt(Duration::from_millis(wait), self.connect.connect());
            tokio::pin!(connecting);
            let result = loop {
                self.ports.picture(&self.session);
                if self.session.end().is_some() {
                    return Ok(None);
                }
                let ready = Ready::of(&self.session, self.clock.now());
                tokio::select! {
                    biased;
                    result = &mut connecting => break result,
                    step = self.ports.next(ready) => self.take(step),
                }
            };
            match result {
                Ok(stream) => return Ok(Some(stream)),
                Err(error) if self.session.joins() == 0 => return Err(DriveError::Connect(error)),
                Err(_) => wait = backoff.next_wait(&mut self.rng),
            }
        }
    }

    async fn drive_connection<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: S) {
        let mut wire = Wire { frames: Frames::new(stream), incoming: None, outgoing: None };
        self.session.handle_connected(self.clock.now());
        let loss = loop {
            self.ports.picture(&self.session);
            let now = self.clock.now();
            if self.transmit(&mut wire, now).is_err() || self.session.wants_another_connection(now) {
                break Loss::Closed;
            }
            if self.session.end().is_some() {
                // The server may be gone already: what can't be said any more need not be.
                let _ = tokio::time::timeout(FAREWELL, wire.frames.close()).await;
                break Loss::Closed;
            }
            let ready = Ready::of(&self.session, now);
            let reading = self.session.wants_messages();
            tokio::select! {
                biased;
                step = self.ports.next(ready) => self.take(step),
                moved = wire.frames.next(reading) => match moved {
                    Ok(Moved::Read) => if let Err(loss) = self.take_frames(&mut wire) { break loss },
                    Ok(Moved::Wrote) => {}
                    Err(_) => break Loss::Closed,
                },
            }
        };
        self.session.handle_disconnected(loss, self.clock.now());
        self.ports.picture(&self.session);
    }

    /// Puts on the wire what the session and the file that goes have for it.
    ///
    /// # Errors
    /// A frame that has begun can't be ended: only the end of the connection tells the server.
    fn transmit<S>(&mut self, wire: &mut Wire<S>, now: Now) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while wire.frames.unsent() < MAX_UNSENT {
            if let Some(frame) = self.session.poll_transmit() {
                wire.frames.push(&frame);
                continue;
            }
            let Some(outgoing) = &mut wire.outgoing else {
                match self.session.poll_upload() {
                    Some(upload) => self.open(wire, &upload.path, now),
                    None => return Ok(()),
                }
                continue;
            };
            match outgoing.next() {
                Ok(Some(piece)) => wire.frames.push(&piece),
                Ok(None) if wire.frames.unsent() > 0 => break,
                Ok(None) => {
                    wire.outgoing = None;
                    self.session.handle_uploaded(now);
                }
                Err(failure) => {
                    self.session.handle_upload_failed(failure.clone(), now);
                    return Err(failure);
                }
            }
        }
        if let Some(outgoing) = &wire.outgoing {
            let left = outgoing.read().saturating_sub(wire.frames.unsent() as u64);
            self.session.handle_uploading(left, now);
        }
        Ok(())
    }

    fn open<S>(&mut self, wire: &mut Wire<S>, path: &str, now: Now)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match open(path, self.home.as_deref()).and_then(Outgoing::new) {
            Ok((outgoing, head)) => {
                self.session.handle_upload_begun(outgoing.name(), outgoing.size(), now);
                wire.frames.push(&head);
                wire.outgoing = Some(outgoing);
            }
            Err(failure) => self.session.handle_upload_failed(failure, now),
        }
    }

    fn take_frames<S>(&mut self, wire: &mut Wire<S>) -> Result<(), Loss>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let now = self.clock.now();
        let (session, folder, rng) = (&mut self.session, &self.folder, &mut self.rng);
        let incoming = &mut wire.incoming;
        wire.frames.take(|taken| match taken {
            Taken::Frame(ty, payload) => session.handle_frame(ty, payload, now),
            Taken::Oversized(len) => session.handle_oversized(len),
            Taken::File(len) => *incoming = Some((Incoming::new(), u64::from(len))),
            Taken::Piece { bytes, last } => {
                let Some((file, left)) = incoming.take() else { return };
                let left = left - bytes.len() as u64;
                let file = file.take(bytes, left, session, || folder.begin(rng.random()), now);
                if last {
                    file.finish(session, now);
                } else {
                    *incoming = Some((file, left));
                }
            }
        })
    }

    fn take(&mut self, step: Step) {
        let now = self.clock.now();
        match step {
            Step::Input(Input::Line(line)) => self.session.handle_line(&line, now),
            // A classic server knows no rooms, and keeps no files.
            Step::Input(Input::Text(line)) => self.session.handle_plain_text(&line, now),
            Step::Input(Input::Order(_)) => {}
            Step::Input(Input::Leave) => self.session.handle_leave(Some(PATIENCE_MS), now),
            Step::End => self.session.handle_leave(None, now),
            Step::Room => self.ports.show(&mut self.session),
            // Nothing is kept, and files have no threads of their own.
            Step::Shown(_) | Step::News(_) | Step::Typing(_) => {}
            Step::Tick => self.session.handle_tick(now),
        }
    }
}

/// A file; a classic server takes nothing else.
fn open(path: &str, home: Option<&Path>) -> Result<Source, Failure> {
    match Source::begin_any(&candidates(path, home))? {
        Opening::Whole(source) => Ok(source),
        Opening::Looking(_) => Err(Failure::Folder),
    }
}
