//! What a profile keeps: through kills at any moment, and while there is no space for it.

use super::*;
use crate::session::event::Unkept;

#[tokio::test(start_paused = true)]
async fn a_killed_client_goes_on_from_its_journal() {
    let server = Server::start();
    let files = MemoryFiles::default();
    for round in 0..20_usize {
        // Killed at another moment each time, and the machine with it.
        server.break_after(&[round % 3]);
        let (client, face) = client(&server, &files);
        let talk = async {
            for n in 0..5 {
                type_line(&face, &format!("{round}.{n}")).await;
            }
            std::future::pending::<()>().await;
        };
        let killed = Duration::from_millis(100 + 37 * round as u64);
        let run = async { tokio::join!(run(client), talk) };
        let _ = tokio::time::timeout(killed, run).await;
        files.crash();
    }
    server.break_after(&[]);
    let (client, mut face) = client(&server, &files);
    drop(std::mem::replace(&mut face.input, tokio::sync::mpsc::channel(1).0));
    let (end, _) = tokio::join!(run(client), read_all(&mut face));
    assert_eq!(end.expect("a good end"), End::Quit);
    let log = server.log();
    let unique: std::collections::BTreeSet<_> = log.iter().collect();
    assert_eq!(unique.len(), log.len(), "nothing twice: {log:?}");
    assert!(log.len() > 50, "{}", log.len());
    for round in 0..20 {
        // A line that was taken is there, and so is all that was typed before it.
        let of_round: Vec<_> = log.iter().filter(|text| text.starts_with(&format!("{round}."))).collect();
        let expected: Vec<_> = (0..of_round.len()).map(|n| format!("{round}.{n}")).collect();
        assert!(of_round.iter().copied().eq(&expected), "{of_round:?}");
    }
}

/// Types these lines again and again, killed at another moment each time, and the machine with it; then lets what
/// waits be sent.
async fn kill_again_and_again(server: &Server, rounds: usize, lines: impl Fn(usize) -> Vec<String>) {
    let files = MemoryFiles::default();
    for round in 0..rounds {
        server.break_after(&[round % 7, round % 3]);
        let (client, face) = client(server, &files);
        let talk = async {
            for line in lines(round) {
                type_line(&face, &line).await;
            }
            std::future::pending::<()>().await;
        };
        let killed = Duration::from_millis(1 + 13 * round as u64);
        let run = async { tokio::join!(run(client), talk) };
        let _ = tokio::time::timeout(killed, run).await;
        files.crash();
    }
    server.break_after(&[]);
    let (client, mut face) = client(server, &files);
    drop(std::mem::replace(&mut face.input, tokio::sync::mpsc::channel(1).0));
    let (end, _) = tokio::join!(run(client), read_all(&mut face));
    assert_eq!(end.expect("a good end"), End::Quit);
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_client_changed_is_changed_once_and_nothing_else_is() {
    let server = Server::start();
    let typed = |round| {
        let lines = ["a", "b", "/edit B", "/me c", "/delete", "d"];
        lines.map(|line| if line == "/delete" { line.to_owned() } else { format!("{line}{round}") }).to_vec()
    };
    kill_again_and_again(&server, 60, typed).await;
    let lines = server.lines();
    let mut complete = 0;
    for round in 0..60 {
        let of_round: Vec<_> = lines.iter().filter(|line| line[1..] == round.to_string()).collect();
        let text: String = of_round.iter().map(|line| &line[..1]).collect();
        assert!(["", "a", "ab", "aB", "aBc", "aBd"].contains(&text.as_str()), "round {round}: {text}");
        complete += usize::from(text == "aBd");
    }
    assert!(complete > 5, "{complete} rounds came to their end: {lines:?}");
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_kept_waits_and_is_sent_once_when_it_can() {
    let server = Server::start();
    let files = MemoryFiles::default();
    let (client, mut face) = client(&server, &files);
    let talk = async {
        type_line(&face, "before").await;
        until(&mut face, is_said("before")).await;
        files.fill(true);
        type_line(&face, "one").await;
        type_line(&face, "two").await;
        let seen = until(&mut face, |event| matches!(event, Event::Unkept { .. })).await;
        let full = |event: &Event| matches!(event, Event::Unkept { what: Unkept::Outbox, .. });
        assert!(seen.iter().any(full), "{seen:?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        server.append("others go on");
        until(&mut face, is_said("others go on")).await;
        assert_eq!(server.log(), ["before", "others go on"], "nothing is sent that is not kept");
        files.fill(false);
        let seen = until(&mut face, is_said("two")).await;
        assert!(!seen.iter().any(|event| matches!(event, Event::Lost(_))), "{seen:?}");
        face.input.send(Input::Leave).await.expect("the client runs");
        read_all(&mut face).await;
    };
    let (end, ()) = tokio::join!(run(client), talk);
    assert_eq!(end.expect("a good end"), End::Quit);
    assert_eq!(server.log(), ["before", "others go on", "one", "two"]);
    assert_eq!(super::client(&server, &files).0.session.pending().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_neither_sent_nor_kept_at_the_end_is_told() {
    for (leave, kept) in [(true, "kept"), (false, "kept too")] {
        let server = Server::start();
        let files = MemoryFiles::default();
        let (mut client, mut face) = client(&server, &files);
        let talk = async {
            type_line(&face, "before").await;
            until(&mut face, is_said("before")).await;
            server.fall_silent();
            type_line(&face, kept).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            files.fill(true);
            type_line(&face, "not kept").await;
            until(&mut face, |event| matches!(event, Event::Unkept { what: Unkept::Outbox, .. })).await;
            if leave {
                face.input.send(Input::Leave).await.expect("the client runs");
            } else {
                drop(std::mem::replace(&mut face.input, tokio::sync::mpsc::channel(1).0));
            }
            let mut last = Vec::new();
            while let Some(event) = face.events.recv().await {
                face.shown.send_modify(|shown| *shown += 1);
                last.push(event);
            }
            let gone = Event::Gone { lines: vec!["not kept".into()] };
            assert!(last.contains(&gone), "{last:?}");
            assert!(last.contains(&Event::Leaving { pending: 1 }), "{last:?}");
        };
        let run = async move {
            let end = client.drive().await;
            (end, client.session.mistakes())
        };
        let ((end, mistakes), ()) = tokio::join!(run, talk);
        assert_eq!(end.expect("a good end"), End::Quit);
        assert_eq!(mistakes, 1, "a script is told by its exit code");
        files.fill(false);
        files.crash();
        let session = super::client(&server, &files).0.session;
        assert_eq!(session.pending().map(|pending| pending.post.body.as_str()).collect::<Vec<_>>(), [kept]);
    }
}
