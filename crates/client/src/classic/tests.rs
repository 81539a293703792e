//! The classic mode against a server that says what the dialect's table says.

mod driven;

use super::*;
use crate::clock::Now;
use crate::drive::Talk;
use crate::session::Change;
use crate::session::event::{Classic, Event, Loss, Said, Transfer, TransferStep};
use crate::transfer::Failure;
use protocol::classic::{ClassicMsg, ClassicReply, INVALID_JOIN, NAME_TAKEN, UNKNOWN_COMMAND, WELCOME};
use protocol::entry::EntryKind;
use protocol::frame::{Deframer, Item};

/// A session, its time, and what it has sent.
struct Scripted {
    session: ClassicSession,
    now: Now,
    sent: Vec<String>,
}

impl Scripted {
    fn new(interactive: bool) -> Self {
        let config = Config { name: "bob".into(), interactive, receive_up_to: 1_000 };
        Self { session: ClassicSession::new(config), now: Now::default(), sent: Vec::new() }
    }

    /// In the chat, with nothing to tell.
    fn up(interactive: bool) -> Self {
        let mut client = Self::new(interactive);
        client.session.handle_connected(client.now);
        client.hear(ClassicReply::Text(WELCOME));
        client.events();
        client.sent();
        client
    }

    fn hear(&mut self, reply: ClassicReply<'_>) {
        let frame = reply.encode();
        self.session.handle_frame(reply.ty(), &frame[5..], self.now);
    }

    fn line(&mut self, line: &str) {
        self.session.handle_line(line, self.now);
    }

    fn pass(&mut self, ms: u64) {
        self.now.steady.0 += ms;
        self.session.handle_tick(self.now);
    }

    fn lose(&mut self) {
        self.session.handle_disconnected(Loss::Closed, self.now);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// What was sent since the last time, as `JOIN:…` and `TEXT:…`.
    fn sent(&mut self) -> Vec<String> {
        while let Some(frame) = self.session.poll_transmit() {
            let mut input = &frame[..];
            let mut deframer = Deframer::new(1_000_000);
            let Ok(Some(Item::Frame(frame))) = deframer.next(&mut input) else { panic!("a whole frame") };
            self.sent.push(match ClassicMsg::decode(frame.ty, frame.payload).expect("a classic message") {
                ClassicMsg::Join(name) => format!("JOIN:{name}"),
                ClassicMsg::Text(text) => format!("TEXT:{text}"),
                ClassicMsg::File { .. } => panic!("files are the driver's"),
            });
        }
        std::mem::take(&mut self.sent)
    }
}

/// Who said what, of which kind.
fn said(events: &[Event]) -> Vec<(Option<&str>, &str, EntryKind)> {
    let said = events.iter().filter_map(|event| match event {
        Event::Said(Said { name, text, kind, .. }) => Some((name.as_deref(), text.as_str(), *kind)),
        _ => None,
    });
    said.collect()
}

#[test]
fn it_joins_first_and_takes_lines_when_it_is_greeted() {
    let mut client = Scripted::new(false);
    client.session.handle_connected(client.now);
    assert_eq!(client.sent(), ["JOIN:bob"]);
    assert!(!client.session.wants_input());
    client.hear(ClassicReply::Text(WELCOME));
    assert!(client.session.wants_input());
    assert!(matches!(client.events()[0], Event::Welcome(_)));
}

#[test]
fn everything_that_a_classic_server_says_is_shown_as_what_it_is() {
    let mut client = Scripted::up(false);
    client.hear(ClassicReply::Text("alice::hi, @bob"));
    client.hear(ClassicReply::Text("alice::a::b"));
    client.hear(ClassicReply::Text("[Server] Online users: alice, bob"));
    client.hear(ClassicReply::Text("[Server] alice sends 'a::b'"));
    client.hear(ClassicReply::Text("plain words"));
    client.hear(ClassicReply::Join("carol joined the chat."));
    client.hear(ClassicReply::Leave("carol left the chat."));
    client.hear(ClassicReply::Join("something else"));
    client.hear(ClassicReply::Command("/other"));
    client.session.handle_frame(0x77, b"?", client.now);
    client.session.handle_frame(1, b"\xff", client.now);
    let events = client.events();
    let (text, system) = (EntryKind::Text, EntryKind::System);
    assert_eq!(
        said(&events),
        [
            (Some("alice"), "hi, @bob", text),
            (Some("alice"), "a::b", text),
            (None, "[Server] Online users: alice, bob", system),
            (None, "[Server] alice sends 'a::b'", system),
            (None, "plain words", system),
            (None, "something else", system),
            (None, "/other", system),
        ]
    );
    assert!(matches!(&events[0], Event::Said(Said { mention: true, .. })));
    let carol = |change| Event::Person { name: "carol".into(), change };
    assert!(events.contains(&carol(Change::Came)) && events.contains(&carol(Change::Left)));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Notice { .. })).count(), 2);
    assert_eq!(client.session.view().people[..], ["alice"]);
}

