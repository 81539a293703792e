//! What breaks off goes on: after a cut, after the end of the process, and at the right place.

use super::carriers::{body, carrier, content, file};
use super::server::{BLOCK_LEN, FakeServer, Fault};
use crate::files::MemoryFiles;
use crate::session::event::Loss;
use crate::transfer::{
    Download, Failure, JobId, Keep, News, Opened, Order, Origin, Received, Shape, Step, Trouble, Upload,
};
use protocol::code::Code;
use protocol::id::{ContentHash, RoomId, TransferId};
use protocol::message::{FileBody, Target};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::{Instant, timeout};

/// Bytes of a file of several blocks, the last one of which is not whole.
const LEN: usize = 5 * BLOCK_LEN + 4_321;

fn upload(path: &str, opened: Option<Opened>) -> Order<Upload> {
    let target = Target::Room { room: RoomId::FIRST };
    Order::Begin(Upload { id: JobId(1), path: path.to_owned(), target, opened, offered: false })
}

fn download(id: u64, origin: Origin, size: usize) -> Order<Download> {
    let (name, shape, keep) = ("cat.png".to_owned(), Shape::File, Keep::default());
    Order::Begin(Download { id: JobId(id), origin, size: size as u64, name, shape, keep })
}

fn whole(hash: ContentHash) -> Origin {
    Origin { transfer: None, hash: Some(hash) }
}

/// A process: its news are answered by more orders, or by its sudden death (`None`).
async fn sending(
    server: &FakeServer,
    files: &MemoryFiles,
    first: Order<Upload>,
    mut react: impl FnMut(&Step) -> Option<Vec<Order<Upload>>>,
) -> Vec<Step> {
    let (orders, orders_out) = mpsc::unbounded_channel();
    let (news_in, news) = mpsc::channel(1_000);
    orders.send(first).expect("open");
    let work = carrier(server, news_in).drive_uploads(orders_out, None, files.clone());
    let mut orders = Some(orders);
    driven(work, news, |step| {
        let more = react(step)?;
        pass(&mut orders, more, step);
        Some(())
    })
    .await
}

async fn receiving(
    server: &FakeServer,
    folder: &Path,
    first: Vec<Order<Download>>,
    mut react: impl FnMut(&Step) -> Option<Vec<Order<Download>>>,
) -> Vec<Step> {
    let (orders, orders_out) = mpsc::unbounded_channel();
    let (news_in, news) = mpsc::channel(1_000);
    let mut open = first.len();
    first.into_iter().for_each(|order| orders.send(order).expect("open"));
    let work = carrier(server, news_in).drive_downloads(orders_out, Received::new(folder.to_owned()));
    let mut orders = Some(orders);
    driven(work, news, |step| {
        let more = react(step)?;
        open -= usize::from(is_end(step));
        let last = if open == 0 { step.clone() } else { Step::Begun };
        pass(&mut orders, more, &last);
        Some(())
    })
    .await
}

/// Passes orders on; there are no more after the end.
fn pass<J>(orders: &mut Option<UnboundedSender<Order<J>>>, more: Vec<Order<J>>, step: &Step) {
    for order in more {
        let open = orders.as_ref().expect("no orders after the end");
        open.send(order).expect("the carrier takes them");
    }
    if is_end(step) {
        *orders = None;
    }
}

/// Drives a carrier and hears its news, without how far it is, until it ends or dies.
async fn driven(
    work: impl Future<Output = ()>,
    mut news: mpsc::Receiver<News>,
    mut react: impl FnMut(&Step) -> Option<()>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let hearing = async {
        while let Some(News { step, .. }) = news.recv().await {
            let goes_on = react(&step);
            if !matches!(step, Step::Moved(_)) {
                steps.push(step);
            }
            if goes_on.is_none() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = hearing => {}
        () = async { work.await; std::future::pending().await } => {}
    }
    steps
}

fn is_end(step: &Step) -> bool {
    matches!(
        step,
        Step::Uploaded { .. } | Step::Received(_) | Step::Outdated | Step::Cancelled | Step::Failed(_)
    )
}

/// Lets things take their course.
fn quietly<T>(_: &Step) -> Option<Vec<T>> {
    Some(Vec::new())
}

fn opened(steps: &[Step]) -> Opened {
    let opened = steps.iter().find_map(|step| match step {
        Step::Opened(opened) => Some(opened.clone()),
        _ => None,
    });
    opened.expect("it was opened")
}

fn is_uploaded(steps: &[Step]) -> bool {
    matches!(steps.last(), Some(Step::Uploaded { .. }))
}

fn hidden(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, |entries| {
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".natter-")).count()
    })
}

