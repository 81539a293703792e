//! The client between pipes: what goes in is text, and what can't come out is told.

use super::harness::{Classic, Home, Server, bounded, program};
use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Pipes `input` into `natter` and waits for its end; nobody else is there to close it.
async fn pipe(home: &Home, server: &Server, input: &str, more: &[&str]) -> (Vec<String>, String) {
    let mut natter = home.natter_with(server.addr(), "alice", more);
    natter.type_lines(input.lines()).await;
    natter.close_input();
    let finished = natter.finished().await;
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    let said = finished.out.lines().filter_map(|line| Some(line.split_once(" alice: ")?.1.to_owned()));
    (said.collect(), finished.err)
}

#[tokio::test]
async fn with_no_commands_every_line_of_a_pipe_is_said_and_without_it_commands_are_done() {
    bounded(90, async {
        let server = Server::start().await;
        let home = Home::new();
        let log = "one\n/quit\n/delete\n//two\n/join dev\nthree";
        let (said, err) = pipe(&home, &server, log, &["--no-commands"]).await;
        assert_eq!(said, ["one", "/quit", "/delete", "//two", "/join dev", "three"], "{err}");
        let (said, err) = pipe(&home, &server, "four\n/quit\nfive", &["--history", "0"]).await;
        assert_eq!(said, ["four"], "{err}");
    })
    .await;
}

#[tokio::test]
async fn a_message_of_send_is_text_even_if_it_begins_with_a_slash() {
    bounded(60, async {
        let server = Server::start().await;
        let home = Home::new();
        let file = home.path().join("a.txt");
        fs::write(&file, "a").expect("a file");
        let path = file.display().to_string();
        for text in ["/quit", "/delete 1"] {
            let mut sent = home.errand("send", server.addr(), "ci", &["-m", text, &path]);
            sent.close_input();
            let sent = sent.finished().await;
            assert_eq!(sent.code, Some(0), "{}", sent.err);
        }
        let home = Home::new();
        let late = home.natter_with(server.addr(), "late", &["--history", "10"]);
        late.shows("ci: /quit").await;
        late.shows("ci: /delete 1").await;
    })
    .await;
}

#[tokio::test]
async fn a_byte_order_mark_is_no_text_and_colours_are_left_out_with_one_notice() {
    bounded(60, async {
        let server = Server::start().await;
        let log = "\u{feff}begin\r\n\u{1b}[1;31mred\u{1b}[0m and \u{1b}]0;title\u{7}plain\ntab\there\n\u{1b}[32mgreen\u{1b}[m";
        let (said, err) = pipe(&Home::new(), &server, log, &[]).await;
        assert_eq!(said[..2], ["begin", "red and plain"], "{err}");
        assert_eq!(said[3..], ["green"], "{err}");
        let notice = "colours and other control characters are left out of the text";
        assert_eq!(err.matches(notice).count(), 1, "{err}");
        let (_, quiet) = pipe(&Home::new(), &server, log, &["-q"]).await;
        assert_eq!(quiet, "", "who asked for silence is told nothing");
    })
    .await;
}

/// `natter` with a disk that is full for a screen, and something to show.
async fn with_a_full_stdout(addr: SocketAddr, more: &'static [&'static str]) -> Output {
    let home = Home::new();
    let input = home.path().join("input");
    fs::write(&input, "one\ntwo\n").expect("a file");
    let mut natter = Command::new(program("natter"));
    natter
        .args([&addr.to_string(), "-u", "alice"])
        .args(more)
        .env("XDG_STATE_HOME", home.path())
        .current_dir(home.path())
        .stdin(File::open(&input).expect("a file"))
        .stdout(OpenOptions::new().write(true).open("/dev/full").expect("a device of Linux"))
        .stderr(Stdio::piped());
    #[expect(clippy::disallowed_methods, reason = "a child is waited for, and nothing here is simulated")]
    let ended = tokio::task::spawn_blocking(move || natter.output());
    ended.await.expect("it did not panic").expect("it starts")
}

