//! Where a profile lies: a folder for each server and name.

use protocol::name::{NameKey, PersonName};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The folder of the profile of this name at this server, below the folder of all state.
pub fn folder(state: &Path, host: &str, port: u16, name: &PersonName) -> PathBuf {
    let server = safe(&format!("{}_{port}", host.to_lowercase()));
    state.join("natter").join(server).join(safe(NameKey::of(name.as_str()).as_str()))
}

/// A file name that every system takes, different for different texts: what is not plain becomes `%xx`.
fn safe(text: &str) -> String {
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
}
