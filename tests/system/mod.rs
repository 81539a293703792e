//! Whole-system tests: the real programs on loopback.
//!
//! One file for each theme, each test named after the claim that it would refute. What they share is in `harness`.

mod bad_input;
mod bulk_refusals;
mod changed_under_it;
mod changes;
mod classic_faults;
mod classic_mode;
mod classic_talk;
mod codes;
mod conversation;
mod copies;
mod document;
mod drain;
mod errand_waits;
mod errands;
mod exactly_once;
mod files;
mod folder_accidents;
mod forgetting;
mod full_disk;
mod harness;
mod heartbeat;
mod history;
mod kills;
mod limits;
mod log_output;
mod offers;
mod operations;
mod pipes;
mod plug;
mod presence;
mod read_marks;
mod restarts;
mod resume;
mod retention;
mod revisions;
mod rooms;
mod scripting;
mod search;
mod slow_reader;
mod slow_store;
mod startup;
mod terminal;
mod thousand;
mod unseen;
