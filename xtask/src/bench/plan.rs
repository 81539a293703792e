//! What is run: a workload with its size, as the generator is told it.

use std::fmt;

use clap::ValueEnum;

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Saturated fan-out in one room.
    W1,
    /// The same with one text of each sender under way.
    W1Window1,
    /// 20 texts a second, and how long they take.
    W2,
    /// Connections that say nothing.
    W4,
    /// A file of 64 MiB.
    W5,
}

/// A workload of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    name: String,
    /// What the generator is told, beside the server.
    pub args: Vec<String>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Workload {
    /// The sizes of this workload: these, or those of the goals if there are none.
    pub fn plans(self, receivers: &[u32], connections: u32, seconds: u32) -> Vec<Plan> {
        let goals: &[u32] = match self {
            Workload::W1 => &[100, 1_000],
            Workload::W1Window1 => &[100],
            Workload::W2 => &[1_000],
            Workload::W4 => {
                let args = format!("idle --connections {connections}");
                return vec![Plan::new(format!("W4, {connections} connections"), &args)];
            }
            Workload::W5 => &[10],
        };
        let sizes = if receivers.is_empty() { goals } else { receivers };
        sizes.iter().map(|receivers| self.in_one_room(*receivers, seconds)).collect()
    }

    fn in_one_room(self, receivers: u32, seconds: u32) -> Plan {
        if self == Workload::W5 {
            let args = format!("file --receivers {receivers}");
            return Plan::new(format!("W5, 64 MiB to {receivers} receivers"), &args);
        }
        let (name, task) = match self {
            Workload::W1 => ("W1", "saturated"),
            Workload::W1Window1 => ("W1, window 1", "saturated --window 1"),
            Workload::W2 | Workload::W4 | Workload::W5 => ("W2", "paced"),
        };
        let args = format!("{task} --receivers {receivers} --seconds {seconds}");
        Plan::new(format!("{name}, {receivers} receivers"), &args)
    }
}

impl Plan {
    fn new(name: String, args: &str) -> Self {
        Self { name, args: args.split(' ').map(str::to_owned).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(workload: Workload, receivers: &[u32]) -> Vec<String> {
        workload.plans(receivers, 10, 5).iter().map(Plan::to_string).collect()
    }

    #[test]
    fn the_sizes_are_those_of_the_goals_unless_others_are_given() {
        assert_eq!(names(Workload::W1, &[]), ["W1, 100 receivers", "W1, 1000 receivers"]);
        assert_eq!(names(Workload::W1Window1, &[7]), ["W1, window 1, 7 receivers"]);
        assert_eq!(names(Workload::W4, &[7]), ["W4, 10 connections"]);
        assert_eq!(names(Workload::W5, &[]), ["W5, 64 MiB to 10 receivers"]);
    }
}
