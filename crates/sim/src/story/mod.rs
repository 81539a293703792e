//! Scenarios that are told as stories: who is there, what they say, what goes wrong, and what must have been seen.

mod tales;

pub use tales::all;

use crate::coverage::Sometimes;
use crate::plan::{ClientPlan, Fault, KeepPlan, Kind, Link, NetPlan, Op, Plan, Step, StorePlan, When};

/// A story: a plan, and what makes it worth telling.
#[derive(Clone, Debug)]
pub struct Story {
    /// What happens.
    pub plan: Plan,
    /// What must have happened in it, or it was not the story.
    pub sees: Vec<Sometimes>,
}

/// A link that is never the bottleneck.
const FAST: Link = Link { up: 0, down: 0, latency_ms: 20, queue_ms: 0 };

/// The queue of a router that has too much memory.
const QUEUE_MS: u64 = 20_000;

impl Story {
    /// A story of so many seconds, in a place with so many hosts.
    pub fn new(name: &str, seconds: u64, hosts: usize) -> Self {
        let plan = Plan {
            name: name.to_owned(),
            seed: name.bytes().fold(1, |seed, byte| crate::seed::mix(seed ^ u64::from(byte))),
            safety_ms: seconds * 1_000,
            links: vec![FAST; hosts],
            net: NetPlan { window: 93_440, short: false },
            store: StorePlan { memory: false, sync_ms: (1, 10), keep: KeepPlan::default() },
            clients: Vec::new(),
            faults: Vec::new(),
            prompt_ms: None,
            limits: None,
        };
        Self { plan, sees: Vec::new() }
    }

    /// All links carry so many bytes a second down, and a quarter of it up.
    #[must_use]
    pub fn slow(mut self, down: u64) -> Self {
        self.plan
            .links
            .iter_mut()
            .for_each(|link| (link.up, link.down, link.latency_ms) = (down / 4, down, 150));
        self
    }

    /// The link of a host carries so many bytes a second each way, and whatever waits for it waits in one queue.
    #[must_use]
    pub fn narrow(mut self, host: usize, rate: u64) -> Self {
        self.plan.links[host] = Link { up: rate, down: rate, latency_ms: 50, queue_ms: QUEUE_MS };
        // No window of a socket keeps a connection from filling that queue.
        self.plan.net.window = u32::try_from(rate * QUEUE_MS / 1_000).unwrap_or(u32::MAX);
        self
    }

    /// Every line must be shown so soon after it was typed.
    #[must_use]
    pub fn prompt(mut self, ms: u64) -> Self {
        self.plan.prompt_ms = Some(ms);
        self
    }

    /// So many people come, spread over the hosts from this one on.
    #[must_use]
    pub fn people(self, count: usize, hosts: std::ops::Range<usize>) -> Self {
        self.come(count, hosts, false)
    }

    /// The same with classic clients.
    #[must_use]
    pub fn classics(self, count: usize, hosts: std::ops::Range<usize>) -> Self {
        self.come(count, hosts, true)
    }

    fn come(mut self, count: usize, hosts: std::ops::Range<usize>, classic: bool) -> Self {
        for at in 0..count {
            let person = u16::try_from(self.plan.clients.len()).unwrap_or(u16::MAX);
            let host = hosts.start + at % hosts.len();
            let interactive = at % 2 == 0;
            self.plan.clients.push(ClientPlan {
                host,
                person,
                classic,
                absent: false,
                forgetful: false,
                leaves: false,
                interactive,
                steps: Vec::new(),
            });
        }
        self
    }

    /// A second device of this person, on another host.
    #[must_use]
    pub fn second_device(mut self, of: usize, host: usize) -> Self {
        let person = self.plan.clients[of].person;
        let interactive = false;
        let steps = Vec::new();
        self.plan.clients.push(ClientPlan {
            host,
            person,
            classic: false,
            absent: false,
            forgetful: false,
            leaves: false,
            interactive,
            steps,
        });
        self
    }

    /// From one second to another, everybody of these says a line so often, in turns.
    #[must_use]
    pub fn talk(mut self, who: std::ops::Range<usize>, seconds: std::ops::Range<u64>, every_ms: u64) -> Self {
        let times =
            (seconds.start * 1_000..seconds.end * 1_000).step_by(usize::try_from(every_ms).unwrap_or(1_000));
        for (turn, at) in times.enumerate() {
            let client = who.start + turn % who.len();
            self.plan.clients[client].steps.push(Step { at, op: Op::Say { lines: 1, bytes: 40 } });
        }
        self
    }

    /// Somebody does something.
    #[must_use]
    pub fn does(mut self, who: usize, second: u64, op: Op) -> Self {
        let steps = &mut self.plan.clients[who].steps;
        steps.push(Step { at: second * 1_000, op });
        steps.sort_by_key(|step| step.at);
        self
    }

    /// Something goes wrong at a time.
    #[must_use]
    pub fn then(self, second: u64, kind: Kind) -> Self {
        self.when(When::At(second * 1_000), kind)
    }

    /// Something goes wrong at a moment.
    #[must_use]
    pub fn when(mut self, when: When, kind: Kind) -> Self {
        self.plan.faults.push(Fault { when, kind });
        self
    }

    /// This must have happened.
    #[must_use]
    pub fn sees(mut self, what: Sometimes) -> Self {
        self.sees.push(what);
        self
    }
}
