//! What came out: medians, spreads, and ratios of runs that followed each other.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use super::contender::Contender;

/// The figures of all runs of one plan.
#[derive(Default)]
pub struct Tally {
    /// By figure and contender, in the order of the repetitions.
    figures: BTreeMap<String, BTreeMap<Contender, Vec<f64>>>,
}

impl Tally {
    /// Adds the report of a contender's next repetition.
    pub fn add(&mut self, contender: Contender, report: &Value) {
        let figures = report["figures"].as_object().into_iter().flatten();
        for (name, figure) in figures.filter_map(|(name, figure)| Some((name, figure.as_f64()?))) {
            self.figures.entry(name.clone()).or_default().entry(contender).or_default().push(figure);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, by_contender) in &self.figures {
            write!(f, "  {name:<28}")?;
            for (contender, runs) in by_contender {
                write!(f, "  {contender} {}", spread(runs))?;
            }
            if let Some(ours) = by_contender.get(&Contender::Natter) {
                for (contender, theirs) in by_contender.range(Contender::Nats..) {
                    write!(f, "  natter/{contender} {:.2}", ratio(ours, theirs))?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn spread(runs: &[f64]) -> String {
    let smallest = runs.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = runs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} ({} to {})", short(median(runs)), short(smallest), short(largest))
}

/// The median of the ratios within each repetition: the machine drifts from one to the next.
fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    let ratios: Vec<_> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    median(&ratios)
}

/// The value in the middle; between the two in the middle, if there are two. NaN of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN);
    f64::midpoint(lower, upper)
}

/// Three digits or so, with the size in a letter.
fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        size if size >= 100.0 => 0,
        size if size >= 1.0 => 2,
        _ => 4,
    };
    format!("{scaled:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&[9.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), 3.0);
    }

    #[test]
    fn ratios_are_taken_within_a_repetition() {
        // The machine was twice as slow in the second one, for both.
        assert_eq!(ratio(&[10.0, 5.0, 12.0], &[5.0, 2.5, 6.0]), 2.0);
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(short(12_345_678.0), "12.35 M");
        assert_eq!(short(235_000.0), "235 k");
        assert_eq!(short(512.4), "512");
        assert_eq!(short(0.0312), "0.0312");
    }

    #[test]
    fn a_line_names_spreads_and_ratios() {
        let mut tally = Tally::default();
        let report = |figure: f64| serde_json::json!({ "figures": { "p50_us": figure } });
        for (contender, figure) in [(Contender::Natter, 2.0), (Contender::Nats, 4.0)] {
            tally.add(contender, &report(figure));
        }
        let line = tally.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            line,
            "p50_us natter 2.00 (2.00 to 2.00) nats-server 4.00 (4.00 to 4.00) natter/nats-server 0.50"
        );
    }
}
