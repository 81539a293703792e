//! Stories over real sockets, beside the same plans in the simulation.

use crate::coverage::{Coverage, Sometimes};
use crate::real::{WallClock, run_real, told};
use crate::rule::Violation;
use crate::run::{Report, run};
use crate::story::Story;
use std::io;

/// What became of one story.
struct Row {
    name: String,
    simulated: Option<Violation>,
    real: Option<Violation>,
    /// What took effect, simulated and over real sockets: whatever the story is told for, and what only faults
    /// bring about.
    effects: Vec<(Sometimes, u64, u64)>,
    /// What the story is told for, and did not happen.
    unseen: Vec<Sometimes>,
    seconds: f64,
}

/// Runs the stories, and prints a table; whether no rule broke in either world, and each story was what it is.
///
/// # Errors
/// There is no such story, or this machine can't run it.
pub(super) fn compare(names: &[String]) -> io::Result<bool> {
    let stories = told(names);
    if stories.is_empty() {
        return Err(io::Error::other(format!("no story is called {names:?}")));
    }
    let mut rows = Vec::new();
    for story in &stories {
        let seconds = story.plan.safety_ms / 1_000;
        eprintln!("{}: {seconds} s of talk and faults, then it settles …", story.plan.name);
        let row = row(story)?;
        eprintln!("{}: {} after {:.0} s", row.name, verdict(row.real.as_ref()), row.seconds);
        rows.push(row);
    }
    print!("{}", table(&rows));
    Ok(rows.iter().all(Row::holds))
}

fn row(story: &Story) -> io::Result<Row> {
    let Report { violation: simulated, coverage: imagined, .. } = run(&story.plan, false);
    let clock = WallClock::start();
    let Report { violation: real, coverage, .. } = run_real(&story.plan)?;
    let seconds = clock.now() as f64 / 1e6;
    let unseen = story.sees.iter().copied().filter(|what| coverage.count(*what) == 0).collect();
    let effects = effects(story, &coverage, &imagined);
    Ok(Row { name: story.plan.name.clone(), simulated, real, effects, unseen, seconds })
}

fn effects(story: &Story, real: &Coverage, simulated: &Coverage) -> Vec<(Sometimes, u64, u64)> {
    let ours = Sometimes::ALL.iter().filter(|what| what.is_fault() || story.sees.contains(what));
    let counted = ours.map(|what| (*what, simulated.count(*what), real.count(*what)));
    counted.filter(|(_, simulated, real)| simulated + real > 0).collect()
}

impl Row {
    fn holds(&self) -> bool {
        self.simulated.is_none() && self.real.is_none() && self.unseen.is_empty()
    }

    fn is_alike(&self) -> bool {
        let rule = |violation: &Option<Violation>| violation.as_ref().map(|violation| violation.rule);
        rule(&self.simulated) == rule(&self.real)
    }
}

fn verdict(violation: Option<&Violation>) -> String {
    violation.map_or("holds".to_owned(), |violation| format!("breaks {}", violation.rule.text().0))
}

fn table(rows: &[Row]) -> String {
    use std::fmt::Write;
    let mut out = format!(
        "{:<74} {:>10} {:>10} {:>5}\n",
        "story, and how often what took effect", "simulated", "real", "s"
    );
    for row in rows {
        let (simulated, real) = (verdict(row.simulated.as_ref()), verdict(row.real.as_ref()));
        let (name, seconds) = (&row.name, row.seconds);
        let _ = writeln!(out, "{name:<74} {simulated:>10} {real:>10} {seconds:>5.0}");
        for (what, simulated, real) in &row.effects {
            let _ = writeln!(out, "  {:<72} {simulated:>10} {real:>10}", what.text());
        }
        for (place, violation) in [("simulated", &row.simulated), ("real", &row.real)] {
            if let Some(violation) = violation {
                let _ = writeln!(out, "  BROKEN ({place}) {violation}");
            }
        }
        if !row.is_alike() {
            let _ = writeln!(out, "  the two verdicts differ");
        }
        for what in &row.unseen {
            let _ = writeln!(out, "  it never happened that {}", what.text());
        }
    }
    out
}
