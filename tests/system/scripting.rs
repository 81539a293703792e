//! Files sent and received by scripts: `natter send` and `natter get`, their pipes and their exit codes.

use super::harness::{Finished, Home, Server, bounded};
use std::fs;
use std::os::unix::fs::PermissionsExt;

async fn run(home: &Home, server: &Server, verb: &str, name: &str, more: &[&str]) -> Finished {
    let mut errand = home.errand(verb, server.addr(), name, more);
    errand.close_input();
    errand.finished().await
}

#[tokio::test]
async fn a_script_sends_a_file_and_another_one_gets_it() {
    bounded(60, async {
        let server = Server::start().await;
        let (alice, bob) = (Home::new(), Home::new());
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let from = alice.path().join("build.log").display().to_string();
        fs::write(&from, &content).expect("the disk has room");
        let sent =
            run(&alice, &server, "send", "ci", &["-r", "dev", &from, "-m", "the night build", "-q"]).await;
        assert_eq!((sent.code, sent.out.as_str(), sent.err.as_str()), (Some(0), "", ""));
        let to = bob.path().join("mine.log").display().to_string();
        let got = run(&bob, &server, "get", "bob", &["-r", "dev", "build", "-o", &to, "-q"]).await;
        assert_eq!((got.code, got.out.trim_end(), got.err.as_str()), (Some(0), to.as_str(), ""));
        assert_eq!(fs::read(&to).expect("it is there"), content);
        let again = run(&bob, &server, "get", "bob", &["-r", "dev", "1", "-o", &to]).await;
        assert_eq!(again.code, Some(1), "nothing is replaced: {}", again.err);
        // An errand reads nothing: all of it is new to who comes later.
        let mut person = bob.natter(server.addr(), "bob");
        person.shows("ci: the night build").await;
        person.close_input();
        person.finished().await;
    })
    .await;
}

#[tokio::test]
async fn stdin_is_sent_and_what_is_got_goes_to_stdout() {
    bounded(60, async {
        let server = Server::start().await;
        let home = Home::new();
        let mut send =
            home.errand("send", server.addr(), "ci", &["-r", "dev", "-", "--name", "a b.txt", "--json"]);
        send.type_line("from a pipe").await;
        send.close_input();
        let sent = send.finished().await;
        assert_eq!(sent.code, Some(0), "{}", sent.err);
        let told: serde_json::Value = serde_json::from_str(&sent.out).expect("a line of JSON");
        assert_eq!(
            (&told["sent"], &told["size"], &told["to"]),
            (&"a b.txt".into(), &12.into(), &"#dev".into())
        );
        assert_eq!(told["blake3"], blake3::hash(b"from a pipe\n").to_string());
        let got = run(&home, &server, "get", "bob", &["-r", "dev", "1", "-o", "-"]).await;
        assert_eq!((got.code, got.out.trim_end()), (Some(0), "from a pipe"));
    })
    .await;
}

