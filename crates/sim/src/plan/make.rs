//! A plan from a seed.
//!
//! Each seed turns on a random subset of what can go wrong (swarm testing: Groce and others, 2012), since a run in which
//! everything happens at once hides what a single thing does: a tenth of the seeds have no fault, a tenth one kind, and
//! a tenth only crashes.

use super::{
    ClientPlan, Fault, KeepPlan, Kind, LimitsPlan, Link, NetPlan, Op, Plan, PortionsPlan, RatePlan, Step,
    StorePlan, When,
};
use crate::seed::stream;
use rand::RngExt;
use rand::rngs::SmallRng;

/// Every so many seeds there is a crowd.
const CROWD_EVERY: u64 = 10;

/// Devices of one person at most.
const MAX_DEVICES: usize = 5;

/// Bytes that one entry is on the wire, roughly.
const ENTRY: u64 = 180;

/// How wrong a clock may be, in ms: 40 days. From there to as much on the other side are fewer days than those after which
/// a device is forgotten, and its counter with it.
const WEEKS_MS: i64 = 40 * 24 * 3_600_000;

/// What kinds of faults there are; the first ones are the crashes.
const KINDS: u64 = 17;
const CRASHES: u64 = 5;

impl Plan {
    /// The plan of a seed: the same whenever it is asked for.
    pub fn random(seed: u64) -> Self {
        let mut rng = stream(seed, "shape", 0);
        let crowd = seed % CROWD_EVERY == 3;
        let hosts = if crowd { 7 } else { rng.random_range(5..=9) };
        let clients = if crowd { 256 } else { rng.random_range(14..=44) };
        let safety_ms = rng.random_range(40_000..=60_000);
        let world = Shape { seed, hosts, clients, safety_ms, crowd };
        let clients = world.clients();
        let mut plan = Self {
            name: format!("seed {seed}"),
            seed,
            safety_ms,
            links: Vec::new(),
            net: NetPlan {
                window: *pick(&mut rng, &[16_384, 65_536, 93_440]),
                short: rng.random_ratio(1, 5),
            },
            store: StorePlan {
                memory: rng.random_ratio(1, 12),
                sync_ms: *pick(&mut rng, &[(0, 2), (1, 10), (5, 40), (20, 120)]),
                keep: world.keep(),
            },
            faults: world.faults(),
            prompt_ms: None,
            limits: world.limits(),
            clients,
        };
        plan.links = world.links(&plan);
        plan
    }
}

struct Shape {
    seed: u64,
    hosts: usize,
    clients: usize,
    safety_ms: u64,
    crowd: bool,
}

fn pick<'a, T>(rng: &mut SmallRng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

impl Shape {
    fn rng(&self, purpose: &str, index: u64) -> SmallRng {
        stream(self.seed, purpose, index)
    }

    /// How much of each room is kept: in a third of the seeds less than is said there.
    fn keep(&self) -> KeepPlan {
        let mut rng = self.rng("keep", 0);
        match rng.random_range(0..8) {
            0 => KeepPlan { count: Some(rng.random_range(5..80)), ..KeepPlan::default() },
            1 => KeepPlan { age_ms: Some(rng.random_range(3_000..25_000)), ..KeepPlan::default() },
            2 => KeepPlan { bytes: Some(rng.random_range(1_000..20_000)), ..KeepPlan::default() },
            _ => KeepPlan::default(),
        }
    }

    /// In a third of the seeds ordinary talk meets the server's limits. A crowd would not get through in time.
    fn limits(&self) -> Option<LimitsPlan> {
        let mut rng = self.rng("limits", 0);
        (!self.crowd && rng.random_ratio(3, 8)).then(|| LimitsPlan {
            window_posts: *pick(&mut rng, &[1, 2, 8, 64]),
            window_bytes: *pick(&mut rng, &[70_000, 100_000, 400_000]),
            control: *pick(&mut rng, &[1, 4_096, 32_768]),
            unasked: *pick(&mut rng, &[32_768, 65_536, 262_144]),
            // A login and a post of the largest size can be paid for.
            posts: RatePlan { burst: rng.random_range(20..=40), every_ms: rng.random_range(5..=60) },
            others: RatePlan { burst: rng.random_range(20..=60), every_ms: rng.random_range(5..=60) },
            hold_ms: *pick(&mut rng, &[0, 50, 1_000, 3_000]),
            portions: Some(PortionsPlan {
                tail: *pick(&mut rng, &[(0, 1), (1_024, 8), (4_096, 64), (1 << 20, 1_024)]),
                batch: *pick(&mut rng, &[256, 1_024, 4_096, 1 << 20]),
                page: *pick(&mut rng, &[7, 20, 200]),
            }),
        })
    }

