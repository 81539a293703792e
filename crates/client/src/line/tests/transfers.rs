//! Examples of everything that can become of a file.

use super::*;
use crate::session::event::{Transfer, TransferStep, Way};
use crate::transfer::{Failure, JobId, Pace, Shape, Trouble};
use protocol::bundle::{Index, Item, Shape as Kind};
use std::sync::Arc;

/// Which kind of step this is; a new one does not compile until it is here.
fn step_number(step: &TransferStep) -> usize {
    match step {
        TransferStep::Moving(_) => 0,
        TransferStep::Sent(_) => 1,
        TransferStep::Broken(Trouble::NotReached(_)) => 2,
        TransferStep::Broken(Trouble::Lost(_)) => 3,
        TransferStep::Broken(Trouble::Refused(_)) => 4,
        TransferStep::Broken(Trouble::WrongBlock) => 29,
        TransferStep::Received { .. } => 5,
        TransferStep::There { .. } => 40,
        TransferStep::Failed(failure) => 6 + failure_number(failure),
        TransferStep::Asked { .. } => 19,
        TransferStep::Hashing(_) => 20,
        TransferStep::Verifying(_) => 21,
        TransferStep::Resumed { .. } => 22,
        TransferStep::Waiting { .. } => 23,
        TransferStep::Here => 24,
        TransferStep::Paused { .. } => 25,
        TransferStep::Declined => 26,
        TransferStep::Cancelled => 27,
        TransferStep::Withdrawn => 28,
        TransferStep::Listed { .. } => 31,
        TransferStep::LeftOut { .. } => 32,
        TransferStep::Unpacking(_) => 33,
        TransferStep::Looking { .. } => 34,
        TransferStep::Renamed { .. } => 41,
        TransferStep::Anew => 38,
        TransferStep::Grew => 39,
        TransferStep::Queued { ahead: 0 } => 36,
        TransferStep::Queued { .. } => 37,
    }
}

fn failure_number(failure: &Failure) -> usize {
    match failure {
        Failure::NotFound(_) => 0,
        Failure::Folder => 1,
        Failure::NotPlain => 2,
        Failure::Unreadable(_) => 3,
        Failure::TooLarge { .. } => 4,
        Failure::NoFiles => 5,
        Failure::Changed => 6,
        Failure::Refused(_) => 7,
        Failure::WrongContent => 8,
        Failure::TooMany => 9,
        Failure::Unwritable(_) => 10,
        Failure::Left => 11,
        Failure::CutOff => 12,
        // Behind all steps that there were when it came.
        Failure::BadFolder(_) => 24,
        Failure::NoRoom { .. } => 29,
    }
}

const STEPS: usize = 42;

fn steps() -> Vec<TransferStep> {
    let pace = Pace { moved: 14_000_000, rate: 10_500_000 };
    let mut steps = vec![
        TransferStep::Moving(pace),
        TransferStep::Sent(pace),
        TransferStep::Broken(Trouble::NotReached("connection refused".into())),
        TransferStep::Broken(Trouble::Lost(Loss::Closed)),
        TransferStep::Broken(Trouble::Refused(refusal(Code::ServerFull.number(), 0))),
        TransferStep::Broken(Trouble::WrongBlock),
        TransferStep::Received { path: "received_files/cat (1).png".into() },
        TransferStep::There { path: "received_files/cat.png".into() },
        TransferStep::Asked { limit: 25 << 20 },
        TransferStep::Hashing(pace),
        TransferStep::Verifying(pace),
        TransferStep::Resumed { at: 14_000_000 },
        TransferStep::Renamed { names: Arc::new([("a/read\u{1b}me".into(), "readme (1)".into())]) },
        TransferStep::Anew,
        TransferStep::Grew,
        TransferStep::Waiting { moved: pace.moved, gone: false },
        TransferStep::Waiting { moved: pace.moved, gone: true },
        TransferStep::Here,
        TransferStep::Paused { moved: 14_000_000 },
        TransferStep::Declined,
        TransferStep::Cancelled,
        TransferStep::Withdrawn,
        TransferStep::Listed { index: folder(30), all: false },
        TransferStep::Listed { index: folder(2), all: true },
        TransferStep::LeftOut { count: 3 },
        TransferStep::Unpacking(pace),
        TransferStep::Looking { found: 12_034 },
        TransferStep::Queued { ahead: 0 },
        TransferStep::Queued { ahead: 2 },
    ];
    let failures = [
        Failure::NotFound("/srv/me/no\u{1b}t".into()),
        Failure::Folder,
        Failure::BadFolder("'a\u{1b}/b' is deep".into()),
        Failure::NotPlain,
        Failure::Unreadable("permission denied".into()),
        Failure::TooLarge { size: 400 << 20, limit: 256 << 20 },
        Failure::TooLarge { size: 400 << 20, limit: 1 },
        Failure::NoFiles,
        Failure::Changed,
        Failure::Refused(refusal(Code::Quota.number(), 12)),
        Failure::Refused(refusal(Code::NoSuchFile.number(), 0)),
        Failure::Refused(refusal(999, 0)),
        Failure::WrongContent,
        Failure::TooMany,
        Failure::NoRoom { needed: 3 << 30, free: 1 << 30, folder: "received\u{1b}_files".into() },
        Failure::Unwritable("no space left on device".into()),
        Failure::Left,
        Failure::CutOff,
    ];
    steps.extend(failures.map(TransferStep::Failed));
    steps
}

