//! The figures behind a size rule: how many, the median, the 90th percentile and the longest, against their limits.

use super::finding::Finding;

/// Something with a length in lines, and the place where it begins.
pub struct Measured {
    /// The file, from the top of the checkout.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What it is, such as "the file" or "`handle_post`".
    pub name: String,
    /// How many lines it has.
    pub lines: usize,
}

/// What a group of them may have; `None` where the house style sets no limit.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Of half of them.
    pub median: Option<usize>,
    /// Of nine in ten.
    pub ninety: Option<usize>,
    /// Of every one.
    pub longest: usize,
}

/// A group, measured.
pub struct Figures {
    name: &'static str,
    /// Ordered by length.
    sizes: Vec<Measured>,
    limits: Limits,
}

impl Figures {
    /// Measures a group.
    pub fn new(name: &'static str, sizes: impl Iterator<Item = Measured>, limits: Limits) -> Figures {
        let mut sizes: Vec<Measured> = sizes.collect();
        sizes.sort_by_key(|measured| measured.lines);
        Figures { name, sizes, limits }
    }

    /// The longest of them, the very longest first.
    pub fn longest_first(&self) -> impl Iterator<Item = &Measured> {
        self.sizes.iter().rev()
    }

    /// A finding for each one that is too long, and for the median and the 90th percentile if they are.
    pub fn check(&self, hint: &'static str) -> Vec<Finding> {
        let limit = self.limits.longest;
        let too_long = self.longest_first().take_while(|measured| measured.lines > limit);
        let too_long = too_long.map(|measured| {
            finding(measured, format!("{} has {} lines of {limit}", measured.name, measured.lines), hint)
        });
        let spread = [("median", 50, self.limits.median), ("90th percentile", 90, self.limits.ninety)];
        let spread = spread
            .into_iter()
            .filter_map(|(name, percent, limit)| self.check_spread(name, percent, limit?, hint));
        too_long.chain(spread).collect()
    }

    fn check_spread(&self, name: &str, percent: usize, limit: usize, hint: &'static str) -> Option<Finding> {
        let lines = self.percentile(percent);
        let longest = self.sizes.last().filter(|_| lines > limit)?;
        let what = format!("the {name} of {} is {lines} lines of {limit}; the longest is here", self.name);
        Some(finding(longest, what, hint))
    }

    /// The nearest rank: the smallest length that `percent` of them do not exceed; 0 of none.
    fn percentile(&self, percent: usize) -> usize {
        let rank = (self.sizes.len() * percent).div_ceil(100);
        rank.checked_sub(1).map_or(0, |index| self.sizes[index].lines)
    }

    fn row(&self) -> String {
        let cell = |lines: usize, limit: Option<usize>| match limit {
            Some(limit) => format!("{lines} of {limit}"),
            None => lines.to_string(),
        };
        let median = cell(self.percentile(50), self.limits.median);
        let ninety = cell(self.percentile(90), self.limits.ninety);
        let longest = cell(self.percentile(100), Some(self.limits.longest));
        format!("{:<12} {:>6} {median:>12} {ninety:>12} {longest:>12}", self.name, self.sizes.len())
    }
}

/// The groups, one a row.
pub fn table(groups: &[Figures]) -> String {
    let head = format!("{:<12} {:>6} {:>12} {:>12} {:>12}", "lines of", "count", "median", "90 %", "longest");
    let rows = groups.iter().map(Figures::row);
    [head].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

fn finding(measured: &Measured, what: String, hint: &'static str) -> Finding {
    Finding { path: measured.path.clone(), line: measured.line, what, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { median: Some(10), ninety: Some(40), longest: 80 };

    fn figures(lines: &[usize]) -> Figures {
        let measured =
            |lines: &usize| Measured { path: "a.rs".into(), line: 7, name: "`f`".into(), lines: *lines };
        Figures::new("functions", lines.iter().map(measured), LIMITS)
    }

    fn faults(lines: &[usize]) -> Vec<String> {
        figures(lines).check("split it").into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn sizes_at_their_limits_pass() {
        assert_eq!(faults(&[10, 10, 10, 10, 10, 40, 40, 40, 40, 80]), [""; 0]);
        assert_eq!(faults(&[]), [""; 0]);
    }

    #[test]
    fn each_limit_is_found_where_it_is_passed() {
        assert_eq!(faults(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 81]), ["`f` has 81 lines of 80"]);
        assert_eq!(faults(&[11, 11, 11]), ["the median of functions is 11 lines of 10; the longest is here"]);
        assert_eq!(
            faults(&[1, 1, 41]),
            ["the 90th percentile of functions is 41 lines of 40; the longest is here"]
        );
    }

    #[test]
    fn the_table_sets_each_figure_beside_its_limit() {
        let table = table(&[figures(&[3, 5, 60])]);
        let rows: Vec<_> =
            table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(rows, ["lines of count median 90 % longest", "functions 3 5 of 10 60 of 40 60 of 80"]);
    }
}
