//! The rim: the only place that knows the system's clock, randomness, threads, terminal and sockets.

mod classic;
mod clock;
mod downloads;
mod end;
mod errand;
mod freight;
mod last;
mod lookup;
mod own;
mod plain;
mod run;
mod signals;
mod tcp;
mod terminal;
#[cfg(test)]
mod waits;

pub use run::run;
