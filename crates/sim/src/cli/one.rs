//! One run, explained.

use crate::lanes::lanes;
use crate::plan::Plan;
use crate::run::run;
use crate::shrink::shrink_plan;
use std::io;
use std::path::Path;

/// Events that explain a failure.
const EXPLAINED: usize = 50;

/// Runs a plan, and tells what it broke; whether it broke nothing.
pub(super) fn explain(plan: &Plan, command: &str, trace: bool) -> bool {
    let report = run(plan, trace);
    for event in &report.all {
        println!("{event}");
    }
    println!(
        "{}: {} clients, {} lines typed, {} entries, {} shown, {} events in {:.1} simulated s, digest {:016x}",
        plan.name,
        plan.clients.len(),
        report.typed,
        report.entries,
        report.shown,
        report.events,
        report.simulated_ms as f64 / 1_000.0,
        report.digest
    );
    for (what, count) in report.coverage.iter() {
        println!("{count:>6} × {}", what.text());
    }
    let Some(violation) = report.violation else { return true };
    println!("\nplanned faults:");
    for fault in &plan.faults {
        println!("  {:?} {:?}", fault.when, fault.kind);
    }
    println!("\nthe newest {EXPLAINED} events:");
    let from = report.newest.len().saturating_sub(EXPLAINED);
    report.newest[from..].iter().for_each(|event| println!("{event}"));
    println!("\n{}", lanes(&report.newest, plan));
    println!("BROKEN {violation}\nreplay: {command}");
    false
}

/// Makes a failing plan smaller and prints it; whether there was anything to shrink.
pub(super) fn shrink(plan: &Plan, into: Option<&Path>) -> io::Result<bool> {
    let keep = |small: &Plan| {
        // What can't be written now is told of at the end.
        let _ = into.map(|path| std::fs::write(path, super::to_json(small) + "\n"));
    };
    let Some((small, violation)) = shrink_plan(plan, |told| eprintln!("{told}"), keep) else {
        println!("{} breaks nothing", plan.name);
        return Ok(false);
    };
    let text = super::to_json(&small);
    match into {
        Some(path) => std::fs::write(path, text + "\n")?,
        None => println!("{text}"),
    }
    eprintln!(
        "{} faults, {} clients, {} steps: {violation}",
        small.faults.len(),
        small.clients.len(),
        small.clients.iter().map(|client| client.steps.len()).sum::<usize>()
    );
    Ok(true)
}
