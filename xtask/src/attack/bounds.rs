//! What an attack may cost, and how that is told.

use super::Options;
use crate::flood::figures::{Figures, ms, quantile};
use std::{collections::BTreeMap, time::Duration};

/// Somebody honest who comes is let in.
const LOGIN: Duration = Duration::from_secs(1);
/// By how much the p99 of honest posts may grow.
const POSTS: f64 = 1.5;
/// The same of honest searches.
const SEARCHES: f64 = 3.0;
/// What the server's memory may grow by.
const MEMORY: f64 = 256.0 * MIB;
/// What the data folder may grow by.
const DATA: f64 = 64.0 * MIB;

const MIB: f64 = 1_048_576.0;

/// What an attack cost the server.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// Bytes of memory at the most, above idle.
    pub memory: f64,
    /// Bytes that the data folder has grown by.
    pub data: u64,
    /// The share of a core.
    pub busy: f64,
}

/// One attack, tried.
#[derive(Debug)]
pub struct Trial {
    /// Its number, 0 for all.
    pub attack: u8,
    /// What people noticed while the attackers sent to the sink.
    pub alone: Figures,
    /// What they noticed during the attack.
    pub beside: Figures,
    /// What it cost.
    pub costs: Costs,
    /// What could not be done afterwards.
    pub after: Vec<String>,
}

impl Trial {
    /// Prints what was measured, and gives what is over its bound.
    #[expect(clippy::cast_precision_loss, reason = "bytes, told in MiB")]
    pub fn report(mut self, options: &Options) -> Vec<String> {
        let name = match self.attack {
            0 => "all attacks at once".to_owned(),
            number => format!("attack {number}"),
        };
        println!(
            "{name} from {} addresses for {} s beside {} people, the server at {:.0} % of a core",
            options.addresses,
            options.seconds,
            options.people,
            self.costs.busy * 100.0
        );
        let mut broken = Vec::new();
        let mut judge = |line: String, is_over: bool| {
            println!("  {line}");
            if is_over {
                broken.push(format!("{name}: {line}"));
            }
        };
        let (logins, slowest) = (self.beside.logins.len(), quantile(&mut self.beside.logins, 1.0));
        judge(
            format!("slowest honest login {} ms of {logins}, bound {} ms", ms(slowest), LOGIN.as_millis()),
            slowest > LOGIN || logins == 0,
        );
        let slack = Duration::from_millis(options.slack_ms);
        for (what, alone, beside, times) in [
            ("posts", &mut self.alone.posts, &mut self.beside.posts, POSTS),
            ("searches", &mut self.alone.searches, &mut self.beside.searches, SEARCHES),
        ] {
            let (before, after) = (quantile(alone, 0.99), quantile(beside, 0.99));
            let bound = before.mul_f64(times) + slack;
            let line = format!(
                "p99 of honest {what} {} ms of {}, {:.2} times the {} ms of {} beside a sink, bound {} ms",
                ms(after),
                beside.len(),
                after.as_secs_f64() / before.as_secs_f64(),
                ms(before),
                alone.len(),
                ms(bound)
            );
            judge(line, after > bound || beside.is_empty() || alone.is_empty());
        }
        let Costs { memory, data, .. } = self.costs;
        judge(
            format!("memory {:.1} MiB above idle, bound {:.0}", memory / MIB, MEMORY / MIB),
            memory > MEMORY,
        );
        let data = data as f64;
        judge(format!("data {:.1} MiB more, bound {:.0}", data / MIB, DATA / MIB), data > DATA);
        let refused = refusals(&self.beside.refused);
        judge(format!("refused to people: {refused}"), !self.beside.refused.is_empty());
        match self.after.is_empty() {
            true => judge("a newcomer did everything, and after a restart".to_owned(), false),
            false => self.after.drain(..).for_each(|line| judge(line, true)),
        }
        broken
    }
}

/// What was refused, by code.
fn refusals(refused: &[(u16, String)]) -> String {
    let mut counts = BTreeMap::new();
    for (code, text) in refused {
        *counts.entry((code, text)).or_insert(0) += 1;
    }
    if counts.is_empty() {
        return "nothing".to_owned();
    }
    let told = counts.iter().map(|((code, text), count)| format!("{count} times {code}: {text}"));
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(change: impl FnOnce(&mut Trial)) -> usize {
        let ten = Duration::from_millis(10);
        let figures =
            || Figures { logins: vec![LOGIN], posts: vec![ten], searches: vec![ten], ..Figures::default() };
        let mut beside = figures();
        beside.posts = vec![ten.mul_f64(POSTS)];
        beside.searches = vec![ten.mul_f64(SEARCHES)];
        let costs = Costs { memory: MEMORY, data: 64 << 20, busy: 1.0 };
        let mut trial = Trial { attack: 0, alone: figures(), beside, costs, after: Vec::new() };
        change(&mut trial);
        trial.report(&Options { slack_ms: 0, ..Options::short() }).len()
    }

    #[test]
    fn each_bound_that_is_broken_is_told() {
        assert_eq!(broken(|_| {}), 0);
        assert_eq!(broken(|trial| trial.beside.logins.push(Duration::from_millis(1_001))), 1);
        assert_eq!(broken(|trial| trial.beside.posts.push(Duration::from_millis(16))), 1);
        assert_eq!(broken(|trial| trial.beside.searches.push(Duration::from_millis(31))), 1);
        assert_eq!(broken(|trial| trial.costs.memory += 1.0), 1);
        assert_eq!(broken(|trial| trial.costs.data += 1), 1);
        assert_eq!(broken(|trial| trial.beside.refused.push((225, "too fast".to_owned()))), 1);
        assert_eq!(broken(|trial| trial.after.push("a newcomer can't log in".to_owned())), 1);
    }

    #[test]
    fn nothing_measured_is_nothing_proven() {
        assert_eq!(broken(|trial| trial.beside = Figures::default()), 3);
    }
}
