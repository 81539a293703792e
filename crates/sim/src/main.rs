//! `natter-sim`: runs plans, replays them, and makes failing ones smaller.

fn main() -> std::process::ExitCode {
    sim::cli::main()
}
