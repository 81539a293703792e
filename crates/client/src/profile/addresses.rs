//! Where a profile was used: the addresses that lead to it, and the numbers that its secret was sent to.
//!
//! A file of lines, which is only added to: `at HOST PORT IP` for each, where IP is `-` if the user said that the server
//! is there, `apart ID` for a server of which the user said that it is another one, whatever it claims, and `is ID` for
//! the server that a login of a script found there; the last one counts.

use crate::hex::{hex, unhex};
use protocol::id::ServerId;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;

/// The file's name, in the folder of the profile.
pub(super) const FILE: &str = "addresses";

/// The largest file that is read, in bytes: some thousand addresses.
const MAX: usize = 64 * 1024;

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Addresses {
    at: BTreeSet<(String, u16, Option<IpAddr>)>,
    apart: BTreeSet<ServerId>,
    /// The server, as far as scripts know.
    server: Option<ServerId>,
}

impl Addresses {
    /// Those of the profile in this folder. What can't be read is not known.
    pub(super) fn read(folder: &Path) -> Self {
        let bytes = std::fs::read(folder.join(FILE)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX)]).into_owned();
        let mut found = Self::default();
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["at", host, port, ip] => {
                    let port = port.parse().ok();
                    found.at.extend(port.map(|port| (host.to_lowercase(), port, ip.parse().ok())));
                }
                ["is", id] => found.server = unhex(id).map(ServerId).or(found.server),
                ["apart", id] => found.apart.extend(unhex(id).map(ServerId)),
                // A later version may know more.
                _ => {}
            }
        }
        found
    }

    /// Remembers the address that the folder is named after: profiles of before have no such file.
    pub(super) fn note(&mut self, host: &str, port: u16) {
        self.at.insert((host.to_lowercase(), port, canonical(host)));
    }

    /// Whether this spelling was used, or the user said that it leads here.
    pub(super) fn names(&self, host: &str, port: u16) -> bool {
        self.at.iter().any(|(known, at, _)| *at == port && known.eq_ignore_ascii_case(host))
    }

    /// The numbers that the secret was sent to on this port.
    pub(super) fn reached(&self, port: u16) -> BTreeSet<IpAddr> {
        self.at.iter().filter(|(_, at, _)| *at == port).filter_map(|(_, _, ip)| *ip).collect()
    }

    /// The server that the last login of a script was at.
    pub(super) fn server(&self) -> Option<ServerId> {
        self.server
    }

    /// Whether the user said that this server is another one.
    pub(super) fn is_apart(&self, server: ServerId) -> bool {
        self.apart.contains(&server)
    }
}

/// The number that a host is, if it is one. One of IPv4 in IPv6 is that of IPv4.
fn canonical(host: &str) -> Option<IpAddr> {
    host.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

/// The secret of the profile in this folder goes to this address. If that can't be kept, the user is asked once more.
pub fn remember(folder: &Path, host: &str, port: u16, ip: Option<IpAddr>) {
    let ip = ip.map(|ip| ip.to_canonical());
    let known = Addresses::read(folder);
    // A space would end the word; such a host is none.
    if known.at.contains(&(host.to_lowercase(), port, ip)) || host.contains(char::is_whitespace) {
        return;
    }
    let mut line = format!("at {} {port} ", host.to_lowercase());
    match ip {
        Some(ip) => writeln!(line, "{ip}").expect("a String takes everything"),
        None => line.push_str("-\n"),
    }
    let _ = append(folder, &line);
}

/// The user says that this server is not that of the profile in this folder.
pub fn keep_apart(folder: &Path, server: ServerId) {
    let _ = append(folder, &format!("apart {}\n", hex(&server.0)));
}

/// A login of a script found this server. A chat keeps that with its cursors, which a script leaves alone: a chat may
/// have them.
pub fn remember_server(folder: &Path, server: ServerId) {
    let len = folder.join(FILE).metadata().map_or(0, |found| found.len());
    // A server that keeps nothing is another one each time: some of these lines are enough.
    if len < (MAX / 2) as u64 && Addresses::read(folder).server != Some(server) {
        let _ = append(folder, &format!("is {}\n", hex(&server.0)));
    }
}

fn append(folder: &Path, line: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.create(true).append(true).open(folder.join(FILE))?.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_remembers_which_server_it_was_at_and_the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        for id in [7, 7, 8] {
            remember_server(folder.path(), ServerId([id; 16]));
        }
        remember(folder.path(), "h", 1, None);
        assert_eq!(Addresses::read(folder.path()).server(), Some(ServerId([8; 16])));
        assert_eq!(std::fs::read_to_string(folder.path().join(FILE)).unwrap().lines().count(), 3);
        for id in 0..=2_000_u16 {
            remember_server(folder.path(), ServerId([u8::try_from(id % 251).unwrap(); 16]));
        }
        assert!(std::fs::read(folder.path().join(FILE)).unwrap().len() < MAX, "it does not grow for ever");
        assert!(Addresses::read(folder.path()).names("h", 1));
    }

    #[test]
    fn an_address_is_remembered_once_and_found_by_its_spelling_and_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        for host in ["Chat.Example", "chat.example"] {
            remember(folder.path(), host, 12000, Some("::ffff:192.0.2.7".parse().unwrap()));
        }
        remember(folder.path(), "other.example", 4000, None);
        keep_apart(folder.path(), ServerId([7; 16]));
        let lines = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert_eq!(
            lines,
            "at chat.example 12000 192.0.2.7\nat other.example 4000 -\napart 07070707070707070707070707070707\n"
        );
        let known = Addresses::read(folder.path());
        assert!(known.names("CHAT.example", 12000) && known.names("other.example", 4000));
        assert!(!known.names("chat.example", 4000) && !known.names("example", 12000));
        assert_eq!((known.reached(12000), known.reached(4000)), (BTreeSet::from([ip]), BTreeSet::new()));
        assert!(known.is_apart(ServerId([7; 16])) && !known.is_apart(ServerId([8; 16])));
        std::fs::write(folder.path().join(FILE), "nonsense\nat x\n\u{0}\nat h 1 -\n").unwrap();
        assert!(Addresses::read(folder.path()).names("h", 1), "what is not understood is passed over");
    }
}
