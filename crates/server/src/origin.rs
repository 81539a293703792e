//! Where a connection comes from, as it is counted: an IPv4 address, or the network of 64 bits that one IPv6 customer has.

use crate::rate::network;
use std::net::IpAddr;

/// Who shares the bounds of an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Origin(IpAddr);

impl Origin {
    /// Where this address belongs.
    pub fn of(address: IpAddr) -> Self {
        Self(network(address))
    }
}
