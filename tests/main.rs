//! The whole-system tests of natter, in one binary so that it is linked once.

mod log;
mod system;
mod wire;