    /// Links that can carry what is said within the time that the world may take to settle.
    fn links(&self, plan: &Plan) -> Vec<Link> {
        let link = |host: usize| {
            let mut rng = self.rng("link", host as u64);
            let readers = plan.clients.iter().filter(|client| client.host == host).count() as u64;
            let said =
                plan.posts() as u64 * ENTRY + plan.clients.iter().map(ClientPlan::file_bytes).sum::<u64>();
            let least = said * readers.max(1) / 15 + 16_000;
            let slow = rng.random_ratio(1, 3);
            let down = if slow { least * rng.random_range(1..=4) } else { 0 };
            let up = if slow && rng.random() { (down / 4).max(8_000) } else { 0 };
            Link { up, down, latency_ms: *pick(&mut rng, &[5, 20, 20, 50, 150]), queue_ms: 0 }
        };
        (0..self.hosts).map(link).collect()
    }

    fn clients(&self) -> Vec<ClientPlan> {
        let mut rng = self.rng("people", 0);
        let classics = rng.random_ratio(1, 2);
        let pairs = rng.random_ratio(1, 3);
        let posts = if self.crowd { 2 } else { rng.random_range(260..560) / self.clients + 1 };
        let files = self.has_files();
        let client = |at: usize| {
            let mut rng = self.rng("client", at as u64);
            let classic = classics && rng.random_ratio(1, 5);
            let second = pairs && at > 0 && !classic && rng.random_ratio(1, 4);
            let person = if second { at - 1 } else { at };
            ClientPlan {
                host: at % self.hosts,
                person: u16::try_from(person).unwrap_or(u16::MAX),
                classic,
                absent: false,
                forgetful: false,
                leaves: false,
                interactive: rng.random(),
                steps: self.steps(&mut rng, posts, classic, files && at < 4),
            }
        };
        let mut clients: Vec<_> = (0..self.clients).map(client).collect();
        // Another device is of the same person as the one before it, which needs to be a native one.
        for at in 1..clients.len() {
            let own = u16::try_from(at).unwrap_or(u16::MAX);
            if clients[at].person != own {
                let (before, person) = (&clients[at - 1], clients[at - 1].person);
                let devices = clients[..at].iter().filter(|client| client.person == person).count();
                let may_be = before.classic == clients[at].classic && devices < MAX_DEVICES;
                clients[at].person = if may_be { person } else { own };
            }
        }
        self.make_forgetful(&mut clients, posts);
        self.let_leave(&mut clients);
        clients
    }

    /// In a third of the seeds a few clients are scripts without a memory, which leave while what they said is on its way.
    fn make_forgetful(&self, clients: &mut [ClientPlan], posts: usize) {
        let mut rng = self.rng("forgetful", 0);
        if !rng.random_ratio(1, 3) {
            return;
        }
        for _ in 0..rng.random_range(1..=4) {
            let at = rng.random_range(0..clients.len());
            let is_alone = clients.iter().filter(|other| other.person == clients[at].person).count() == 1;
            // Whoever brings files, or has another device, is somebody with a memory.
            if at < 4 || clients[at].classic || !is_alone {
                continue;
            }
            clients[at].forgetful = true;
            clients[at].steps = self.script(&mut rng, posts);
        }
    }

    /// In a third of the seeds some do not stay to the end: the others are to notice that.
    fn let_leave(&self, clients: &mut [ClientPlan]) {
        let mut rng = self.rng("leaves", 0);
        if rng.random_ratio(1, 3) {
            let stays = |client: &ClientPlan| client.classic || client.forgetful;
            let others = clients.iter_mut().filter(|client| !stays(client));
            others.for_each(|client| client.leaves = rng.random_ratio(1, 4));
        }
    }

