//! Who a person is: one profile for each server, by whatever address it is reached, and those of the build before.

use super::harness::{Cli, Home, Native, Pty, Server, bounded};
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// What the build before left: a server's folder, two profiles of one person by two spellings, of which the younger has
/// lines that were not answered and lines that were never sent, and somebody who has received a part of a file.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/system/fixtures/build-before");

const CAKE: &str = "4713babaefbc2271db70eee8ec588829c0e5aa250951e9a401d11db249256fa8";

/// The part that has been received.
const HALF: (&str, usize) = (".natter-24e325e327a47dbf", 1_300_337);

struct Before {
    _data: TempDir,
    server: Server,
    home: Home,
}

fn cake() -> Vec<u8> {
    (0..3_000_000_u32).map(|n| (n % 251) as u8).collect()
}

impl Before {
    async fn new() -> Self {
        let fixtures = Path::new(FIXTURES);
        let data = TempDir::new().expect("a temporary folder");
        for name in ["natter.db", "witness"] {
            fs::copy(fixtures.join(name), data.path().join(name)).expect("a fixture");
        }
        let contents = data.path().join("contents");
        fs::create_dir(&contents).expect("a folder");
        fs::write(contents.join(CAKE), cake()).expect("the disk has room");
        let blocks = format!("{CAKE}.blocks");
        fs::copy(fixtures.join(&blocks), contents.join(&blocks)).expect("a fixture");
        let server = Server::start_in(data.path()).await;
        let home = Home::new();
        let before = Self { _data: data, server, home };
        before.has("alice-older", "127.0.0.1", "alice", 200);
        before.has("alice-younger", "localhost", "alice", 100);
        before.has("bob", "127.0.0.1", "bob", 150);
        fs::create_dir(before.home.received()).expect("a folder");
        let half = |ending: &str| before.home.received().join(format!("{}.{ending}", HALF.0));
        fs::write(half("part"), &cake()[..HALF.1]).expect("the disk has room");
        fs::copy(fixtures.join("half.sums"), half("sums")).expect("a fixture");
        before
    }

    fn profile(&self, host: &str, name: &str) -> PathBuf {
        let server = format!("{host}_{}", self.server.addr().port());
        self.home.path().join("state/natter").join(server).join(name)
    }

    fn has(&self, fixture: &str, host: &str, name: &str, age: u64) {
        let folder = self.profile(host, name);
        fs::create_dir_all(&folder).expect("a folder");
        for file in fs::read_dir(Path::new(FIXTURES).join(fixture)).expect("a fixture").flatten() {
            fs::copy(file.path(), folder.join(file.file_name())).expect("a fixture");
        }
        #[expect(clippy::disallowed_methods, reason = "files are as old as the system's clock says")]
        let made = SystemTime::now() - Duration::from_secs(age);
        let identity = File::options().write(true).open(folder.join("identity")).expect("a fixture");
        identity.set_times(FileTimes::new().set_modified(made)).expect("its time is changed");
    }

    fn natter(&self, host: &str, name: &str) -> Cli {
        let more: &[&str] = if name == "bob" { &[] } else { &["--no-receive"] };
        self.home.natter_at(host, self.server.addr().port(), name, more)
    }

    /// All that was ever said, as somebody sees who comes now.
    async fn said(&self) -> Vec<String> {
        let home = Home::new();
        let mut late = home.natter_with(self.server.addr(), "late", &["--no-receive", "--history", "100"]);
        late.type_line("that is all").await;
        late.shows("late: that is all").await;
        late.lines()
    }
}

fn count(lines: &[String], part: &str) -> usize {
    lines.iter().filter(|line| line.contains(part)).count()
}

