//! Two copies of one profile: the folder was copied to another machine, or a virtual machine was cloned.

use super::harness::{Home, Native, Server, bounded, mark};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

/// How often the younger one says something while the older one waits.
const SAYS_EVERY: Duration = Duration::from_millis(500);

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).expect("a file can be copied");
        }
    }
}

#[tokio::test]
async fn two_copies_of_a_profile_do_not_take_turns() {
    bounded(150, async {
        let server = Server::start().await;
        let mut observer = Native::enter(server.addr(), "observer").await;
        let room = observer.lobby();
        let (one, other) = (Home::new(), Home::new());
        let mut older = one.natter(server.addr(), "kim");
        older.type_line("the first of two").await;
        observer.hears("the first of two").await;
        copy(one.path(), other.path());

        let mut younger = other.natter(server.addr(), "kim");
        older.says("another client uses this profile now").await;
        // The older one looks after half a minute whether the device is free, and the younger one notices nothing.
        let mut said = Vec::new();
        let looked = || server.err().lines().iter().any(|line| line.contains("in_use"));
        while !looked() {
            let line = mark("kim", said.len());
            younger.type_line(&line).await;
            observer.hears(&line).await;
            said.push(line);
            sleep(SAYS_EVERY).await;
        }
        // It was refused, and goes on waiting: it does not take the device away now either.
        let line = mark("kim", said.len());
        younger.type_line(&line).await;
        observer.hears(&line).await;
        let logs = server.err().lines();
        let logins =
            logs.iter().filter(|line| line.contains("INFO login conn") && line.contains("kim")).count();
        assert_eq!(logins, 2, "one for each copy: {logs:#?}");
        let lost = |line: &String| line.contains("uses this profile") || line.contains("connection lost");
        assert!(!younger.diagnostics().iter().any(lost), "{:#?}", younger.diagnostics());
        observer.settle().await;
        assert_eq!(observer.texts(room).len(), said.len() + 2, "and each line is there once");
    })
    .await;
}
