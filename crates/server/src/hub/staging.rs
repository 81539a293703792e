//! What tests of the hub begin with.

use super::{FileRules, Settings};
use crate::keep::Retention;
use crate::limits::Limits;

/// A server for ten clients that keeps everything and takes no files.
pub fn settings() -> Settings {
    Settings {
        max_clients: 10,
        max_file: 0,
        motd: String::new(),
        zone: |_| chrono::FixedOffset::east_opt(0).unwrap(),
        keep: Retention::default(),
        files: FileRules::default(),
        accept_clock: false,
        run_key: 0,
        limits: Limits::default(),
        gauges: None,
    }
}
