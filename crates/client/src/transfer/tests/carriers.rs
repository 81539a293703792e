//! Carriers against a scripted server: what arrives is whole, and what goes wrong is told.

use super::server::{FakeServer, Fault};
use crate::files::MemoryFiles;
use crate::session::event::Loss;
use crate::transfer::{
    Carrier, Download, Failure, JobId, Keep, Login, News, Order, Origin, Received, Shape, Step, Trouble,
    Upload,
};
use protocol::code::Code;
use protocol::id::{ContentHash, DeviceId, RoomId};
use protocol::message::{FileBody, Secret, Target};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use tokio::sync::mpsc;

pub(super) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at * 7 % 251).expect("below 251")).collect()
}

pub(super) fn carrier(server: &FakeServer, news: mpsc::Sender<News>) -> Carrier<FakeServer, SmallRng> {
    let login = Login {
        device: DeviceId([1; 16]),
        secret: Secret([2; 32]),
        name: "alice".into(),
        agent: "test".into(),
    };
    Carrier { connect: server.clone(), login, rng: SmallRng::seed_from_u64(1), news, piped: None }
}

/// Sends a file, and tells what became of it, without how far it was.
async fn send(server: &FakeServer, path: &str) -> Vec<Step> {
    let (jobs, jobs_out) = mpsc::unbounded_channel();
    let (news_in, news) = mpsc::channel(1_000);
    let target = Target::Room { room: RoomId::FIRST };
    let upload = Upload { id: JobId(1), path: path.to_owned(), target, opened: None, offered: false };
    jobs.send(Order::Begin(upload)).expect("open");
    drop(jobs);
    carrier(server, news_in).drive_uploads(jobs_out, None, MemoryFiles::default()).await;
    told(news).await
}

async fn receive(server: &FakeServer, folder: &Path, file: FileBody) -> Vec<Step> {
    let (jobs, jobs_out) = mpsc::unbounded_channel();
    let (news_in, news) = mpsc::channel(1_000);
    jobs.send(Order::Begin(download(file))).expect("open");
    drop(jobs);
    carrier(server, news_in).drive_downloads(jobs_out, Received::new(folder.to_owned())).await;
    told(news).await
}

fn download(file: FileBody) -> Download {
    let origin = Origin { transfer: None, hash: Some(file.hash) };
    let FileBody { size, name, shape, .. } = file;
    Download { id: JobId(1), origin, size, name, shape, keep: Keep::default() }
}

async fn told(mut news: mpsc::Receiver<News>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut moved = 0;
    while let Some(News { step, .. }) = news.recv().await {
        match step {
            Step::Moved(bytes) => moved = bytes,
            step => steps.push(step),
        }
    }
    assert!(
        moved > 0 || !matches!(steps.last(), Some(Step::Uploaded { sent: 1.., .. })),
        "it is told that it moves"
    );
    steps
}

/// A folder with a file of so many bytes.
pub(super) fn file(len: usize) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("cat.png");
    fs::write(&path, content(len)).expect("written");
    let path = path.display().to_string();
    (folder, path)
}

pub(super) fn body(server: &FakeServer, content: &[u8]) -> FileBody {
    FileBody {
        hash: server.store(content),
        size: content.len() as u64,
        name: "../cat.png".into(),
        shape: Shape::File,
    }
}

fn is_begun(step: &Step, bytes: u64) -> bool {
    matches!(step, Step::Opened(opened) if opened.name == "cat.png" && opened.size == bytes)
}

