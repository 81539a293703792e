//! `natter-load` puts a chat server under load, checks every delivery, and says in one line of JSON what it cost.
//!
//! One thread on epoll drives all connections ([`crowd`]). What is said on each of them is decided by a
//! [`speaker`], which knows no socket; a [`ledger`] holds every text against what was sent. The workloads
//! ([`saturated`], [`paced`], [`stored`], [`idle`], [`file`](mod@file), [`attack`]) put these together. [`limit`] is a server
//! that does as little as a server can: what the kernel leaves to be reached.
//!
//! Trials that end servers use parts of it as a library: a [`fleet`] of connections that come and go, and a
//! [`caller`] that waits for each answer.

pub mod attack;
pub mod caller;
pub mod clock;
pub mod crowd;
pub mod fault;
pub mod file;
pub mod fleet;
pub mod heartbeat;
pub mod identity;
pub mod idle;
pub mod inbox;
pub mod ledger;
pub mod limit;
pub mod options;
pub mod paced;
pub mod peer;
pub mod process;
pub mod report;
pub mod run;
pub mod saturated;
pub mod scratch;
pub mod source;
pub mod speaker;
pub mod stalled;
pub mod stored;
