//! A deterministic simulation: the real server and the real clients over turmoil's network.
//!
//! Only time, randomness, the network and the store are handed in; everything else is what people run. What
//! is here so far is the world ([`world`]): a server on a simulated host. Plans of faults, a workload and an
//! oracle stand on it.

#[cfg(not(tokio_unstable))]
compile_error!(
    "without --cfg tokio_unstable the branches of select! have no seed and a run can't be repeated: \
     unset RUSTFLAGS, so that .cargo/config.toml counts"
);

pub mod files;
pub mod net;
pub mod world;
