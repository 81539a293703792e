//! Files: which are received, and how one that is sent becomes one entry.

use super::*;
use crate::session::event::{Transfer, TransferStep, Way};
use crate::transfer::{Failure, JobId, News, Opened, Order, Shape, Step, Upload};
use protocol::entry::Entry;
use protocol::id::ContentHash;
use protocol::message::FileBody;

fn file(size: u64) -> FileBody {
    FileBody { hash: ContentHash([7; 32]), size, name: "cat.png".into(), shape: Shape::File }
}

/// An entry of eve's, or of this client if it has a counter, that names a file.
fn sends(at: u64, size: u64, own: Option<u64>) -> Entry {
    Entry { kind: EntryKind::File, body: file(size).encode(), ..entry(at, "", own) }
}

fn receiving() -> Scripted {
    let mut client = Scripted::new();
    client.session.receive_up_to(1_000);
    client.connect();
    client.log_in(None);
    client
}

fn show(client: &mut Scripted, entries: Vec<Entry>) -> Vec<Event> {
    client.say(ServerMsg::Entries { room: LOBBY, entries });
    client.events()
}

/// The sizes of the files that are to be received.
fn downloads(client: &mut Scripted) -> Vec<u64> {
    let orders = std::iter::from_fn(|| client.session.poll_download());
    let begun = orders.filter_map(|order| if let Order::Begin(job) = order { Some(job.size) } else { None });
    begun.collect()
}

/// The next file to send.
fn upload(client: &mut Scripted) -> Option<Upload> {
    match client.session.poll_upload()? {
        Order::Begin(upload) => Some(upload),
        order => panic!("{order:?}"),
    }
}

fn opened(name: &str) -> Step {
    let transfer = protocol::id::TransferId([3; 16]);
    let (path, name) = (format!("/{name}"), name.to_owned());
    Step::Opened(Opened { transfer, path, name, size: 9, stamp: 1, shape: Shape::File, first: None })
}

fn uploaded() -> Step {
    Step::Uploaded { file: file(9), sent: 9 }
}

fn news(client: &mut Scripted, step: Step) {
    client.session.handle_news(News { id: JobId(1), step }, client.now);
    client.pass(0);
}

#[test]
fn what_was_there_before_is_listed_and_what_comes_is_received() {
    let mut client = receiving();
    client.opened(LOBBY, Some(2), 1);
    let events = show(&mut client, vec![sends(1, 1, None), sends(2, 2, None), sends(3, 3, None)]);
    assert_eq!(texts(&events), ["cat.png"; 3]);
    assert_eq!(downloads(&mut client), [3]);
}

#[test]
fn what_was_missed_is_received() {
    let mut client = receiving();
    client.opened(LOBBY, None, 1);
    client.disconnect();
    client.connect();
    client.log_in(None);
    client.opened(LOBBY, Some(2), 1);
    show(&mut client, vec![sends(1, 1, None), sends(2, 2, None)]);
    assert_eq!(downloads(&mut client), [1, 2]);
}

#[test]
fn what_is_mine_or_hidden_or_too_large_or_not_wanted_is_not_received() {
    let mut client = receiving();
    client.opened(LOBBY, None, 1);
    let events = show(&mut client, vec![sends(1, 1, Some(1)), sends(2, 1_001, None)]);
    let failed = |event: &Event| match event {
        Event::Transfer(Transfer { step: TransferStep::Failed(failure), .. }) => Some(failure.clone()),
        _ => None,
    };
    let failures: Vec<_> = events.iter().filter_map(failed).collect();
    assert_eq!(failures, [Failure::TooLarge { size: 1_001, limit: 1_000 }]);
    client.line("/ignore eve");
    show(&mut client, vec![sends(3, 3, None)]);
    client.line("/unignore eve");
    client.session.receive_up_to(0);
    show(&mut client, vec![sends(4, 4, None)]);
    assert_eq!(downloads(&mut client), Vec::<u64>::new());
}

#[test]
fn an_uploaded_file_becomes_one_post_where_it_was_sent() {
    let mut client = Scripted::ready();
    client.line("/send cat.png");
    client.line("meanwhile");
    let Some(Upload { id, path, target, .. }) = upload(&mut client) else { panic!("no upload") };
    assert_eq!((path.as_str(), target), ("cat.png", Target::Room { room: LOBBY }));
    client.session.handle_news(News { id, step: uploaded() }, client.now);
    client.session.handle_news(News { id, step: uploaded() }, client.now);
    client.pass(0);
    let posts = client.sent().into_iter().filter_map(|message| match message {
        ClientMsg::Post { kind, body, .. } => Some((kind, body)),
        _ => None,
    });
    let expected = [(EntryKind::Text, "meanwhile".into()), (EntryKind::File, file(9).encode())];
    assert_eq!(posts.collect::<Vec<_>>(), expected);
}

