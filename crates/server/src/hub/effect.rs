//! Effects: what the hub can't do itself, because it would have to wait.

use super::ListedFile;
use crate::clock::Zone;
use crate::conn::Conn;
use crate::rate::Payer;
use crate::store::Query;
use protocol::id::{PersonId, Req, RoomId};
use protocol::message::Range;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Something that the hub can't do itself.
#[derive(Debug)]
pub enum Effect {
    /// Read entries and answer with them.
    Fetch {
        /// Who asked.
        conn: Arc<Conn>,
        /// How to answer.
        answer: FetchAnswer,
        /// The room.
        room: RoomId,
        /// Which entries.
        range: Range,
        /// At most so many.
        limit: u16,
        /// Dropped when it is answered: the connection asks for nothing more until then.
        permit: Option<OwnedSemaphorePermit>,
    },
    /// Find entries and answer with them.
    Search {
        /// Who asked.
        conn: Arc<Conn>,
        /// How to answer.
        answer: FoundAnswer,
        /// Their person.
        person: PersonId,
        /// To whom its time is put down.
        payers: Vec<Payer>,
        /// What is looked for.
        query: Query,
        /// Dropped when it is answered.
        permit: Option<OwnedSemaphorePermit>,
    },
    /// Read the entries of files and answer with a list of them.
    Files {
        /// Who asked.
        conn: Arc<Conn>,
        /// The request.
        req: Req,
        /// The room.
        room: RoomId,
        /// What is known of each.
        listed: Vec<ListedFile>,
        /// Whether there are more.
        more: bool,
        /// Dropped when it is answered.
        permit: Option<OwnedSemaphorePermit>,
    },
}

/// How entries that were asked for are told.
#[derive(Clone, Copy, Debug)]
pub enum FetchAnswer {
    /// As a `Page` with this request id.
    Page(Req),
    /// As lines for a classic client, whose clock shows this zone.
    Lines(Zone),
}

/// How entries that were found are told.
#[derive(Clone, Debug)]
pub enum FoundAnswer {
    /// As a `Page` with this request id.
    Page(Req),
    /// As lines for a classic client.
    Lines {
        /// What its clock shows.
        zone: Zone,
        /// How it is told where a line was said.
        places: BTreeMap<RoomId, String>,
    },
}
