//! Where one chatted last: the server of a run that names none.

use crate::address::Address;
use crate::files::{DiskFiles, Files};
use std::path::Path;

/// The name of the file, in the folder of all profiles.
const FILE: &str = "last";

/// The last server, or the one on this machine.
pub(super) fn read(state: Option<&Path>) -> Address {
    let here = Address { host: "127.0.0.1".into(), port: None };
    let found = state.and_then(|state| DiskFiles::at(&state.join("natter")).read(FILE).ok().flatten());
    let text = found.and_then(|content| String::from_utf8(content).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(here)
}

/// Remembers it. If that fails, it costs its user a few keys next time, and nothing else.
pub(super) fn write(state: &Path, address: &Address) {
    if let Ok(mut files) = DiskFiles::open(&state.join("natter")) {
        let _ = files.replace(FILE, format!("{address}\n").as_bytes(), false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_names_no_server_goes_where_they_were_last_else_to_this_machine() {
        let root = tempfile::tempdir().unwrap();
        let read = || read(Some(root.path())).to_string();
        assert_eq!(read(), "127.0.0.1:12000");
        write(root.path(), &"[::1]:4000".parse().unwrap());
        assert_eq!(read(), "[::1]:4000");
        std::fs::write(root.path().join("natter/last"), b"\xff\x00").unwrap();
        assert_eq!(read(), "127.0.0.1:12000");
        assert_eq!(super::read(None).to_string(), "127.0.0.1:12000");
    }
}
