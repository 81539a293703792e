//! Simulated disks: what was not synced is gone when the power fails, names of files included.

mod client;
mod server;

pub(crate) use client::ClientDisk;
pub(crate) use server::ServerDisk;
