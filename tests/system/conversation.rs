//! Two people at two programs: what anybody does in the first minute.

use super::harness::{Cli, Home, Server, bounded};

async fn two_people(server: &Server) -> (Home, Cli, Home, Cli) {
    let (alice_home, bob_home) = (Home::new(), Home::new());
    let alice = alice_home.natter(server.addr(), "alice");
    let bob = bob_home.natter(server.addr(), "bob");
    (alice_home, alice, bob_home, bob)
}

#[tokio::test]
async fn two_programs_chat_in_pipes_where_nobody_is_told_of() {
    bounded(90, async {
        let server = Server::start().await;
        let alice_home = Home::new();
        let mut alice = alice_home.natter(server.addr(), "alice");
        alice.type_line("is anybody there?").await;
        alice.shows("is anybody there?").await;
        let bob_home = Home::new();
        let mut bob = bob_home.natter(server.addr(), "bob");
        bob.type_line("hello, alice").await;
        let line = alice.shows("hello, alice").await;
        assert!(line.contains("bob"), "who said it: {line}");
        alice.type_line("hello, bob").await;
        let line = bob.shows("hello, bob").await;
        assert!(line.contains("alice"), "who said it: {line}");

        bob.type_line("/quit").await;
        assert_eq!(bob.finished().await.code, Some(0));
        alice.type_line("/quit").await;
        let finished = alice.finished().await;
        assert_eq!(finished.code, Some(0));
        assert!(!finished.out.contains("* bob"), "a pipe is an errand: {}", finished.out);
    })
    .await;
}

#[tokio::test]
async fn users_and_help_are_answered() {
    bounded(60, async {
        let server = Server::start().await;
        let (_a, mut alice, _b, mut bob) = two_people(&server).await;
        bob.type_line("here I am").await;
        alice.shows("here I am").await;
        alice.type_line("/users").await;
        alice
            .until("both names", |lines| {
                let list = lines.iter().skip_while(|line| !line.contains("here I am")).skip(1);
                let text: String = list.cloned().collect();
                text.contains("alice") && text.contains("bob")
            })
            .await;
        alice.type_line("/help").await;
        alice
            .until("all commands", |lines| {
                let text = lines.join("\n");
                protocol::command::COMMANDS.iter().all(|spec| text.contains(&format!("/{}", spec.name)))
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn an_unknown_command_is_told_with_the_nearest_and_never_said() {
    bounded(60, async {
        let server = Server::start().await;
        let (_a, mut alice, _b, bob) = two_people(&server).await;
        alice.type_lines(["/jion dev", "and on"]).await;
        alice.says("/join").await;
        bob.shows("and on").await;
        assert!(!bob.lines().iter().any(|line| line.contains("jion")), "{:?}", bob.lines());
    })
    .await;
}

#[tokio::test]
async fn people_talk_in_rooms_and_in_private() {
    bounded(60, async {
        let server = Server::start().await;
        let (_a, mut alice, _b, mut bob) = two_people(&server).await;
        let carol_home = Home::new();
        let mut carol = carol_home.natter(server.addr(), "carol");
        carol.type_line("carol is here").await;
        bob.shows("carol is here").await;
        alice.shows("carol is here").await;
        bob.type_lines(["/join dev", "in the room of two"]).await;
        bob.shows("in the room of two").await;
        alice.type_lines(["/join dev", "so am I"]).await;
        bob.shows("so am I").await;
        bob.type_line("/msg carol just for you").await;
        carol.shows("just for you").await;
        carol.type_line("/msg bob and for you").await;
        bob.shows("and for you").await;
        carol.type_line("in the lobby again").await;
        alice.shows("in the lobby again").await;
        let overheard = |lines: &[String], text: &str| lines.iter().any(|line| line.contains(text));
        assert!(!overheard(&alice.lines(), "for you"), "{:?}", alice.lines());
        assert!(!overheard(&carol.lines(), "so am I"), "{:?}", carol.lines());
    })
    .await;
}

#[tokio::test]
async fn what_is_piped_in_is_sent_and_then_the_program_ends() {
    bounded(60, async {
        let server = Server::start().await;
        let (_a, mut alice, _b, mut bob) = two_people(&server).await;
        // Who comes into a room is shown only its last lines: bob must be there before it begins.
        bob.type_line("I listen").await;
        alice.shows("I listen").await;
        let lines: Vec<_> = (0..300).map(|n| format!("piped {n}.")).collect();
        alice.type_lines(&lines).await;
        alice.close_input();
        let finished = alice.finished().await;
        assert_eq!(finished.code, Some(0), "{}", finished.err);
        bob.shows("piped 299.").await;
        let heard: Vec<_> = bob.lines().into_iter().filter(|line| line.contains("piped ")).collect();
        assert_eq!(heard.len(), lines.len(), "each once");
        for (heard, said) in heard.iter().zip(&lines) {
            assert!(heard.ends_with(said.as_str()), "{heard:?} is {said:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_others_say_can_not_move_the_cursor() {
    bounded(60, async {
        let server = Server::start().await;
        let (_a, mut alice, _b, bob) = two_people(&server).await;
        alice.type_line("red \u{1b}[31m and \u{202e}turned").await;
        alice.type_line("the end").await;
        bob.shows("the end").await;
        let raw = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!bob.lines().iter().any(|line| line.contains(raw)), "{:?}", bob.lines());
    })
    .await;
}

#[tokio::test]
async fn a_second_program_of_the_same_person_is_another_device() {
    bounded(60, async {
        let server = Server::start().await;
        let home = Home::new();
        let mut first = home.natter(server.addr(), "alice");
        first.type_line("from the first").await;
        first.shows("from the first").await;
        let mut second = home.natter(server.addr(), "alice");
        second.type_line("from the second").await;
        let line = first.shows("from the second").await;
        assert!(line.contains("alice") && !line.contains("alice-2"), "{line}");
        first.type_line("and the first goes on").await;
        second.shows("and the first goes on").await;
    })
    .await;
}

#[tokio::test]
async fn who_and_part_do_what_they_say_in_a_private_conversation() {
    bounded(60, async {
        let server = Server::start().await;
        let (_a, mut alice, _b, mut bob) = two_people(&server).await;
        bob.type_line("here I am").await;
        alice.shows("here I am").await;
        alice.type_lines(["/join dev", "/query bob", "/who"]).await;
        alice.shows("bob is online").await;
        alice.type_line("for you alone").await;
        bob.shows("for you alone").await;
        alice.shows("for you alone").await;
        alice.type_line("/who").await;
        alice.shows("2 online in @bob: ").await;
        alice.type_lines(["/part dev", "/part", "in the lobby again"]).await;
        let line = bob.shows("in the lobby again").await;
        assert!(!line.contains("[#"), "dev is not alice's any more: {line}");
    })
    .await;
}

#[tokio::test]
async fn a_reaction_is_told_with_what_it_is_about() {
    bounded(60, async {
        let server = Server::start().await;
        let (_a, mut alice, _b, mut bob) = two_people(&server).await;
        bob.type_line("cake in the kitchen").await;
        alice.shows("cake in the kitchen").await;
        alice.type_line("/react 👍").await;
        bob.shows("alice reacted to #1 with 👍").await;
        bob.type_lines(["/react #1 👀", "/react"]).await;
        alice.shows("bob reacted to #1 with 👀").await;
        bob.says("/react needs [#N] TEXT").await;
    })
    .await;
}
