//! Files that are offered before they are whole: how an upload becomes an offer and a file exactly once, and how a
//! download follows it to its end.

use super::*;
use crate::session::event::{Transfer, TransferStep};
use crate::transfer::{Download, JobId, News, Opened, Order, Shape, Step, Upload};
use protocol::entry::Entry;
use protocol::id::{ContentHash, TransferId};
use protocol::message::{FileBody, OfferBody, Reply};

const TRANSFER: TransferId = TransferId([3; 16]);
const HASH: ContentHash = ContentHash([7; 32]);
const SIZE: u64 = 5 << 20;

fn offer_body() -> OfferBody {
    OfferBody { transfer: TRANSFER, size: SIZE, name: "cat.png".into(), shape: Shape::File }
}

fn file_body() -> FileBody {
    FileBody { hash: HASH, size: SIZE, name: "cat.png".into(), shape: Shape::File }
}

/// An offer of eve's, or of this client if it has a counter.
fn offers(at: u64, own: Option<u64>) -> Entry {
    Entry { kind: EntryKind::FileOffer, body: offer_body().encode(), ..entry(at, "", own) }
}

fn sends(at: u64, offer: Option<u64>, own: Option<u64>) -> Entry {
    let (kind, reply_to) = (EntryKind::File, offer.map(seq));
    Entry { kind, reply_to, body: file_body().encode(), ..entry(at, "", own) }
}

fn deletes(at: u64, line: u64, own: Option<u64>) -> Entry {
    Entry { kind: EntryKind::Delete, reply_to: Some(seq(line)), ..entry(at, "", own) }
}

fn opened() -> Step {
    let (path, name) = ("/cat.png".into(), "cat.png".into());
    Step::Opened(Opened {
        transfer: TRANSFER,
        path,
        name,
        size: SIZE,
        stamp: 1,
        shape: Shape::File,
        first: None,
    })
}

fn uploaded() -> Step {
    Step::Uploaded { file: file_body(), sent: SIZE }
}

fn news(client: &mut Scripted, step: Step) {
    client.session.handle_news(News { id: JobId(1), step }, client.now);
    client.pass(0);
}

fn show(client: &mut Scripted, entries: Vec<Entry>) {
    client.say(ServerMsg::Entries { room: LOBBY, entries });
}

fn steps(client: &mut Scripted) -> Vec<TransferStep> {
    let step = |event| match event {
        Event::Transfer(Transfer { step, .. }) => Some(step),
        _ => None,
    };
    client.events().into_iter().filter_map(step).collect()
}

fn uploads(client: &mut Scripted) -> Vec<Order<Upload>> {
    std::iter::from_fn(|| client.session.poll_upload()).collect()
}

fn downloads(client: &mut Scripted) -> Vec<Order<Download>> {
    std::iter::from_fn(|| client.session.poll_download()).collect()
}

fn kinds(client: &mut Scripted) -> Vec<(EntryKind, Option<u64>)> {
    client.whole_posts().into_iter().map(|(_, kind, reply_to, _)| (kind, reply_to)).collect()
}

/// Somebody who receives, in the lobby; a person at a prompt or a script.
fn receiving(interactive: bool) -> Scripted {
    let mut client = Scripted::with(interactive, Kept::default());
    client.session.receive_up_to(SIZE);
    client.enter();
    client
}

#[test]
fn a_large_file_is_offered_when_the_server_takes_it_and_its_entry_names_the_offer() {
    let mut client = Scripted::ready();
    client.line("/send cat.png");
    news(&mut client, opened());
    assert_eq!(kinds(&mut client), []);
    news(&mut client, Step::Accepted);
    assert_eq!(kinds(&mut client), [(EntryKind::FileOffer, None)]);
    news(&mut client, Step::Accepted);
    show(&mut client, vec![offers(4, Some(1))]);
    client.ack(1);
    news(&mut client, uploaded());
    assert_eq!(kinds(&mut client), [(EntryKind::File, Some(4))]);
}

