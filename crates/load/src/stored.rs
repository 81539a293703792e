//! W6, stored: clients post into one room, and how long it takes until they are told that it is kept.
//!
//! Either as fast as their windows let them, or by a schedule that does not wait for anybody. A latency is the time
//! from the moment at which a text was sent (by a schedule: was to be sent, also if its window was full then) to
//! the moment at which its acknowledgement was read, by one clock. Somebody reads along and checks the numbers.

mod client;

use crate::clock::Clock;
use crate::fault::Fault;
use crate::fleet::{Event, Fleet};
use crate::heartbeat::Heartbeat;
use crate::options::StoredOptions;
use crate::process::Process;
use crate::report::Figures;
use client::{Client, Told};
use hdrhistogram::Histogram;
use protocol::message::ClientMsg;
use std::time::Duration;

/// Longest latency that is told apart, in ns.
const LONGEST: u64 = 60_000_000_000;

/// Steps of the histogram are at most 1 %.
const DIGITS: u8 = 2;

/// How long a turn waits at most: a schedule is kept to this.
const NAP: Duration = Duration::from_micros(200);

/// The clients, the last of whom reads along, and what was measured.
struct Run<'a> {
    options: &'a StoredOptions,
    clock: Clock,
    fleet: Fleet,
    heartbeat: Heartbeat,
    clients: Vec<Client>,
    latencies: Histogram<u64>,
    /// Latencies of texts that were due before are not counted.
    counted_from: Duration,
    /// When the schedule begins; `None` while nothing is to be sent.
    begun: Option<Duration>,
    /// Texts that are due so far, by the schedule.
    due: u64,
    acked: u64,
    read: u64,
    /// When something was acknowledged or read last.
    moved: Duration,
}

/// Runs it.
///
/// # Errors
/// [`Fault`] if a text is refused, if one that was acknowledged does not come to the reader, or if nothing moves.
pub fn run(options: &StoredOptions, clock: Clock) -> Result<Figures, Fault> {
    let mut run = Run::new(options, clock)?;
    while !run.clients.iter().all(Client::is_ready) {
        run.turn()?;
    }
    let begin = clock.now();
    run.begun = Some(begin);
    run.counted_from = begin + Duration::from_secs(options.texts.warm_up);
    run.work_until(run.counted_from)?;
    let (start, acked, cpu) = (clock.now(), run.acked, cpu_seconds(options)?);
    run.work_until(start + Duration::from_secs(options.texts.seconds))?;
    let (time, acked, cpu) = (clock.now() - start, run.acked - acked, cpu_seconds(options)? - cpu);
    run.begun = None;
    while run.clients.iter().any(Client::is_waiting) || run.read < run.acked {
        run.turn()?;
    }
    Ok(run.figures(acked, time, cpu))
}

/// Processor time of the server so far; 0 if it was not named.
fn cpu_seconds(options: &StoredOptions) -> Result<f64, Fault> {
    options.target.process().map_or(Ok(0.0), |process| Process::cpu_seconds(&process))
}

impl<'a> Run<'a> {
    fn new(options: &'a StoredOptions, clock: Clock) -> Result<Self, Fault> {
        let writers = usize::try_from(options.clients).unwrap_or(usize::MAX);
        let mut fleet = Fleet::new(writers + 1)?;
        let mut clients = Vec::new();
        for number in 0..=writers {
            let (client, hello) = Client::greet(number, number == writers, options);
            fleet.connect(number, options.target.server)?;
            fleet.say(number, &hello);
            clients.push(client);
        }
        let now = clock.now();
        Ok(Self {
            options,
            clock,
            fleet,
            heartbeat: Heartbeat::new(writers + 1, now),
            clients,
            latencies: Histogram::new_with_max(LONGEST, DIGITS).expect("the two constants are in range"),
            counted_from: Duration::MAX,
            begun: None,
            due: 0,
            acked: 0,
            read: 0,
            moved: now,
        })
    }

    fn work_until(&mut self, end: Duration) -> Result<(), Fault> {
        while self.clock.now() < end {
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Fault> {
        self.want();
        let now = self.clock.now();
        for (place, client) in self.clients.iter_mut().enumerate() {
            while let Some(post) = client.poll_post() {
                self.fleet.say(place, &post);
            }
        }
        while let Some(place) = self.heartbeat.next_due(now) {
            self.fleet.say(place, &ClientMsg::Ping { nonce: 0 });
        }
        for (place, event) in self.fleet.turn(NAP)? {
            let Event::Heard(msg) = event else {
                return Err(Fault::Closed(place));
            };
            match self.clients[place].handle_message(msg)? {
                Told::Say(msg) => self.fleet.say(place, &msg),
                Told::Acked(due) => self.record(&due),
                Told::Read(entries) => (self.read, self.moved) = (self.read + entries, self.clock.now()),
                Told::Nothing => {}
            }
        }
        let patience = self.options.target.patience();
        if self.clock.now() - self.moved > patience {
            return Err(Fault::Stalled {
                what: "the next acknowledgement or delivery".to_owned(),
                after: patience,
            });
        }
        Ok(())
    }

    /// Has clients want to send what is due: by the schedule, or as much as their windows take.
    fn want(&mut self) {
        let (Some(begun), now) = (self.begun, self.clock.now()) else {
            return;
        };
        let Some(rate) = self.options.rate.map(u128::from) else {
            self.clients.iter_mut().for_each(|client| client.fill_window(now));
            return;
        };
        let until = (now - begun).as_nanos() * rate / 1_000_000_000;
        while u128::from(self.due) < until {
            let at = u128::from(self.due) * 1_000_000_000 / rate;
            let at = begun + Duration::from_nanos(u64::try_from(at).unwrap_or(u64::MAX));
            let writer = usize::try_from(self.due % u64::from(self.options.clients)).unwrap_or(0);
            self.clients[writer].want(at);
            self.due += 1;
        }
    }

    fn record(&mut self, due: &[Duration]) {
        self.moved = self.clock.now();
        self.acked += due.len() as u64;
        for due in due.iter().filter(|due| **due >= self.counted_from) {
            let latency = self.moved.saturating_sub(*due).as_nanos();
            self.latencies.saturating_record(u64::try_from(latency).unwrap_or(LONGEST));
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a figure is rounded where it is shown, far above this loss"
    )]
    fn figures(&self, acked: u64, time: Duration, cpu: f64) -> Figures {
        let microseconds = |ns: u64| ns as f64 / 1e3;
        let quantile = |quantile| microseconds(self.latencies.value_at_quantile(quantile));
        let seconds = time.as_secs_f64();
        Figures::from([
            ("acked", acked as f64),
            ("acked_per_s", acked as f64 / seconds),
            ("p50_us", quantile(0.5)),
            ("p99_us", quantile(0.99)),
            ("max_us", microseconds(self.latencies.max())),
            ("server_cpu_share", cpu / seconds),
            ("server_cpu_s_per_million", cpu / acked as f64 * 1e6),
        ])
    }
}
