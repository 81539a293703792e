//! The picture of a run: time goes down, a lane for each client that matters, faults and the server beside them.

use crate::plan::Plan;
use crate::trace::{Happened, Who};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Lanes of clients that are drawn: the last ones that did something.
const LANES: usize = 8;

/// Characters of a lane.
const WIDTH: usize = 12;

/// Rows that are drawn.
const ROWS: usize = 60;

/// Draws the newest events.
pub(crate) fn lanes(events: &[Happened], plan: &Plan) -> String {
    let mut order: Vec<Who> = Vec::new();
    for event in events.iter().rev() {
        if matches!(event.who, Who::Client(_)) && !order.contains(&event.who) && order.len() < LANES {
            order.push(event.who);
        }
    }
    order.sort_unstable();
    let columns: Vec<Who> = [Who::Fault, Who::Server].into_iter().chain(order).collect();
    let mut out = format!("{:>9}", "s");
    for who in &columns {
        let place = match who {
            Who::Client(client) => {
                let at = plan.clients.get(usize::from(*client));
                at.map_or(String::new(), |at| format!("{who}@{}", at.host))
            }
            _ => who.to_string(),
        };
        let _ = write!(out, " │{place:<WIDTH$}");
    }
    out.push('\n');
    let mut rows: BTreeMap<(u64, usize), Vec<(usize, String)>> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        if let Some(column) = columns.iter().position(|who| *who == event.who) {
            rows.entry((event.at, at)).or_default().push((column, mark(event)));
        }
    }
    let skipped = rows.len().saturating_sub(ROWS);
    for ((at, _), marks) in rows.into_iter().skip(skipped) {
        let _ = write!(out, "{:>9.3}", at as f64 / 1e6);
        for column in 0..columns.len() {
            let mark = marks.iter().find(|(of, _)| *of == column).map_or("", |(_, mark)| mark.as_str());
            let mark: String = mark.chars().take(WIDTH).collect();
            let _ = write!(out, " │{mark:<WIDTH$}");
        }
        out.push('\n');
    }
    out
}

/// An event in a few characters.
fn mark(event: &Happened) -> String {
    let sign = match event.what {
        "types" => "▸",
        "is told that the log has" => "✓",
        "is shown" => "◂",
        "has in its log" => "●",
        "is refused" => "✗",
        "can't know about" => "?",
        "connects" => "⇢ connects",
        "is welcome" => "⇠ welcome",
        "loses its connection" => "╳ lost",
        "starts" => "┬ starts",
        "ends" => "┴ ends",
        other => other,
    };
    match event.token {
        Some(token) if event.number > 0 => format!("{sign} {token} #{}", event.number),
        Some(token) => format!("{sign} {token}"),
        None => sign.to_owned(),
    }
}
