//! Where a profile lies: a folder for each address that one was made at, and name; and which of them belong together.
//!
//! A profile belongs to a server, not to an address. But the server's id is public, so it proves nothing, and a login
//! tells the secret before the id is known. So a secret goes to another address only if that is the same machine and
//! port as one that it went to before, or if the user said that the same server is there.

use super::addresses::{Addresses, FILE};
use super::merge::{is_merged, standing_of};
use super::{CURSORS, IDENTITY, kept};
use crate::session::Standing;
use protocol::id::ServerId;
use protocol::name::{NameKey, PersonName};
use std::fmt::Write;
use std::fs::read_dir;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folder of the profile of this name at this server, below the folder of all state.
pub fn folder(state: &Path, host: &str, port: u16, name: &PersonName) -> PathBuf {
    state.join("natter").join(server_folder(host, port)).join(person_folder(name))
}

fn server_folder(host: &str, port: u16) -> String {
    safe(&format!("{}_{port}", host.to_lowercase()))
}

fn person_folder(name: &PersonName) -> String {
    safe(NameKey::of(name.as_str()).as_str())
}

/// Where the profile of this name at this server is, or will be.
#[derive(PartialEq, Eq, Debug)]
pub struct Located {
    /// Its folder.
    pub folder: PathBuf,
    /// Where its secret may go, if not everywhere that the address leads to.
    pub only: Option<Vec<IpAddr>>,
    /// An older profile of the same server, which is used once this one is settled.
    pub older: Option<PathBuf>,
    /// Younger profiles of the same server, which this one takes over.
    pub younger: Vec<PathBuf>,
    /// Profiles of this name that may be of the same server: only the user can tell.
    pub maybe: Vec<Maybe>,
}

/// A profile that may be of the server that is sought.
#[derive(PartialEq, Eq, Debug)]
pub struct Maybe {
    /// Its folder.
    pub folder: PathBuf,
    /// The address that it was made at.
    pub address: String,
    /// The server that is sought claims to be this one.
    pub claimed: Option<ServerId>,
}

/// A profile that there is.
struct Known {
    made: SystemTime,
    folder: PathBuf,
    host: String,
    port: u16,
    addresses: Addresses,
    server: Option<ServerId>,
    /// Whether somebody logged in with it, as far as can be told. A mistyped address leaves a profile that never was.
    used: bool,
}

impl Known {
    fn read(folder: PathBuf) -> Option<Self> {
        let made = folder.join(IDENTITY).metadata().ok()?.modified().ok()?;
        let server = folder.parent()?.file_name()?.to_str()?;
        let (host, port) = server.rsplit_once('_')?;
        let (host, port) = (unescaped(host), port.parse().ok()?);
        let traces = [CURSORS, FILE, "errands"];
        let used = traces.iter().any(|trace| folder.join(trace).exists());
        let mut addresses = Addresses::read(&folder);
        addresses.note(&host, port);
        let server =
            std::fs::read(folder.join(CURSORS)).ok().and_then(|content| kept::decode(&content).ok()?.server);
        // A chat that was here later knows better than a script.
        let server = server.or(addresses.server());
        let known = Self { made, folder, host, port, addresses, server, used };
        (!is_merged(&known.folder)).then_some(known)
    }

    /// Whether both are known to be of different servers. A server that keeps nothing is another one each time.
    fn differs(&self, other: &Self) -> bool {
        self.server.zip(other.server).is_some_and(|(one, two)| one != two)
    }
}

