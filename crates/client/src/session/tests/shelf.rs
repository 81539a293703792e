//! How a file is pointed at: by its name first, then by its line, and by the same number everywhere.

use super::*;
use crate::session::event::{Transfer, TransferStep};
use crate::transfer::{Order, Shape};
use protocol::id::{ContentHash, PersonId};
use protocol::message::{FileListing, FileState, Source};

fn file(at: u64, name: &str) -> FileListing {
    FileListing {
        seq: seq(at),
        time: Millis(1_000),
        person: PersonId::new(6).expect("not 0"),
        sender: "eve".into(),
        name: name.into(),
        size: at,
        source: Source::Content { hash: ContentHash([7; 32]) },
        shape: Shape::File,
        state: FileState::Here,
        expires: Millis(0),
        fetched: 0,
        members: 2,
    }
}

/// The lines of the files that are received from here on, whose sizes are these numbers.
fn received(client: &mut Scripted) -> Vec<u64> {
    let orders = std::iter::from_fn(|| client.session.poll_download());
    let begun = orders.filter_map(|order| if let Order::Begin(job) = order { Some(job.size) } else { None });
    begun.collect()
}

fn notices(client: &mut Scripted) -> Vec<String> {
    let text = |event| match event {
        Event::Notice { text } | Event::Mistake { text, .. } => Some(text),
        _ => None,
    };
    client.events().into_iter().filter_map(text).collect()
}

const NFC: &str = "caf\u{e9}";
const NFD: &str = "cafe\u{301}";

#[test]
fn an_exact_name_goes_before_a_number_and_before_names_that_read_like_it() {
    let there =
        || vec![file(9, "readme"), file(8, "5"), file(7, NFC), file(6, NFD), file(5, "x"), file(3, "README")];
    for (typed, line) in [
        ("README", 3),
        ("readme", 9),
        ("5", 8),
        ("#5", 5),
        ("9", 9),
        ("#9", 9),
        ("./5", 8),
        (NFC, 7),
        (NFD, 6),
        ("", 9),
    ] {
        let mut client = Scripted::ready();
        client.line(&format!("/get {typed}"));
        client.files(false, there());
        assert_eq!(received(&mut client), [line], "{typed}");
        assert_eq!(notices(&mut client), Vec::<String>::new(), "{typed}");
    }
}

#[test]
fn a_loose_match_is_taken_only_if_there_is_no_exact_one_and_is_told() {
    let mut client = Scripted::ready();
    client.line("/get ReadMe");
    client.files(true, vec![file(9, "readme")]);
    assert_eq!(received(&mut client), Vec::<u64>::new(), "the exact one may be further back");
    client.files(false, vec![file(3, "README"), file(2, "ReadMe.txt")]);
    assert_eq!(received(&mut client), [9]);
    assert_eq!(notices(&mut client), ["no file is called 'ReadMe' exactly: this is 'readme'"]);
    client.line("/get README");
    client.files(true, vec![file(9, "readme")]);
    client.files(false, vec![file(3, "README")]);
    assert_eq!(received(&mut client), [3]);
    // As it was made safe when it was announced.
    client.line("/get a\u{7}b");
    client.files(false, vec![file(7, "a\u{fffd}b")]);
    assert_eq!(received(&mut client), [7]);
    notices(&mut client);
    client.line("/get ./7");
    client.files(false, vec![file(7, "x")]);
    assert_eq!(notices(&mut client), ["there is no file '7' in #lobby"]);
}

#[test]
fn what_was_an_offer_when_it_was_listed_is_found_at_its_old_number() {
    let mut client = Scripted::ready();
    client.line("/files");
    client.files(false, vec![file(4, "cat.png")]);
    client.line("/get 4");
    client.files(false, vec![file(6, "cat.png"), file(5, "other")]);
    assert_eq!(received(&mut client), [6]);
}

#[test]
fn a_look_at_a_file_that_was_sent_tells_of_it_and_it_can_be_accepted() {
    let mut client = Scripted::ready();
    client.line("/look x");
    client.files(false, vec![file(5, "x")]);
    let asked = client.events().into_iter().any(|event| {
        matches!(event, Event::Transfer(Transfer { line: Some(at), step: TransferStep::Asked { .. }, .. }) if at == seq(5))
    });
    assert!(asked);
    client.line("/accept #5");
    assert_eq!(received(&mut client), [5]);
}

#[test]
fn a_look_at_a_folder_that_was_sent_reads_what_is_in_it() {
    let mut client = Scripted::ready();
    client.line("/look x");
    client.files(false, vec![FileListing { shape: Shape::Folder, ..file(5, "x") }]);
    assert!(matches!(client.session.poll_download(), Some(Order::Look(_))));
}
