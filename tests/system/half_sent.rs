//! What the build before was sending when it was killed: a file of a chat, and one of an errand.

use super::harness::{Home, Server, bounded};
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A server's folder without its contents, the profile of a person with a half-sent file, and the errand of a script.
const FIXTURES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/system/fixtures/build-before/sending");

/// A file of which a part was sent.
struct HalfSent {
    name: &'static str,
    /// Its number at the server.
    transfer: &'static str,
    /// What the server has of it, in bytes.
    sent: usize,
    /// When it was written, in ns since the Unix epoch.
    stamp: u64,
    byte: fn(u32) -> u8,
}

const PIE: HalfSent = HalfSent {
    name: "pie.bin",
    transfer: "7660eec09479c4618e59b21415d80d08",
    sent: 1_703_181,
    stamp: 1_796_052_934_614_306_315,
    byte: |n| (n * 7 % 241) as u8,
};

const CAKE: HalfSent = HalfSent {
    name: "cake.bin",
    transfer: "6fce52eee6e660655a1e78631a08992c",
    sent: 1_716_817,
    stamp: 1_796_052_917_038_306_696,
    byte: |n| (n % 251) as u8,
};

impl HalfSent {
    fn content(&self) -> Vec<u8> {
        (0..3_000_000).map(self.byte).collect()
    }

    /// It lies in its sender's folder as it did, and a part of it at the server.
    fn lies_in(&self, home: &Path, contents: &Path) -> PathBuf {
        let path = home.join(self.name);
        fs::write(&path, self.content()).expect("the disk has room");
        let written = SystemTime::UNIX_EPOCH + Duration::from_nanos(self.stamp);
        let file = File::options().write(true).open(&path).expect("it is there");
        file.set_times(FileTimes::new().set_modified(written)).expect("its time is changed");
        let upload = format!("upload-{}", self.transfer);
        fs::write(contents.join(&upload), &self.content()[..self.sent]).expect("the disk has room");
        let blocks = format!("{upload}.blocks");
        fs::copy(Path::new(FIXTURES).join(&blocks), contents.join(&blocks)).expect("a fixture");
        path
    }

    /// What was sent of it became the whole: a new upload would have left it behind.
    fn went_on(&self, contents: &Path) {
        assert!(!contents.join(format!("upload-{}", self.transfer)).exists(), "{} was sent anew", self.name);
    }

    /// Puts a profile there that was sending it from `path`.
    fn was_sent_by(&self, fixture: &str, profile: &Path, path: &Path) {
        fs::create_dir_all(profile).expect("a folder");
        for file in fs::read_dir(Path::new(FIXTURES).join(fixture)).expect("a fixture").flatten() {
            fs::copy(file.path(), profile.join(file.file_name())).expect("a fixture");
        }
        let journal = fs::read_to_string(profile.join("journal")).expect("a fixture");
        let (then, now) = (format!("\"/{}\"", self.name), format!("\"{}\"", path.display()));
        fs::write(profile.join("journal"), journal.replace(&then, &now)).expect("the disk has room");
    }
}

/// The folder of an errand: its name is the hash of whose it is and what it does.
fn errand_folder(args: &(Option<String>, Vec<String>)) -> String {
    let identity = fs::read_to_string(Path::new(FIXTURES).join("identity")).expect("a fixture");
    let secret = identity.lines().find_map(|line| line.strip_prefix("secret ")).expect("it has one");
    let pairs = secret.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    let secret: Vec<_> = pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect();
    let here = std::env::current_dir().expect("a folder");
    let (nobody, room) = (None::<String>, Some("dev".to_owned()));
    let key = format!("{:?}", (here, &nobody, &room, (&args.0, &args.1)));
    let hash = blake3::Hasher::new().update(&secret).update(key.as_bytes()).finalize();
    hash.to_hex()[..32].to_owned()
}

#[tokio::test]
async fn files_and_errands_half_sent_by_the_build_before_go_on_where_they_were_and_are_there_once() {
    bounded(120, async {
        let data = TempDir::new().expect("a temporary folder");
        for name in ["natter.db", "witness"] {
            fs::copy(Path::new(FIXTURES).join(name), data.path().join(name)).expect("a fixture");
        }
        let (home, contents) = (Home::new(), data.path().join("contents"));
        fs::create_dir(&contents).expect("a folder");
        let pie = PIE.lies_in(home.path(), &contents);
        let cake = CAKE.lies_in(home.path(), &contents);
        let server = Server::start_in(data.path()).await;
        let profiles = home.path().join(format!("state/natter/127.0.0.1_{}", server.addr().port()));

        // Whoever was sending in a chat.
        PIE.was_sent_by("carol", &profiles.join("carol"), &pie);
        let mut carol = home.natter_with(server.addr(), "carol", &["--no-receive"]);
        carol.shows("carol sends 'pie.bin'").await;
        carol.close_input();
        assert_eq!(carol.finished().await.code, Some(0));
        PIE.went_on(&contents);

        // The same command as the one that was killed.
        let message = "the night build".to_owned();
        let args = (Some(message.clone()), vec![cake.display().to_string()]);
        let folder = profiles.join("ci/errands").join(errand_folder(&args));
        CAKE.was_sent_by("errand", &folder, &cake);
        fs::copy(Path::new(FIXTURES).join("identity"), profiles.join("ci/identity")).expect("a fixture");
        let mut send = home.errand("send", server.addr(), "ci", &["-r", "dev", &args.1[0], "-m", &message]);
        send.close_input();
        let sent = send.finished().await;
        assert_eq!(sent.code, Some(0), "{}", sent.err);
        CAKE.went_on(&contents);
        assert!(!folder.exists(), "it is done");

        // Each is there once, and whole.
        let other = Home::new();
        for (room, file) in [("lobby", &PIE), ("dev", &CAKE)] {
            let to = other.path().join(file.name).display().to_string();
            let mut get = other.errand("get", server.addr(), "late", &["-r", room, file.name, "-o", &to]);
            get.close_input();
            let got = get.finished().await;
            assert_eq!(got.code, Some(0), "{}", got.err);
            assert!(fs::read(&to).expect("it is there") == file.content(), "{}", file.name);
        }
        let mut late = other.natter_with(server.addr(), "late", &["--no-receive", "--history", "100"]);
        late.type_lines(["/join dev", "/files", "/files lobby", "that is all"]).await;
        late.shows("late: that is all").await;
        let said = late.lines();
        let count = |part: &str| said.iter().filter(|line| line.contains(part)).count();
        assert_eq!(count("ci: the night build"), 1, "{said:?}");
        for (name, sends) in [("pie.bin", "carol sends 'pie.bin'"), ("cake.bin", "ci sends 'cake.bin'")] {
            assert_eq!((count(sends), count(&format!("  {name} ("))), (1, 1), "{said:?}");
        }
    })
    .await;
}
