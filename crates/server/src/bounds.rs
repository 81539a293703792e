//! How many connections, half frames and devices there may be. Handed in, so that tests use small bounds.

use protocol::limits::{
    MAX_BULK_PER_PERSON, MAX_DEVICES, MAX_HALF_FRAMES, MAX_HALF_FRAMES_PER_ADDRESS, MAX_PER_ADDRESS,
    MAX_STRANGERS, MAX_TURNED_AWAY,
};

/// Clients that may be logged in, unless the operator decides otherwise.
pub const DEFAULT_CLIENTS: usize = 10_000;

/// ConnectionBounds of what connections may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionBounds {
    /// Connections in all: of clients and strangers, and those for files.
    pub places: usize,
    /// Connections for strangers, beyond the clients that may be logged in.
    pub strangers: usize,
    /// Connections that are not taken in and are kept for a moment, where too many come.
    pub turned_away: usize,
    /// Connections of one address, other than this machine itself.
    pub per_address: usize,
    /// Connections for files of one person.
    pub bulk_per_person: usize,
    /// Devices of one person.
    pub devices: usize,
    /// Bytes of frames that are not complete, of all connections.
    pub half_frames: usize,
    /// The same of one address.
    pub half_frames_per_address: usize,
}

impl Default for ConnectionBounds {
    fn default() -> Self {
        Self {
            places: 2 * DEFAULT_CLIENTS + MAX_STRANGERS,
            strangers: MAX_STRANGERS,
            turned_away: MAX_TURNED_AWAY,
            per_address: MAX_PER_ADDRESS,
            bulk_per_person: MAX_BULK_PER_PERSON,
            devices: MAX_DEVICES,
            half_frames: MAX_HALF_FRAMES,
            half_frames_per_address: MAX_HALF_FRAMES_PER_ADDRESS,
        }
    }
}