#[test]
fn what_changed_since_it_was_begun_is_taken_back_first_and_then_sent_anew() {
    let mut client = Scripted::ready();
    client.line("/send cat.png");
    news(&mut client, opened());
    news(&mut client, Step::Accepted);
    client.ack(1);
    show(&mut client, vec![offers(4, Some(1))]);
    let mut next = Scripted::after(&client.journal);
    next.connect();
    next.log_in(Some(1));
    next.opened(LOBBY, Some(4), 5);
    assert!(matches!(&uploads(&mut next)[..], [Order::Begin(Upload { opened: Some(_), .. })]));
    next.sent();
    news(&mut next, Step::Outdated);
    assert_eq!(kinds(&mut next), [(EntryKind::Delete, Some(4))]);
    assert_eq!(uploads(&mut next), [], "its space is not free yet");
    assert!(steps(&mut next).contains(&TransferStep::Anew));
    next.ack(2);
    let anew = uploads(&mut next);
    let [Order::Begin(Upload { path, opened: None, .. })] = &anew[..] else { panic!("{anew:?}") };
    assert_eq!(path, "/cat.png", "whatever folder the next process is started in");
    news(&mut next, opened());
    news(&mut next, Step::Accepted);
    assert_eq!(kinds(&mut next), [(EntryKind::FileOffer, None)]);
}

#[test]
fn the_entry_waits_for_the_offers_number_but_not_for_ever() {
    let mut client = Scripted::ready();
    client.line("/send cat.png");
    news(&mut client, opened());
    news(&mut client, Step::Accepted);
    news(&mut client, uploaded());
    assert_eq!(kinds(&mut client), [(EntryKind::FileOffer, None)]);
    client.ack(1);
    show(&mut client, vec![offers(9, Some(1))]);
    client.pass(0);
    assert_eq!(kinds(&mut client), [(EntryKind::File, Some(9))]);

    let mut client = Scripted::ready();
    client.line("/send cat.png");
    news(&mut client, opened());
    news(&mut client, Step::Accepted);
    news(&mut client, uploaded());
    client.refuse_post(1, Code::NoSuchTransfer, 0);
    assert_eq!(client.session.uploaded_timeout().map(|at| at.0), Some(5_000));
    client.pass(5_000);
    assert_eq!(kinds(&mut client), [(EntryKind::FileOffer, None), (EntryKind::File, None)]);
}

#[test]
fn a_small_file_and_one_that_the_server_had_are_not_offered() {
    let mut client = Scripted::ready();
    client.line("/send cat.png");
    let Step::Opened(large) = opened() else { unreachable!("it is opened") };
    news(&mut client, Step::Opened(Opened { size: 1 << 20, ..large }));
    news(&mut client, Step::Accepted);
    assert_eq!(kinds(&mut client), []);
    client.events();
    news(&mut client, Step::Uploaded { file: file_body(), sent: 0 });
    assert_eq!(kinds(&mut client), [(EntryKind::File, None)]);
    assert_eq!(steps(&mut client), [TransferStep::Here]);
}

/// What the next process of a client with this journal does about its file.
#[derive(Debug, PartialEq, Eq)]
struct Resumed {
    begun: usize,
    offers: usize,
    files: usize,
}

fn resumed(journal: &[Record], last: Option<u64>) -> Resumed {
    let mut client = Scripted::after(journal);
    client.connect();
    client.log_in(last);
    client.opened(LOBBY, None, 1);
    client.pass(0);
    let posts = kinds(&mut client);
    let count = |kind| posts.iter().filter(|(posted, _)| *posted == kind).count();
    let begun = uploads(&mut client).len();
    Resumed { begun, offers: count(EntryKind::FileOffer), files: count(EntryKind::File) }
}

#[test]
fn a_file_is_posted_once_wherever_its_sender_dies() {
    let mut client = Scripted::ready();
    client.line("/send cat.png");
    let mut told = 0;
    let mut check = |client: &Scripted, stage: &str| {
        // A process dies between any two records: each beginning of the journal is what the next one may find.
        for end in told..=client.journal.len() {
            let journal = &client.journal[..end];
            let acked = journal.iter().filter_map(|record| match record {
                Record::Acked { counter } => Some(counter.value()),
                _ => None,
            });
            let found = resumed(journal, acked.max());
            assert!(found.files + found.begun <= 1, "{stage}, {end} records: {found:?}");
            assert!(end <= 1 || found.files + found.begun == 1, "{stage}, {end} records: {found:?}");
        }
        told = client.journal.len();
    };
    check(&client, "typed");
    news(&mut client, opened());
    check(&client, "opened");
    news(&mut client, Step::Accepted);
    check(&client, "offered");
    show(&mut client, vec![offers(4, Some(1))]);
    client.ack(1);
    check(&client, "the offer is there");
    news(&mut client, uploaded());
    check(&client, "uploaded");
    client.ack(2);
    let found = resumed(&client.journal, Some(2));
    assert_eq!(found, Resumed { begun: 0, offers: 0, files: 0 });
}

