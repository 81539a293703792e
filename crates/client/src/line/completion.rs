//! What Tab offers: commands, and behind them names, rooms or commands, as their table says.

use protocol::command::{Argument, COMMANDS, find};
use protocol::name::NameKey;

/// The names that can be completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Candidates<'a> {
    /// People.
    pub people: &'a [String],
    /// Rooms.
    pub rooms: &'a [String],
    /// Files that were listed.
    pub files: &'a [String],
}

/// Whether a path is typed here, which only the file system can complete.
pub fn is_path(line: &str, at: usize) -> bool {
    let before = &line[..line.floor_char_boundary(at)];
    let command = before.strip_prefix('/').and_then(|rest| rest.split_once(char::is_whitespace));
    command.and_then(|(name, _)| find(name)).is_some_and(|spec| spec.argument == Argument::Path)
}

/// Where the completed word begins, in bytes, and what could stand in its place.
pub fn complete(line: &str, at: usize, candidates: Candidates<'_>) -> (usize, Vec<String>) {
    let before = &line[..line.floor_char_boundary(at)];
    if let Some(start) = file_argument(before) {
        return (start, names(&before[start..], "", candidates.files, ""));
    }
    let start = before
        .rfind(char::is_whitespace)
        .map_or(0, |space| space + before[space..].chars().next().map_or(1, char::len_utf8));
    let word = &before[start..];
    (start, offers(before, start, word, candidates))
}

/// Where the name of a file begins, which may hold blanks.
fn file_argument(before: &str) -> Option<usize> {
    let (name, rest) = before.strip_prefix('/')?.split_once(char::is_whitespace)?;
    let is_file = find(name).is_some_and(|spec| spec.argument == Argument::File);
    is_file.then(|| before.len() - rest.trim_start().len())
}

fn offers(before: &str, start: usize, word: &str, candidates: Candidates<'_>) -> Vec<String> {
    match word.strip_prefix('/') {
        Some(name) if start == 0 && !name.starts_with('/') => return commands(name, "/", " "),
        _ => {}
    }
    let command = before.strip_prefix('/').and_then(|rest| rest.split_whitespace().next());
    let spec = command.and_then(find).filter(|_| !before[..start].is_empty());
    let first = before[..start].split_whitespace().count() == 1;
    match spec.filter(|_| first).map(|spec| spec.argument) {
        Some(Argument::Room) => names(word, "#", candidates.rooms, ""),
        Some(Argument::Person) => names(word, "@", candidates.people, " "),
        Some(Argument::Command) => commands(word.trim_start_matches('/'), "", ""),
        // Paths are completed where the file system is.
        Some(Argument::None | Argument::Path | Argument::File) => Vec::new(),
        Some(Argument::Text) | None => {
            // At the beginning of a line a name is an address.
            let end = if start == 0 { ": " } else { " " };
            names(word, "@", candidates.people, end)
        }
    }
}

fn commands(word: &str, sign: &str, end: &str) -> Vec<String> {
    let word = word.to_lowercase();
    let own = COMMANDS.iter().map(|spec| spec.name).filter(|name| name.starts_with(&word));
    let mut found: Vec<_> = own.map(|name| format!("{sign}{name}{end}")).collect();
    if found.is_empty() {
        let all = COMMANDS.iter().flat_map(|spec| spec.aliases).filter(|name| name.starts_with(&word));
        found.extend(all.map(|name| format!("{sign}{name}{end}")));
    }
    found
}

/// The names that begin like `word`, which may begin with `sign`; nothing for an empty word in running text.
fn names(word: &str, sign: &str, names: &[String], end: &str) -> Vec<String> {
    let (sign, stem) = word.strip_prefix(sign).map_or(("", word), |stem| (sign, stem));
    let stem = NameKey::of(stem);
    let like = names.iter().filter(|name| NameKey::of(name).as_str().starts_with(stem.as_str()));
    like.map(|name| format!("{sign}{name}{end}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, start: usize, expected: &[&str]) {
        let people = ["Bob", "bobby", "carol"].map(str::to_owned);
        let rooms = ["dev", "lobby"].map(str::to_owned);
        let files = ["my cat.png", "map.txt"].map(str::to_owned);
        let candidates = Candidates { people: &people, rooms: &rooms, files: &files };
        let (at, offers) = complete(line, line.len(), candidates);
        assert_eq!(
            (at, offers.iter().map(String::as_str).collect::<Vec<_>>()),
            (start, expected.to_vec()),
            "{line}"
        );
    }

    #[test]
    fn the_table_says_what_is_offered() {
        check("/jo", 0, &["/join "]);
        check("/us", 0, &["/users "]);
        check("/join d", 6, &["dev"]);
        check("/join #l", 6, &["#lobby"]);
        check("/msg BO", 5, &["Bob ", "bobby "]);
        check("/msg bob ca", 9, &["carol "]);
        check("/help his", 6, &["history"]);
        check("/get m", 5, &["my cat.png", "map.txt"]);
        check("/get my c", 5, &["my cat.png"]);
        check("/quit x", 6, &[]);
        check("/nosuch", 0, &[]);
        check("//jo", 0, &[]);
    }

    #[test]
    fn a_path_stands_behind_a_command_that_takes_one() {
        assert!(is_path("/send ~/my ca", 13));
        assert!(is_path("/upload ", 8));
        assert!(!is_path("/send", 5));
        assert!(!is_path("/join x", 7));
        assert!(!is_path("send x", 6));
    }

    #[test]
    fn a_name_at_the_beginning_is_an_address() {
        check("car", 0, &["carol: "]);
        check("hey car", 4, &["carol "]);
        check("hé\u{3000}@car", 6, &["@carol "]);
    }
}
