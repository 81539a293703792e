//! Simulated disks: what was not synced is gone when the power fails, names of files included.

mod client;
mod content;
mod received;
mod server;

pub(crate) use client::ClientDisk;
pub(crate) use received::lose_power;
pub(crate) use server::ServerDisk;
