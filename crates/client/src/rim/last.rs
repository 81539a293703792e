//! Where one chatted last, and as whom: the server and the name of a run that names none.

use crate::address::Address;
use crate::files::{DiskFiles, Files};
use protocol::name::PersonName;
use std::path::Path;

/// The name of the file, in the folder of all profiles: a line with the server, and since builds of later one with the
/// name.
const FILE: &str = "last";

/// A server, and the name that was used there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Last {
    pub(super) address: Address,
    pub(super) name: Option<PersonName>,
}

/// The last server, or the one on this machine.
pub(super) fn read(state: Option<&Path>) -> Last {
    let here = Last { address: Address { host: "127.0.0.1".into(), port: None }, name: None };
    let found = state.and_then(|state| DiskFiles::at(&state.join("natter")).read(FILE).ok().flatten());
    let text = found.and_then(|content| String::from_utf8(content).ok()).unwrap_or_default();
    let mut lines = text.lines();
    let Some(address) = lines.next().and_then(|line| line.trim().parse().ok()) else {
        return here;
    };
    Last { address, name: lines.next().and_then(|line| PersonName::parse(line).ok()) }
}

/// Remembers them. If that fails, it costs its user a few keys next time, and nothing else.
pub(super) fn write(state: &Path, address: &Address, name: &PersonName) {
    if let Ok(mut files) = DiskFiles::open(&state.join("natter")) {
        let _ = files.replace(FILE, format!("{address}\n{name}\n").as_bytes(), false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_names_no_server_goes_where_they_were_last_as_who_they_were_else_to_this_machine() {
        let root = tempfile::tempdir().unwrap();
        let read = || {
            let Last { address, name } = read(Some(root.path()));
            (address.to_string(), name.map(|name| name.to_string()))
        };
        let here = ("127.0.0.1:12000".to_owned(), None);
        assert_eq!(read(), here);
        write(root.path(), &"[::1]:4000".parse().unwrap(), &PersonName::parse("Zoë").unwrap());
        assert_eq!(read(), ("[::1]:4000".to_owned(), Some("Zoë".to_owned())));
        let file = root.path().join("natter/last");
        std::fs::write(&file, b"chat.example:12000\n").unwrap();
        assert_eq!(read(), ("chat.example:12000".to_owned(), None), "as builds before wrote it");
        std::fs::write(&file, b"chat.example:12000\na::b\n").unwrap();
        assert_eq!(read(), ("chat.example:12000".to_owned(), None), "no name that is allowed");
        std::fs::write(&file, b"\xff\x00").unwrap();
        assert_eq!(read(), here);
        assert_eq!(super::read(None).address.to_string(), "127.0.0.1:12000");
    }
}