#[tokio::test]
async fn people_lines_and_half_files_of_the_build_before_are_taken_over() {
    bounded(150, async {
        let before = Before::new().await;
        // The file goes on where it was.
        let mut bob = before.natter("127.0.0.1", "bob");
        bob.says("'cake.bin' resumes at").await;
        bob.shows("received 'cake.bin'").await;
        assert!(fs::read(before.home.received().join("cake.bin")).expect("it is there") == cake());
        bob.close_input();
        assert_eq!(bob.finished().await.code, Some(0));
        // What was sent is settled by logging in once more as who sent it.
        let mut younger = before.natter("localhost", "alice");
        younger.says("two profiles are of this server").await;
        younger.close_input();
        let finished = younger.finished().await;
        assert_eq!(finished.code, Some(0), "{}", finished.err);
        let said = before.said().await;
        for line in ["alice-2: sent and not answered", "never sent, one", "alice-2 never sent, two"] {
            assert_eq!(count(&said, line), 1, "{line}: {said:?}");
        }
        // Then the older one is used, by every spelling, and knows what it knew.
        for host in ["localhost", "127.0.0.1"] {
            let mut older = before.natter(host, "alice");
            older.type_line(&format!("here by {host}")).await;
            older.shows(&format!("alice: here by {host}")).await;
            older.type_line("/ignore").await;
            older.shows("mallory").await;
            older.close_input();
            let finished = older.finished().await;
            assert_eq!(finished.code, Some(0), "{}", finished.err);
            assert_eq!(count(&older.lines(), "the older says this"), 0, "it was read: {}", finished.out);
            let told = finished.err.matches("two profiles were of this server").count();
            assert_eq!(told, usize::from(host == "localhost"), "it is told once: {}", finished.err);
        }
    })
    .await;
}

#[tokio::test]
async fn lines_that_were_never_sent_are_said_once_by_the_older_of_two_profiles() {
    bounded(120, async {
        let before = Before::new().await;
        let journal = before.profile("localhost", "alice").join("journal");
        let text = fs::read_to_string(&journal).expect("a fixture");
        let never_sent: Vec<_> = text.lines().filter(|line| !line.contains("\"serial\":3,")).collect();
        fs::write(&journal, never_sent.join("\n") + "\n").expect("written");
        let mut older = before.natter("localhost", "alice");
        older.says("says the 2 lines that").await;
        older.close_input();
        let finished = older.finished().await;
        assert_eq!(finished.code, Some(0), "{}", finished.err);
        let said = before.said().await;
        for line in ["alice: never sent, one", "* alice never sent, two"] {
            assert_eq!(count(&said, line), 1, "{line}: {said:?}");
        }
        assert_eq!(count(&said, "sent and not answered"), 0, "{said:?}");
        assert!(before.profile("localhost", "alice").join("merged").exists());
    })
    .await;
}

#[tokio::test]
async fn the_server_of_the_build_before_says_the_same_id_at_each_start() {
    bounded(60, async {
        let mut before = Before::new().await;
        let first = Native::enter(before.server.addr(), "one").await.server;
        before.server.stop().await;
        before.server.start_again().await;
        let second = Native::enter(before.server.addr(), "two").await.server;
        assert!(first.is_some() && first == second, "{first:?} {second:?}");
        let other = Server::start().await;
        assert_ne!(Native::enter(other.addr(), "one").await.server, first);
    })
    .await;
}

#[tokio::test]
async fn a_new_address_is_asked_about_once_and_a_script_is_a_new_person_there() {
    bounded(120, async {
        let (one, two) = (Server::start().await, Server::start().await);
        let home = Home::new();
        let mut known = home.natter(one.addr(), "alice");
        known.close_input();
        assert_eq!(known.finished().await.code, Some(0));
        let identity = |server: &Server, name: &str| {
            let folder = format!("127.0.0.1_{}", server.addr().port());
            fs::read(home.path().join("state/natter").join(folder).join(name).join("identity")).ok()
        };
        // A script is a new person, and is told.
        let mut script = home.natter(two.addr(), "alice");
        script.says("is new here, so this is a new person there").await;
        script.close_input();
        assert_eq!(script.finished().await.code, Some(0));
        assert!(identity(&two, "alice").is_some() && identity(&two, "alice") != identity(&one, "alice"));
        let again = home.natter(two.addr(), "alice");
        again.says("you are alice").await;
        assert!(!again.diagnostics().join(" ").contains("is new here"), "{:?}", again.diagnostics());

        // A person is asked, once for each address.
        let three = Server::start().await;
        let (first, address) = (one.addr(), three.addr());
        #[expect(clippy::disallowed_methods, reason = "a terminal blocks, and nothing here is simulated")]
        let work = tokio::task::spawn_blocking({
            let path = home.path().to_owned();
            move || {
                let start = || Pty::start(&[&Pty::natter(), &address.to_string(), "-u", "alice"], &path);
                let mut pty = start();
                pty.shows("is new here. Is it a server that you know by another address?");
                pty.shows(&format!("1  {first}"));
                pty.shows("press Enter: ");
                pty.keys("1\r");
                pty.shows("#lobby> ");
                pty.keys("/quit\r");
                assert_eq!(pty.finished().code(), Some(0));
                let mut pty = start();
                pty.shows("#lobby> ");
                assert!(!pty.text().contains("is new here"), "{}", pty.text());
                pty.keys("/quit\r");
                assert_eq!(pty.finished().code(), Some(0));
            }
        });
        work.await.expect("it did not panic");
        assert_eq!(identity(&three, "alice"), None, "the profile of the first is used there");
    })
    .await;
}