#[tokio::test(start_paused = true)]
async fn each_cut_of_an_upload_costs_one_block_at_most() {
    let cuts = [300_000, 1_500_000, 1_600_000, 4_000_000, LEN - 1];
    let server = FakeServer::new(cuts.map(Fault::Break));
    let (_folder, path) = file(LEN);
    let steps = sending(&server, &MemoryFiles::default(), upload(&path, None), quietly).await;
    assert!(is_uploaded(&steps), "{steps:?}");
    assert_eq!(server.content(ContentHash(*blake3::hash(&content(LEN)).as_bytes())), Some(content(LEN)));
    let twice = server.taken() - LEN;
    assert!(twice <= cuts.len() * BLOCK_LEN, "{twice} bytes were sent twice");
    assert!(!steps.iter().any(|step| matches!(step, Step::Hashing(_))), "nothing is hashed again: {steps:?}");
}

#[tokio::test(start_paused = true)]
async fn the_next_process_goes_on_with_an_upload_and_hashes_nothing_again() {
    for lost in [false, true] {
        let server = FakeServer::new([Fault::Break(3_500_000)]);
        let files = MemoryFiles::default();
        let (_folder, path) = file(LEN);
        let steps = sending(&server, &files, upload(&path, None), |step| {
            (!matches!(step, Step::Broken(_))).then(Vec::new)
        })
        .await;
        let opened = opened(&steps);
        assert!(!is_uploaded(&steps), "{steps:?}");
        if lost {
            files.crash();
        }
        let before = server.taken();
        let steps = sending(&server, &files, upload("elsewhere", Some(opened)), quietly).await;
        assert!(is_uploaded(&steps), "{steps:?}");
        assert!(before >= 2 * BLOCK_LEN && server.taken() <= LEN + BLOCK_LEN, "{before} {}", server.taken());
        let hashed = steps.iter().any(|step| matches!(step, Step::Hashing(_)));
        assert_eq!(hashed, lost, "{steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changed_between_two_processes_is_not_mixed() {
    let server = FakeServer::new([Fault::Unreachable]);
    let (_folder, path) = file(100);
    let files = MemoryFiles::default();
    let steps = sending(&server, &files, upload(&path, None), |step| {
        (!matches!(step, Step::Broken(_))).then(Vec::new)
    })
    .await;
    fs::write(&path, content(101)).expect("written");
    let steps = sending(&server, &files, upload(&path, Some(opened(&steps))), quietly).await;
    assert_eq!(steps, [Step::Outdated]);
}

#[tokio::test(start_paused = true)]
async fn what_changed_since_and_nobody_was_offered_is_given_up_at_the_server() {
    let server = FakeServer::new([Fault::Break(3_500_000)]);
    let (_folder, path) = file(LEN);
    let files = MemoryFiles::default();
    let steps = sending(&server, &files, upload(&path, None), |step| {
        (!matches!(step, Step::Broken(_))).then(Vec::new)
    })
    .await;
    fs::write(&path, content(101)).expect("written");
    let begun = opened(&steps);
    let again = sending(&server, &files, upload(&path, Some(begun.clone())), quietly).await;
    assert_eq!((again, server.dropped()), (vec![Step::Outdated], vec![begun.transfer]));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_has_costs_no_byte_and_what_only_looks_so_is_sent() {
    for same in [true, false] {
        let server = FakeServer::new([]);
        let mut there = content(LEN);
        there[LEN - 1] ^= u8::from(!same);
        server.store(&there);
        let (_folder, path) = file(LEN);
        let steps = sending(&server, &MemoryFiles::default(), upload(&path, None), quietly).await;
        let Some(Step::Uploaded { sent, file }) = steps.last() else { panic!("{steps:?}") };
        assert_eq!((*sent == 0, server.taken() == 0), (same, same));
        assert_eq!(server.content(file.hash), Some(content(LEN)));
        assert_eq!(steps.contains(&Step::Accepted), !same, "what is here already is not offered");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_end_was_not_heard_is_not_sent_again() {
    let server = FakeServer::new([Fault::Deaf]);
    let (_folder, path) = file(LEN);
    let steps = sending(&server, &MemoryFiles::default(), upload(&path, None), quietly).await;
    assert!(is_uploaded(&steps), "{steps:?}");
    assert_eq!(server.taken(), LEN);
}

#[tokio::test(start_paused = true)]
async fn a_block_that_arrives_wrong_is_sent_again_three_times_at_most() {
    let (_folder, path) = file(LEN);
    let server = FakeServer::new([Fault::Spoil(1), Fault::Spoil(1), Fault::Spoil(3)]);
    let steps = sending(&server, &MemoryFiles::default(), upload(&path, None), quietly).await;
    assert!(is_uploaded(&steps), "{steps:?}");
    let server = FakeServer::new([Fault::Spoil(1); 3]);
    let steps = sending(&server, &MemoryFiles::default(), upload(&path, None), quietly).await;
    assert_eq!(steps.last(), Some(&Step::Failed(Failure::WrongContent)));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_upload_is_given_up_at_the_server() {
    let server = FakeServer::new([]);
    let (_folder, path) = file(LEN);
    let mut cancelled = false;
    let steps = sending(&server, &MemoryFiles::default(), upload(&path, None), |step| {
        let now = matches!(step, Step::Moved(_)) && !std::mem::replace(&mut cancelled, true);
        Some(if now { vec![Order::Cancel(JobId(1))] } else { Vec::new() })
    })
    .await;
    assert_eq!(steps.last(), Some(&Step::Cancelled));
    assert_eq!(server.dropped(), [opened(&steps).transfer]);
}

#[tokio::test(start_paused = true)]
async fn a_look_through_a_folder_tells_how_much_it_found_and_can_be_cancelled() {
    let server = FakeServer::new([]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = (0..1_000).map(|n| folder.path().join(format!("{n}")));
    paths.for_each(|path| std::fs::write(path, "x").expect("written"));
    let path = folder.path().display().to_string();
    let steps = sending(&server, &MemoryFiles::default(), upload(&path, None), |step| {
        let begun = *step == Step::Looking(0);
        Some(if begun { vec![Order::Cancel(JobId(1))] } else { Vec::new() })
    })
    .await;
    assert_eq!(steps, [Step::Looking(0), Step::Cancelled]);
    assert_eq!(server.connections(), 0);
    let steps = sending(&server, &MemoryFiles::default(), upload(&path, None), quietly).await;
    assert!(is_uploaded(&steps), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_block_that_comes_wrong_is_fetched_again_three_times_at_most() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([Fault::Damage(2), Fault::Damage(2), Fault::Damage(5)]);
    let hash = server.store(&content(LEN));
    let orders = || vec![download(1, whole(hash), LEN)];
    let steps = receiving(&server, folder.path(), orders(), quietly).await;
    assert!(matches!(steps.last(), Some(Step::Received(_))), "{steps:?}");
    assert!(steps.contains(&Step::Broken(Trouble::WrongBlock)));
    assert_eq!(server.offsets(), [0, 2 << 20, 2 << 20, 5 << 20]);
    assert_eq!(fs::read(folder.path().join("cat.png")).expect("there"), content(LEN));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([Fault::Damage(2); 3]);
    server.store(&content(LEN));
    let steps = receiving(&server, folder.path(), orders(), quietly).await;
    assert_eq!(steps.last(), Some(&Step::Failed(Failure::WrongContent)));
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0, "nothing is left");
}

#[tokio::test(start_paused = true)]
async fn the_next_process_goes_on_with_a_download_at_the_last_verified_block() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([Fault::Break(3_500_000), Fault::Unreachable]);
    let hash = server.store(&content(LEN));
    let died = receiving(&server, folder.path(), vec![download(1, whole(hash), LEN)], |step| {
        (!matches!(step, Step::Broken(_))).then(Vec::new)
    });
    died.await;
    assert_eq!(hidden(folder.path()), 2);
    let steps = receiving(&server, folder.path(), vec![download(9, whole(hash), LEN)], quietly).await;
    assert!(steps.contains(&Step::Resumed(3 << 20)), "{steps:?}");
    assert_eq!(server.offsets(), [0, 3 << 20]);
    assert_eq!(fs::read(folder.path().join("cat.png")).expect("there"), content(LEN));
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_left_is_trusted_only_as_far_as_it_is_right() {
    let server = FakeServer::new([]);
    let hash = server.store(&content(LEN));
    for damaged in [0, 1, 4] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        receive_a_part_of_all_but_the_end(&server, folder.path(), hash).await;
        let part = part_in(folder.path());
        let mut bytes = fs::read(&part).expect("there");
        bytes[damaged * BLOCK_LEN + 7] ^= 1;
        fs::write(&part, bytes).expect("written");
        let before = server.offsets().len();
        let steps = receiving(&server, folder.path(), vec![download(1, whole(hash), LEN)], quietly).await;
        assert!(matches!(steps.last(), Some(Step::Received(_))), "{steps:?}");
        assert_eq!(server.offsets()[before..], [(damaged * BLOCK_LEN) as u64]);
        assert_eq!(fs::read(folder.path().join("cat.png")).expect("there"), content(LEN));
    }
}

/// All blocks are there but the last one, which breaks off.
async fn receive_a_part_of_all_but_the_end(server: &FakeServer, folder: &Path, hash: ContentHash) {
    server.fail_next([Fault::Break(5 * BLOCK_LEN)]);
    let died = receiving(server, folder, vec![download(1, whole(hash), LEN)], |step| {
        (!matches!(step, Step::Broken(_))).then(Vec::new)
    });
    died.await;
    assert_eq!(hidden(folder), 2);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_version_received_in_part_goes_on_in_its_folder() {
    let server = FakeServer::new([]);
    let hash = server.store(&content(LEN));
    let root = tempfile::tempdir().expect("a temporary folder");
    let (older, new) = (root.path().join("received_files"), root.path().join("natter"));
    receive_a_part_of_all_but_the_end(&server, &older, hash).await;
    assert!(hidden(&older) > 0);
    let (orders, orders_out) = mpsc::unbounded_channel();
    let (news_in, mut news) = mpsc::channel(1_000);
    orders.send(download(1, whole(hash), LEN)).expect("open");
    drop(orders);
    let folder = Received::new(new.clone()).or_older(older.clone());
    carrier(&server, news_in).drive_downloads(orders_out, folder).await;
    let mut last = None;
    while let Some(News { step, .. }) = news.recv().await {
        last = Some(step);
    }
    assert_eq!(last, Some(Step::Received(older.join("cat.png").display().to_string())));
    assert!(!new.exists());
}

fn part_in(folder: &Path) -> std::path::PathBuf {
    let paths = fs::read_dir(folder).expect("there").map(|entry| entry.expect("an entry").path());
    let mut parts = paths.filter(|path| path.extension().is_some_and(|end| end == "part"));
    parts.next().expect("a part")
}

#[tokio::test(start_paused = true)]
async fn a_wrong_block_that_was_trusted_is_found_at_the_end_and_all_is_fetched_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([]);
    let hash = server.store(&content(LEN));
    receive_a_part_of_all_but_the_end(&server, folder.path(), hash).await;
    // Somebody changed the file and the list: the list says that a wrong value was synced.
    let sums = part_in(folder.path()).with_extension("sums");
    let lines = fs::read_to_string(&sums).expect("there");
    let mut lines: Vec<_> = lines.lines().map(ToOwned::to_owned).collect();
    lines[2] = "ab".repeat(32);
    lines.push("synced 5".into());
    fs::write(&sums, lines.join("\n") + "\n").expect("written");
    let steps = receiving(&server, folder.path(), vec![download(1, whole(hash), LEN)], quietly).await;
    assert!(matches!(steps.last(), Some(Step::Received(_))), "{steps:?}");
    assert_eq!(fs::read(folder.path().join("cat.png")).expect("there"), content(LEN));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_got_its_name_before_that_was_kept_is_not_fetched_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([]);
    let hash = server.store(&content(LEN));
    let orders = || vec![download(1, whole(hash), LEN)];
    let first = receiving(&server, folder.path(), orders(), quietly).await;
    let connections = server.connections();
    let again = receiving(&server, folder.path(), orders(), |step| {
        Some(if is_end(step) { vec![Order::Forget(JobId(1))] } else { Vec::new() })
    })
    .await;
    assert_eq!(first.last(), again.last(), "it lies there");
    assert_eq!(server.connections(), connections);
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1, "only the file is left");
    let third = receiving(&server, folder.path(), orders(), quietly).await;
    assert!(matches!(third.last(), Some(Step::Received(path)) if path.ends_with("cat (1).png")), "{third:?}");
}

#[tokio::test(start_paused = true)]
async fn a_download_follows_an_upload_that_is_under_way() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([]);
    let (hash, transfer) = (server.store(&content(LEN)), TransferId([5; 16]));
    server.grow(transfer, hash, 1_500_000);
    let origin = Origin { transfer: Some(transfer), hash: None };
    let steps = receiving(&server, folder.path(), vec![download(1, origin, LEN)], |step| {
        if *step == Step::Waiting {
            server.grow(transfer, hash, LEN);
        }
        Some(Vec::new())
    })
    .await;
    assert!(steps.contains(&Step::Waiting), "{steps:?}");
    assert_eq!(server.offsets(), [0], "on one connection");
    assert_eq!(fs::read(folder.path().join("cat.png")).expect("there"), content(LEN));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_the_server_forgot_is_fetched_by_its_hash_once_that_is_known() {
    let server = FakeServer::new([Fault::Break(2_500_000)]);
    let (hash, transfer) = (server.store(&content(LEN)), TransferId([5; 16]));
    server.grow(transfer, hash, LEN);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let origin = Origin { transfer: Some(transfer), hash: None };
    let mut told = 0;
    let steps = receiving(&server, folder.path(), vec![download(1, origin, LEN)], |step| {
        server.forget(transfer);
        told += u32::from(matches!(step, Step::Broken(_)));
        let known = told == 3 && matches!(step, Step::Broken(_));
        Some(if known { vec![Order::Whole(JobId(1), hash)] } else { Vec::new() })
    })
    .await;
    assert!(matches!(steps.last(), Some(Step::Received(_))), "{steps:?}");
    assert!(steps.iter().any(|step| matches!(step, Step::Broken(Trouble::Refused(refusal))
        if refusal.known() == Some(Code::NoSuchTransfer))));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_does_not_come_any_more_fails_in_the_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([]);
    let origin = Origin { transfer: Some(TransferId([5; 16])), hash: None };
    let steps = receiving(&server, folder.path(), vec![download(1, origin, LEN)], quietly).await;
    assert!(matches!(steps.last(), Some(Step::Failed(Failure::Refused(_)))), "{steps:?}");
    assert_eq!(hidden(folder.path()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_download_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([]);
    let (hash, transfer) = (server.store(&content(LEN)), TransferId([5; 16]));
    server.grow(transfer, hash, 2_500_000);
    let origin = Origin { transfer: Some(transfer), hash: None };
    let steps = receiving(&server, folder.path(), vec![download(1, origin, LEN)], |step| {
        Some(if *step == Step::Waiting { vec![Order::Cancel(JobId(1))] } else { Vec::new() })
    })
    .await;
    assert_eq!(steps.last(), Some(&Step::Cancelled));
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
}

#[tokio::test(start_paused = true)]
async fn many_downloads_go_on_at_once_and_one_that_waits_holds_up_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([]);
    let hash = server.store(&content(LEN));
    let orders = (1..=10).map(|id| download(id, whole(hash), LEN)).collect();
    let steps = receiving(&server, folder.path(), orders, quietly).await;
    let received = steps.iter().filter(|step| matches!(step, Step::Received(_))).count();
    assert_eq!(received, 10, "{steps:?}");
    for n in 0..10 {
        let name = if n == 0 { "cat.png".to_owned() } else { format!("cat ({n}).png") };
        assert_eq!(fs::read(folder.path().join(name)).expect("there"), content(LEN));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_link_is_noticed_within_15_s() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([Fault::Freeze]);
    let FileBody { hash, .. } = body(&server, &content(LEN));
    let begun = Instant::now();
    let receiving = receiving(&server, folder.path(), vec![download(1, whole(hash), LEN)], |step| {
        (*step != Step::Broken(Trouble::Lost(Loss::Silent))).then(Vec::new)
    });
    timeout(Duration::from_secs(60), receiving).await.expect("it is noticed");
    assert!(begun.elapsed() <= Duration::from_secs(16), "{:?}", begun.elapsed());

    let (_folder, path) = file(LEN);
    let server = FakeServer::new([Fault::Freeze]);
    let begun = Instant::now();
    let files = MemoryFiles::default();
    let sending = sending(&server, &files, upload(&path, None), |step| {
        (*step != Step::Broken(Trouble::Lost(Loss::Silent))).then(Vec::new)
    });
    timeout(Duration::from_secs(60), sending).await.expect("it is noticed");
    assert!(begun.elapsed() <= Duration::from_secs(16), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_always_breaks_at_the_same_byte_is_not_run_over() {
    let minute = Duration::from_secs(60);
    let server = FakeServer::new([Fault::Break(3_500_000); 1_000]);
    let (_folder, path) = file(LEN);
    let files = MemoryFiles::default();
    let sent = timeout(minute, sending(&server, &files, upload(&path, None), quietly)).await;
    assert!(sent.is_err(), "it tries again and again");
    assert!((5..40).contains(&server.connections()), "{} connections in a minute", server.connections());

    let server = FakeServer::new([Fault::Break(3_500_000); 1_000]);
    let hash = server.store(&content(LEN));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = vec![download(1, whole(hash), LEN)];
    let received = timeout(minute, receiving(&server, folder.path(), first, quietly)).await;
    assert!(received.is_err(), "it tries again and again");
    assert!((5..40).contains(&server.connections()), "{} connections in a minute", server.connections());
}
