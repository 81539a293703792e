//! The classic mode: our client on a server that speaks only the classic dialect. There is one room, no history, no
//! acknowledgement and no heartbeat, so what is sent while the link breaks may be lost, and that is said.

mod drive;
mod frames;
mod incoming;
mod outgoing;
mod session;
#[cfg(test)]
mod tests;

pub use drive::ClassicClient;
pub use session::{ClassicEnd, ClassicSession, Config};