#[test]
fn a_file_sent_offline_goes_out_when_the_connection_is_back() {
    let mut client = Scripted::ready();
    client.disconnect();
    client.line("/send cat.png");
    assert_eq!(client.session.poll_upload(), None);
    client.connect();
    client.log_in(None);
    assert!(client.session.poll_upload().is_some());
}

#[test]
fn a_file_for_a_person_waits_until_they_are_found() {
    let mut client = Scripted::ready();
    client.line("/query bob");
    client.whois("bob", 9);
    client.line("/send cat.png");
    assert_eq!(client.session.poll_upload(), None);
    client.whois("bob", 9);
    let upload = upload(&mut client).map(|upload| upload.target);
    assert_eq!(upload, PersonId::new(9).map(|person| Target::Person { person }));
    client.line("/send dog.png");
    client.refuse_last(Code::NoSuchPerson);
    let failed = client.events().into_iter().any(|event| {
        matches!(event, Event::Transfer(Transfer { step: TransferStep::Failed(Failure::Refused(_)), .. }))
    });
    assert!(failed);
}

#[test]
fn a_script_leaves_when_its_files_are_posted_and_shown() {
    let mut client = Scripted::ready();
    client.line("/send cat.png");
    client.session.handle_leave(None, client.now);
    client.pass(60_000);
    assert_eq!(client.session.end(), None);
    news(&mut client, opened("cat.png"));
    news(&mut client, uploaded());
    assert_eq!(client.session.end(), None);
    client.say(ServerMsg::Ack { counter: counter(1), room: None, seq: None });
    show(&mut client, vec![sends(1, 9, Some(1))]);
    assert_eq!(client.session.end(), Some(&End::Quit));
    assert_eq!(client.session.refusals(), 0);
}

#[test]
fn a_file_that_was_not_sent_is_a_refusal_and_leaving_says_what_is_not_done() {
    let mut client = Scripted::ready();
    client.line("/send a");
    news(&mut client, Step::Failed(Failure::NotFound("/x".into())));
    assert_eq!((client.session.refusals(), client.session.mistakes()), (0, 1));
    client.line("/send a");
    let refused = Step::Failed(Failure::TooLarge { size: 2, limit: 1 });
    client.session.handle_news(News { id: JobId(2), step: refused }, client.now);
    assert_eq!(client.session.refusals(), 1);
    client.line("/send b");
    client.events();
    client.session.handle_leave(Some(0), client.now);
    let left = Event::Transfer(Transfer {
        id: JobId(3),
        line: None,
        shape: Shape::File,
        way: Way::Up { to: Place::Room("lobby".into()) },
        name: "b".into(),
        size: 0,
        step: TransferStep::Failed(Failure::Left),
    });
    assert!(client.events().contains(&left));
}

#[test]
fn trouble_is_told_once_until_the_file_moves_again() {
    let mut client = Scripted::ready();
    client.line("/send a");
    client.events();
    news(&mut client, opened("a"));
    let broken = || Step::Broken(crate::transfer::Trouble::Lost(Loss::Closed));
    news(&mut client, broken());
    news(&mut client, broken());
    news(&mut client, Step::Moved(4));
    news(&mut client, broken());
    assert_eq!(client.events().len(), 2);
}

#[test]
fn what_a_failed_part_of_the_program_was_doing_goes_on_with_the_next_start_and_the_chat_goes_on() {
    let mut client = receiving();
    client.session.keep_transfers();
    client.opened(LOBBY, None, 1);
    client.line("/send a.txt");
    show(&mut client, vec![sends(1, 1, None)]);
    assert!(upload(&mut client).is_some());
    news(&mut client, opened("a.txt"));
    client.events();
    client.session.handle_news(News { id: JobId::default(), step: Step::Stopped { up: true } }, client.now);
    let events = client.events();
    let paused = |event: &Event| match event {
        Event::Transfer(Transfer { step: TransferStep::Paused { .. }, name, .. }) => Some(name.clone()),
        _ => None,
    };
    assert_eq!(events.iter().filter_map(paused).collect::<Vec<_>>(), ["a.txt"], "and no download");
    assert!(
        matches!(events.last(), Some(Event::Mistake { text, .. }) if text.contains("sent")),
        "{events:?}"
    );
    client.line("still here");
    assert_eq!(client.posts(), [(1, "still here".to_owned())]);
    client.events();
    // Whatever is sent later waits for the next start as well, and that is told again.
    client.line("/send 'b c.txt'");
    let events = client.events();
    assert_eq!(events.iter().filter_map(paused).collect::<Vec<_>>(), ["b c.txt"]);
    assert!(
        matches!(events.last(), Some(Event::Mistake { text, .. }) if text.contains("sent")),
        "{events:?}"
    );
    assert!(upload(&mut client).is_none(), "nobody is there to send it");
}
