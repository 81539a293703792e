//! What goes to the screen for each event: lines that are only ever added, but for the one that tells how far a
//! file is, which takes the place of the one before it.

use crate::line::Renderer;
use crate::session::event::{Event, Transfer};
use rustix::termios::tcgetwinsize;
use std::io;
use unicode_width::UnicodeWidthChar;

/// The lines above the prompt.
pub(super) struct Screen {
    renderer: Renderer,
    /// Rows of the last line if it tells how far a file is; else 0.
    moving: usize,
}

impl Screen {
    pub(super) fn new(renderer: Renderer) -> Self {
        Self { renderer, moving: 0 }
    }

    /// What an event puts on the screen.
    pub(super) fn lines(&mut self, event: &Event) -> String {
        if *event == Event::Clear {
            self.moving = 0;
            return "\x1b[H\x1b[2J\x1b[3J\n".into();
        }
        let lines = self.renderer.render(event);
        if lines.is_empty() {
            return String::new();
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let before = std::mem::take(&mut self.moving);
        let Event::Transfer(Transfer { step, .. }) = event else {
            return text;
        };
        if step.is_progress() {
            self.moving = rows(&lines[0], columns());
        }
        if before == 0 { text } else { format!("\x1b[{before}A\r\x1b[J{text}") }
    }
}

fn columns() -> usize {
    tcgetwinsize(io::stdout()).map_or(80, |size| usize::from(size.ws_col)).max(1)
}

/// The rows that a line takes; colours take none.
fn rows(line: &str, columns: usize) -> usize {
    let parts = line.split('\x1b').enumerate();
    let plain =
        parts.map(|(at, part)| if at == 0 { part } else { part.split_once('m').unwrap_or_default().1 });
    let width: usize = plain.flat_map(str::chars).map(|c| c.width().unwrap_or(0)).sum();
    width.div_ceil(columns).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Look, Zone};
    use crate::session::event::{TransferStep, Way};
    use crate::transfer::{JobId, Pace, Shape};

    fn transfer(step: TransferStep) -> Event {
        let way = Way::Down { from: "bob".into() };
        let (id, shape) = (JobId(1), Shape::File);
        Event::Transfer(Transfer { id, way, name: "a".into(), size: 100, shape, step })
    }

    #[test]
    fn how_far_a_file_is_stands_on_one_line_until_something_else_is_shown() {
        let mut screen = Screen::new(Renderer::new(Look::PLAIN, Zone::East(0)));
        let moving = |moved| transfer(TransferStep::Moving(Pace { moved, rate: 1 }));
        let up = |text: &str| text.starts_with("\x1b[1A\r\x1b[J");
        assert!(!up(&screen.lines(&moving(10))));
        assert!(up(&screen.lines(&moving(20))));
        assert!(!up(&screen.lines(&Event::Reconnected)));
        assert!(!up(&screen.lines(&moving(30))));
        assert!(up(&screen.lines(&transfer(TransferStep::Received { path: "x".into() }))));
        assert!(!up(&screen.lines(&moving(10))));
    }

    #[test]
    fn rows_are_counted_without_colours() {
        assert_eq!(rows("\x1b[2m12345\x1b[0m", 5), 1);
        assert_eq!(rows("\x1b[2m123456\x1b[0m", 5), 2);
        assert_eq!(rows("", 5), 1);
    }
}
