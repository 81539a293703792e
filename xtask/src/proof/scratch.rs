//! A folder for one proof: removed when it holds, kept and named when it does not.

use crate::{failure::Failure, workspace::Workspace};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder below the target folder, which lies on a real disk more often than the system's temporary one.
pub struct Scratch {
    path: PathBuf,
    kept: bool,
}

impl Scratch {
    /// An empty folder for the proof of this name.
    ///
    /// # Errors
    /// Fails if it can't be made.
    pub fn create(workspace: &Workspace, name: &str) -> Result<Self, Failure> {
        let path = workspace.root.join("target/proof").join(format!("{name}-{}", std::process::id()));
        let failed = |source| Failure::Write { path: path.clone(), source };
        if path.exists() {
            fs::remove_dir_all(&path).map_err(failed)?;
        }
        fs::create_dir_all(&path).map_err(failed)?;
        Ok(Self { path, kept: true })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The proof holds, so there is nothing left to look at.
    pub fn discard(mut self) {
        self.kept = false;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.kept {
            eprintln!("kept for a look: {}", self.path.display());
        } else {
            // What is left of a proof that holds does no harm.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
