//! natterd, the chat server: a room is an append-only log, and everyone in it is a cursor.
//!
//! The way of one message: [`connection`] reads and cuts frames, [`hub`] judges them and queues posts in the
//! [`sequencer`], the [`store`] commits a batch, [`log`] keeps it as encoded blocks, and every reader's
//! [`outlet`] writes them. Everything that decides is pure; time, randomness, the network and the store are
//! handed in by the rim ([`run`] for the real one).

pub mod answers;
mod banner;
pub mod block;
pub mod bounds;
pub mod clock;
pub mod config;
pub mod conn;
pub mod connection;
pub mod descriptors;
pub mod devices;
pub mod drive;
pub mod files;
pub mod half_frames;
pub mod hub;
pub mod inbound;
pub mod inbox;
pub mod keep;
pub mod lanes;
pub mod limits;
pub mod listener;
pub mod log;
pub mod logging;
pub mod mentions;
pub mod operate;
pub mod operator_socket;
pub mod origin;
pub mod outlet;
pub mod output;
pub mod page;
pub mod people;
pub mod places;
pub mod priority;
pub mod rate;
pub mod refusals;
pub mod revisions;
pub mod room;
pub mod roster;
pub mod run;
pub mod search_queue;
pub mod sequencer;
pub mod shelf;
pub mod signals;
pub mod store;
pub mod turned_away;
pub mod turns;
pub mod voice;
pub mod wall_clock;
