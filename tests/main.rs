//! The whole-system tests.
