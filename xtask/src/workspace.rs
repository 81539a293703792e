//! The checkout that the tasks work on, and the commands that they share.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use xshell::{Cmd, Shell, cmd};

use crate::failure::Failure;

/// Set in the environment, these replace the flags of `.cargo/config.toml`, and with them `--cfg tokio_unstable`.
const FLAGS_THAT_REPLACE_OURS: [&str; 4] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTDOCFLAGS", "CARGO_ENCODED_RUSTDOCFLAGS"];

/// The checkout, with a shell that stands in its top folder.
pub struct Workspace {
    /// Runs commands in [`Workspace::root`].
    pub shell: Shell,
    /// The top folder of the checkout.
    pub root: PathBuf,
    /// Whether this is a CI run, where nothing may be skipped.
    pub ci: bool,
}

impl Workspace {
    /// Opens the checkout that this program was built from.
    ///
    /// # Errors
    /// Fails if the current folder is gone.
    pub fn open() -> Result<Workspace, Failure> {
        let shell = Shell::new()?;
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = package.parent().unwrap_or(package).to_path_buf();
        shell.change_dir(&root);
        Ok(Workspace { shell, root, ci: is_ci(env::var_os("CI").as_deref()) })
    }

    /// Cargo with the flags of this workspace, whatever the environment says.
    pub fn cargo(&self) -> Cmd<'_> {
        FLAGS_THAT_REPLACE_OURS.iter().fold(cmd!(self.shell, "cargo"), |cargo, flags| cargo.env_remove(flags))
    }

    /// Builds `natterd` and `natter`, which the whole-system tests run.
    ///
    /// # Errors
    /// Fails if one of them doesn't compile.
    pub fn build_programs(&self) -> Result<(), Failure> {
        Ok(self.cargo().args(["build", "-p", "server", "-p", "client", "--bins"]).run()?)
    }

    /// Builds `natterd` and the generator of load, and gives the folder they are in: those of the tests are slower.
    ///
    /// # Errors
    /// Fails if one of them doesn't compile.
    pub fn build_for_load(&self, debug: bool) -> Result<PathBuf, Failure> {
        if debug {
            self.build_programs()?;
            self.cargo().args(["build", "-p", "load", "--bins"]).run()?;
            return Ok(self.root.join("target/debug"));
        }
        self.cargo().args(["build", "--release", "-p", "server", "-p", "load", "--bins"]).run()?;
        Ok(self.root.join("target/release"))
    }

    /// A program that [`build_programs`](Self::build_programs) has built.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root.join("target/debug").join(name)
    }

    /// Whether cargo has the subcommand `tool`: missing is `Ok(false)` on a person's machine, an error in CI.
    ///
    /// # Errors
    /// Fails if the tool is missing in CI.
    pub fn has_tool(&self, tool: &'static str) -> Result<bool, Failure> {
        let probe = self.cargo().args([tool, "--version"]).quiet().ignore_stdout().ignore_stderr();
        match probe.run() {
            Ok(()) => Ok(true),
            Err(_) if self.ci => Err(Failure::MissingTool { tool }),
            Err(_) => Ok(false),
        }
    }
}

fn is_ci(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_is_any_value_but_empty_false_and_zero() {
        let is = |value: &str| is_ci(Some(OsStr::new(value)));
        assert!(is("true") && is("1"));
        assert!(!is("") && !is("false") && !is("0") && !is_ci(None));
    }
}
