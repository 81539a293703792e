//! Runs plans from the command line.

use sim::plan::Plan;
use sim::run::run;

fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let (from, count) = (args.first().copied().unwrap_or(0), args.get(1).copied().unwrap_or(1));
    let mut cover = sim::coverage::Coverage::default();
    for seed in from..from + count {
        let plan = Plan::random(seed);
        let t = std::time::Instant::now();
        let report = run(&plan, count == 1);
        println!(
            "{seed}: clients {} typed {} entries {} shown {} events {} sim {} ms in {:?} digest {:x} faults {} {}",
            plan.clients.len(),
            report.typed,
            report.entries,
            report.shown,
            report.events,
            report.simulated_ms,
            t.elapsed(),
            report.digest,
            plan.faults.len(),
            report.violation.as_ref().map_or("ok".to_owned(), |v| v.to_string())
        );
        cover.add_run(&report.coverage);
        if let (Some(_), 1) = (&report.violation, count) {
            std::fs::write("/tmp/trace.txt", report.all.iter().map(|e| format!("{e}\n")).collect::<String>())
                .unwrap();
            std::fs::write("/tmp/plan.json", serde_json::to_string_pretty(&plan).unwrap()).unwrap();
            for e in report.newest.iter().rev().take(60).rev() {
                println!("{e}");
            }
            println!("{:#?}", plan.faults);
        }
    }
    for (what, n) in cover.iter() {
        println!("{n:>5} {}", what.text());
    }
}
