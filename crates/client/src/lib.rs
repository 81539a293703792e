//! natter, the terminal client, as a library.
//!
//! [`session::Session`] decides what a client does: it is pure, and takes messages, typed lines and the time.
//! [`drive::Client`] drives it over any stream, with any clock, files and randomness; a simulation and scripts
//! use these two. [`mod@line`] turns events into lines, and [`rim`] is the program around it all.

pub mod address;
pub mod backoff;
pub mod classic;
pub mod cli;
pub mod clock;
pub mod drive;
pub mod editor;
pub mod files;
mod hex;
pub mod line;
pub mod profile;
pub mod rim;
pub mod session;
pub mod transfer;
