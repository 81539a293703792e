//! Refusals as the log tells them: the first at once, those after it counted, since a flood would fill the log.

use crate::clock::Steady;
use protocol::code::Code;
use protocol::limits::LOG_FOLD_MS;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Refusals of one kind that the log does not tell yet.
#[derive(Debug)]
pub struct Refusals {
    /// What was refused, as the log says it.
    what: &'static str,
    counts: BTreeMap<&'static str, u64>,
    /// Until then they are only counted.
    quiet_until: Option<Steady>,
}

impl Refusals {
    /// None yet, of something that the log calls by these words.
    pub fn of(what: &'static str) -> Self {
        Self { what, counts: BTreeMap::new(), quiet_until: None }
    }

    /// Counts one. The line to log, if it is time for one.
    pub fn add(&mut self, code: Code, now: Steady) -> Option<String> {
        *self.counts.entry(code.name()).or_default() += 1;
        self.line(now)
    }

    /// The line on what was counted, if it is time for one.
    pub fn line(&mut self, now: Steady) -> Option<String> {
        if self.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        if self.counts.is_empty() {
            self.quiet_until = None;
            return None;
        }
        self.quiet_until = Some(now.after(LOG_FOLD_MS));
        let mut line = format!("{} refused:", self.what);
        for (code, count) in std::mem::take(&mut self.counts) {
            // Writing to a string never fails.
            let _ = write!(line, " {code} {count}");
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_a_line_now_and_then_that_counts_them_all() {
        let mut refusals = Refusals::of("connections");
        let add = |refusals: &mut Refusals, code, ms| refusals.add(code, Steady(ms));
        let first = add(&mut refusals, Code::AddressFull, 5);
        assert_eq!(first.as_deref(), Some("connections refused: address_full 1"));
        for ms in 6..1_000 {
            assert_eq!(add(&mut refusals, Code::AddressFull, ms), None);
        }
        assert_eq!(add(&mut refusals, Code::ServerFull, 1_000), None);
        assert_eq!(refusals.line(Steady(LOG_FOLD_MS)), None);
        let counted = refusals.line(Steady(5 + LOG_FOLD_MS));
        assert_eq!(counted.as_deref(), Some("connections refused: address_full 994 server_full 1"));
        assert_eq!(refusals.line(Steady(5 + 2 * LOG_FOLD_MS)), None, "there was none since");
        assert!(
            add(&mut refusals, Code::ServerFull, 5 + 2 * LOG_FOLD_MS).is_some(),
            "and the next is told at once"
        );
    }
}
