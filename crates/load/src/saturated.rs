//! W1, saturated fan-out: each sender stays as far ahead of its slowest receiver as its window lets it.
//!
//! So nothing is dropped by anybody's policy for slow readers, and every server moves as much as it can.

use crate::clock::Clock;
use crate::crowd::{Crowd, Wait};
use crate::fault::Fault;
use crate::ledger::{Extent, Ledger};
use crate::process::Process;
use crate::report::{Figures, Meter};
use crate::speaker::Speaker;
use std::time::Duration;

/// After the end everything that was sent arrives, and then nothing comes for so long.
const QUIET: Duration = Duration::from_millis(50);

/// How long a run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Not counted, at the beginning.
    pub warm_up: Duration,
    /// Counted.
    pub counted: Duration,
    /// Without a delivery for so long, the run has failed.
    pub patience: Duration,
}

/// A run over a crowd whose first members are the receivers, and whose last are the senders.
pub struct Saturated<S> {
    crowd: Crowd<S>,
    ledger: Ledger,
    extent: Extent,
    clock: Clock,
    span: Span,
    /// When a text arrived last, and how many had.
    moved: (Duration, u64),
}

impl<S: Speaker> Saturated<S> {
    /// A run that has not begun.
    pub fn new(crowd: Crowd<S>, extent: Extent, clock: Clock, span: Span) -> Self {
        Self { crowd, ledger: Ledger::new(extent), extent, clock, span, moved: (clock.now(), 0) }
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`Fault`] if a delivery is wrong, missing or late without end.
    pub fn run(mut self, server: Option<Process>) -> Result<Figures, Fault> {
        self.run_for(self.span.warm_up)?;
        let meter = Meter::start(self.clock, server, self.ledger.deliveries())?;
        self.run_for(self.span.counted)?;
        let figures = meter.stop(self.ledger.deliveries())?;
        while !self.ledger.is_settled() {
            self.turn()?;
        }
        let end = self.clock.now() + QUIET;
        while self.clock.now() < end {
            self.turn()?;
        }
        Ok(figures)
    }

    fn run_for(&mut self, time: Duration) -> Result<(), Fault> {
        let end = self.clock.now() + time;
        while self.clock.now() < end {
            self.turn()?;
            self.feed()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Fault> {
        let (ledger, receivers) = (&mut self.ledger, self.extent.receivers);
        self.crowd.turn(Wait::Never, |member, text| {
            // Some servers let senders hear each other, which nobody asked for here.
            if member < receivers {
                ledger.receive(member, text)?;
            }
            Ok(())
        })?;
        let now = self.clock.now();
        self.crowd.keep_alive(now)?;
        let deliveries = self.ledger.deliveries();
        if deliveries > self.moved.1 || self.ledger.is_settled() {
            self.moved = (now, deliveries);
        } else if now - self.moved.0 > self.span.patience {
            return Err(Fault::Stalled { what: "the next delivery".to_owned(), after: self.span.patience });
        }
        Ok(())
    }

    /// Has all senders send all that they may, at the same time as nearly as one thread can.
    fn feed(&mut self) -> Result<(), Fault> {
        for sender in 0..self.extent.senders {
            let member = self.extent.receivers + sender;
            for _ in 0..self.ledger.allowance(sender).min(self.crowd.allowance(member)) {
                if let Some(text) = self.ledger.send(sender) {
                    self.crowd.say(member, text);
                }
            }
        }
        let first = self.extent.receivers;
        (first..first + self.extent.senders).try_for_each(|member| self.crowd.flush(member))
    }
}
