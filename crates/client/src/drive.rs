//! The glue between a session and the world: a transport, a profile, a clock, and the ports of a face.
//!
//! Everything that touches the world is handed in, so that a simulation drives the very same code.

mod ports;
#[cfg(test)]
mod tests;
mod transport;

pub use ports::{Face, Freight, Input, Ports, Talk, ports};
pub(crate) use ports::{Ready, Step};
pub use transport::{Connect, Connecting};

use crate::backoff::Backoff;
use crate::clock::{Clock, Now, since};
use crate::files::Files;
use crate::profile::{Profile, ProfileError};
use crate::session::Session;
use crate::session::event::{End, Loss};
use protocol::system_words::plain_words;
use rand::Rng;
use std::error::Error as _;
use std::io;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use transport::{Moved, Transport};

/// The longest time for a connection to come up.
const CONNECT: Duration = Duration::from_secs(10);

/// The longest time to wait for the last bytes and the last lines to go out.
const FAREWELL: Duration = Duration::from_secs(2);

/// Bytes that may wait for the socket before no more is encoded.
const MAX_UNSENT: usize = 128 * 1024;

/// How long a person waits for what is not acknowledged when they leave, in ms.
const PATIENCE_MS: u64 = 2_000;

/// Lines taken in one go, so that they share one sync.
const MAX_LINES: usize = 64;

/// Why a client had to stop.
#[derive(Debug, Error)]
pub enum DriveError {
    /// The first attempt to connect failed. Later ones are repeated for ever.
    #[error("can't connect")]
    Connect(#[source] io::Error),
}

/// A client: a session and all that drives it.
#[derive(Debug)]
pub struct Client<C, F, K, R> {
    /// Decides.
    pub session: Session,
    /// Keeps.
    pub profile: Profile<F>,
    /// Connects.
    pub connect: C,
    /// Tells the time.
    pub clock: K,
    /// Spreads the attempts to connect.
    pub rng: R,
    /// Where lines come from and events go to.
    pub ports: Ports,
}

impl<C: Connect, F: Files, K: Clock, R: Rng> Client<C, F, K, R> {
    /// Drives the client until its session ends, however often the connection breaks.
    ///
    /// # Errors
    /// [`DriveError`]
    pub async fn drive(&mut self) -> Result<End, DriveError> {
        let mut backoff = Backoff::default();
        let mut wait = 0;
        self.session.handle_tick(self.clock.now());
        while let Some(stream) = self.drive_until_connected(wait, &mut backoff).await? {
            let (served, begun) = (self.session.logins(), self.clock.now());
            self.drive_connection(stream).await;
            if self.session.logins() > served {
                backoff.handle_end(since(self.clock.now().steady, begun.steady));
            }
            wait = u64::from(self.session.take_stay_away()) + backoff.next_wait(&mut self.rng);
        }
        self.say_farewell().await;
        Ok(self.session.end().cloned().unwrap_or(End::Quit))
    }

    /// Waits so many ms, then tries to connect until that works; `None` if the session ends before.
    async fn drive_until_connected(
        &mut self,
        mut wait: u64,
        backoff: &mut Backoff,
    ) -> Result<Option<C::Stream>, DriveError> {
        loop {
            let attempt = attempt(Duration::from_millis(wait), self.connect.connect());
            tokio::pin!(attempt);
            let result = loop {
                self.settle();
                if self.session.end().is_some() {
                    return Ok(None);
                }
                let now = self.clock.now();
                let ready = Ready::of(&self.session, now);
                tokio::select! {
                    biased;
                    result = &mut attempt => break result,
                    step = self.ports.next(ready) => self.take(step),
                }
            };
            match result {
                Ok(stream) => return Ok(Some(stream)),
                Err(error) if self.session.logins() == 0 => return Err(DriveError::Connect(error)),
                Err(_) => wait = backoff.next_wait(&mut self.rng),
            }
        }
    }

