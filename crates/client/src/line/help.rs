//! Help about commands.

use protocol::command::{COMMANDS, Spec};

/// The lines of help about one command, or all.
pub fn help(about: Option<&Spec>) -> Vec<String> {
    match about {
        None => all(),
        Some(spec) => one(spec),
    }
}

fn all() -> Vec<String> {
    let width = COMMANDS.iter().map(|spec| spec.synopsis().len()).max().unwrap_or_default();
    let rows = COMMANDS.iter().map(|spec| format!("  {:width$}  {}", spec.synopsis(), spec.help));
    let end = [
        "A line that begins with anything else is said; //text says /text.",
        "Tab completes, Up and Down recall, Ctrl+C clears the line, Ctrl+D quits.",
    ];
    rows.chain(end.map(str::to_owned)).collect()
}

fn one(spec: &Spec) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", spec.synopsis(), spec.help)];
    if !spec.aliases.is_empty() {
        let aliases: Vec<_> = spec.aliases.iter().map(|alias| format!("/{alias}")).collect();
        lines.push(format!("  also {}", aliases.join(", ")));
    }
    lines
}
