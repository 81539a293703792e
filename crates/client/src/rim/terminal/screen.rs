//! What goes to the screen for each event: lines that are only ever added, and below them how far files are.

use crate::editor::Area;
use crate::line::{Canvas, Hang, MAX_PICTURE, Pictures, Renderer, wrap};
use crate::session::event::{Classic, Event, Transfer, TransferStep};
use crate::transfer::JobId;
use rustix::fs::{Mode, OFlags, open};
use rustix::termios::{Winsize, tcgetwinsize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The lines above the prompt.
pub(super) struct Screen {
    renderer: Renderer,
    /// How pictures are shown, if they are.
    pictures: Option<Pictures>,
    /// How far files are that are under way.
    moving: BTreeMap<JobId, String>,
}

impl Screen {
    pub(super) fn new(renderer: Renderer, pictures: Option<Pictures>) -> Self {
        Self { renderer, pictures, moving: BTreeMap::new() }
    }

    /// What an event puts on the screen.
    pub(super) fn lines(&mut self, event: &Event) -> String {
        if *event == Event::Clear {
            return "\x1b[H\x1b[2J\x1b[3J".into();
        }
        let lines = self.renderer.render(event);
        let Event::Transfer(Transfer { id, step, size, .. }) = event else {
            return rows(&lines, hang(event));
        };
        if step.is_progress() {
            self.moving.insert(*id, lines.concat());
            return String::new();
        }
        self.moving.remove(id);
        let mut text = rows(&lines, Hang::Text);
        if let TransferStep::Received { path } = step
            && let Some(picture) = self.picture(Path::new(path), *size)
        {
            text += &format!("{MARGIN}{picture}\n");
        }
        text
    }

    /// How far files are, a row for each. It stands below the conversation, which goes on above it.
    pub(super) fn status(&self) -> Vec<String> {
        let columns = area().columns.saturating_sub(1).max(1);
        self.moving.values().map(|line| wrap(line, columns, Hang::Text).swap_remove(0)).collect()
    }

    /// A line of the program's own.
    pub(super) fn remark(&self, text: &str) -> String {
        let line = Event::Notice { text: text.to_owned() };
        rows(&self.renderer.clone().render(&line), Hang::Text)
    }
}

fn hang(event: &Event) -> Hang {
    match event {
        Event::Help { .. } | Event::Files { .. } | Event::Classic(Classic::Help) => Hang::Table,
        _ => Hang::Text,
    }
}

fn rows(lines: &[String], hang: Hang) -> String {
    let columns = area().columns;
    lines.iter().flat_map(|line| wrap(line, columns, hang)).map(|row| format!("{row}\n")).collect()
}

/// What stands in front of a picture, so that it begins where lines do.
const MARGIN: &str = "      ";

/// A cell's width and height in pixels, if the terminal does not say.
const CELL: (u16, u16) = (10, 20);

/// The size of a terminal that does not say it.
const UNKNOWN: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

impl Screen {
    /// What shows the file that was received, if it is a picture.
    fn picture(&self, path: &Path, size: u64) -> Option<String> {
        let pictures = self.pictures?;
        if size > MAX_PICTURE {
            return None;
        }
        pictures.show(&read(path).ok()?, canvas(window()))
    }
}

/// Reads the file that was just received. Whatever has taken its place meanwhile is neither waited for, nor followed,
/// nor read for ever.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    let mut content = Vec::new();
    if file.metadata()?.is_file() {
        file.take(MAX_PICTURE).read_to_end(&mut content)?;
    }
    Ok(content)
}

fn window() -> Winsize {
    tcgetwinsize(io::stdout()).unwrap_or(UNKNOWN)
}

