//! The cursors' file: one JSON value.

use crate::hex::{hex, unhex};
use crate::session::{Kept, KeptRoom, Place};
use protocol::id::{Epoch, RoomId, Seq, ServerId};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Stored {
    name: String,
    epoch: Option<String>,
    rooms: Vec<StoredRoom>,
    ignored: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredRoom {
    room: u64,
    place: String,
    seen: u64,
}

/// The cursors as they are stored.
pub(super) fn encode(kept: &Kept) -> Vec<u8> {
    let rooms = kept.rooms.iter().map(|room| StoredRoom {
        room: room.room.value(),
        place: room.place.to_string(),
        seen: room.seen.map_or(0, Seq::value),
    });
    let stored = Stored {
        name: kept.name.clone(),
        epoch: kept.epoch.map(|epoch| hex(&epoch.0)),
        rooms: rooms.collect(),
        ignored: kept.ignored.clone(),
        server: kept.server.map(|server| hex(&server.0)),
    };
    let mut out =
        serde_json::to_vec_pretty(&stored).expect("a Vec takes everything, and all keys are strings");
    out.push(b'\n');
    out
}

/// Reads what [`encode`] wrote; the number of a bad line otherwise. An empty file, which is what a crash of the
/// machine can leave of one that was never synced, holds nothing.
pub(super) fn decode(content: &[u8]) -> Result<Kept, usize> {
    if content.is_empty() {
        return Ok(Kept::default());
    }
    let stored: Stored = serde_json::from_slice(content).map_err(|error| error.line())?;
    let epoch = stored.epoch.map(|epoch| unhex(&epoch).map(Epoch).ok_or(1_usize)).transpose()?;
    let rooms = stored.rooms.into_iter().map(|room| {
        Some(KeptRoom {
            room: RoomId::new(room.room)?,
            place: Place::parse(&room.place)?,
            seen: Seq::new(room.seen),
        })
    });
    let rooms = rooms.collect::<Option<_>>().ok_or(1_usize)?;
    let server = stored.server.and_then(|server| unhex(&server)).map(ServerId);
    Ok(Kept { name: stored.name, epoch, rooms, ignored: stored.ignored, server })
}
