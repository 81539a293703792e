//! The load generator, beside a server that is measured.

use super::natterd::Natterd;
use crate::failure::Failure;
use serde_json::Value;
use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

/// Clients that post texts and wait for their acknowledgements. They stop by themselves.
pub struct Generator {
    child: Child,
    /// What they measure.
    what: String,
}

impl Generator {
    /// Starts them at a server. `args` are the generator's own, such as `--clients 16`.
    ///
    /// # Errors
    /// [`Failure::Unmeasured`] if the program can't be started.
    pub fn start(program: &Path, server: &Natterd, args: &[String], what: String) -> Result<Self, Failure> {
        let child = Command::new(program)
            .args(["stored", "--server", &server.address.to_string()])
            .args(["--server-pid", &server.id().to_string()])
            .args(args)
            .stdout(Stdio::piped())
            .spawn();
        match child {
            Ok(child) => Ok(Self { child, what }),
            Err(error) => Err(Failure::Unmeasured { what, why: error.to_string() }),
        }
    }

    /// Waits until they are done, and gives their report.
    ///
    /// # Errors
    /// [`Failure::Unmeasured`] if they gave up: figures of a server that loses a text count for nothing.
    pub fn finish(self) -> Result<Value, Failure> {
        let unmeasured = |why: String| Failure::Unmeasured { what: self.what.clone(), why };
        let output = self.child.wait_with_output().map_err(|error| unmeasured(error.to_string()))?;
        if !output.status.success() {
            return Err(unmeasured("the generator gave up".to_owned()));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| unmeasured(error.to_string()))
    }
}
