//! `natter send` and `natter get` that are killed: the same command goes on where it stopped, and says everything once.

use super::harness::{Cli, Finished, Home, Server, arrived, bounded, eventually, files};
use blake3::{Hash, Hasher, hash};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::process::Command;

/// Bytes of the file: it takes long enough for a few kills to fall into it.
const LEN: u64 = 128 << 20;

/// Shares of the file, in percent, that have passed when a run is killed.
const POINTS: [u64; 3] = [5, 40, 75];

struct World {
    data: TempDir,
    server: Server,
    home: Home,
    file: String,
    hash: Hash,
}

impl World {
    async fn new() -> Self {
        let data = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder takes files");
        let server = Server::start_in(data.path()).await;
        let home = Home::new();
        let mut content = vec![0; usize::try_from(LEN).expect("it fits memory")];
        Hasher::new().update(data.path().as_os_str().as_encoded_bytes()).finalize_xof().fill(&mut content);
        let file = home.path().join("big.bin");
        fs::write(&file, &content).expect("the disk has room");
        Self { data, server, home, file: file.display().to_string(), hash: hash(&content) }
    }

    fn send(&self) -> Cli {
        let args = ["-r", "dev", &self.file, "-m", "here it comes", "--json"];
        let mut errand = self.home.errand("send", self.server.addr(), "ci", &args);
        errand.close_input();
        errand
    }

    fn get(&self, to: &str) -> Cli {
        let args = ["-r", "dev", "big.bin", "-o", to];
        let mut errand = self.home.errand("get", self.server.addr(), "bob", &args);
        errand.close_input();
        errand
    }

    /// What somebody sees of the room who comes at the end.
    async fn shown(&self) -> Vec<String> {
        let home = Home::new();
        let mut late = home.natter_with(self.server.addr(), "late", &["--no-receive", "--history", "100"]);
        late.type_line("/join dev").await;
        late.type_line("that is all").await;
        late.shows("late: that is all").await;
        late.lines()
    }

    /// Nothing of the errand is left: the next one is another.
    fn is_forgotten(&self) -> bool {
        files(&self.home.path().join("state"))
            .iter()
            .all(|path| !path.display().to_string().contains("/errands/"))
    }
}

fn went_on(finished: &Finished) {
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    assert!(finished.err.contains("'big.bin' resumes at"), "{}", finished.err);
    assert!(!finished.err.contains("resumes at 0"), "{}", finished.err);
}

#[tokio::test]
async fn a_send_that_is_killed_goes_on_with_the_same_command_and_is_there_once() {
    bounded(170, async {
        let world = World::new().await;
        for percent in POINTS {
            let mut send = world.send();
            arrived(world.data.path(), LEN * percent / 100).await;
            send.kill().await;
        }
        let sent = world.send().finished().await;
        went_on(&sent);
        let told: serde_json::Value = serde_json::from_str(&sent.out).expect("a line of JSON");
        assert_eq!(told["blake3"], world.hash.to_string());
        let shown = world.shown().await;
        let count = |part: &str| shown.iter().filter(|line| line.contains(part)).count();
        assert_eq!((count("ci: here it comes"), count("sends 'big.bin'")), (1, 1), "{shown:?}");
        assert!(world.is_forgotten());
        let again = world.send().finished().await;
        assert_eq!(again.code, Some(0), "{}", again.err);
        let anew: serde_json::Value = serde_json::from_str(&again.out).expect("a line of JSON");
        assert!(
            anew["line"].as_u64() > told["line"].as_u64(),
            "what was done is done again if that is wished"
        );
    })
    .await;
}

#[tokio::test]
async fn a_get_that_is_killed_or_interrupted_goes_on_with_the_same_command() {
    bounded(170, async {
        let world = World::new().await;
        let sent = world.send().finished().await;
        assert_eq!(sent.code, Some(0), "{}", sent.err);
        let folder = world.home.path().join("got");
        fs::create_dir(&folder).expect("a folder");
        let to = folder.join("mine.bin").display().to_string();
        for percent in POINTS {
            let mut get = world.get(&to);
            arrived(&folder, LEN * percent / 100).await;
            if percent == POINTS[1] {
                get.interrupt();
                assert_eq!(get.finished().await.code, Some(130));
            } else {
                get.kill().await;
            }
        }
        let got = world.get(&to).finished().await;
        went_on(&got);
        assert_eq!(got.out.trim_end(), to);
        assert_eq!(hash(&fs::read(&to).expect("it is there")), world.hash);
        let left = files(&folder);
        assert_eq!(left.len(), 1, "nothing else is left: {left:?}");
        assert!(world.is_forgotten());
    })
    .await;
}

