//! Whoever reads the log, or does not: the server serves.

use super::harness::{Native, bounded, program};
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

/// A stop takes the drain, and at most a second for a log that nobody reads.
const STOP: Duration = Duration::from_secs(10);

/// Starts a server that logs to `stderr`.
fn start(home: &TempDir, stderr: Stdio) -> Child {
    Command::new(program("natterd"))
        .args(["--host", "127.0.0.1", "-p", "0", "--store", "memory"])
        .env_clear()
        .env("TMPDIR", home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .kill_on_drop(true)
        .spawn()
        .expect("natterd starts")
}

fn full_disk() -> Stdio {
    std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has a full device").into()
}

async fn address(child: &mut Child) -> SocketAddr {
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    out.read_line(&mut line).await.expect("stdout can be read");
    line.trim().rsplit(' ').next().and_then(|addr| addr.parse().ok()).expect("it says where it listens")
}

/// People come, talk and go; then the server stops as it should.
async fn serves_and_stops(child: &mut Child, addr: SocketAddr) {
    for n in 0..50 {
        let guest = Native::enter(addr, &format!("guest-{n}")).await;
        if n % 10 == 0 {
            guest.say(guest.lobby(), "hello");
            guest.reads(guest.lobby(), 1).await;
        }
    }
    let begun = Instant::now();
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).expect("it runs");
    kill_process(pid, Signal::TERM).expect("our own child takes our signal");
    let status = timeout(STOP, child.wait()).await.expect("it stops in time").expect("it can be waited for");
    assert_eq!(status.code(), Some(0), "after {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_full_disk_under_the_log_ends_nothing() {
    bounded(120, async {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let mut child = start(&home, full_disk());
        let addr = address(&mut child).await;
        serves_and_stops(&mut child, addr).await;
    })
    .await;
}

#[tokio::test]
async fn a_closed_pipe_behind_the_log_ends_nothing() {
    bounded(120, async {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let mut child = start(&home, Stdio::piped());
        drop(child.stderr.take());
        let addr = address(&mut child).await;
        serves_and_stops(&mut child, addr).await;
    })
    .await;
}

#[tokio::test]
async fn a_reader_of_the_log_that_stands_still_stops_nobody_and_finds_the_dropped_lines_counted() {
    bounded(240, async {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let mut child = start(&home, Stdio::piped());
        let mut log = child.stderr.take().expect("stderr is a pipe");
        let addr = address(&mut child).await;
        // Nothing reads the pipe meanwhile, and this is more than it and the queue hold.
        for n in 0..5_000 {
            drop(Native::enter(addr, &format!("guest-with-a-long-name-{n}")).await);
        }
        let mut text = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        let counted = |text: &[u8]| String::from_utf8_lossy(text).contains("lines of this log");
        while !counted(&text) {
            let read = timeout(STOP, log.read(&mut piece)).await.expect("the log goes on");
            text.extend(&piece[..read.expect("the log can be read")]);
        }
        serves_and_stops(&mut child, addr).await;
    })
    .await;
}