#[test]
fn own_lines_are_shown_and_slash_lines_go_to_the_server() {
    let mut client = Scripted::up(true);
    for line in ["hi", "/users", "//x", "", "  ", "a::b"] {
        client.line(line);
    }
    assert_eq!(client.sent(), ["TEXT:hi", "TEXT:/users", "TEXT://x", "TEXT:a::b"]);
    let events = client.events();
    let shown: Vec<_> = said(&events).iter().map(|(name, text, _)| (*name, *text)).collect();
    assert_eq!(shown, [(Some("bob"), "hi"), (Some("bob"), "a::b")]);
}

#[test]
fn this_clients_own_commands_do_not_reach_the_server() {
    let mut client = Scripted::up(true);
    for line in ["/help", "/clear", "/send", "a\u{7}b"] {
        client.line(line);
    }
    assert_eq!(client.sent(), Vec::<String>::new());
    let events = client.events();
    assert!(matches!(events[..2], [Event::Classic(Classic::Help), Event::Clear]));
    assert_eq!(client.session.mistakes(), 2);
}

#[test]
fn a_taken_name_ends_the_first_attempt_and_not_a_later_one() {
    let mut client = Scripted::new(true);
    client.session.handle_connected(client.now);
    client.hear(ClassicReply::Error(NAME_TAKEN));
    assert_eq!(client.session.end(), Some(&ClassicEnd::NameTaken));

    let mut client = Scripted::up(true);
    client.lose();
    for _ in 0..2 {
        client.session.handle_connected(client.now);
        client.hear(ClassicReply::Error(NAME_TAKEN));
        assert!(client.session.wants_another_connection(client.now));
        client.lose();
    }
    let told = client.events().into_iter().filter(|event| matches!(event, Event::Notice { .. })).count();
    assert_eq!((told, client.session.end()), (1, None));
    client.session.handle_connected(client.now);
    client.hear(ClassicReply::Text(WELCOME));
    assert!(client.events().contains(&Event::Reconnected));
}

#[test]
fn errors_are_told_and_only_those_of_the_join_end_it() {
    let mut client = Scripted::new(true);
    client.session.handle_connected(client.now);
    client.hear(ClassicReply::Error(INVALID_JOIN));
    assert_eq!(client.session.end(), Some(&ClassicEnd::Refused(INVALID_JOIN.into())));

    let mut client = Scripted::up(true);
    client.hear(ClassicReply::Error(UNKNOWN_COMMAND));
    assert!(
        matches!(&client.events()[..], [Event::Mistake { text, .. }] if text.contains("Unknown command"))
    );
    assert_eq!((client.session.end(), client.session.refusals()), (None, 1));
}