fn canvas(window: Winsize) -> Canvas {
    let window = if window.ws_row == 0 || window.ws_col == 0 { UNKNOWN } else { window };
    let Winsize { ws_row: rows, ws_col: columns, ws_xpixel: width, ws_ypixel: height } = window;
    let cell = match (width.checked_div(columns), height.checked_div(rows)) {
        (Some(width @ 1..), Some(height @ 1..)) => (width, height),
        _ => CELL,
    };
    // A picture that ends at the margin would take one more row.
    let margin = u16::try_from(MARGIN.len() + 1).unwrap_or(u16::MAX);
    Canvas { columns: columns.saturating_sub(margin), rows, cell }
}

/// The size of the terminal.
pub(super) fn area() -> Area {
    let window = window();
    let window = if window.ws_row == 0 || window.ws_col == 0 { UNKNOWN } else { window };
    Area { columns: usize::from(window.ws_col), rows: usize::from(window.ws_row) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Look, Zone};
    use crate::session::event::{TransferStep, Way};
    use crate::transfer::{Pace, Shape};

    fn transfer(step: TransferStep) -> Event {
        let way = Way::Down { from: "bob".into() };
        let (id, shape) = (JobId(1), Shape::File);
        Event::Transfer(Transfer { id, line: None, way, name: "a".into(), size: 100, shape, step })
    }

    #[test]
    fn how_far_a_file_is_stands_below_the_conversation_until_it_is_there() {
        let mut screen = Screen::new(Renderer::new(Look::PLAIN, Zone::East(0)), None);
        let moving = |moved| transfer(TransferStep::Moving(Pace { moved, rate: 1 }));
        assert_eq!(screen.lines(&moving(10)), "");
        assert!(screen.status()[0].contains("10 %"));
        assert_eq!(screen.lines(&moving(20)), "");
        assert_eq!(screen.lines(&Event::Reconnected).lines().count(), 1);
        let status = screen.status();
        assert!(status.len() == 1 && status[0].contains("20 %"), "{status:?}");
        assert!(!screen.lines(&transfer(TransferStep::Received { path: "x".into() })).is_empty());
        assert_eq!(screen.status(), Vec::<String>::new());
    }

    #[test]
    fn a_received_picture_stands_below_its_line_and_nothing_else_is_shown_as_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.png"), b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x09\0\0\0\x09")
            .expect("written");
        std::fs::write(path("b.png"), "\x1b[2J").expect("written");
        std::os::unix::fs::symlink(path("a.png"), path("link.png")).expect("a link");
        let shown = |pictures, name: &str, size| {
            let mut screen = Screen::new(Renderer::new(Look::PLAIN, Zone::East(0)), pictures);
            let path = path(name).display().to_string();
            let Event::Transfer(transfer) = transfer(TransferStep::Received { path }) else { unreachable!() };
            screen.lines(&Event::Transfer(Transfer { size, ..transfer }))
        };
        let picture = shown(Some(Pictures::Kitty), "a.png", 24);
        let (line, below) = picture.split_once('\n').expect("two lines");
        assert!(line.contains("received 'a'"), "{line}");
        assert!(below.starts_with("      \x1b_Ga=T,f=100,q=2,r=1,m=0;iVBO"), "{below}");
        assert!(below.ends_with("\x1b\\\n"), "{below}");
        for (pictures, name, size) in [
            (None, "a.png", 24),
            (Some(Pictures::Kitty), "a.png", MAX_PICTURE + 1),
            (Some(Pictures::Kitty), "b.png", 4),
            (Some(Pictures::Kitty), "link.png", 24),
            (Some(Pictures::Kitty), "gone.png", 24),
        ] {
            assert_eq!(shown(pictures, name, size).lines().count(), 1, "{name}");
        }
    }

    #[test]
    fn a_terminal_and_its_cells_have_a_size_whatever_it_says() {
        let window = |x, y| Winsize { ws_row: 24, ws_col: 80, ws_xpixel: x, ws_ypixel: y };
        assert_eq!(canvas(window(720, 384)), Canvas { columns: 73, rows: 24, cell: (9, 16) });
        assert_eq!(canvas(window(0, 0)).cell, CELL);
        assert_eq!(canvas(Winsize { ws_row: 0, ws_col: 0, ..window(0, 0) }), canvas(UNKNOWN));
    }
}
