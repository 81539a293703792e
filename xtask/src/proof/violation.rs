//! What a server must never do, as it was found.

use protocol::id::{DeviceNo, RoomId, Seq};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A post was acknowledged, and is not in the log.
    #[error("LOST: post {counter} of writer {writer} was acknowledged and is not in the log")]
    Lost {
        /// Whose.
        writer: usize,
        /// Which.
        counter: u64,
    },
    /// The server remembers less of a device than it acknowledged.
    #[error("FORGOTTEN: writer {writer} was acknowledged up to {acked}, and is told {told} at its return")]
    Forgotten {
        /// Whose.
        writer: usize,
        /// What was acknowledged.
        acked: u64,
        /// What it says now.
        told: u64,
    },
    /// A post is in the log more than once.
    #[error("DOUBLED: post {counter} of writer {writer} is in the log again, as entry {seq} of room {room}")]
    Doubled {
        /// Whose.
        writer: usize,
        /// Which.
        counter: u64,
        /// In which room.
        room: RoomId,
        /// Where the second one is.
        seq: Seq,
    },
    /// A later post of a device stands before an earlier one.
    #[error("REORDERED: post {counter} of writer {writer} stands behind its post {before} in room {room}")]
    Reordered {
        /// Whose.
        writer: usize,
        /// Which.
        counter: u64,
        /// What it stands behind.
        before: u64,
        /// Where.
        room: RoomId,
    },
    /// A device's posts have a hole: a later one was accepted without an earlier one.
    #[error("HOLE: post {counter} of writer {writer} is not in the log, though its post {later} is")]
    Hole {
        /// Whose.
        writer: usize,
        /// What is not there.
        counter: u64,
        /// What is.
        later: u64,
    },
    /// An entry is not what was posted, or where.
    #[error("ALTERED: entry {seq} of room {room} is not what writer {writer} posted as {counter}")]
    Altered {
        /// Whose.
        writer: usize,
        /// Which.
        counter: u64,
        /// In which room.
        room: RoomId,
        /// Where.
        seq: Seq,
    },
    /// An entry, or an acknowledgement, of something that nobody posted.
    #[error("INVENTED: {what}")]
    Invented {
        /// What it is.
        what: String,
    },
    /// A reader was given something else than what the log holds.
    #[error(
        "UNREAD: a reader got entry {seq} of room {room} as post {counter} of {device}, the log has another"
    )]
    Unread {
        /// The room.
        room: RoomId,
        /// The entry.
        seq: Seq,
        /// Whose it was, as it was read.
        device: DeviceNo,
        /// Its counter, as it was read.
        counter: u64,
    },
    /// The log's numbers, or those that a reader gets, have a gap or go back.
    #[error("GAP: entry {got} of room {room} came where {due} was due")]
    Gap {
        /// The room.
        room: RoomId,
        /// What was due.
        due: u64,
        /// What came.
        got: u64,
    },
    /// The server says that it has another history, or that the beginning of it is gone.
    #[error("NEW HISTORY: {what}")]
    NewHistory {
        /// What it said.
        what: String,
    },
    /// A membership that was confirmed is gone.
    #[error("NOT A MEMBER: writer {writer} was in '{room}', and is not any more")]
    Membership {
        /// Whose.
        writer: usize,
        /// Where.
        room: String,
    },
    /// An answer that these requests must not get.
    #[error("REFUSED: writer {writer} got error {code}: {text}")]
    Refused {
        /// Who.
        writer: usize,
        /// The code.
        code: u16,
        /// Its sentence.
        text: String,
    },
}
