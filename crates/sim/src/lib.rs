//! A deterministic simulation: the real server and the real clients over turmoil's network.
//!
//! Only time, randomness, the network, the store and the files are handed in; everything else is what people run. A
//! [`plan::Plan`] says what happens, [`run::run`] lets it happen, and a [`run::Report`] says which of the
//! [`rule::Rule`]s was broken, if any.

#[cfg(not(tokio_unstable))]
compile_error!(
    "without --cfg tokio_unstable the branches of select! have no seed and a run can't be repeated: \
     unset RUSTFLAGS, so that .cargo/config.toml counts"
);

mod actor;
mod asked;
mod cause;
pub mod cli;
pub mod coverage;
mod disk;
mod driver;
mod ground;
mod lanes;
mod meant;
mod net;
mod panics;
pub mod plan;
mod presence;
pub mod real;
mod record;
pub mod rule;
pub mod run;
mod screen;
mod seed;
pub mod shrink;
mod sight;
mod store;
pub mod story;
pub mod trace;
mod truth;
mod verdict;
mod world;
