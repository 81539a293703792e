//! What operators do with the real server: kill it, start it again, back up, restore, verify, export, compact.

use super::harness::{Finished, Native, Server, bounded, run};
use protocol::message::OpenFrom;
use std::path::Path;

/// Runs `natterd` on a folder.
async fn natterd(data: &Path, args: &[&str]) -> Finished {
    let data = data.to_str().expect("temporary folders have plain names");
    run("natterd", &[args, &["--data", data]].concat()).await
}

fn check(finished: &Finished, code: i32, said: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    for part in said {
        let all = [&finished.out[..], &finished.err[..]].concat();
        assert!(all.contains(part), "no {part:?} in {finished:?}");
    }
}

/// What somebody new reads in the lobby from the start.
async fn history(server: &Server, count: usize) -> Vec<String> {
    let mut reader = Native::enter(server.addr(), "reader").await;
    let lobby = reader.lobby();
    reader.open(lobby, OpenFrom::After { epoch: reader.epoch, seq: None }).await;
    reader.reads(lobby, count).await
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    bounded(60, async {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let mut server = Server::start_in(data.path()).await;
        let texts: Vec<_> = (0..100).map(|n| format!("line {n}")).collect();
        let alice = Native::enter(server.addr(), "alice").await;
        alice.say_all(alice.lobby(), texts.clone()).await;
        alice.acked(100).await;
        let epoch = alice.epoch;
        server.restart().await;
        assert_eq!(history(&server, 100).await, texts);
        let bob = Native::enter(server.addr(), "bob").await;
        assert_eq!(bob.epoch, epoch, "the history is the same one");
    })
    .await;
}

#[tokio::test]
async fn a_folder_is_served_by_one_server() {
    bounded(60, async {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let _server = Server::start_in(data.path()).await;
        let second = natterd(data.path(), &["--host", "127.0.0.1", "-p", "0"]).await;
        check(&second, 3, &["in use by another program (process ", "hint: ", "--data"]);
        let compact = natterd(data.path(), &["compact"]).await;
        check(&compact, 3, &["in use", "hint: stop the server first"]);
    })
    .await;
}

#[tokio::test]
async fn a_backup_of_a_running_server_is_restored_elsewhere() {
    bounded(90, async {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let elsewhere = tempfile::tempdir().expect("a temporary folder can be made");
        let saved = elsewhere.path().join("saved");
        let saved = saved.to_str().expect("temporary folders have plain names");
        let mut server = Server::start_in(data.path()).await;
        let texts: Vec<_> = (0..50).map(|n| format!("line {n}")).collect();
        let alice = Native::enter(server.addr(), "alice").await;
        alice.say_all(alice.lobby(), texts.clone()).await;
        alice.acked(50).await;
        check(&natterd(data.path(), &["backup", saved]).await, 0, &["50 messages in 1 rooms", "\nok"]);
        check(&natterd(data.path(), &["backup", saved]).await, 1, &["is there already", "hint: "]);
        check(&natterd(data.path(), &["verify"]).await, 0, &["a server is running", "\nok"]);
        let exported = natterd(data.path(), &["export", "LOBBY", "--jsonl"]).await;
        check(&exported, 0, &["\"text\":\"line 49\"}"]);
        assert_eq!(exported.out.lines().count(), 50);
        check(&natterd(data.path(), &["export", "nowhere", "--jsonl"]).await, 1, &["no room 'nowhere'"]);
        let epoch = alice.epoch;
        assert_eq!(server.stop().await.code, Some(0));

        check(&natterd(data.path(), &["compact"]).await, 0, &["bytes before"]);
        check(&natterd(data.path(), &["verify"]).await, 0, &["50 messages", "\nok"]);
        let restored = elsewhere.path().join("restored");
        check(&natterd(&restored, &["restore", saved]).await, 0, &["50 messages", "\nok"]);
        check(&natterd(&restored, &["restore", saved]).await, 1, &["is there already"]);
        let server = Server::start_in(&restored).await;
        assert_eq!(history(&server, 50).await, texts);
        let bob = Native::enter(server.addr(), "bob").await;
        assert_ne!(bob.epoch, epoch, "what came after the backup is gone");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_data_of_ours_is_left_alone() {
    bounded(60, async {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("natter.db");
        std::fs::write(&file, "somebody's notes\n".repeat(100)).expect("a temporary file can be written");
        check(
            &natterd(folder.path(), &["--host", "127.0.0.1", "-p", "0"]).await,
            3,
            &["not a database of natterd", "hint: "],
        );
        let named = file.to_str().expect("temporary folders have plain names");
        check(&run("natterd", &["verify", named]).await, 3, &["was not written by natterd", "hint: "]);
        check(&natterd(&folder.path().join("none"), &["verify"]).await, 1, &["no data folder", "hint: "]);
        let left = std::fs::read_to_string(&file).expect("it is still there");
        assert_eq!(left, "somebody's notes\n".repeat(100));
    })
    .await;
}

#[tokio::test]
async fn help_tells_what_each_command_does() {
    bounded(60, async {
        let mut all = String::new();
        let commands = [&["backup"][..], &["verify"], &["export"], &["people"], &["rooms", "remove"]];
        for args in [&[][..]].iter().chain(&commands).map(|args| [args, &["--help"][..]].concat()) {
            let help = run("natterd", &args).await;
            assert_eq!((help.code, &help.err[..]), (Some(0), ""));
            // The server's own options are those of its help; here it is about the commands.
            all += help.out.split("\nOptions:").next().unwrap_or_default();
            all += "\n";
        }
        insta::assert_snapshot!(all, @r"
        A chat server: rooms that lose nothing, one port, no accounts

        Usage: natterd [OPTIONS] [COMMAND]

        Commands:
          backup   Write everything, files included, to one new file; the server may be running
          restore  Make a data folder out of a backup; clients are told that it is a new history
          verify   Read everything and tell what is damaged; the server may be running
          repair   Make a damaged data folder whole, with holes for the rest; the server must not be running
          export   Write all messages of a room to stdout
          compact  Write the databases anew without what is free in them; the server must not be running
          people   Print and remove people; the server must be running
          rooms    Print and end rooms; the server must be running
          help     Print this message or the help of the given subcommand(s)

        Write everything, files included, to one new file; the server may be running

        Usage: natterd backup [OPTIONS] <FILE>

        Arguments:
          <FILE>  The file; - writes it to stdout

        Read everything and tell what is damaged; the server may be running

        Usage: natterd verify [OPTIONS] [PATH]

        Arguments:
          [PATH]  A data folder or a backup [default: the data folder]

        Write all messages of a room to stdout

        Usage: natterd export [OPTIONS] --jsonl <ROOM>

        Arguments:
          <ROOM>  Its name, or the number of a conversation of two

        Print and remove people; the server must be running

        Usage: natterd people [OPTIONS] <COMMAND>

        Commands:
          list    Print all of them
          show    Print what is known of one
          remove  Remove one: their name is free, and what they said stays
          help    Print this message or the help of the given subcommand(s)

        End one: nobody is in it any more, and its messages are deleted

        Usage: natterd rooms remove [OPTIONS] <ROOM>

        Arguments:
          <ROOM>  Its name, or its number
        ");
    })
    .await;
}
