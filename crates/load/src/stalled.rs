//! Readers that stand still: they stay in their room and read nothing while the others are measured. Afterwards they
//! read everything, and it is compared with what was sent.

use crate::clock::Clock;
use crate::crowd::{Crowd, Wait};
use crate::fault::Fault;
use crate::ledger::{Ledger, Place, compose};
use crate::speaker::Speaker;
use std::time::Duration;

/// How long the generator sleeps at most while nothing arrives.
const NAP: Duration = Duration::from_millis(10);

/// Connections in a room that are not read, and what each has to get.
pub struct Stalled<S> {
    crowd: Crowd<S>,
    readers: usize,
    senders: usize,
    /// For each reader and sender the number of the text that comes next.
    next: Vec<usize>,
    expected: Vec<u8>,
}

impl<S: Speaker> Stalled<S> {
    /// All members of this crowd, which get texts of so many bytes from so many senders.
    /// One that is cut off comes back when it reads again, and goes on where it was: a system may end the connection of
    /// a reader that stands still on its own, where small segments fill its memory before they fill its window.
    pub fn new(mut crowd: Crowd<S>, readers: usize, senders: usize, text: usize) -> Self {
        crowd.let_return();
        Self { crowd, readers, senders, next: vec![0; readers * senders], expected: vec![0; text] }
    }

    /// How many there are.
    pub fn readers(&self) -> usize {
        self.readers
    }

    /// How often one of them was cut off and came back.
    pub fn returns(&self) -> u32 {
        self.crowd.returns()
    }

    /// Gives the signs of life that are due, without which they would be dead instead of slow.
    ///
    /// # Errors
    /// [`Fault::Socket`] if a connection broke.
    pub fn keep_alive(&mut self, now: Duration) -> Result<(), Fault> {
        self.crowd.keep_alive(now)
    }

    /// Reads until all have everything that was sent, and says how long that took.
    ///
    /// # Errors
    /// [`Fault`] if a text is lost, doubled, reordered or damaged, or if none arrives for as long as `patience`.
    pub fn catch_up(&mut self, sent: &Ledger, clock: Clock, patience: Duration) -> Result<Duration, Fault> {
        let texts: usize = (0..self.senders).map(|sender| sent.sent(sender)).sum();
        let mut missing = texts * self.readers;
        let (begun, mut moved) = (clock.now(), clock.now());
        while missing > 0 {
            let Self { crowd, senders, next, expected, .. } = self;
            let mut arrived = 0;
            crowd.turn(Wait::Upto(NAP), |reader, text| {
                let sender = sent.sender_of(reader, text)?;
                let next = &mut next[reader * *senders + sender];
                compose(expected, Place { sender, number: *next });
                Ledger::compare(reader, expected, text)?;
                *next += 1;
                arrived += 1;
                Ok(())
            })?;
            let now = clock.now();
            crowd.keep_alive(now)?;
            missing -= arrived;
            if arrived > 0 {
                moved = now;
            } else if now - moved > patience {
                let what = format!("{missing} deliveries to readers that stood still");
                return Err(Fault::Stalled { what, after: patience });
            }
        }
        Ok(clock.now() - begun)
    }
}
