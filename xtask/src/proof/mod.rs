//! What every proof is made of: a real server, a company that writes and reads, and an oracle that judges.
//!
//! A [`Writer`](writer::Writer) keeps its journal outside the server: what it sent and what was acknowledged. The
//! [`Oracle`] reads the whole log and holds it against all journals.

pub mod body;
pub mod chance;
pub mod company;
pub mod follower;
pub mod generator;
pub mod natterd;
pub mod oracle;
pub mod scratch;
#[cfg(test)]
mod staging;
pub mod violation;
pub mod world;
pub mod writer;

pub use chance::Chance;
pub use company::Size;
pub use oracle::Oracle;
pub use scratch::Scratch;
pub use world::World;