#[tokio::test]
async fn a_send_that_is_interrupted_ends_with_130_and_goes_on_with_the_same_command() {
    bounded(170, async {
        let world = World::new().await;
        let mut send = world.send();
        arrived(world.data.path(), LEN / 4).await;
        send.interrupt();
        let ended = send.finished().await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(130), ""), "{}", ended.err);
        assert!(ended.err.contains("interrupted: the same command goes on"), "{}", ended.err);
        went_on(&world.send().finished().await);
        let shown = world.shown().await;
        let count = shown.iter().filter(|line| line.contains("sends 'big.bin'")).count();
        assert_eq!(count, 1, "{shown:?}");
    })
    .await;
}

#[tokio::test]
async fn of_two_equal_sends_at_the_same_time_one_goes_on_and_the_other_says_what_runs() {
    bounded(170, async {
        let world = World::new().await;
        let mut first = world.send();
        arrived(world.data.path(), LEN / 20).await;
        let second = world.send().finished().await;
        assert_eq!((second.code, second.out.as_str()), (Some(1), ""), "{}", second.err);
        assert!(second.err.contains("natter: the same command runs already, as process "), "{}", second.err);
        assert!(second.err.contains("hint: "), "{}", second.err);
        let sent = first.finished().await;
        assert_eq!(sent.code, Some(0), "{}", sent.err);
        let shown = world.shown().await;
        let count = |part: &str| shown.iter().filter(|line| line.contains(part)).count();
        assert_eq!((count("ci: here it comes"), count("sends 'big.bin'")), (1, 1), "{shown:?}");
        assert!(world.is_forgotten());
    })
    .await;
}

#[tokio::test]
async fn a_send_whose_file_is_new_since_it_was_killed_sends_the_new_one() {
    bounded(170, async {
        let world = World::new().await;
        let onlooker = Home::new();
        let mut eve = onlooker.natter_with(world.server.addr(), "eve", &["--no-receive"]);
        eve.type_line("/join dev").await;
        let mut send = world.send();
        arrived(world.data.path(), LEN / 10).await;
        // By its offer it is given up.
        eve.shows("ci is sending 'big.bin'").await;
        send.kill().await;
        let new = vec![7; 3 << 20];
        fs::write(&world.file, &new).expect("the disk has room");
        let sent = world.send().finished().await;
        assert_eq!(sent.code, Some(0), "{}", sent.err);
        assert!(
            sent.err.contains("'big.bin' has changed since it was begun: it is sent anew"),
            "{}",
            sent.err
        );
        let told: serde_json::Value = serde_json::from_str(&sent.out).expect("a line of JSON");
        assert_eq!(told["blake3"], hash(&new).to_string());
        let shown = world.shown().await;
        let count = |part: &str| shown.iter().filter(|line| line.contains(part)).count();
        assert_eq!((count("ci: here it comes"), count("sends 'big.bin'")), (1, 1), "{shown:?}");
        assert!(world.is_forgotten());
        let size = |path: &PathBuf| fs::metadata(path).map_or(0, |found| found.len());
        let contents = || files(&world.data.path().join("contents")).iter().map(size).sum::<u64>();
        eventually("what was begun before to be gone", || (contents() < 4 << 20).then_some(())).await;
    })
    .await;
}

#[tokio::test]
async fn a_log_that_is_written_to_all_the_time_is_sent_as_it_was() {
    bounded(170, async {
        let world = World::new().await;
        let script = "while :; do echo one more line >> \"$1\"; sleep 0.005; done";
        let mut writer = Command::new("sh")
            .args(["-c", script, "sh", &world.file])
            .kill_on_drop(true)
            .spawn()
            .expect("there is a shell");
        let sent = world.send().finished().await;
        writer.kill().await.expect("it writes");
        assert_eq!(sent.code, Some(0), "{}", sent.err);
        assert!(sent.err.contains("'big.bin' grew while it was sent"), "{}", sent.err);
        let told: serde_json::Value = serde_json::from_str(&sent.out).expect("a line of JSON");
        assert!(told["size"].as_u64() >= Some(LEN));
    })
    .await;
}

#[tokio::test]
async fn a_damaged_errand_is_named_with_its_folder_and_begins_anew_without_it() {
    bounded(170, async {
        let world = World::new().await;
        let mut send = world.send();
        arrived(world.data.path(), LEN / 20).await;
        send.kill().await;
        let is_journal =
            |path: &PathBuf| path.ends_with("journal") && path.display().to_string().contains("/errands/");
        let kept = files(&world.home.path().join("state"));
        let journal = kept.into_iter().find(is_journal).expect("it is kept");
        fs::write(&journal, "\0\n\n").expect("written");
        let refused = world.send().finished().await;
        let folder = journal.parent().expect("a folder").display().to_string();
        assert_eq!(refused.code, Some(1), "{}", refused.err);
        assert!(refused.err.contains(&format!("(in '{folder}')")), "{}", refused.err);
        assert!(refused.err.contains(&format!("rm -r '{folder}'")), "{}", refused.err);
        fs::remove_dir_all(&folder).expect("as the hint says");
        let sent = world.send().finished().await;
        assert_eq!(sent.code, Some(0), "{}", sent.err);
    })
    .await;
}
