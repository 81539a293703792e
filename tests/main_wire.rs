//! The wire tests alone, until they join the one root test binary.

mod wire;
