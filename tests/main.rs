//! The whole-system tests of natter, in one binary so that it is linked once.

mod log;
mod store;
mod system;
mod wire;
