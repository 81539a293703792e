//! Examples of files that were sent to a room.

use super::*;
use protocol::id::TransferId;
use protocol::message::{FileListing, FileState, Source};

/// One in each state, and a folder.
pub(super) fn files() -> Vec<FileListing> {
    let hash = ContentHash([0xab; 32]);
    let file = FileListing {
        seq: seq(17),
        time: TIME,
        person: PersonId::new(1).expect("tests count from 1"),
        sender: "bo\u{1b}b".into(),
        name: "ca\u{202e}t.png".into(),
        size: 1_310_720,
        source: Source::Content { hash },
        shape: Shape::File,
        state: FileState::Here,
        expires: Millis(0),
        fetched: 3,
        members: 5,
    };
    let offered = FileListing {
        source: Source::Transfer { transfer: TransferId([1; 16]) },
        state: FileState::Offered { bytes: 655_360 },
        ..file.clone()
    };
    let folder = FileListing {
        name: "src".into(),
        shape: Shape::Folder,
        expires: Millis(TIME.0 + 86_400_000),
        ..file.clone()
    };
    let gone = FileListing { state: FileState::Gone, expires: TIME, ..file.clone() };
    vec![offered, folder, file, gone]
}