#[tokio::test]
async fn a_folder_goes_through_and_its_programs_run_only_if_that_is_said() {
    bounded(60, async {
        let server = Server::start().await;
        let (alice, bob) = (Home::new(), Home::new());
        let src = alice.path().join("src");
        fs::create_dir_all(src.join("bin")).expect("a folder");
        fs::write(src.join("bin/run"), "#!/bin/sh\n").expect("a file");
        fs::set_permissions(src.join("bin/run"), fs::Permissions::from_mode(0o755)).expect("a program");
        std::os::unix::fs::symlink("/etc/passwd", src.join("link")).expect("a link");
        let sent = run(&alice, &server, "send", "ci", &["--to", "bob", &src.display().to_string()]).await;
        assert_eq!(sent.code, Some(5), "nobody is called bob yet: {}", sent.err);
        let sent = run(&alice, &server, "send", "ci", &["-r", "dev", &src.display().to_string()]).await;
        assert_eq!(sent.code, Some(0), "{}", sent.err);
        for (folder, more) in [("plain/", &[][..]), ("run/", &["-x"][..])] {
            let folder = bob.path().join(folder).display().to_string() + "/";
            let args = [&["-r", "dev", "src", "-o", &folder], more].concat();
            let got = run(&bob, &server, "get", "bob", &args).await;
            assert_eq!(got.code, Some(0), "{}", got.err);
            let program = fs::metadata(format!("{folder}src/bin/run")).expect("it is there");
            assert_eq!(program.permissions().mode() & 0o111 != 0, !more.is_empty());
            assert_eq!(fs::read_dir(format!("{folder}src")).expect("a folder").count(), 1, "no link");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_script_can_not_have_is_told_by_its_exit_code() {
    bounded(60, async {
        let server = Server::start().await;
        let home = Home::new();
        let nowhere = home.path().join("nowhere").display().to_string();
        let missing = run(&home, &server, "send", "ci", &["-r", "dev", &nowhere]).await;
        assert_eq!(missing.code, Some(1), "{}", missing.err);
        assert!(missing.err.contains(&format!("no such file: '{nowhere}'")), "{}", missing.err);
        let none = run(&home, &server, "get", "ci", &["-r", "dev", "cat.png"]).await;
        assert_eq!((none.code, none.out.as_str()), (Some(1), ""), "{}", none.err);
        assert!(none.err.contains("there is no file 'cat.png' in #dev"), "{}", none.err);
        let nobody = run(&home, &server, "get", "ci", &["-r", "dve", "cat.png"]).await;
        assert_eq!((nobody.code, nobody.out.as_str()), (Some(1), ""), "{}", nobody.err);
        assert!(nobody.err.contains("there is no room #dve\nhint: did you mean #dev?"), "{}", nobody.err);
        let usage = run(&home, &server, "send", "ci", &["-r", "dev"]).await;
        assert_eq!(usage.code, Some(2), "{}", usage.err);
        let bad = run(&home, &server, "send", "ci", &["-r", "a b", &nowhere]).await;
        assert_eq!(bad.code, Some(1), "{}", bad.err);
        let mut lost = home.errand("get", "127.0.0.1:1".parse().expect("an address"), "ci", &["1"]);
        lost.close_input();
        let lost = lost.finished().await;
        assert_eq!(lost.code, Some(3), "{}", lost.err);
    })
    .await;
}

#[tokio::test]
async fn whoever_only_reads_makes_no_room() {
    bounded(60, async {
        let server = Server::start().await;
        let home = Home::new();
        for more in [&["-r", "typo"][..], &["-r", "typo", "x"], &["-r", "#typo", "x", "-o", "-"]] {
            let got = run(&home, &server, "get", "ci", more).await;
            assert_eq!((got.code, got.out.as_str()), (Some(1), ""), "{}", got.err);
            assert_eq!(got.err.matches("there is no room #typo").count(), 1, "{}", got.err);
        }
        let mut person = home.natter(server.addr(), "alice");
        person.type_line("/list").await;
        person.shows("#lobby").await;
        person.close_input();
        let finished = person.finished().await;
        assert!(!finished.out.contains("typo"), "{}", finished.out);
    })
    .await;
}

#[tokio::test]
async fn the_name_that_chose_a_profile_does_not_rename_who_goes_by_another_one() {
    bounded(60, async {
        let server = Server::start().await;
        let (alice, bob) = (Home::new(), Home::new());
        let mut chat = alice.natter(server.addr(), "alice");
        chat.type_lines(["I was alice", "/nick al", "I am al now"]).await;
        chat.close_input();
        assert_eq!(chat.finished().await.code, Some(0));
        let file = alice.path().join("cake.txt").display().to_string();
        fs::write(&file, "a recipe").expect("the disk has room");
        let sent = run(&alice, &server, "send", "alice", &[&file, "-m", "by a script"]).await;
        assert_eq!(sent.code, Some(0), "{}", sent.err);
        let mut again = alice.natter(server.addr(), "alice");
        again.type_line("and once more").await;
        again.close_input();
        again.finished().await;
        let reader = bob.natter(server.addr(), "bob");
        for line in ["al: I was alice", "al: I am al now", "al: by a script", "al: and once more"] {
            reader.shows(line).await;
        }
    })
    .await;
}
