//! The real `natter`, with pipes for a keyboard and a screen.

use super::process::{Finished, Process};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

/// Where a person's programs keep their files.
pub struct Home(TempDir);

impl Home {
    /// A new one, with nothing in it.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The folder of received files.
    pub fn received(&self) -> PathBuf {
        self.0.path().join("received")
    }

    /// Starts `natter` here.
    pub fn natter(&self, addr: SocketAddr, name: &str) -> Cli {
        self.natter_with(addr, name, &[])
    }

    /// Starts `natter` here with more options.
    pub fn natter_with(&self, addr: SocketAddr, name: &str, more: &[&str]) -> Cli {
        self.natter_at(&addr.ip().to_string(), addr.port(), name, more)
    }

    /// Starts `natter` here, by this name of the server.
    pub fn natter_at(&self, host: &str, port: u16, name: &str, more: &[&str]) -> Cli {
        let port = port.to_string();
        let args = [&[host, "-p", port.as_str(), "-u", name], more].concat();
        Cli(Process::start("natter", &args, self.0.path()))
    }

    /// Starts an errand here: `natter send` or `natter get`.
    pub fn errand(&self, verb: &str, addr: SocketAddr, name: &str, more: &[&str]) -> Cli {
        let addr = addr.to_string();
        let args = [&[verb, addr.as_str(), "-u", name], more].concat();
        Cli(Process::start("natter", &args, self.0.path()))
    }
}

/// A running `natter`.
pub struct Cli(Process);

impl Cli {
    /// Types lines.
    pub async fn type_lines(&mut self, lines: impl IntoIterator<Item = impl AsRef<str>>) {
        let text: String = lines.into_iter().map(|line| format!("{}\n", line.as_ref())).collect();
        let input = self.0.input.as_mut().expect("the input is open");
        let _ = input.write_all(text.as_bytes()).await;
    }

    /// Writes bytes to its input; whether it takes them all.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.0.input.as_mut().expect("the input is open").write_all(bytes).await.is_ok()
    }

    /// Types a line.
    pub async fn type_line(&mut self, line: &str) {
        self.type_lines([line]).await;
    }

    /// Ends the input, as Ctrl+D does.
    pub fn close_input(&mut self) {
        self.0.input = None;
    }

    /// Waits for a line on stdout that holds `part`, after the last one waited for.
    pub async fn shows(&self, part: &str) -> String {
        self.0.out.line(part).await
    }

    /// Waits for a line on stderr that holds `part`, after the last one waited for.
    pub async fn says(&self, part: &str) -> String {
        self.0.err.line(part).await
    }

    /// All lines on stdout so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.out.lines()
    }

    /// All lines on stderr so far.
    pub fn diagnostics(&self) -> Vec<String> {
        self.0.err.lines()
    }

    /// Waits until `done` holds for all lines on stdout so far.
    pub async fn until(&self, what: &str, done: impl Fn(&[String]) -> bool) {
        self.0.out.until(what, done).await;
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(&mut self) {
        self.0.kill().await;
    }

    /// Interrupts it, as Ctrl+C does.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }

    /// Waits until it has ended by itself.
    pub async fn finished(&mut self) -> Finished {
        self.0.finished().await
    }
}