    /// Drives one connection until it ends; the session knows then.
    pub async fn drive_connection<S>(&mut self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut transport = Transport::new(stream);
        self.session.handle_connected(self.clock.now());
        let loss = loop {
            self.settle();
            let now = self.clock.now();
            self.transmit(&mut transport, now);
            if self.session.end().is_some() {
                // The server may be gone already: what can't be said any more need not be.
                let _ = tokio::time::timeout(FAREWELL, transport.close()).await;
                break Loss::Closed;
            }
            if self.session.is_dead(now) {
                break Loss::Silent;
            }
            let ready = Ready::of(&self.session, now);
            let reading = self.session.wants_messages();
            tokio::select! {
                biased;
                // A flood from the server must not keep out what is typed.
                step = self.ports.next(ready) => self.take(step),
                moved = transport.next(reading) => match moved {
                    Ok(Moved::Read) => if let Err(loss) = self.take_messages(&mut transport) { break loss },
                    Ok(Moved::Wrote) => {}
                    Err(_) => break Loss::Closed,
                },
            }
            if !reading {
                // What is not read can't prove that the server is alive: its silence is ours.
                self.session.handle_received(self.clock.now());
            }
        };
        self.session.handle_disconnected(loss, self.clock.now());
        self.settle();
    }

    fn transmit<S: AsyncRead + AsyncWrite + Unpin>(&mut self, transport: &mut Transport<S>, now: Now) {
        while transport.unsent() < MAX_UNSENT {
            match self.session.poll_transmit(now) {
                Some(message) => transport.push(&message),
                None => break,
            }
        }
    }

    fn take_messages<S>(&mut self, transport: &mut Transport<S>) -> Result<(), Loss>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let now = self.clock.now();
        self.session.handle_received(now);
        transport.messages(|message| self.session.handle_message(message, now))
    }

    fn take(&mut self, step: Step) {
        let now = self.clock.now();
        match step {
            Step::Input(input) => {
                self.take_input(&input, now);
                for _ in 1..MAX_LINES {
                    match self.ports.try_input(&self.session) {
                        Some(input) => self.take_input(&input, now),
                        None => break,
                    }
                }
            }
            Step::End => self.session.handle_leave(None, now),
            Step::Room => self.ports.show(&mut self.session),
            Step::News(news) => self.session.handle_news(news, now),
            Step::Shown(shown) => self.session.handle_shown(shown, now),
            Step::Typing(on) => self.session.handle_typing(on, now),
            Step::Tick => self.session.handle_tick(now),
        }
    }

    fn take_input(&mut self, input: &Input, now: Now) {
        match input {
            Input::Line(line) => self.session.handle_line(line, now),
            Input::Text(line) => self.session.handle_plain_text(line, now),
            Input::Order(command) => self.session.handle_order(command.clone(), now),
            Input::Leave => self.session.handle_leave(Some(PATIENCE_MS), now),
        }
    }

    /// Keeps what must be kept, and shows the session's new picture.
    fn settle(&mut self) {
        while let Some(save) = self.session.poll_save() {
            match self.profile.save(&save) {
                Ok(()) => self.session.handle_kept(&save),
                Err(error) => self.session.handle_unkept(&save, reason(&error), self.clock.now()),
            }
        }
        self.ports.dispatch(&mut self.session);
        self.ports.picture(&self.session);
    }

    /// Lets the face show what is left, then keeps how far it came.
    async fn say_farewell(&mut self) {
        let _ = tokio::time::timeout(FAREWELL, self.ports.finish(&mut self.session)).await;
        let (shown, now) = (self.ports.shown(), self.clock.now());
        self.session.handle_shown(shown, now);
        self.settle();
    }
}

/// Why something can't be kept, in words.
fn reason(error: &ProfileError) -> String {
    error.source().map_or_else(|| error.to_string(), plain_words)
}

/// Waits so long, then connects; an answer that does not come in time is an error.
pub(crate) async fn attempt<S>(wait: Duration, connecting: Connecting<S>) -> io::Result<S> {
    tokio::time::sleep(wait).await;
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// How long until this steady time.
fn until(deadline: protocol::id::Millis, now: Now) -> Duration {
    Duration::from_millis(since(deadline, now.steady))
}