#[test]
fn an_offer_is_not_posted_again_by_the_next_process() {
    let mut client = Scripted::ready();
    client.line("/send cat.png");
    news(&mut client, opened());
    news(&mut client, Step::Accepted);
    client.ack(1);
    let mut next = Scripted::after(&client.journal);
    next.connect();
    next.log_in(Some(1));
    next.opened(LOBBY, Some(4), 4);
    let begun = uploads(&mut next);
    assert!(matches!(&begun[..], [Order::Begin(Upload { opened: Some(_), .. })]), "{begun:?}");
    news(&mut next, Step::Accepted);
    assert_eq!(kinds(&mut next), []);
    show(&mut next, vec![offers(4, Some(1))]);
    news(&mut next, uploaded());
    assert_eq!(kinds(&mut next), [(EntryKind::File, Some(4))]);
}

#[test]
fn who_cancels_or_fails_takes_the_offer_back() {
    for late in [false, true] {
        for cancelled in [false, true] {
            let mut client = Scripted::ready();
            client.line("/send cat.png");
            news(&mut client, opened());
            news(&mut client, Step::Accepted);
            client.ack(1);
            let offer = |client: &mut Scripted| show(client, vec![offers(4, Some(1))]);
            if !late {
                offer(&mut client);
            }
            uploads(&mut client);
            client.sent();
            if cancelled {
                client.line("/cancel");
                client.pass(0);
                assert_eq!(uploads(&mut client), [Order::Cancel(JobId(1))]);
            } else {
                news(&mut client, Step::Failed(crate::transfer::Failure::Changed));
            }
            if late {
                offer(&mut client);
                client.pass(0);
            }
            assert_eq!(
                kinds(&mut client),
                [(EntryKind::Delete, Some(4))],
                "late {late} cancelled {cancelled}"
            );
            assert_eq!(resumed(&client.journal, Some(1)).begun, 0, "it does not come back");
        }
    }
}

#[test]
fn nobody_is_told_of_an_offer_that_is_refused_because_a_crash_took_its_upload() {
    for (code, is_told) in [(Code::NoSuchTransfer, false), (Code::NotAMember, true)] {
        let mut client = Scripted::ready();
        client.line("/send cat.png");
        news(&mut client, opened());
        news(&mut client, Step::Accepted);
        client.events();
        client.refuse_post(1, code, 0);
        let told = client.events().iter().any(|event| matches!(event, Event::Refused { .. }));
        assert_eq!((told, client.session.refusals() > 0), (is_told, is_told), "{code:?}");
    }
}

#[test]
fn an_offer_that_the_server_forgot_is_made_anew_and_one_that_i_deleted_is_not() {
    for by_me in [false, true] {
        let mut client = Scripted::ready();
        client.line("/send cat.png");
        news(&mut client, opened());
        news(&mut client, Step::Accepted);
        client.ack(1);
        show(&mut client, vec![offers(4, Some(1))]);
        uploads(&mut client);
        client.sent();
        let delete = Entry { device: None, counter: None, ..deletes(5, 4, by_me.then_some(9)) };
        show(&mut client, vec![delete]);
        if by_me {
            assert_eq!(uploads(&mut client), [Order::Cancel(JobId(1))]);
        } else {
            assert_eq!(uploads(&mut client), []);
            news(&mut client, Step::Accepted);
            assert_eq!(kinds(&mut client), [(EntryKind::FileOffer, None)]);
        }
    }
}