/// Finds the profile of this name at this server, by whatever address it was made. `ips` are the numbers that the
/// address has now, as far as that is known.
///
/// Of several profiles of one server the oldest is used. If the one of this very address has something that only it can
/// settle, it comes first, once more: nothing is lost with it, and nothing sent twice.
pub fn locate(state: &Path, host: &str, port: u16, ips: &[IpAddr], name: &PersonName) -> Located {
    let exact = folder(state, host, port, name);
    let person = person_folder(name);
    let servers = read_dir(state.join("natter")).into_iter().flatten().flatten();
    let mut known: Vec<_> = servers.filter_map(|server| Known::read(server.path().join(&person))).collect();
    known.sort_by(|a, b| (a.made, &a.folder).cmp(&(b.made, &b.folder)));
    let own = known.iter().find(|known| known.folder == exact);
    let mut numbers: Vec<IpAddr> = ips.iter().map(IpAddr::to_canonical).collect();
    numbers.extend(own.into_iter().flat_map(|own| own.addresses.reached(port)));
    let named = |one: &Known| {
        let here = one.port == port && is_this_machine(host) && is_this_machine(&one.host);
        here || one.addresses.names(host, port)
    };
    let reached = |one: &Known| one.addresses.reached(port).iter().any(|ip| numbers.contains(ip));
    let is_same = |one: &&Known| match own {
        Some(own) if one.folder == own.folder => true,
        // A number is given to another machine one day: then only the server can say that it is the same.
        Some(own) => {
            !one.differs(own)
                && (named(one) || (reached(one) && one.server.is_some() && own.server.is_some()))
        }
        None => named(one) || reached(one),
    };
    let (same, rest): (Vec<_>, Vec<_>) = known.iter().partition(is_same);
    let is_busy = |own: &&Known| standing_of(&own.folder) == Standing::Unsettled;
    let oldest = same.first().copied();
    let used = own.filter(is_busy).or(oldest);
    let maybe = |one: &Known| {
        let claimed = own.and_then(|own| one.server.filter(|server| own.server == Some(*server)));
        let asked = own.is_some_and(|own| {
            claimed.is_none_or(|server| own.addresses.is_apart(server)) || own.made < one.made
        });
        let address = if one.host.contains(':') { format!("[{}]", one.host) } else { one.host.clone() };
        let address = format!("{address}:{}", one.port);
        (!asked && one.used).then(|| Maybe { folder: one.folder.clone(), address, claimed })
    };
    let questions = |rest: Vec<&Known>| -> Vec<Maybe> { rest.into_iter().filter_map(maybe).collect() };
    let Some(used) = used else {
        return Located {
            folder: exact,
            only: None,
            older: None,
            younger: Vec::new(),
            maybe: questions(rest),
        };
    };
    let mut others = same.into_iter().filter(|one| one.folder != used.folder).map(|one| one.folder.clone());
    let is_oldest = oldest.is_some_and(|oldest| oldest.folder == used.folder);
    let reached = used.addresses.reached(port).into_iter().filter(|ip| numbers.contains(ip));
    Located {
        folder: used.folder.clone(),
        only: (used.folder != exact && !named(used)).then(|| reached.collect()),
        older: if is_oldest { None } else { others.next() },
        younger: if is_oldest { others.collect() } else { Vec::new() },
        maybe: if own.is_some() { questions(rest) } else { Vec::new() },
    }
}