#[test]
fn leaving_says_quit_and_waits_for_the_answer() {
    let mut client = Scripted::up(true);
    client.line("bye");
    client.line("/quit");
    assert_eq!(client.sent(), ["TEXT:bye", "TEXT:/quit"]);
    assert_eq!(client.session.end(), None);
    client.hear(ClassicReply::Command("/quit_ack"));
    assert_eq!((client.session.end(), client.session.lost()), (Some(&ClassicEnd::Quit), 0));
}

#[test]
fn a_script_whose_quit_is_not_answered_is_told_what_may_be_lost() {
    let mut client = Scripted::up(false);
    client.line("hi");
    client.session.handle_leave(None, client.now);
    assert_eq!(client.sent(), ["TEXT:hi", "TEXT:/quit"]);
    client.pass(5_000);
    assert_eq!((client.session.end(), client.session.lost()), (Some(&ClassicEnd::Quit), 1));
}

#[test]
fn what_was_sent_when_the_link_broke_may_be_lost_and_what_waits_is_sent_later() {
    let mut client = Scripted::up(true);
    client.line("long ago");
    client.pass(20_000);
    client.line("just now");
    client.sent();
    client.lose();
    client.line("offline");
    let events = client.events();
    let lost = Event::Classic(Classic::MayBeLost { lines: vec!["just now".into()] });
    assert!(events.contains(&Event::Lost(Loss::Closed)) && events.contains(&lost), "{events:?}");
    assert!(matches!(events.last(), Some(Event::Pending { text, .. }) if text == "offline"));
    client.session.handle_connected(client.now);
    assert_eq!(client.sent(), ["JOIN:bob"]);
    client.hear(ClassicReply::Text(WELCOME));
    assert_eq!(client.sent(), ["TEXT:offline"]);
}

#[test]
fn a_server_that_says_nothing_is_no_classic_server() {
    let mut client = Scripted::new(true);
    client.session.handle_connected(client.now);
    client.pass(10_000);
    assert_eq!(client.session.end(), Some(&ClassicEnd::NoLogin(Loss::Silent)));
    let mut client = Scripted::new(true);
    client.session.handle_connected(client.now);
    client.lose();
    assert_eq!(client.session.end(), Some(&ClassicEnd::NoLogin(Loss::Closed)));
}

#[test]
fn a_file_goes_behind_the_lines_before_it_and_lines_wait_behind_the_file() {
    let mut client = Scripted::up(true);
    client.line("before");
    client.line("/send 'my cat.png'");
    assert_eq!(client.session.poll_upload(), None);
    assert_eq!(client.sent(), ["TEXT:before"]);
    let upload = client.session.poll_upload().expect("its turn");
    assert_eq!(upload.path, "'my cat.png'");
    client.session.handle_upload_begun("my cat.png", 9, client.now);
    client.line("behind");
    assert_eq!(client.sent(), Vec::<String>::new());
    client.session.handle_uploaded(client.now);
    assert_eq!(client.sent(), ["TEXT:behind"]);
    let events = client.events();
    assert!(events.iter().any(|event| matches!(event, Event::Said(Said { file: Some(_), mine: true, .. }))));
}

#[test]
fn a_file_that_broke_off_is_sent_again_and_one_that_came_is_not() {
    let mut client = Scripted::up(true);
    client.line("/send cat.png");
    client.session.poll_upload().expect("its turn");
    client.session.handle_upload_begun("cat.png", 9, client.now);
    assert!(client.session.handle_download_begun("alice", "dog.png", 9, client.now));
    client.lose();
    let events = client.events();
    let steps = events.iter().filter_map(|event| match event {
        Event::Transfer(Transfer { step, .. }) => Some(step),
        _ => None,
    });
    let steps: Vec<_> = steps.collect();
    assert!(matches!(steps[..], [TransferStep::Broken(_), TransferStep::Failed(Failure::CutOff)]));
    client.session.handle_connected(client.now);
    client.hear(ClassicReply::Text(WELCOME));
    client.sent();
    assert!(client.session.poll_upload().is_some());
}