/// Does what blocks, as whoever sits at a terminal does.
async fn at_a_terminal(work: impl FnOnce() + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "a terminal blocks, and nothing here is simulated")]
    let work = tokio::task::spawn_blocking(work);
    work.await.expect("it did not panic");
}

#[tokio::test]
async fn a_script_at_a_terminal_asks_before_a_secret_goes_to_a_new_address_and_learns_which_server_it_is() {
    bounded(120, async {
        let (one, two) = (Server::start().await, Server::start().await);
        let home = Home::new();
        let file = home.path().join("note.txt").display().to_string();
        fs::write(&file, "a note").expect("the disk has room");
        let mut first = home.errand("send", one.addr(), "alice", &[&file]);
        first.close_input();
        assert_eq!(first.finished().await.code, Some(0));
        let profile = |server: &Server| {
            let folder = format!("127.0.0.1_{}", server.addr().port());
            home.path().join("state/natter").join(folder).join("alice")
        };
        let known = fs::read_to_string(profile(&one).join("addresses")).expect("it was there");
        let id = Native::enter(one.addr(), "one").await.server.expect("it says which it is");
        let id: String = id.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(known.contains(&format!("is {id}\n")), "{known}");

        let (path, known, address) = (home.path().to_owned(), one.addr(), two.addr().to_string());
        at_a_terminal(move || {
            // Not only the answer may be given away: what is got may go elsewhere.
            let command = format!("exec {} get {address} -u alice > got", Pty::natter());
            let mut pty = Pty::start(&["sh", "-c", &command], &path);
            pty.shows("is new here. Is it a server that you know by another address?");
            pty.shows(&format!("1  {known}"));
            pty.keys("\r");
            pty.shows("no file");
            assert_eq!(pty.finished().code(), Some(1));
            // A job in the background would be stopped by a question.
            let command =
                format!("set -m; {} get localhost:9 -u alice & wait $!; echo ended $?", Pty::natter());
            let mut pty = Pty::start(&["sh", "-c", &command], &path);
            pty.shows("ended 3");
        })
        .await;
        assert!(profile(&two).join("identity").exists(), "it is another server, and another person there");
    })
    .await;
}

#[tokio::test]
async fn natter_alone_goes_to_where_one_was_last_as_who_one_was_there() {
    bounded(60, async {
        let server = Server::start().await;
        let home = Home::new();
        let (address, path) = (server.addr(), home.path().to_owned());
        at_a_terminal(move || {
            let (natter, address) = (Pty::natter(), address.to_string());
            let runs: [(&[&str], &str); 4] =
                [(&[&address, "-u", "Zoë"], "Zoë"), (&[], "Zoë"), (&["-u", "bob"], "bob"), (&[], "bob")];
            for (more, name) in runs {
                let mut pty = Pty::start(&[&[natter.as_str()], more].concat(), &path);
                pty.shows(&format!("connected; you are {name}"));
                pty.shows("#lobby> ");
                pty.keys("/quit\r");
                assert_eq!(pty.finished().code(), Some(0));
            }
        })
        .await;
    })
    .await;
}
