//! natter's wire, without any I/O: frames, messages, names, limits, error codes, slash commands.
//!
//! Nothing in here knows a socket, a clock, a thread, a file or a random number, so that everything can be
//! tested by value and both programs, the simulation and the fuzzers share one implementation.
//!
//! Start with [`frame::Deframer`], which cuts a byte stream into frames, then [`message`], which gives
//! frames of the native dialect their meaning, and [`classic`], which does so for the older one.

pub mod blocks;
pub mod bundle;
pub mod classic;
pub mod code;
pub mod command;
pub mod entry;
pub mod frame;
pub mod id;
pub mod limits;
pub mod mention;
pub mod message;
pub mod name;
pub mod search_terms;
pub mod similar;
pub mod size;
pub mod system_words;
pub mod text;
pub mod usage;
pub mod window;
pub mod wire;

#[doc = include_str!("../WIRE.md")]
pub mod wire_spec {}
