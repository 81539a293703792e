//! Whole-system tests: the real programs on loopback.

mod classic_faults;
mod classic_talk;
mod drain;
mod exactly_once;
mod harness;
mod heartbeat;
mod history;
mod presence;
mod rooms;
mod slow_reader;
mod startup;
mod thousand;
