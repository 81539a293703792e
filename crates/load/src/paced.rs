//! W2, paced: texts are sent by a schedule that does not wait for anybody, so a late server is not spared.
//!
//! A latency is the time from the moment at which a text was to be sent to the moment at which a receiver has
//! read it, by one clock.

use crate::clock::Clock;
use crate::crowd::{Crowd, Wait};
use crate::fault::Fault;
use crate::ledger::{Extent, Ledger, Place};
use crate::process::Process;
use crate::report::{Figures, Meter};
use crate::saturated::Span;
use crate::speaker::Speaker;
use crate::stalled::Stalled;
use hdrhistogram::Histogram;
use std::time::Duration;

/// Longest latency that is told apart, in ns.
const LONGEST: u64 = 60_000_000_000;

/// Steps of the histogram are at most 1 %.
const DIGITS: u8 = 2;

/// A run over a crowd whose first members are the receivers, and whose last are the senders.
pub struct Paced<S> {
    crowd: Crowd<S>,
    stalled: Stalled<S>,
    ledger: Ledger,
    extent: Extent,
    clock: Clock,
    span: Span,
    schedule: Schedule,
    latencies: Histogram<u64>,
}

/// When which text is due: senders take turns.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    begin: Duration,
    /// Texts a second, of all senders together.
    rate: u32,
    senders: usize,
    /// Texts that are sent before the counted ones.
    warm_up: usize,
    /// Texts that are sent and counted.
    counted: usize,
}

impl Schedule {
    fn new(begin: Duration, rate: u32, senders: usize, span: Span) -> Self {
        let texts = |time: Duration| usize::try_from(time.as_millis() * u128::from(rate) / 1_000);
        Self {
            begin,
            rate,
            senders,
            warm_up: texts(span.warm_up).unwrap_or(usize::MAX),
            counted: texts(span.counted).unwrap_or(usize::MAX),
        }
    }

    fn len(&self) -> usize {
        self.warm_up + self.counted
    }

    /// When the text with this index is due.
    fn due(&self, index: usize) -> Duration {
        let ns = index as u128 * 1_000_000_000 / u128::from(self.rate);
        self.begin + Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    fn index(&self, place: Place) -> usize {
        place.number * self.senders + place.sender
    }

    fn sender(&self, index: usize) -> usize {
        index % self.senders
    }
}

impl<S: Speaker> Paced<S> {
    /// A run with so many texts a second that begins now, beside readers in the same room that stand still.
    pub fn new(
        crowd: Crowd<S>,
        stalled: Stalled<S>,
        extent: Extent,
        clock: Clock,
        span: Span,
        rate: u32,
    ) -> Self {
        let latencies = Histogram::new_with_max(LONGEST, DIGITS).expect("the two constants are in range");
        Self {
            crowd,
            stalled,
            ledger: Ledger::new(extent),
            extent,
            clock,
            span,
            schedule: Schedule::new(clock.now(), rate, extent.senders, span),
            latencies,
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`Fault`] if a delivery is wrong or missing, or if the server falls far behind.
    pub fn run(mut self, server: Option<&Process>) -> Result<Figures, Fault> {
        self.send(0..self.schedule.warm_up)?;
        let meter = Meter::start(self.clock, server.cloned(), self.ledger.deliveries())?;
        self.send(self.schedule.warm_up..self.schedule.len())?;
        let last = self.schedule.due(self.schedule.len());
        while !self.ledger.is_settled() {
            if self.clock.now() > last + self.span.patience {
                return Err(Fault::Stalled {
                    what: "the last delivery".to_owned(),
                    after: self.span.patience,
                });
            }
            self.turn()?;
        }
        let mut figures = meter.stop(self.ledger.deliveries())?;
        figures.extend(self.latency_figures());
        if let Some(server) = server {
            figures.insert("resident_kib", server.resident_bytes()? / 1024.0);
        }
        if self.stalled.readers() > 0 {
            let Self { crowd, mut stalled, ledger, clock, span, .. } = self;
            // Nobody reads for the others from here on, nor gives signs of life.
            drop(crowd);
            let took = stalled.catch_up(&ledger, clock, span.patience)?;
            figures.insert("caught_up_s", took.as_secs_f64());
            figures.insert("returned", f64::from(stalled.returns()));
        }
        Ok(figures)
    }

    /// Sends these texts, each when it is due.
    fn send(&mut self, texts: std::ops::Range<usize>) -> Result<(), Fault> {
        for index in texts {
            while self.clock.now() < self.schedule.due(index) {
                self.turn()?;
            }
            let sender = self.schedule.sender(index);
            let member = self.extent.receivers + sender;
            let text = self.ledger.send(sender);
            match text.filter(|_| self.crowd.allowance(member) > 0) {
                Some(text) => self.crowd.say(member, text),
                None => return Err(Fault::Behind(self.extent.window)),
            }
            self.crowd.flush(member)?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Fault> {
        let Self { crowd, stalled, ledger, extent, clock, schedule, latencies, .. } = self;
        crowd.turn(Wait::Never, |member, text| {
            if member < extent.receivers {
                let read = clock.now();
                let index = schedule.index(ledger.receive(member, text)?);
                if index >= schedule.warm_up {
                    let latency = read.saturating_sub(schedule.due(index)).as_nanos();
                    latencies.saturating_record(u64::try_from(latency).unwrap_or(LONGEST));
                }
            }
            Ok(())
        })?;
        stalled.keep_alive(clock.now())?;
        crowd.keep_alive(clock.now())
    }

    #[expect(clippy::cast_precision_loss, reason = "a latency is known to 1 %, far above this loss")]
    fn latency_figures(&self) -> Figures {
        let microseconds = |ns: u64| ns as f64 / 1e3;
        let quantile = |quantile| microseconds(self.latencies.value_at_quantile(quantile));
        Figures::from([
            ("p50_us", quantile(0.5)),
            ("p99_us", quantile(0.99)),
            ("max_us", microseconds(self.latencies.max())),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_take_turns_and_each_text_is_due_at_its_own_time() {
        let span = Span {
            warm_up: Duration::from_secs(1),
            counted: Duration::from_secs(2),
            patience: Duration::ZERO,
        };
        let schedule = Schedule::new(Duration::from_secs(7), 20, 4, span);
        assert_eq!((schedule.warm_up, schedule.len()), (20, 60));
        assert_eq!(schedule.due(30), Duration::from_millis(8_500));
        for index in 0..schedule.len() {
            let place = Place { sender: schedule.sender(index), number: index / 4 };
            assert_eq!(schedule.index(place), index);
        }
    }
}
