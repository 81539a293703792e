//! Files whose sender, receiver or server is killed in the middle: they go on, arrive whole and once, and leave nothing.
//!
//! Ten kills by default; `NATTER_KILLS=100` says otherwise.

use super::harness::{Cli, Home, Server, bounded, eventually, files, progress};
use blake3::{Hash, Hasher, hash};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Bytes of each file: it takes long enough for a kill to fall into it, and a hundred fit the 8 GiB that the server has for files.
const LEN: u64 = 80 << 20;

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Sender,
    Receiver,
    Server,
}

const VICTIMS: [Victim; 3] = [Victim::Sender, Victim::Receiver, Victim::Server];

fn kills() -> u64 {
    std::env::var("NATTER_KILLS").map_or(10, |count| count.parse().expect("NATTER_KILLS is a number"))
}

/// Everybody, and where they keep their files.
struct World {
    server: Server,
    data: TempDir,
    homes: [Home; 2],
    /// The sender and the receiver.
    people: [Cli; 2],
    /// Somebody who only looks.
    carol: (Home, Cli),
}

impl World {
    async fn new() -> Self {
        let data = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder takes files");
        let server =
            Server::start_in_with(data.path(), &["--file-space-mib", "8192", "--person-files", "8G"]).await;
        let homes = [Home::new(), Home::new()];
        let people = [join(&server, &homes[0], "alice"), join(&server, &homes[1], "bob")];
        let home = Home::new();
        let carol = home.natter_with(server.addr(), "carol", &["--no-receive"]);
        let mut world = Self { server, data, homes, people, carol: (home, carol) };
        for (at, text) in [(0, "here is alice"), (1, "here is bob")] {
            world.people[at].type_line(text).await;
            world.carol.1.shows(text).await;
        }
        world
    }

    /// Where the bytes lie that say how far the victim is.
    fn progress(&self, victim: Victim) -> u64 {
        let folder = match victim {
            Victim::Receiver => self.homes[1].received(),
            Victim::Sender | Victim::Server => self.data.path().to_owned(),
        };
        progress(&folder)
    }

    async fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Server => self.server.restart().await,
            Victim::Sender => {
                self.people[0].kill().await;
                self.people[0] = join(&self.server, &self.homes[0], "alice");
            }
            Victim::Receiver => {
                self.people[1].kill().await;
                self.people[1] = join(&self.server, &self.homes[1], "bob");
            }
        }
    }
}

fn join(server: &Server, home: &Home, name: &str) -> Cli {
    home.natter_with(server.addr(), name, &["--max-receive", "1000"])
}

/// Names of what is hidden or not complete.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let left = |path: &PathBuf| name(path).starts_with(".natter-") || name(path).starts_with("upload-");
    files(folder).into_iter().filter(left).collect()
}

/// Writes a file that is like no other one; its hash.
fn write(path: &Path, seed: u64) -> Hash {
    let mut content = vec![0; usize::try_from(LEN).expect("it fits memory")];
    Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut content);
    fs::write(path, &content).expect("the disk has room");
    hash(&content)
}

#[tokio::test]
async fn whoever_is_killed_files_arrive_whole_and_once_and_nothing_is_left() {
    let kills = kills();
    bounded(60 + 30 * kills, async {
        let mut world = World::new().await;
        for n in 0..kills {
            let victim = VICTIMS[usize::try_from(n % 3).expect("below 3")];
            let chance = u64::from(hash(&n.to_be_bytes()).as_bytes()[0]);
            let name = format!("file {n}.bin");
            let path = world.homes[0].path().join(&name);
            let expected = write(&path, n);
            world.people[0].type_line(&format!("/send {}", path.display())).await;
            let point = LEN * chance / 300;
            eventually("a part of the file", || (world.progress(victim) > point).then_some(())).await;
            world.kill(victim).await;
            let received = world.homes[1].received().join(&name);
            eventually(&format!("{name} after the {victim:?} was killed at {point}"), || {
                received.exists().then_some(())
            })
            .await;
            assert_eq!(hash(&fs::read(&received).expect("it is there")), expected, "{name}");
            world.carol.1.shows(&format!("sends '{name}'")).await;
            fs::remove_file(&path).expect("removed");
        }
        finish(world, kills).await;
    })
    .await;
}

async fn finish(mut world: World, kills: u64) {
    eventually("an end without leftovers", || {
        let server = leftovers(world.data.path());
        let receiver = leftovers(&world.homes[1].received());
        (server.is_empty() && receiver.is_empty()).then_some(())
    })
    .await;
    let received = files(&world.homes[1].received());
    assert_eq!(received.len() as u64, kills, "{received:?}");
    for n in 0..kills {
        let shown = world.carol.1.lines();
        let count = shown.iter().filter(|line| line.contains(&format!("sends 'file {n}.bin'"))).count();
        assert_eq!(count, 1, "file {n} has one entry");
    }
    for person in &mut world.people {
        person.type_line("/quit").await;
        assert_eq!(person.finished().await.code, Some(0));
    }
}
