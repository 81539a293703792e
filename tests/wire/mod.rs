//! The wire: frames, messages of both dialects, names, texts, commands, and the document that is the law.

pub mod arbitrary;
mod blocks;
mod bundle;
mod classic;
mod commands;
mod document;
mod edges;
mod framing;
mod memory;
mod messages;
mod names;
mod search;
mod sizes;
mod text;
mod varint;
mod vectors;

use proptest::test_runner::Config;

/// How often a property is tried: `PROPTEST_CASES` if it is set, and otherwise often enough for CI.
fn cases() -> Config {
    let config = Config::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => Config { cases: 10_000, ..config },
    }
}
