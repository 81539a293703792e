//! A profile survives crashes, and says where it is damaged.

use super::*;
use crate::files::MemoryFiles;
use crate::session::event::Refusal;
use crate::session::{
    Content, DownJob, DownStage, Job, KeptRoom, Offer, Outcome, Place, Post, UpJob, Whereabouts,
};
use crate::transfer::{Download, JobId, Keep, Opened, Origin, Shape};
use protocol::entry::EntryKind;
use protocol::id::{ContentHash, Counter, Epoch, Millis, RoomId, Seq, ServerId, TransferId};
use protocol::message::Target;
use rand::SeedableRng;
use rand::rngs::SmallRng;

fn open(files: &MemoryFiles) -> Profile<MemoryFiles> {
    Profile::open(files.clone(), &mut SmallRng::seed_from_u64(1)).expect("a good profile")
}

fn records() -> Vec<Record> {
    let post = Post {
        place: Place::Person("bob".into()),
        target: None,
        kind: EntryKind::Action,
        reply_to: Seq::new(3),
        written: Millis(7),
        body: "waves\n\"hi\" ⏎".into(),
        file: None,
    };
    let counter = Counter::FIRST;
    let refusal = Refusal { code: 12, detail: 7, text: "no \"space\"".into() };
    let failed = [Outcome::Refused(refusal), Outcome::Void, Outcome::Uncertain];
    let failed: Vec<_> =
        failed.into_iter().map(|outcome| Record::Failed { serial: 5, post: post.clone(), outcome }).collect();
    let at = Whereabouts::Stored(ContentHash([7; 32]));
    let file = Post {
        kind: EntryKind::File,
        body: "cat.png".into(),
        file: Some(Content { job: Some(JobId(2)), size: 12, shape: Shape::Folder, at }),
        ..post.clone()
    };
    vec![
        Record::Epoch { epoch: Epoch([9; 16]), acked: None },
        Record::Post { serial: 0, post },
        Record::Sent { serial: 0, counter, target: Target::Room { room: RoomId::FIRST } },
        Record::Acked { counter },
        Record::Post { serial: 1, post: file },
        Record::Gone { serial: 4 },
        Record::JobGone { id: JobId(2) },
    ]
    .into_iter()
    .chain(failed)
    .chain(jobs())
    .collect()
}

/// Transfers at all stages.
fn jobs() -> impl Iterator<Item = Record> {
    let opened = Opened {
        transfer: TransferId([3; 16]),
        path: "/a b/cat.png".into(),
        name: "cat.png".into(),
        size: 9,
        stamp: u64::MAX,
        shape: Shape::File,
        first: Some(protocol::id::ContentHash([9; 32])),
    };
    let offers = [Offer::None, Offer::Posted, Offer::At(RoomId::FIRST, Seq::FIRST)];
    let ups = offers.map(|offer| {
        let opened = (offer != Offer::None).then(|| opened.clone());
        Job::Up(UpJob { place: Place::Room("dev".into()), path: "cat.png".into(), opened, offer })
    });
    let stages = [DownStage::Coming, DownStage::Received, DownStage::Settled];
    let downs = stages.into_iter().enumerate().map(|(n, stage)| {
        let (hash, transfer) = (ContentHash([1; 32]), TransferId([2; 16]));
        let origin = Origin { transfer: (n > 0).then_some(transfer), hash: (n < 2).then_some(hash) };
        let keep = Keep { path: (n == 1).then(|| "/x/y".into()), executables: n == 2, unless_there: n == 3 };
        let (id, name, shape) = (JobId(n as u64 + 3), "x".to_owned(), Shape::Folder);
        let download = Download { id, origin, size: 7, name, shape, keep };
        let at = (n != 1).then_some((RoomId::FIRST, Seq::FIRST));
        let offer = (n > 0).then_some(Seq::FIRST);
        Job::Down(DownJob { from: "eve".into(), at, offer, download, stage })
    });
    ups.into_iter().chain(downs).enumerate().map(|(n, job)| Record::Job { id: JobId(n as u64), job })
}

#[test]
fn the_same_profile_is_the_same_person_on_the_same_device() {
    let files = MemoryFiles::default();
    let first = open(&files).identity().clone();
    files.crash();
    assert_eq!(*open(&files).identity(), first);
}

#[test]
fn a_second_process_is_the_same_person_on_another_device_and_keeps_nothing() {
    let files = MemoryFiles::default();
    let first = open(&files);
    let mut second =
        Profile::open_beside(files.clone(), &mut SmallRng::seed_from_u64(2)).expect("a good profile");
    assert_eq!(second.identity().secret, first.identity().secret);
    assert_ne!(second.identity().device, first.identity().device);
    second.save(&Save::Append(records())).expect("nothing to write");
    assert_eq!(open(&files).records(), []);
}

#[test]
fn the_journal_survives_a_crash_as_far_as_it_was_synced() {
    let files = MemoryFiles::default();
    let mut profile = open(&files);
    profile.save(&Save::Append(records())).expect("writable");
    profile.save(&Save::Append(vec![Record::Acked { counter: Counter::FIRST }])).expect("writable");
    files.crash();
    assert_eq!(open(&files).records(), records());
}

#[test]
fn a_line_that_a_crash_cut_is_dropped() {
    let mut files = MemoryFiles::default();
    open(&files).save(&Save::Append(records())).expect("writable");
    files.append(JOURNAL, b"{\"acked\":{\"cou", true).expect("writable");
    open(&files).save(&Save::Append(records())).expect("writable");
    assert_eq!(open(&files).records(), [records(), records()].concat());
}

#[test]
fn cursors_read_back_as_they_were_kept() {
    let files = MemoryFiles::default();
    let kept = Kept {
        name: "alice-2".into(),
        epoch: Some(Epoch([3; 16])),
        rooms: vec![KeptRoom { room: RoomId::FIRST, place: Place::Room("lobby".into()), seen: Seq::new(4) }],
        ignored: vec!["Eve".into()],
        server: Some(ServerId([5; 16])),
    };
    open(&files).save(&Save::Kept(kept.clone())).expect("writable");
    assert_eq!(*open(&files).kept(), kept);
}

fn check_damaged(file: &'static str, content: &[u8], expected: usize) {
    let mut files = MemoryFiles::default();
    drop(open(&files));
    files.replace(file, content, true).expect("writable");
    let error = Profile::open(files, &mut SmallRng::seed_from_u64(1)).expect_err("damaged");
    assert!(matches!(error, ProfileError::Damaged { line, .. } if line == expected), "{error:?}");
    assert!(!error.hint().is_empty());
}

#[test]
fn a_damaged_file_is_an_error_that_says_where() {
    check_damaged(IDENTITY, b"", 1);
    check_damaged(IDENTITY, b"secret 00\n", 1);
    check_damaged(JOURNAL, b"{\"gone\":{\"serial\":1}}\nnonsense\n", 2);
    check_damaged(JOURNAL, b"\xff\n", 1);
    check_damaged(CURSORS, b"{\n\"name\": 3}", 2);
}