/// What is in a folder with so many files.
fn folder(files: u64) -> Arc<Index> {
    let file = |n| Item {
        path: format!("src/file {n:02}"),
        shape: Kind::File { size: n * 1_000, executable: n == 1 },
    };
    let empty = Item { path: "empty".into(), shape: Kind::Folder };
    Arc::new(Index::new((0..files).map(file).chain([empty]).collect()).expect("good names"))
}

/// Every step, both ways.
pub(super) fn transfers() -> Vec<Event> {
    let ways = [Way::Up { to: lobby() }, Way::Down { from: "bo\u{1b}b".into() }];
    let transfer = |way: &Way, name: &str, step| {
        let (id, way, shape) = (JobId(1), way.clone(), Shape::File);
        let line = Some(seq(17));
        Event::Transfer(Transfer { id, line, way, name: name.into(), size: 33_554_432, shape, step })
    };
    let mut events: Vec<_> = ways
        .iter()
        .flat_map(|way| steps().into_iter().map(|step| transfer(way, "cat\u{202e}gnp.png", step)))
        .collect();
    let pace = Pace { moved: 33_000_000, rate: 1_073_000_000 };
    let long = "a name that is far too long to stand on one row.tar.gz";
    events.push(transfer(&ways[1], long, TransferStep::Moving(pace)));
    events.push(transfer(&ways[0], &"漢".repeat(60), TransferStep::Moving(pace)));
    events
}

#[test]
fn every_step_of_a_file_has_an_example() {
    let seen: std::collections::BTreeSet<_> = steps().iter().map(step_number).collect();
    assert_eq!(seen, (0..STEPS).collect());
}

#[test]
fn every_step_of_a_file_is_told_and_a_failure_with_a_hint() {
    insta::assert_snapshot!("transfers", screen(Look::PLAIN, &transfers()));
}

#[test]
fn a_file_of_which_nothing_has_moved_begins_when_its_sender_is_back() {
    let (id, way, shape) = (JobId(1), Way::Up { to: lobby() }, Shape::Folder);
    let step = TransferStep::Paused { moved: 0 };
    let event =
        Event::Transfer(Transfer { id, line: None, way, name: "photos".into(), size: 9, shape, step });
    let lines = Renderer::new(Look::PLAIN, Zone::East(0)).render(&event);
    assert_eq!(lines, ["-- 'photos' begins when you come back"]);
}

#[test]
fn how_far_a_file_is_fits_one_row() {
    let mut renderer = Renderer::new(Look { color: false, ..COLORED }, Zone::East(0));
    for event in transfers() {
        if let Event::Transfer(Transfer { step: TransferStep::Moving(_), .. }) = &event {
            let line = &renderer.render(&event)[0];
            let width: usize = line.chars().filter_map(unicode_width::UnicodeWidthChar::width).sum();
            assert!(width < 80, "{width}: {line}");
        }
    }
}