#[tokio::test(start_paused = true)]
async fn a_file_of_any_size_arrives_at_the_server_whole() {
    for len in [0, 1, 131_072, 300_000, 1_000_001] {
        let server = FakeServer::new([]);
        let (_folder, path) = file(len);
        let steps = send(&server, &path).await;
        let Some(Step::Uploaded { file, .. }) = steps.last() else { panic!("{steps:?}") };
        assert_eq!((file.size, file.name.as_str()), (len as u64, "cat.png"));
        assert_eq!(server.content(file.hash), Some(content(len)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_upload_is_told_and_begins_again() {
    let faults = [Fault::Unreachable, Fault::Break(500_000), Fault::Login(Code::NoSuchPerson)];
    let server = FakeServer::new(faults);
    let (_folder, path) = file(900_000);
    let steps = send(&server, &path).await;
    let broken: Vec<_> = steps.iter().filter(|step| matches!(step, Step::Broken(_))).collect();
    assert_eq!(broken.len(), 3, "{steps:?}");
    assert_eq!(*broken[0], Step::Broken(Trouble::NotReached("connection refused".into())));
    assert_eq!(*broken[1], Step::Broken(Trouble::Lost(Loss::Closed)));
    assert!(matches!(steps.last(), Some(Step::Uploaded { file, .. }) if server.content(file.hash).is_some()));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_sent_says_why_and_reaches_nobody() {
    let (_folder, path) = file(10);
    let missing = format!("{path}.not");
    let inside = format!("{path}/x");
    let server = FakeServer::new([]);
    let here = std::env::current_dir().expect("a folder").join("a b.not").display().to_string();
    for (path, failure) in [
        (missing.as_str(), Failure::NotFound(missing.clone())),
        (inside.as_str(), Failure::NotFound(inside.clone())),
        ("a b.not", Failure::NotFound(here.clone())),
        ("'a b.not'", Failure::NotFound(here.clone())),
        (r"a\ b.not", Failure::NotFound(here)),
        ("/dev/null", Failure::NotPlain),
    ] {
        assert_eq!(send(&server, path).await, [Step::Failed(failure)], "{path}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_file_over_the_servers_limit_is_not_sent() {
    let (_folder, path) = file(100);
    let mut server = FakeServer::new([]);
    server.limits.file = 99;
    let failed = Step::Failed(Failure::TooLarge { size: 100, limit: 99 });
    let steps = send(&server, &path).await;
    assert!(is_begun(&steps[0], 100) && steps[1..] == [failed], "{steps:?}");
    server.limits.file = 0;
    let steps = send(&server, &path).await;
    assert!(is_begun(&steps[0], 100) && steps[1..] == [Step::Failed(Failure::NoFiles)], "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_ends_the_upload() {
    let (_folder, path) = file(900_000);
    for fault in [Fault::Request(Code::Quota), Fault::Login(Code::Unsupported)] {
        let server = FakeServer::new([fault]);
        let steps = send(&server, &path).await;
        assert!(matches!(steps.last(), Some(Step::Failed(Failure::Refused(_)))), "{steps:?}");
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_grows_while_it_is_sent_is_sent_as_it_was_and_that_is_told() {
    let (_folder, path) = file(100);
    let server = FakeServer::new([]);
    let (jobs, jobs_out) = mpsc::unbounded_channel();
    let (news_in, mut news) = mpsc::channel(1_000);
    let target = Target::Room { room: RoomId::FIRST };
    jobs.send(Order::Begin(Upload {
        id: JobId(1),
        path: path.clone(),
        target,
        opened: None,
        offered: false,
    }))
    .expect("open");
    drop(jobs);
    let grow = async {
        let mut steps = Vec::new();
        while let Some(News { step, .. }) = news.recv().await {
            if matches!(step, Step::Opened(_)) {
                fs::write(&path, content(150)).expect("written");
            }
            steps.push(step);
        }
        steps
    };
    let work = carrier(&server, news_in).drive_uploads(jobs_out, None, MemoryFiles::default());
    let ((), steps) = tokio::join!(work, grow);
    let Some(Step::Uploaded { file, .. }) = steps.last() else { panic!("{steps:?}") };
    assert_eq!(server.content(file.hash), Some(content(100)));
    assert_eq!(steps.iter().filter(|step| **step == Step::Grew).count(), 1, "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_does_not_tell_its_size_is_sent_with_all_that_can_be_read() {
    // These say 0 bytes and a page, whatever they have.
    for path in ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"] {
        let Ok(expected) = fs::read(path) else { continue };
        assert_ne!(expected.len() as u64, fs::metadata(path).expect("there").len());
        let server = FakeServer::new([]);
        let steps = send(&server, path).await;
        let Some(Step::Uploaded { file, .. }) = steps.last() else { panic!("{path}: {steps:?}") };
        assert_eq!(server.content(file.hash), Some(expected), "{path}");
    }
}

#[test]
fn a_file_that_was_shortened_or_rewritten_is_not_taken_for_one_that_grew() {
    for other in ["short", "0123456789"] {
        let (_folder, path) = file(10);
        let old = fs::File::options().write(true).open(&path).expect("there");
        old.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("its time is changed");
        let source = crate::transfer::Source::open_any(&[&path]).expect("there");
        fs::write(&path, other).expect("written");
        assert_eq!(source.check_whole(), Err(Failure::Changed), "{other}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_sent_fails() {
    let (_folder, path) = file(100);
    let mut source = crate::transfer::Source::open_any(&[&path]).expect("there");
    fs::write(&path, "short").expect("written");
    let mut buffer = [0; 100];
    assert_eq!(source.read(&mut buffer), Ok(5));
    assert_eq!(source.read(&mut buffer), Err(Failure::Changed));
    assert_eq!(source.check_whole(), Err(Failure::Changed));
}

#[tokio::test(start_paused = true)]
async fn a_file_of_any_size_arrives_here_whole_under_a_safe_name() {
    for len in [0, 1, 262_144, 3_000_001] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = FakeServer::new([]);
        let body = body(&server, &content(len));
        let steps = receive(&server, folder.path(), body).await;
        let path = folder.path().join("cat.png");
        assert_eq!(steps.last(), Some(&Step::Received(path.display().to_string())));
        assert_eq!(fs::read(path).expect("there"), content(len));
        let names =
            fs::read_dir(folder.path()).expect("there").map(|entry| entry.expect("an entry").file_name());
        let other = names.filter(|name| name != "cat.png" && !name.to_string_lossy().ends_with(".sums"));
        assert_eq!(other.count(), 0, "nothing but what is to be forgotten is left");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_download_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let faults = [Fault::Break(1_500_000), Fault::Unreachable, Fault::Break(4_000_000)];
    let server = FakeServer::new(faults);
    let body = body(&server, &content(5_000_000));
    let steps = receive(&server, folder.path(), body).await;
    let [0, second, third] = server.offsets()[..] else { panic!("{:?}", server.offsets()) };
    // Within a block, not where it begins.
    assert!(second >= 1_400_000 && third >= 3_900_000, "{second} {third}");
    assert!(steps.contains(&Step::Resumed(second)) && steps.contains(&Step::Resumed(third)), "{steps:?}");
    assert!(matches!(steps.last(), Some(Step::Received(_))), "{steps:?}");
    assert_eq!(fs::read(folder.path().join("cat.png")).expect("there"), content(5_000_000));
}

#[tokio::test(start_paused = true)]
async fn what_the_disk_has_no_room_for_is_refused_before_a_byte_moves_and_leaves_nothing() {
    let server = FakeServer::new([]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    for shape in [Shape::File, Shape::Folder] {
        // No disk has an exbibyte.
        let file = FileBody { size: 1 << 60, shape, ..body(&server, b"x") };
        let steps = receive(&server, folder.path(), file).await;
        assert!(matches!(steps.last(), Some(Step::Failed(Failure::NoRoom { .. }))), "{steps:?}");
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_what_was_announced_gets_no_name() {
    let right = content(300_000);
    for faults in [vec![Fault::Damage(0); 3], vec![Fault::Request(Code::NoSuchFile)]] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = FakeServer::new(faults);
        let body = body(&server, &right);
        let steps = receive(&server, folder.path(), body).await;
        assert!(matches!(steps.last(), Some(Step::Failed(_))), "{steps:?}");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0, "nothing is left");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([]);
    let hash = server.store(&right);
    for size in [300_001, 0] {
        // The server's content is not of that size: what is too much breaks the link, what is too little fails.
        let body = FileBody { hash, size, name: "x".into(), shape: Shape::File };
        let receiving = receive(&server, folder.path(), body);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), receiving).await;
        let received = matches!(ended.as_deref(), Ok([.., Step::Received(_)]));
        assert!(!received && fs::read_dir(folder.path()).expect("there").count() == 0);
    }
    assert_ne!(hash, ContentHash([0; 32]));
}

#[tokio::test(start_paused = true)]
async fn a_carrier_ends_when_nobody_wants_to_hear_of_it_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = FakeServer::new([const { Fault::Unreachable }; 1_000]);
    let (jobs, jobs_out) = mpsc::unbounded_channel();
    let (news_in, mut news) = mpsc::channel(1);
    jobs.send(Order::Begin(download(body(&server, b"x")))).expect("open");
    let received = Received::new(folder.path().to_owned());
    let work = carrier(&server, news_in).drive_downloads(jobs_out, received);
    let listener = async {
        while !matches!(news.recv().await, Some(News { step: Step::Broken(_), .. })) {}
        drop(news);
    };
    tokio::join!(work, listener);
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
}