/// Whether it is known where the profile of this name at this address is, without asking which numbers it has.
pub fn is_known(state: &Path, host: &str, port: u16, name: &PersonName) -> bool {
    let Located { folder, .. } = locate(state, host, port, &[], name);
    folder.join(IDENTITY).exists()
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
        std::fs::write(folder.join("cursors"), "").unwrap();
        let file = std::fs::File::create(folder.join(IDENTITY)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(age)).unwrap();
        folder
    }

    fn located(state: &Path, host: &str) -> Located {
        locate(state, host, 12000, &[], &PersonName::parse("Alice").unwrap())
    }

    fn numbered(state: &Path, host: &str, ip: &str) -> Located {
        locate(state, host, 12000, &[ip.parse().unwrap()], &PersonName::parse("Alice").unwrap())
    }

    /// A profile that is used, and nothing else to say.
    fn alone(folder: &Path) -> Located {
        Located { folder: folder.to_owned(), only: None, older: None, younger: Vec::new(), maybe: Vec::new() }
    }

    /// The profile was last at this server.
    fn is_of(folder: &Path, server: u8) {
        let id = format!("{server:02x}").repeat(16);
        let kept = format!(r#"{{"name":"alice","epoch":null,"rooms":[],"ignored":[],"server":"{id}"}}"#);
        std::fs::write(folder.join("cursors"), kept).unwrap();
    }

    #[test]
    fn whoever_was_here_by_one_name_is_the_same_person_by_another() {
        let root = tempfile::tempdir().unwrap();
        let folder = make(root.path(), "127.0.0.1", 1, "");
        let mine = alone(&folder);
        for host in ["127.0.0.1", "localhost", "LOCALHOST", "::1", "127.9.8.7", "::ffff:127.0.0.1"] {
            assert_eq!(located(root.path(), host), mine, "{host}");
        }
        // Another port, another host and another name may be another server or person.
        let name = PersonName::parse("alice").unwrap();
        assert_ne!(locate(root.path(), "127.0.0.1", 12001, &[], &name).folder, folder);
        assert_ne!(located(root.path(), "10.0.0.1").folder, folder);
        assert_ne!(located(root.path(), "localhost.example").folder, folder);
        assert_ne!(
            locate(root.path(), "localhost", 12000, &[], &PersonName::parse("bob").unwrap()).folder,
            folder
        );
    }

    #[test]
    fn a_secret_goes_to_another_spelling_only_where_it_went_before_or_the_user_sends_it() {
        let root = tempfile::tempdir().unwrap();
        let known = make(root.path(), "192.0.2.7", 1, "");
        let maybe = Maybe { folder: known.clone(), address: "192.0.2.7:12000".into(), claimed: None };
        let new = folder(root.path(), "chat.example", 12000, &PersonName::parse("alice").unwrap());
        let stranger = Located { maybe: vec![maybe], ..alone(&new) };
        assert_eq!(numbered(root.path(), "chat.example", "192.0.2.8"), stranger, "another machine");
        assert_eq!(located(root.path(), "chat.example"), stranger, "its numbers are not known");
        let same = "192.0.2.7".parse().unwrap();
        let here = Located { only: Some(vec![same]), ..alone(&known) };
        assert_eq!(numbered(root.path(), "chat.example", "::ffff:192.0.2.7"), here, "nowhere but there");
        // Once it was sent there, or the user said that it may, the spelling leads there.
        for ip in [None, Some(same)] {
            let root = tempfile::tempdir().unwrap();
            let known = make(root.path(), "192.0.2.7", 1, "");
            super::super::remember(&known, "Chat.Example", 12000, ip);
            assert_eq!(located(root.path(), "chat.example"), alone(&known));
            assert_ne!(located(root.path(), "other.example").folder, known);
        }
    }

    #[test]
    fn an_address_where_nobody_ever_logged_in_is_not_asked_about() {
        let root = tempfile::tempdir().unwrap();
        let known = make(root.path(), "lan.example", 1, "");
        assert_eq!(located(root.path(), "chat.example").maybe.len(), 1);
        std::fs::remove_file(known.join("cursors")).unwrap();
        assert_eq!(located(root.path(), "chat.example").maybe.len(), 0);
        assert_eq!(located(root.path(), "lan.example"), alone(&known));
        super::super::remember(&known, "lan.example", 12000, Some("192.0.2.7".parse().unwrap()));
        assert_eq!(located(root.path(), "chat.example").maybe.len(), 1);
    }

    #[test]
    fn a_server_that_claims_to_be_another_one_is_asked_about_once() {
        let root = tempfile::tempdir().unwrap();
        let older = make(root.path(), "lan.example", 1, "");
        let younger = make(root.path(), "vpn.example", 2, "");
        [&older, &younger].into_iter().for_each(|folder| is_of(folder, 7));
        let claimed = Some(ServerId([7; 16]));
        let maybe = Maybe { folder: older.clone(), address: "lan.example:12000".into(), claimed };
        assert_eq!(located(root.path(), "vpn.example"), Located { maybe: vec![maybe], ..alone(&younger) });
        assert_eq!(located(root.path(), "lan.example"), alone(&older), "the older one has nothing to ask");
        // The user says no.
        super::super::keep_apart(&younger, ServerId([7; 16]));
        assert_eq!(located(root.path(), "vpn.example"), alone(&younger));
        // The user says yes.
        super::super::remember(&older, "vpn.example", 12000, None);
        assert_eq!(located(root.path(), "vpn.example"), Located { younger: vec![younger], ..alone(&older) });
    }

    #[test]
    fn what_only_scripts_used_is_known_by_the_server_that_they_found() {
        let root = tempfile::tempdir().unwrap();
        let older = make(root.path(), "lan.example", 1, "");
        let younger = make(root.path(), "vpn.example", 2, "");
        super::super::remember_server(&younger, ServerId([7; 16]));
        is_of(&older, 7);
        let maybe = |folder: &PathBuf, host: &str| Maybe {
            folder: folder.clone(),
            address: format!("{host}:12000"),
            claimed: Some(ServerId([7; 16])),
        };
        let claims = vec![maybe(&older, "lan.example")];
        assert_eq!(located(root.path(), "vpn.example"), Located { maybe: claims, ..alone(&younger) });
        // A chat was there since.
        is_of(&younger, 8);
        assert_eq!(located(root.path(), "vpn.example"), alone(&younger), "it knows better");
    }

    #[test]
    fn two_servers_on_one_number_stay_two_people() {
        let root = tempfile::tempdir().unwrap();
        let [one, two] = ["a.example", "b.example"].map(|host| {
            let folder = make(root.path(), host, u64::from(host == "b.example"), "");
            super::super::remember(&folder, host, 12000, Some("192.0.2.7".parse().unwrap()));
            folder
        });
        is_of(&one, 1);
        assert_eq!(
            numbered(root.path(), "b.example", "192.0.2.7"),
            alone(&two),
            "it is not known which it is"
        );
        is_of(&two, 2);
        assert_eq!(numbered(root.path(), "b.example", "192.0.2.7"), alone(&two), "it is another one");
        is_of(&two, 1);
        assert_eq!(numbered(root.path(), "b.example", "192.0.2.7").younger, [two], "it is the same");
    }

    #[test]
    fn of_two_profiles_of_one_server_the_older_wins_once_the_younger_is_settled() {
        let root = tempfile::tempdir().unwrap();
        let older = make(root.path(), "::1", 1, "");
        let post = r##"{"post":{"serial":0,"place":"#lobby","kind":1,"reply_to":0,"written":0,"body":"x"}}"##;
        let sent = r##"{"sent":{"serial":0,"counter":1,"target":{"room":1}}}"##;
        let younger = make(root.path(), "localhost", 2, &format!("{post}\n{sent}\n"));
        let busy = Located { older: Some(older.clone()), ..alone(&younger) };
        assert_eq!(located(root.path(), "localhost"), busy);
        let wins = Located { younger: vec![younger.clone()], ..alone(&older) };
        assert_eq!(located(root.path(), "::1"), wins);
        assert_eq!(located(root.path(), "127.0.0.1"), wins);
        for journal in [format!("{post}\n{{\"gone\":{{\"serial\":0}}}}\n"), format!("{post}\n")] {
            std::fs::write(younger.join("journal"), journal).unwrap();
            assert_eq!(located(root.path(), "localhost"), wins, "nothing that only it can settle");
        }
        std::fs::write(younger.join("merged"), format!("{}\n", older.display())).unwrap();
        assert_eq!(located(root.path(), "localhost"), alone(&older));
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
