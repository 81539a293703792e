//! The whole-system tests, on their own while the programs are being written.

mod system;
