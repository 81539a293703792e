//! Where a profile lies: a folder for each server and name.

use super::IDENTITY;
use crate::files::DiskFiles;
use protocol::name::{NameKey, PersonName};
use std::fmt::Write;
use std::fs::read_dir;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The folder of the profile of this name at this server, below the folder of all state.
pub fn folder(state: &Path, host: &str, port: u16, name: &PersonName) -> PathBuf {
    let server = safe(&format!("{}_{port}", host.to_lowercase()));
    state.join("natter").join(server).join(safe(NameKey::of(name.as_str()).as_str()))
}

/// Where the profile of this name at this server is, or will be.
#[derive(PartialEq, Eq, Debug)]
pub struct Located {
    /// Its folder.
    pub folder: PathBuf,
    /// Another profile of the same server, which is not used.
    pub other: Option<PathBuf>,
}

/// Finds the profile of this name at this server, by whatever name it was made.
///
/// All names of this machine are one server on each port, and the oldest profile of it is used. If the one of this very
/// name still has something to send, it comes first, once more: nothing is lost with it, and nothing sent twice.
pub fn locate(state: &Path, host: &str, port: u16, name: &PersonName) -> Located {
    let exact = folder(state, host, port, name);
    if !is_this_machine(host) {
        return Located { folder: exact, other: None };
    }
    let person = safe(NameKey::of(name.as_str()).as_str());
    let servers = read_dir(state.join("natter")).into_iter().flatten().flatten();
    let same = servers.filter(|server| {
        let server = server.file_name();
        let parts = server.to_str().and_then(|server| server.rsplit_once('_'));
        parts.is_some_and(|(host, of)| of == port.to_string() && is_this_machine(&unescaped(host)))
    });
    let folders = same.map(|server| server.path().join(&person));
    let made = |folder: PathBuf| Some((folder.join(IDENTITY).metadata().ok()?.modified().ok()?, folder));
    let mut found: Vec<_> = folders.filter_map(made).collect();
    found.sort();
    let mut found = found.into_iter().map(|(_, folder)| folder);
    let Some(oldest) = found.next() else {
        return Located { folder: exact, other: None };
    };
    if oldest != exact && exact.join(IDENTITY).exists() {
        let errands = read_dir(exact.join("errands")).is_ok_and(|mut errands| errands.next().is_some());
        let is_busy = errands || super::has_unsent(&DiskFiles::at(&exact));
        let (folder, other) = if is_busy { (exact, oldest) } else { (oldest, exact) };
        return Located { folder, other: Some(other) };
    }
    Located { folder: oldest, other: found.next() }
}

/// Whether this names the machine that it is said on, whoever else may be asked.
fn is_this_machine(host: &str) -> bool {
    let by_name = host.eq_ignore_ascii_case("localhost");
    by_name || host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
}

/// The longest file name that every system takes, in bytes.
const MAX: usize = 255;

/// Bytes of a name that is too long which stay, so that people know whose it is.
const STAYS: usize = 180;

/// A file name that every system takes, different for different texts: what is not plain becomes `%xx`, and what is
/// too long ends with its hash.
fn safe(text: &str) -> String {
    let mut name = escaped(text);
    if name.len() > MAX {
        name.truncate(STAYS);
        // No other name has the sign in it.
        write!(name, "~{}", &blake3::hash(text.as_bytes()).to_hex()[..32])
            .expect("a String takes everything");
    }
    name
}

/// The text of which this is the [`escaped`] form, as far as it is plain ASCII, as addresses are.
fn unescaped(name: &str) -> String {
    name.replace("%3a", ":")
}

fn escaped(text: &str) -> String {
    text.bytes().enumerate().fold(String::new(), |mut out, (at, byte)| {
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        if plain || (byte == b'.' && at > 0) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02x}").expect("a String takes everything");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, name: &str, expected: &str) {
        let name = PersonName::parse(name).expect("tests use allowed names");
        assert_eq!(folder(Path::new("/s"), host, 12000, &name), PathBuf::from(expected));
    }

    #[test]
    fn every_name_and_host_has_a_folder_of_its_own_and_can_not_leave_it() {
        check("127.0.0.1", "Alice", "/s/natter/127.0.0.1_12000/alice");
        check("Chat.Example", "..", "/s/natter/chat.example_12000/%2e.");
        check("::1", "a/../b", "/s/natter/%3a%3a1_12000/a%2f..%2fb");
        check("h", "Ä", "/s/natter/h_12000/%c3%a4");
    }

    /// Makes a profile, so many seconds after the first.
    fn make(state: &Path, host: &str, age: u64, journal: &str) -> PathBuf {
        let folder = folder(state, host, 12000, &PersonName::parse("alice").unwrap());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("journal"), journal).unwrap();
        let file = std::fs::File::create(folder.join(IDENTITY)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(age)).unwrap();
        folder
    }

    fn located(state: &Path, host: &str) -> Located {
        locate(state, host, 12000, &PersonName::parse("Alice").unwrap())
    }

    #[test]
    fn whoever_was_here_by_one_name_is_the_same_person_by_another() {
        let root = tempfile::tempdir().unwrap();
        let folder = make(root.path(), "127.0.0.1", 1, "");
        let mine = Located { folder, other: None };
        for host in ["127.0.0.1", "localhost", "LOCALHOST", "::1", "127.9.8.7", "::ffff:127.0.0.1"] {
            assert_eq!(located(root.path(), host), mine, "{host}");
        }
        // Another port, another host and another name may be another server or person.
        let name = PersonName::parse("alice").unwrap();
        assert_ne!(locate(root.path(), "127.0.0.1", 12001, &name), mine);
        assert_ne!(located(root.path(), "10.0.0.1"), mine);
        assert_ne!(located(root.path(), "localhost.example"), mine);
        assert_ne!(locate(root.path(), "localhost", 12000, &PersonName::parse("bob").unwrap()), mine);
    }

    #[test]
    fn of_two_profiles_of_one_server_the_older_wins_once_the_younger_has_sent_all() {
        let root = tempfile::tempdir().unwrap();
        let older = make(root.path(), "::1", 1, "");
        let post = r##"{"post":{"serial":0,"place":"#lobby","kind":1,"reply_to":0,"written":0,"body":"x"}}"##;
        let younger = make(root.path(), "localhost", 2, &format!("{post}\n"));
        let busy = Located { folder: younger.clone(), other: Some(older.clone()) };
        assert_eq!(located(root.path(), "localhost"), busy);
        let wins = Located { folder: older, other: Some(younger.clone()) };
        assert_eq!(located(root.path(), "::1"), wins);
        assert_eq!(located(root.path(), "127.0.0.1"), wins);
        std::fs::write(younger.join("journal"), format!("{post}\n{{\"gone\":{{\"serial\":0}}}}\n")).unwrap();
        assert_eq!(located(root.path(), "localhost"), wins);
    }

    #[test]
    fn the_folder_of_every_legal_name_fits() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let long = "字".repeat(29);
        let names = [&long, &"字".repeat(32), &"𝄞".repeat(32), &"a".repeat(32), &format!("{long}b")];
        let mut folders = std::collections::BTreeSet::new();
        for name in names {
            let name = PersonName::parse(name).expect("tests use allowed names");
            let folder = folder(root.path(), &"h.".repeat(126), 12000, &name);
            std::fs::create_dir_all(&folder).expect("it fits");
            assert!(folders.insert(folder), "{name} has a folder of its own");
        }
    }
}
