//! The limits of a running server. Those of the protocol, unless a test or a simulation hands in smaller ones.

use crate::rate::LocalAddresses;

/// What a server takes from its clients.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Whether programs on this machine are free of rates and of counts per address.
    pub local: LocalAddresses,
}