    fn script(&self, rng: &mut SmallRng, posts: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut said = 0;
        while said < posts {
            let at = rng.random_range(500..self.safety_ms - 2_000);
            let lines = rng.random_range(1..=6);
            said += lines as usize;
            steps.push(Step { at, op: Op::Say { lines, bytes: rng.random_range(0..200) } });
            if rng.random_ratio(2, 3) {
                let away_ms = rng.random_range(0..60);
                steps.push(Step { at: at + rng.random_range(0..150), op: Op::Leave { away_ms } });
            }
        }
        steps.sort_by_key(|step| step.at);
        steps
    }

    fn has_files(&self) -> bool {
        !self.crowd && self.rng("files", 0).random_ratio(1, 3)
    }

    fn steps(&self, rng: &mut SmallRng, posts: usize, classic: bool, files: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        let last = self.safety_ms - 2_000;
        let mut said = 0;
        while said < posts {
            let op = if classic { classic_op(rng) } else { self.native_op(rng) };
            let step = Step { at: rng.random_range(500..last), op };
            said += usize::try_from(posts_in(&step.op)).unwrap_or(0);
            if !classic {
                steps.extend(first_words(rng, &step));
            }
            steps.push(step);
        }
        if files {
            // Some are long enough on a slow link for a cut to meet them.
            let large = rng.random_ratio(1, 3);
            let bytes =
                if large { rng.random_range(400_000..2_500_000) } else { rng.random_range(1_000..400_000) };
            steps.push(Step { at: rng.random_range(3_000..last / 2), op: Op::Send { bytes } });
        }
        steps.sort_by_key(|step| step.at);
        steps
    }

    fn native_op(&self, rng: &mut SmallRng) -> Op {
        let person = u16::try_from(rng.random_range(0..self.clients)).unwrap_or(0);
        let room = rng.random_range(1..=3);
        match rng.random_range(0..100) {
            0..6 => Op::Mention { person },
            6..41 => Op::Say { lines: 1, bytes: rng.random_range(0..120) },
            41..50 => Op::Say { lines: rng.random_range(2..=8), bytes: rng.random_range(0..60) },
            50..52 => Op::Say { lines: 1, bytes: rng.random_range(2_000..12_000) },
            52..56 => Op::Edit { back: back(rng) },
            56..59 => Op::Delete { back: back(rng) },
            59..62 => Op::Answer { back: rng.random_range(0..6) },
            62..66 => self.search(rng, person),
            66..71 => Op::Msg { person },
            71..75 => Op::Join { room },
            75..77 => Op::Part { room },
            77..80 => Op::Act,
            80..83 => Op::Reply,
            83..85 => Op::Topic,
            85..87 => Op::Nick { n: rng.random_range(0..4) },
            87..89 => Op::Away,
            89..90 => Op::Back,
            90..92 => Op::History,
            92..94 => Op::Who,
            94..95 => Op::List,
            95..96 => Op::Whois { person },
            96..98 => Op::LookAway { ms: rng.random_range(2_000..25_000) },
            _ => Op::Leave { away_ms: rng.random_range(500..8_000) },
        }
    }

    fn search(&self, rng: &mut SmallRng, client: u16) -> Op {
        let n = if self.crowd { 1 } else { rng.random_range(1..12) };
        Op::Search { client, n, gone: rng.random(), everywhere: rng.random() }
    }

    fn faults(&self) -> Vec<Fault> {
        let mut rng = self.rng("faults", 0);
        let (kinds, count) = match rng.random_range(0..10) {
            0 => return Vec::new(),
            1 => (vec![rng.random_range(0..KINDS)], rng.random_range(2..=6)),
            2 => ((0..CRASHES).collect(), rng.random_range(2..=6)),
            _ => {
                let mut kinds: Vec<_> = (0..KINDS).filter(|_| rng.random_ratio(2, 5)).collect();
                if kinds.is_empty() {
                    kinds.push(rng.random_range(0..KINDS));
                }
                (kinds, rng.random_range(3..=12))
            }
        };
        let fault = |at: u64| {
            let mut rng = self.rng("fault", at);
            let kind = *pick(&mut rng, &kinds);
            self.fault(&mut rng, kind)
        };
        (0..count).map(fault).collect()
    }