#[test]
fn what_is_offered_is_received_once_and_told_to_the_server() {
    let mut client = receiving(false);
    show(&mut client, vec![offers(1, None)]);
    let begun = downloads(&mut client);
    let [Order::Begin(Download { origin, size: SIZE, .. })] = &begun[..] else { panic!("{begun:?}") };
    assert_eq!((origin.transfer, origin.hash), (Some(TRANSFER), None));
    show(&mut client, vec![sends(2, Some(1), None)]);
    assert_eq!(downloads(&mut client), [Order::Whole(JobId(1), HASH)]);
    news(&mut client, Step::Received("received/cat.png".into()));
    assert_eq!(downloads(&mut client), [Order::Forget(JobId(1))]);
    let fetched = client.sent().into_iter().find_map(|message| match message {
        ClientMsg::Fetched { req, room, seq } => Some((req, room, seq)),
        _ => None,
    });
    let (req, room, at) = fetched.expect("the server is told");
    assert_eq!((room, at), (LOBBY, seq(2)));
    client.say(ServerMsg::Answer { req, more: false, reply: Reply::Done });
    let mut next = Scripted::after(&client.journal);
    next.connect();
    next.log_in(None);
    assert_eq!(downloads(&mut next), []);
    assert!(!next.sent().iter().any(|message| matches!(message, ClientMsg::Fetched { .. })));
}

#[test]
fn what_was_here_before_its_file_entry_came_is_not_received_again_by_any_process() {
    let mut client = receiving(false);
    show(&mut client, vec![offers(1, None)]);
    downloads(&mut client);
    news(&mut client, Step::Received("received/cat.png".into()));
    let mut next = Scripted::after(&client.journal);
    next.session.receive_up_to(SIZE);
    next.connect();
    next.log_in(None);
    next.opened(LOBBY, Some(1), 2);
    let fetched = next.sent().into_iter().find_map(|message| match message {
        ClientMsg::Fetched { req, seq: at, .. } => Some((req, at)),
        _ => None,
    });
    let (req, at) = fetched.expect("the server is told by the next process, too");
    assert_eq!(at, seq(1));
    next.say(ServerMsg::Answer { req, more: false, reply: Reply::Done });
    show(&mut next, vec![sends(2, Some(1), None)]);
    assert_eq!(downloads(&mut next), []);
    next.show_all();
    next.pass(250);
    assert!(next.session.outbox.jobs().iter().next().is_none(), "nothing is kept of it behind the cursor");
}

#[test]
fn entries_that_come_again_after_a_crash_begin_nothing_again() {
    let entries = || vec![offers(1, None), sends(2, Some(1), None), sends(3, None, None)];
    let mut client = receiving(false);
    show(&mut client, entries());
    assert_eq!(downloads(&mut client).len(), 3, "two begin, and one is whole");
    let dies = |client: &Scripted, begun: usize| {
        let mut next = Scripted::after(&client.journal);
        next.session.receive_up_to(SIZE);
        next.connect();
        next.log_in(None);
        next.opened(LOBBY, Some(3), 1);
        next.session.rooms.by_id(LOBBY).expect("there").history = None;
        show(&mut next, entries());
        let orders = downloads(&mut next);
        assert_eq!(orders.len(), begun, "{orders:?}");
    };
    dies(&client, 2);
    for id in [JobId(1), JobId(2)] {
        let step = Step::Received("received/cat.png".into());
        client.session.handle_news(News { id, step }, client.now);
        client.pass(0);
    }
    dies(&client, 0);
    let fetched: Vec<_> = client
        .sent()
        .into_iter()
        .filter_map(|message| match message {
            ClientMsg::Fetched { req, .. } => Some(req),
            _ => None,
        })
        .collect();
    for req in fetched {
        client.say(ServerMsg::Answer { req, more: false, reply: Reply::Done });
    }
    dies(&client, 0);
}

#[test]
fn a_download_goes_on_with_the_next_process() {
    let mut client = receiving(false);
    show(&mut client, vec![offers(1, None), sends(2, Some(1), None)]);
    let mut next = Scripted::after(&client.journal);
    let begun = downloads(&mut next);
    let [Order::Begin(job)] = &begun[..] else { panic!("{begun:?}") };
    assert_eq!((job.origin.transfer, job.origin.hash), (Some(TRANSFER), Some(HASH)));
}

#[test]
fn a_withdrawn_offer_ends_what_is_received_of_it() {
    let mut client = receiving(false);
    show(&mut client, vec![offers(1, None)]);
    downloads(&mut client);
    client.events();
    show(&mut client, vec![deletes(2, 1, None)]);
    assert_eq!(downloads(&mut client), [Order::Cancel(JobId(1))]);
    assert_eq!(steps(&mut client), [TransferStep::Withdrawn]);
    news(&mut client, Step::Cancelled);
    assert!(client.session.outbox.jobs().iter().next().is_none());
    assert_eq!(client.session.ongoing().count(), 0);
}

