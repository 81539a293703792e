//! What an operator does with a damaged folder: export its rooms, and repair it.

use crate::{
    failure::Failure,
    proof::{World, company::room_name},
    workspace::Workspace,
};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Command, Output},
};

/// The commands, and what an export of the untouched store says.
pub struct Operator<'a> {
    program: PathBuf,
    world: &'a World,
    lines: BTreeSet<String>,
}

impl<'a> Operator<'a> {
    /// Exports all rooms of an untouched store.
    ///
    /// # Errors
    /// Fails if it can't.
    pub fn learn(workspace: &Workspace, world: &'a World) -> Result<Self, Failure> {
        let mut operator = Self { program: workspace.program("natterd"), world, lines: BTreeSet::new() };
        for number in 0..world.rooms() {
            let output = operator.export(number)?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(Failure::Server { why: format!("an export says {}", output.status), said });
            }
            operator.lines.extend(lines(number, &output));
        }
        Ok(operator)
    }

    /// Exports all rooms: there must be so many lines, each as it was, and it must be told if any are left out.
    ///
    /// # Errors
    /// Fails if it can't be run; what is wrong is in the result.
    pub fn export_all(&self, right: usize, holes: usize) -> Result<Result<(), String>, Failure> {
        let (mut count, mut told) = (0, false);
        for number in 0..self.world.rooms() {
            let output = self.export(number)?;
            told |= !output.status.success();
            for line in lines(number, &output) {
                count += 1;
                if !self.lines.contains(&line) {
                    return Ok(Err(format!("an export has the line '{line}'")));
                }
            }
        }
        // A line that was not acknowledged may have gone with the end of the server that read it, or come.
        Ok(if count < right || told != (holes > 0) {
            Err(format!("an export has {count} lines of {right} with {holes} holes; told: {told}"))
        } else {
            Ok(())
        })
    }

    /// Repairs the folder, and returns what was said.
    ///
    /// # Errors
    /// Fails if it can't be run; what is wrong is in the result.
    pub fn repair(&self) -> Result<Result<String, String>, Failure> {
        let output = self.run(&["repair"])?;
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        let said = said.concat();
        Ok(if output.status.success() {
            Ok(said)
        } else {
            Err(format!("a repair says {}: {said}", output.status))
        })
    }

    fn export(&self, number: usize) -> Result<Output, Failure> {
        self.run(&["export", &room_name(number), "--jsonl"])
    }

    fn run(&self, args: &[&str]) -> Result<Output, Failure> {
        let output = Command::new(&self.program).args(args).arg("--data").arg(&self.world.data).output();
        output.map_err(|source| Failure::Read { path: self.program.clone(), source })
    }
}

/// The lines of an export, each with its room.
fn lines(number: usize, output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| format!("{number} {line}")).collect()
}
