//! `cargo xtask picture`: the conversation in the README, as the real programs print it.

mod seat;

use crate::{failure::Failure, workspace::Workspace};
use seat::Seat;
use std::{fs, path::Path};

/// Where the picture is kept, from the top of the checkout.
const PICTURE: &str = "crates/client/conversation.svg";

/// Columns of the terminal in it.
const COLUMNS: u16 = 86;

/// A run that crosses a minute prints one time more; the next one will not.
const TRIES: usize = 3;

/// Draws the picture anew, or only compares it with the one that is kept.
///
/// # Errors
/// Fails if the programs can't be run, or if the kept picture is not what they print.
pub fn run(workspace: &Workspace, check: bool) -> Result<(), Failure> {
    workspace.build_programs()?;
    let path = workspace.root.join(PICTURE);
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let mut drawn = String::new();
    for _ in 0..TRIES {
        drawn = draw(&converse(&workspace.root)?);
        if drawn == kept {
            return Ok(());
        }
    }
    if check {
        return Err(Failure::Picture { path });
    }
    fs::write(&path, drawn).map_err(|source| Failure::Write { path, source })
}

/// Holds the conversation, and returns what bob saw of it.
fn converse(root: &Path) -> Result<String, Failure> {
    let folder = root.join("target/picture");
    // What an earlier run left there would change the names of received files.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|source| Failure::Write { path: folder.clone(), source })?;
    let cake = folder.join("cake.txt");
    let recipe = "flour, eggs, butter, sugar\n".repeat(40);
    fs::write(&cake, recipe).map_err(|source| Failure::Write { path: cake, source })?;

    let server =
        Seat::start(root, &folder, "natterd", &["--host", "127.0.0.1", "-p", "0", "--data", "kept"])?;
    let line = server.wait_for("natterd listening on 127.0.0.1:")?;
    let port = line.rsplit(':').next().unwrap_or_default().trim().to_owned();
    let join = |name| Seat::start(root, &folder, "natter", &["127.0.0.1", "-p", &port, "-u", name]);

    let mut alice = join("alice")?;
    alice.wait_for("you are alice")?;
    let mut bob = join("bob")?;
    bob.wait_for("alice is here")?;
    alice.say("tea at four?")?;
    bob.wait_for("tea at four?")?;
    bob.say("yes! who brings the cake?")?;
    alice.wait_for("who brings the cake?")?;
    alice.say("/me raises a hand")?;
    bob.wait_for("raises a hand")?;
    alice.say("/send cake.txt")?;
    bob.wait_for("received 'cake.txt'")?;
    bob.say("/msg alice you are the best")?;
    alice.wait_for("you are the best")?;
    bob.wait_for("you are the best")?;
    alice.say("/quit")?;
    let seen = bob.screen()?;
    Ok(format!("\u{1b}[1m$ natter 127.0.0.1 -u bob\u{1b}[0m\n{}", settle(&seen)))
}

/// What differs from run to run, made the same: times of day and the date.
fn settle(screen: &str) -> String {
    screen.lines().map(|line| settle_times(&settle_date(line)) + "\n").collect()
}

fn settle_date(line: &str) -> String {
    const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let Some(at) = DAYS.iter().filter_map(|day| line.find(&format!("{day}, "))).min() else {
        return line.to_owned();
    };
    let date_end = line[at..].find('\u{1b}').map_or(line.len(), |end| at + end);
    format!("{}Monday, 1 June 2026{}", &line[..at], &line[date_end..])
}

fn settle_times(line: &str) -> String {
    let bytes = line.as_bytes();
    let is_time = |at: usize| {
        let digit = |i: usize| bytes.get(at + i).is_some_and(u8::is_ascii_digit);
        digit(0) && digit(1) && bytes.get(at + 2) == Some(&b':') && digit(3) && digit(4) && !digit(5)
    };
    match (0..line.len()).find(|at| is_time(*at) && (*at == 0 || !bytes[at - 1].is_ascii_digit())) {
        Some(at) => format!("{}15:42{}", &line[..at], &line[at + 5..]),
        None => line.to_owned(),
    }
}

fn draw(screen: &str) -> String {
    let term = anstyle_svg::Term::new().min_width_px(u32::from(COLUMNS).saturating_mul(8) as usize);
    term.render_svg(screen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_dates_are_made_the_same() {
        let screen = "-- Sunday, 22 November 2026\n11:09 bob: at 10:30\n      no 1:2 time\n";
        assert_eq!(settle(screen), "-- Monday, 1 June 2026\n15:42 bob: at 10:30\n      no 1:2 time\n");
    }
}