#[test]
fn a_person_is_asked_about_large_files_and_what_they_say_is_done_once() {
    let mut client = receiving(true);
    client.session.receive_up_to(SIZE - 1);
    show(&mut client, vec![offers(1, None)]);
    assert_eq!(steps(&mut client), [TransferStep::Asked { limit: SIZE - 1 }]);
    assert_eq!(downloads(&mut client), []);
    show(&mut client, vec![sends(2, Some(1), None)]);
    assert_eq!(client.session.asked().count(), 1, "its file is no other one");
    client.line("/accept");
    client.pass(0);
    let begun = downloads(&mut client);
    let [Order::Begin(job)] = &begun[..] else { panic!("{begun:?}") };
    assert_eq!(job.origin.hash, Some(HASH));
    client.events();
    client.line("/accept");
    assert!(matches!(&client.events()[..], [Event::Mistake { .. }]));
}

#[test]
fn a_wrong_number_is_answered_with_the_right_one() {
    let hints = |client: &mut Scripted| -> Vec<String> {
        let hint = |event| if let Event::Mistake { hint, .. } = event { Some(hint) } else { None };
        client.events().into_iter().filter_map(hint).collect()
    };
    let mut client = receiving(true);
    client.session.receive_up_to(SIZE - 1);
    show(&mut client, vec![offers(1, None)]);
    client.line("/decline #9");
    client.line("/cancel dog.png");
    assert_eq!(hints(&mut client), ["'cat.png' waits: /accept #1", "/delete #N deletes what the server has"]);
    client.line("/accept");
    client.line("/cancel #9");
    assert_eq!(hints(&mut client), ["'cat.png' is under way: /cancel #1"]);
}

#[test]
fn what_is_offered_is_accepted_by_its_name_or_its_line() {
    for typed in ["cat.png", "#1", "1", "CAT.PNG", ""] {
        let mut client = receiving(true);
        client.session.receive_up_to(SIZE - 1);
        show(&mut client, vec![offers(1, None), sends(2, None, None)]);
        client.line(&format!("/accept {typed}"));
        let begun = downloads(&mut client);
        assert_eq!(begun.len(), 1, "{typed}: {begun:?}");
    }
}

#[test]
fn what_was_declined_is_not_asked_about_again() {
    let mut client = receiving(true);
    client.session.receive_up_to(SIZE - 1);
    show(&mut client, vec![offers(1, None)]);
    client.line("/decline");
    client.pass(0);
    client.events();
    let mut next = Scripted::after(&client.journal);
    next.session.receive_up_to(SIZE - 1);
    next.connect();
    next.log_in(None);
    next.opened(LOBBY, Some(1), 2);
    for client in [&mut client, &mut next] {
        show(client, vec![sends(2, Some(1), None)]);
        assert_eq!(steps(client), []);
        assert_eq!(downloads(client), []);
    }
}

#[test]
fn who_leaves_goes_on_with_the_next_process_if_anything_is_kept() {
    let mut client = receiving(true);
    client.session.keep_transfers();
    client.line("/send cat.png");
    show(&mut client, vec![sends(1, None, None)]);
    client.events();
    client.session.handle_leave(Some(0), client.now);
    client.pass(0);
    let paused = TransferStep::Paused { moved: 0 };
    assert_eq!(steps(&mut client), [paused.clone(), paused]);
    let mut next = Scripted::after(&client.journal);
    next.connect();
    next.log_in(None);
    assert_eq!((uploads(&mut next).len(), downloads(&mut next).len()), (1, 1));
}

#[test]
fn a_new_history_knows_no_offers() {
    let mut client = receiving(false);
    client.line("/send cat.png");
    news(&mut client, opened());
    news(&mut client, Step::Accepted);
    client.ack(1);
    show(&mut client, vec![offers(1, Some(1)), Entry { name: "eve".into(), ..offers(2, None) }]);
    downloads(&mut client);
    client.disconnect();
    client.events();
    client.epoch = Epoch([9; 16]);
    client.connect();
    client.log_in(None);
    assert!(steps(&mut client).contains(&TransferStep::Withdrawn));
    assert!(matches!(&downloads(&mut client)[..], [Order::Cancel(_)]));
    client.sent();
    client.opened(LOBBY, None, 1);
    news(&mut client, Step::Accepted);
    assert_eq!(kinds(&mut client), [(EntryKind::FileOffer, None)], "offered anew");
}