    fn fault(&self, rng: &mut SmallRng, kind: u64) -> Fault {
        let at = When::At(rng.random_range(2_000..self.safety_ms - 1_000));
        let client = u16::try_from(rng.random_range(0..self.clients)).unwrap_or(0);
        let host = rng.random_range(0..self.hosts);
        let ms = rng.random_range(200..25_000);
        let down_ms = rng.random_range(50..6_000);
        let (when, kind) = match kind {
            0 => (at, Kind::ServerCrash { down_ms, power: false }),
            1 => (at, Kind::ServerCrash { down_ms, power: true }),
            2 => (self.anchor(rng), Kind::ServerCrash { down_ms, power: rng.random() }),
            3 => (at, Kind::ClientCrash { client, down_ms, power: false }),
            4 => (at, Kind::ClientCrash { client, down_ms, power: true }),
            5 => (at, Kind::ServerStop { down_ms }),
            6 => (at, Kind::Hold { host, ms }),
            7 => (at, Kind::Cut { host, ms, up: true, down: true }),
            8 => (at, Kind::Cut { host, ms, up: true, down: false }),
            9 => (at, Kind::Cut { host, ms, up: false, down: true }),
            10 => (at, Kind::Reset { client }),
            11 => (at, Kind::ResetAll),
            12 => (at, Kind::Stall { client, ms }),
            13 => (at, Kind::HalfOpen { client }),
            14 => (at, Kind::SlowSync { ms, sync_ms: rng.random_range(300..1_500) }),
            15 => (at, if rng.random() { Kind::SyncFails } else { Kind::DiskFull { ms: ms / 3 } }),
            _ => {
                let most = if rng.random_ratio(1, 4) { WEEKS_MS } else { 20_000 };
                (at, Kind::Clock { by_ms: rng.random_range(-most..most) })
            }
        };
        Fault { when, kind }
    }

    /// A moment of the server's work instead of a time.
    fn anchor(&self, rng: &mut SmallRng) -> When {
        if self.has_files() && rng.random_ratio(2, 3) {
            When::Chunk { nth: rng.random_range(1..24) }
        } else {
            When::Append { nth: rng.random_range(10..250), synced: rng.random() }
        }
    }
}

/// Who comes back often says something about what was last: it may still be on its way to them.
fn first_words(rng: &mut SmallRng, step: &Step) -> Option<Step> {
    let Op::Leave { .. } = step.op else { return None };
    let op = match rng.random_range(0..8) {
        0 => Op::Delete { back: 0 },
        1 => Op::Edit { back: 0 },
        2 => Op::Reply,
        _ => return None,
    };
    Some(Step { at: step.at + 1, op })
}

fn classic_op(rng: &mut SmallRng) -> Op {
    match rng.random_range(0..20) {
        0..16 => Op::Say { lines: 1, bytes: rng.random_range(0..100) },
        16..18 => Op::Say { lines: 3, bytes: 20 },
        18 => Op::Act,
        _ => Op::Leave { away_ms: rng.random_range(500..5_000) },
    }
}

/// The last line half of the time, else one of the few before it.
fn back(rng: &mut SmallRng) -> usize {
    if rng.random() { 0 } else { rng.random_range(1..6) }
}

fn posts_in(op: &Op) -> u32 {
    match op {
        Op::Say { lines, .. } => *lines,
        op => u32::from(op.is_post()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_of_a_seed_is_always_the_same_and_survives_a_file() {
        for seed in 0..50 {
            let plan = Plan::random(seed);
            assert_eq!(plan, Plan::random(seed));
            let text = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        }
    }

    #[test]
    fn most_plans_are_work_and_a_tenth_has_a_crowd() {
        let plans: Vec<_> = (0..100).map(Plan::random).collect();
        let mut clients: Vec<_> = plans.iter().map(|plan| plan.clients.len()).collect();
        let mut posts: Vec<_> = plans.iter().map(Plan::posts).collect();
        clients.sort_unstable();
        posts.sort_unstable();
        assert!(clients[50] >= 20 && posts[50] >= 200, "{} clients, {} posts", clients[50], posts[50]);
        assert!(plans.iter().filter(|plan| plan.clients.len() == 256).count() >= 10);
        let calm = plans.iter().filter(|plan| plan.faults.is_empty()).count();
        assert!((3..=20).contains(&calm), "{calm} plans without a fault");
    }
}
