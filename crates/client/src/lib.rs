//! natter, the terminal client, as a library.
pub mod clock;
pub mod files;
pub mod profile;
pub mod session;