#[tokio::test]
async fn a_chat_whose_stdout_is_full_says_so_and_ends_with_1() {
    bounded(60, async {
        let server = Server::start().await;
        for more in [&[][..], &["-q"], &["--classic"]] {
            // What a classic client says itself is not shown to it: somebody else must be there.
            let mut other = Classic::enter(server.addr(), "other").await;
            other.say("hello").await;
            let ended = with_a_full_stdout(server.addr(), more).await;
            let err = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert_eq!(ended.status.code(), Some(1), "{more:?}: {err}");
            assert!(err.contains("can't write to stdout: no space left on device"), "{more:?}: {err}");
            assert!(err.contains("hint: "), "{more:?}: {err}");
        }
    })
    .await;
}

/// Runs `natter` as cron and containers do: nobody's home is named, and no variable of its own is set.
async fn without_a_home(args: &[&str], folder: &Path, input: &str) -> Output {
    fs::write(folder.join("input"), input).expect("a file");
    let mut natter = Command::new(program("natter"));
    natter.args(args).env_clear().current_dir(folder);
    natter.stdin(File::open(folder.join("input")).expect("a file"));
    #[expect(clippy::disallowed_methods, reason = "a child is waited for, and nothing here is simulated")]
    let ended = tokio::task::spawn_blocking(move || natter.output());
    ended.await.expect("it did not panic").expect("it starts")
}

#[tokio::test]
async fn a_throw_away_device_needs_no_home_and_leaves_nothing() {
    bounded(60, async {
        let server = Server::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let address = server.addr().to_string();
        fs::write(folder.path().join("a.txt"), "from nowhere").expect("a file");
        for (args, input, out) in [
            (&["send", &address, "a.txt", "--temporary"][..], "", ""),
            (&["get", &address, "a.txt", "-o", "-", "--temporary"], "", "from nowhere"),
            (&[&address, "--temporary"], "said from nowhere\n", "said from nowhere"),
        ] {
            let ended = without_a_home(args, folder.path(), input).await;
            let (told, err) =
                (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
            assert_eq!(ended.status.code(), Some(0), "{args:?}: {err}");
            assert!(told.contains(out), "{args:?}: {told}");
        }
        let kept = without_a_home(&[&address], folder.path(), "").await;
        let err = String::from_utf8_lossy(&kept.stderr);
        assert!(kept.status.code() == Some(1) && err.contains("--temporary"), "{err}");
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).expect("a folder").flatten().map(|file| file.file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.txt", "input"]);
    })
    .await;
}

#[tokio::test]
async fn five_sends_at_once_on_a_fresh_profile_are_one_person_and_all_arrive() {
    bounded(120, async {
        let server = Server::start().await;
        let home = Home::new();
        let mut sends: Vec<_> = (0..5)
            .map(|n| {
                let text = format!("part {n} of the night build");
                let file = home.path().join(format!("{n}.log"));
                fs::write(&file, &text).expect("a file");
                let path = file.display().to_string();
                let mut send = home.errand("send", server.addr(), "ci", &["-m", &text, &path]);
                send.close_input();
                send
            })
            .collect();
        for send in &mut sends {
            let sent = send.finished().await;
            assert_eq!(sent.code, Some(0), "{}", sent.err);
        }
        let late_home = Home::new();
        let mut late = late_home.natter_with(server.addr(), "late", &["--history", "20"]);
        late.type_line("that is all").await;
        late.shows("late: that is all").await;
        let mut parts: Vec<_> = late.lines().iter().filter_map(|line| said_by_ci(line)).collect();
        parts.sort();
        let wanted: Vec<_> = (0..5).map(|n| format!("part {n} of the night build")).collect();
        assert_eq!(parts, wanted, "{:?}", late.lines());
        let files =
            (0..5).filter(|n| late.lines().iter().any(|line| line.contains(&format!("sends '{n}.log'"))));
        assert_eq!(files.count(), 5, "{:?}", late.lines());
        // The name is still that person's: who comes with the profile has it.
        let mut again = home.natter(server.addr(), "ci");
        again.type_line("it is me").await;
        late.shows("ci: it is me").await;
    })
    .await;
}

fn said_by_ci(line: &str) -> Option<String> {
    Some(line.split_once(" ci: ")?.1.to_owned())
}
