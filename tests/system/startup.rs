//! How the programs start, or say why they don't: one line with a hint, and the exit code that scripts rely on.

use super::harness::{Finished, Native, Server, bounded, run};
use std::net::TcpListener;

/// One line that says what is wrong and one hint, nothing on stdout, no backtrace.
fn check(finished: &Finished, code: i32, parts: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert_eq!(finished.out, "", "stdout is for data");
    let hints = finished.err.lines().filter(|line| line.contains("hint: ")).count();
    assert_eq!(hints, 1, "{}", finished.err);
    for part in parts {
        assert!(finished.err.contains(part), "no {part:?} in {}", finished.err);
    }
    assert!(finished.err.lines().count() <= 2, "{}", finished.err);
    assert!(!finished.err.contains("os error"), "no numbers of the system: {}", finished.err);
}

#[tokio::test]
async fn a_port_in_use_is_told_with_its_number() {
    bounded(60, async {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = taken.local_addr().expect("a bound socket has an address").port().to_string();
        let finished = run("natterd", &["--host", "127.0.0.1", "-p", &port, "--store", "memory"]).await;
        check(&finished, 3, &[&port, "in use"]);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_host_is_told_with_its_name() {
    bounded(60, async {
        let finished = run("natter", &["no-such-host.invalid", "-u", "alice"]).await;
        check(&finished, 3, &["no-such-host.invalid"]);
    })
    .await;
}

#[tokio::test]
async fn a_refused_connection_is_told_with_its_address() {
    bounded(60, async {
        let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = closed.local_addr().expect("a bound socket has an address").port().to_string();
        drop(closed);
        let finished = run("natter", &["127.0.0.1", "-p", &port, "-u", "alice"]).await;
        check(&finished, 3, &["127.0.0.1", &port, "refused"]);
    })
    .await;
}

#[tokio::test]
async fn a_bad_option_is_a_usage_error_of_both_programs() {
    bounded(60, async {
        for (program, args) in [
            ("natterd", &["--no-such-option"][..]),
            ("natterd", &["-p", "70000"][..]),
            ("natterd", &["--plaintext", "sometimes"][..]),
            ("natter", &["--no-such-option"][..]),
            ("natter", &["127.0.0.1", "-p", "many"][..]),
        ] {
            println!("{program} {args:?}");
            check(&run(program, args).await, 2, &[args[args.len() - 1]]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_name_that_is_not_allowed_is_refused_before_anything_is_sent() {
    bounded(60, async {
        let server = Server::start().await;
        let port = server.addr().port().to_string();
        let finished = run("natter", &["127.0.0.1", "-p", &port, "-u", "a::b"]).await;
        assert!(matches!(finished.code, Some(1 | 2)), "{finished:?}");
        assert!(finished.err.contains("a::b") && finished.err.contains("hint: "), "{}", finished.err);
    })
    .await;
}

#[tokio::test]
async fn help_and_version_are_answered_on_stdout() {
    bounded(60, async {
        for program in ["natterd", "natter"] {
            let help = run(program, &["--help"]).await;
            assert_eq!((help.code, help.err.as_str()), (Some(0), ""), "{program}");
            assert!(help.out.contains("--port"), "{}", help.out);
            let version = run(program, &["--version"]).await;
            assert!(version.out.starts_with(program) && version.code == Some(0), "{}", version.out);
        }
    })
    .await;
}

#[tokio::test]
async fn help_that_can_not_be_written_is_an_error_and_a_closed_pipe_is_none() {
    bounded(60, async {
        for (name, code) in [("natterd", 3), ("natter", 1)] {
            let natter = super::harness::program(name).display().to_string();
            for (script, code) in [("exec \"$0\" --help > /dev/full", code), ("\"$0\" --help | :", 0)] {
                let shell = tokio::process::Command::new("sh").args(["-c", script, &natter]).output();
                let ended = shell.await.expect("there is a shell");
                let told = String::from_utf8_lossy(&ended.stderr);
                assert_eq!(ended.status.code(), Some(code), "{name}: {told}");
                assert_eq!(told.contains("no space left on device"), code > 0, "{name}: {told}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_server_prints_a_line_to_paste_for_each_kind_of_client() {
    bounded(60, async {
        let server = Server::start().await;
        let port = server.addr().port().to_string();
        let line = server.out().line("natter 127.0.0.1").await;
        assert!(line.contains(&port), "{line}");
    })
    .await;
}

#[tokio::test]
async fn the_server_says_whom_it_serves_when_it_listens_on_more_than_loopback() {
    bounded(60, async {
        let local = Server::start().await;
        let all = Server::start_on_all_addresses(&[]).await;
        let open = Server::start_on_all_addresses(&["--plaintext", "anywhere"]).await;
        let said = |server: &Server| {
            let text = format!("{}\n{}", server.out().text(), server.err().text());
            text.to_lowercase()
        };
        for server in [&local, &all, &open] {
            // Logging in makes sure that all that is said at the start has been said.
            Native::enter(server.addr(), "alice").await;
        }
        assert!(!said(&local).contains("unencrypted"), "{}", said(&local));
        assert!(said(&all).contains("--plaintext anywhere"), "how to open it: {}", said(&all));
        let loud = |line: &str| line.contains("warn") && line.contains("unencrypted");
        assert!(said(&open).lines().any(loud), "{}", said(&open));
    })
    .await;
}

#[tokio::test]
async fn the_server_says_first_where_its_data_is_and_whether_it_is_new() {
    bounded(60, async {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        for state in ["begins there", "goes on there"] {
            let mut server = Server::start_in(data.path()).await;
            let first = server.err().line("INFO").await;
            let said = format!("all data is in the folder '{}', and {state}", data.path().display());
            assert!(first.ends_with(&said), "{first}");
            server.stop().await;
        }
        let memory = Server::start().await;
        let first = memory.err().line("INFO").await;
        assert!(first.ends_with("all data is in memory, and ends with this process"), "{first}");
    })
    .await;
}

#[tokio::test]
async fn a_data_folder_that_can_not_be_used_is_told_in_words() {
    bounded(60, async {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let file = home.path().join("file");
        std::fs::write(&file, "x").expect("the disk has room");
        let below = file.join("data");
        for path in [&file, &below] {
            let path = path.display().to_string();
            let finished = run("natterd", &["--host", "127.0.0.1", "-p", "0", "--data", &path]).await;
            check(&finished, 3, &[&path, "there is a file of that name"]);
        }
    })
    .await;
}
