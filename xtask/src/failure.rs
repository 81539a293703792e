//! How a task fails, and what the person at the terminal is told about it.

use std::{io, path::PathBuf};

/// Why a task stopped. Each variant ends the run with a non-zero exit.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A command could not be started, or exited with an error that it printed itself.
    #[error("a command failed")]
    Command(#[from] xshell::Error),
    /// A file of the checkout could not be read.
    #[error("can't read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("can't write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A benchmark could not be run to its end.
    #[error("`{what}` was not measured: {why}")]
    Unmeasured {
        /// The server.
        what: String,
        /// Why not.
        why: String,
    },
    /// A server did not start, stop or go on as it must.
    #[error("natterd: {why}{}{said}", if said.is_empty() { "" } else { "; it said:\n" })]
    Server {
        /// What it did.
        why: String,
        /// What it printed.
        said: String,
    },
    /// What should be proven does not hold.
    #[error("`{what}` does not hold: {why}")]
    Unproven {
        /// The claim.
        what: &'static str,
        /// What was found.
        why: String,
    },
    /// Planted bugs that the simulation did not see.
    #[error("{count} planted bugs were not seen")]
    Unseen {
        /// How many.
        count: usize,
    },
    /// A client of a proof could not go on.
    #[error("a client could not go on")]
    Client(#[from] load::fault::Fault),
    /// The picture in the README is not what the programs print.
    #[error("`{}` is not what the programs print now", path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
    },
    /// A program never printed what it should have.
    #[error("nothing with '{text}' in it was printed, only:\n{screen}")]
    Unsaid {
        /// What was waited for.
        text: String,
        /// What came instead.
        screen: String,
    },
    /// CI lacks a tool; a person's machine would have skipped the step.
    #[error("`cargo {tool}` is not installed, and CI skips nothing")]
    MissingTool {
        /// The cargo subcommand, such as `nextest`.
        tool: &'static str,
    },
    /// Tidy has printed its findings.
    #[error("tidy found {count} {}", if *count == 1 { "fault" } else { "faults" })]
    Untidy {
        /// How many findings.
        count: usize,
    },
    /// The test runner has already said which tests failed, and its summary stays the last output.
    #[error("a test failed")]
    Tests,
    /// A step of `cargo xtask ci` failed, and the steps after it did not run.
    #[error("the step `{step}` failed")]
    Step {
        /// The step's name.
        step: &'static str,
        /// How to see or mend it outside the full run.
        hint: &'static str,
        /// What went wrong in it.
        source: Box<Failure>,
    },
}

impl Failure {
    /// Tells stderr what went wrong, its causes and a hint, unless the test runner has said it all.
    pub fn report(&self) {
        if self.is_told() {
            return;
        }
        eprintln!("error: {}", self.with_causes());
        eprintln!("hint: {}", self.hint());
    }

    fn is_told(&self) -> bool {
        match self {
            Failure::Tests => true,
            Failure::Step { source, .. } => source.is_told(),
            _ => false,
        }
    }

    fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }

    fn hint(&self) -> String {
        match self {
            Failure::Command(_) => "the command's own output stands above".into(),
            Failure::Read { .. } => "check that the file still exists and may be read".into(),
            Failure::Write { .. } => "check that the folder exists and may be written".into(),
            Failure::Unmeasured { .. } => "what the generator said stands above".into(),
            Failure::Server { .. } => "its folder is named above".into(),
            Failure::Unproven { .. } => "its folder is named above; the same --seed begins alike".into(),
            Failure::Client(fault) => fault.hint().into(),
            Failure::Picture { .. } => "cargo xtask picture, then look at it".into(),
            Failure::Unsaid { .. } => {
                "say it by hand: cargo run -p server, cargo run -p client -- 127.0.0.1 -u bob".into()
            }
            Failure::MissingTool { tool } => format!("cargo install --locked cargo-{tool}"),
            Failure::Unseen { .. } => "the lines above say which; more seeds, or a stronger rule".into(),
            Failure::Untidy { .. } => "each finding above has its own hint".into(),
            Failure::Tests => "see the runner's summary".into(),
            Failure::Step { hint, source, .. } => match **source {
                Failure::MissingTool { .. } => source.hint(),
                _ => (*hint).into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_step(source: Failure) -> Failure {
        Failure::Step { step: "deny", hint: "look above", source: Box::new(source) }
    }

    #[test]
    fn a_failed_test_is_left_to_the_runner_even_inside_a_step() {
        assert!(in_step(Failure::Tests).is_told());
        assert!(!in_step(Failure::Untidy { count: 1 }).is_told());
    }

    #[test]
    fn causes_follow_the_failure_in_one_line() {
        let text = in_step(Failure::Untidy { count: 2 }).with_causes();
        assert_eq!(text, "the step `deny` failed: tidy found 2 faults");
    }

    #[test]
    fn a_missing_tool_is_hinted_at_through_its_step() {
        let hint = in_step(Failure::MissingTool { tool: "deny" }).hint();
        assert_eq!(hint, "cargo install --locked cargo-deny");
    }
}
