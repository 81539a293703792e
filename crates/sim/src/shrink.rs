//! Makes a failing plan smaller: fewer faults, fewer clients, fewer steps, shorter times, as long as the same rule
//! breaks.

use crate::plan::{Kind, Plan};
use crate::rule::{Rule, Violation};
use crate::run::run;

/// Makes a plan as small as it can be; `None` if it breaks nothing. `tell` hears how it goes, and `keep` is given each
/// smaller plan, so that whoever loses patience has the best that was found.
pub fn shrink_plan(
    plan: &Plan,
    mut tell: impl FnMut(String),
    mut keep: impl FnMut(&Plan),
) -> Option<(Plan, Violation)> {
    let violation = run(plan, false).violation?;
    let rule = violation.rule;
    let mut best = Best { plan: plan.clone(), rule, violation, runs: 1, keep: &mut keep };
    loop {
        let before = size(&best.plan);
        best.faults();
        best.clients();
        best.steps();
        best.times();
        let after = size(&best.plan);
        tell(format!("{after:?} (faults, clients, steps, ms) after {} runs", best.runs));
        if after == before {
            break;
        }
    }
    best.plan.name = format!("{} breaks {}", best.plan.name, best.rule.text().0);
    Some((best.plan, best.violation))
}

/// Plans that are run at the same time.
const AT_ONCE: usize = 2;

fn size(plan: &Plan) -> (usize, usize, usize, u64) {
    let steps = plan.clients.iter().map(|client| client.steps.len()).sum();
    (plan.faults.len(), plan.clients.iter().filter(|client| !client.absent).count(), steps, plan.safety_ms)
}

struct Best<'a> {
    plan: Plan,
    rule: Rule,
    violation: Violation,
    runs: u32,
    keep: &'a mut dyn FnMut(&Plan),
}

impl Best<'_> {
    /// Takes this plan if it breaks the same rule.
    fn try_plan(&mut self, plan: Plan) -> bool {
        self.try_plans(vec![plan]).is_some()
    }

    /// Runs these plans at the same time, and takes the first that breaks the same rule: which one.
    fn try_plans(&mut self, plans: Vec<Plan>) -> Option<usize> {
        self.runs += u32::try_from(plans.len()).unwrap_or(u32::MAX);
        let found: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> =
                plans.iter().map(|plan| scope.spawn(|| run(plan, false).violation)).collect();
            running.into_iter().map(|run| run.join().ok().flatten()).collect()
        });
        let is_same = |found: &Option<Violation>| found.as_ref().is_some_and(|found| found.rule == self.rule);
        let at = found.iter().position(is_same)?;
        self.violation = found.into_iter().nth(at).flatten()?;
        self.plan = plans.into_iter().nth(at)?;
        (self.keep)(&self.plan);
        Some(at)
    }

    /// Strikes out elements of a list, many at once first (delta debugging: Zeller and Hildebrandt, 2002).
    fn strike<T: Clone>(&mut self, list: impl Fn(&mut Plan) -> &mut Vec<T>) {
        let mut plan = self.plan.clone();
        let mut chunk = list(&mut plan).len().div_ceil(2).max(1);
        loop {
            let mut at = 0;
            loop {
                let without = |from: usize| {
                    let mut plan = self.plan.clone();
                    let elements = list(&mut plan);
                    let end = (from + chunk).min(elements.len());
                    (from < elements.len()).then(|| drop(elements.drain(from..end)))?;
                    Some(plan)
                };
                let plans: Vec<_> = (0..AT_ONCE).filter_map(|n| without(at + n * chunk)).collect();
                if plans.is_empty() {
                    break;
                }
                at += chunk * self.try_plans(plans).unwrap_or(AT_ONCE);
            }
            if chunk == 1 {
                return;
            }
            chunk = chunk.div_ceil(2);
        }
    }

    fn faults(&mut self) {
        self.strike(|plan| &mut plan.faults);
    }

    /// Clients are numbered, so they are not taken out but stay away; those at the end are taken out.
    fn clients(&mut self) {
        let mut chunk = self.plan.clients.len().div_ceil(2).max(1);
        loop {
            for from in (0..self.plan.clients.len()).step_by(chunk) {
                let mut plan = self.plan.clone();
                let to = (from + chunk).min(plan.clients.len());
                for client in &mut plan.clients[from..to] {
                    client.absent = true;
                    client.steps.clear();
                }
                if plan != self.plan {
                    self.try_plan(plan);
                }
            }
            if chunk == 1 {
                break;
            }
            chunk = chunk.div_ceil(2);
        }
        let mut plan = self.plan.clone();
        while plan.clients.last().is_some_and(|client| client.absent) {
            plan.clients.pop();
        }
        if plan != self.plan {
            self.try_plan(plan);
        }
    }

    fn steps(&mut self) {
        for client in 0..self.plan.clients.len() {
            if !self.plan.clients[client].steps.is_empty() {
                self.strike(|plan| &mut plan.clients[client].steps);
            }
        }
    }

    fn times(&mut self) {
        while self.plan.safety_ms > 2_000 {
            let mut plan = self.plan.clone();
            plan.safety_ms = plan.safety_ms * 3 / 4;
            if !self.try_plan(plan) {
                break;
            }
        }
        for fault in 0..self.plan.faults.len() {
            let mut plan = self.plan.clone();
            if halve(&mut plan.faults[fault].kind) {
                self.try_plan(plan);
            }
        }
    }
}

/// Halves how long a fault lasts; false if it is short already or has no length.
fn halve(kind: &mut Kind) -> bool {
    let ms = match kind {
        Kind::Hold { ms, .. }
        | Kind::Cut { ms, .. }
        | Kind::Stall { ms, .. }
        | Kind::SlowSync { ms, .. }
        | Kind::DiskFull { ms } => ms,
        Kind::ClientCrash { down_ms, .. }
        | Kind::ServerCrash { down_ms, .. }
        | Kind::ServerStop { down_ms } => down_ms,
        _ => return false,
    };
    let long = *ms > 200;
    *ms /= 2;
    long
}
