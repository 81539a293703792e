//! What belongs to others: what people said is read by nobody else on the machine, what is somebody else's in a folder
//! is left as it is, and whoever only looks needs no right to write.

use super::folder_accidents::{Served, all_files, check, natterd, serve};
use super::harness::{Pty, Server, bounded, files, program};
use rustix::fs::Mode;
use rustix::process::{Signal, getuid, umask};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

fn are_private(folder: &Path) {
    for file in files(folder) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert_eq!(mode(&folder.join("contents")), 0o700);
}

#[tokio::test]
async fn whatever_is_written_is_private_whatever_the_umask() {
    bounded(90, async {
        // The programs inherit it.
        umask(Mode::empty());
        let served = Served::new().await;
        are_private(&served.path());
        assert_eq!((mode(&served.path()), mode(&served.saved)), (0o700, 0o600));
        let restored = served.folder.path().join("restored");
        fs::create_dir(&restored).expect("it is new");
        set_mode(&restored, 0o755);
        let saved = served.saved.to_str().expect("a plain name");
        check(&natterd(&restored, &["restore", saved]).await, 0, &["\nok"]);
        are_private(&restored);
        // What an older server left is made private, and the folder itself is for its owner to close.
        files(&restored).iter().for_each(|file| set_mode(file, 0o644));
        set_mode(&restored.join("contents"), 0o755);
        let mut server = Server::start_in(&restored).await;
        server.err().line("others on this machine can look into the data folder").await;
        server.stop_by(Signal::KILL).await;
        let contents = restored.join("contents");
        files(&contents).iter().for_each(|file| set_mode(file, 0o600));
        are_private(&restored);
        assert_eq!(mode(&restored), 0o755);
        // And one that nobody can look into is no reason to warn.
        set_mode(&restored, 0o700);
        let mut server = Server::start_in(&restored).await;
        let log = server.stop().await.err;
        assert!(!log.contains("WARN"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn a_folder_with_something_of_somebody_elses_is_refused_by_its_name() {
    bounded(90, async {
        let contents: [(&str, &str); 5] = [
            ("lock", "the combination is 4 8 15"),
            ("witness", "I saw it all"),
            ("search.db", "a list of things"),
            ("contents/holiday.jpg", "a picture"),
            ("expiry", "milk: Tuesday"),
        ];
        for (name, text) in contents {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().expect("it has a folder")).expect("a folder can be made");
            fs::write(&file, text).expect("there is space");
            set_mode(&file, 0o644);
            let named = folder.path().join(name.split('/').next().expect("it has a name"));
            let named = named.to_str().expect("a plain name");
            check(&serve(folder.path(), &[]).await, 3, &[named, "not natterd's", "hint: ", "--data"]);
            check(&natterd(folder.path(), &["restore", "/nowhere"]).await, 1, &[named, "hint: "]);
            assert_eq!(fs::read_to_string(&file).expect("it is still there"), text);
            assert_eq!((mode(&file), files(folder.path()).len()), (0o644, 1), "nothing was changed or added");
        }
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for name in ["lost+found/#12", ".trash/old", "notes.txt"] {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().expect("it has a folder")).expect("a folder can be made");
            fs::write(&file, "kept").expect("there is space");
        }
        let mut server = Server::start_in(folder.path()).await;
        assert_eq!(server.stop().await.code, Some(0), "other names are no reason");
    })
    .await;
}

#[tokio::test]
async fn a_backup_replaces_no_file_of_somebody_else() {
    bounded(60, async {
        let served = Served::new().await;
        let part = served.folder.path().join("friday.part");
        fs::write(&part, "half a novel").expect("there is space");
        let friday = served.folder.path().join("friday");
        let refused = natterd(&served.path(), &["backup", friday.to_str().expect("a plain name")]).await;
        check(&refused, 1, &["friday.part' is there already"]);
        assert_eq!(fs::read_to_string(&part).expect("it is still there"), "half a novel");
    })
    .await;
}

/// Runs `natterd` as somebody who may only read these folders.
async fn as_a_reader(copy: &Path, args: &[&str]) -> Output {
    let natterd = copy.join("natterd");
    let mut command = if getuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(natterd);
        command
    } else {
        Command::new(natterd)
    };
    command.args(args).stdin(Stdio::null()).output().await.expect("it can be started")
}

#[tokio::test]
async fn whoever_only_reads_needs_no_right_to_write() {
    bounded(90, async {
        let served = Served::new().await;
        let base = served.folder.path();
        set_mode(base, 0o755);
        fs::copy(program("natterd"), base.join("natterd")).expect("there is space");
        set_mode(&base.join("natterd"), 0o755);
        let closed = served.after("closed", |_| {});
        Server::start_in(&closed).await.stop().await;
        let folders = [
            served.after("killed", |_| {}),
            served.after("its log alone", |data| {
                fs::remove_file(data.join("natter.db-shm")).expect("it was there");
            }),
            closed.clone(),
            {
                for end in ["-shm", "-wal"] {
                    fs::remove_file(closed.join(format!("natter.db{end}"))).expect("it was there");
                }
                closed
            },
        ];
        for data in folders {
            let before = all_files(&data);
            files(&data).iter().for_each(|file| set_mode(file, 0o444));
            set_mode(&data.join("contents"), 0o555);
            set_mode(&data, 0o555);
            let data = data.to_str().expect("a plain name");
            let verified = as_a_reader(base, &["verify", data]).await;
            let (out, err) =
                (String::from_utf8_lossy(&verified.stdout), String::from_utf8_lossy(&verified.stderr));
            assert_eq!(verified.status.code(), Some(0), "{data}: {out}{err}");
            let count = served.texts.len() + 1;
            assert!(out.contains(&format!("{count} messages")) && out.contains("\nok"), "{data}: {out}{err}");
            assert!(!out.contains("a server is running"), "{out}");
            let exported = as_a_reader(base, &["export", "lobby", "--jsonl", "--data", data]).await;
            assert_eq!(exported.stdout.iter().filter(|byte| **byte == b'\n').count(), count);
            let saved = as_a_reader(base, &["backup", "-", "--data", data]).await;
            assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
            assert!(all_files(Path::new(data)) == before, "nothing was changed");
            set_mode(Path::new(data), 0o755);
        }
    })
    .await;
}

#[tokio::test]
async fn a_backup_goes_through_a_pipe() {
    bounded(90, async {
        let served = Served::new().await;
        let data = served.path();
        let data = data.to_str().expect("a plain name");
        let temporary = tempfile::tempdir().expect("a temporary folder can be made");
        let start = || {
            let mut command = Command::new(program("natterd"));
            command.args(["--temp", temporary.path().to_str().expect("a plain name")]);
            command.args(["backup", "-", "--data", data]).stdin(Stdio::null()).kill_on_drop(true);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("it can be started")
        };
        let written = start().wait_with_output().await.expect("it ends");
        let report = String::from_utf8_lossy(&written.stderr);
        assert!(
            written.status.success() && report.contains("21 messages") && report.contains("\nok"),
            "{report}"
        );
        let saved = served.folder.path().join("piped");
        fs::write(&saved, written.stdout).expect("there is space");
        check(
            &natterd(&saved, &["verify", saved.to_str().expect("a plain name")]).await,
            0,
            &["21 messages", "\nok"],
        );
        // Half a backup is none.
        let mut cut = start();
        let mut out = cut.stdout.take().expect("it is a pipe");
        out.read_exact(&mut [0; 100]).await.expect("it begins");
        drop(out);
        let cut = cut.wait_with_output().await.expect("it ends");
        let said = String::from_utf8_lossy(&cut.stderr);
        assert!(cut.status.code() == Some(3) && said.contains("the output can't be written"), "{said}");
        assert_eq!(files(temporary.path()).len(), 0, "nothing is left of either");
        let natterd = program("natterd").display().to_string();
        let mut terminal = Pty::start(&[&natterd, "backup", "-", "--data", data], served.folder.path());
        terminal.shows_within("stdout is a terminal", Duration::from_secs(30));
    })
    .await;
}
