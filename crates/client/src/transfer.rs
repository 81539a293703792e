//! Files on their way: the session makes jobs and hears news of them, and a [`Carrier`] moves the bytes, over
//! connections of their own, so that the chat stays fast.
//!
//! A job outlives its process: the session keeps it in the profile's journal, and what was hashed or verified is kept
//! beside the bytes, so that it goes on where it stopped.

mod arriving;
mod carrier;
mod crew;
mod download;
mod fault;
mod hashed;
mod link;
mod look;
mod meter;
mod name;
mod order;
mod path;
mod piped;
mod received;
mod room;
mod source;
mod spool;
mod stream;
mod sums;
#[cfg(test)]
mod tests;
mod tree;
mod unpack;
mod upload;
mod walk;

pub use carrier::{Carrier, Login, PIPE};
pub use fault::{Failure, Trouble};
pub use meter::{Meter, Pace};
pub use name::{posted_name, safe_name};
pub use order::{Download, JobId, Keep, News, Opened, Order, Origin, Shape, Step, Upload};
pub use path::{bare, candidates};
pub use piped::{Pieces, Piped};
pub use received::{Partial, Received};
pub(crate) use source::Opening;
pub use source::Source;

use protocol::id::TransferId;

/// A number for an upload that no other has.
fn transfer_id(rng: &mut impl rand::Rng) -> TransferId {
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    TransferId(id)
}
