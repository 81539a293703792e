//! The two sides of a face: lines that are typed come in, events to be shown go out.

use super::until;
use crate::clock::Now;
use crate::session::event::Event;
use crate::session::{Session, View};
use crate::transfer::{Download, News, Order, Upload};
use protocol::command::Command;
use protocol::id::Millis;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Events that may be on their way to the face: beyond that the session keeps them.
const EVENTS: usize = 64;

/// Lines that may be on their way from the face.
const LINES: usize = 64;

/// News of files that may be on their way to the session.
const NEWS: usize = 64;

/// What a face needs of a session, whatever it speaks.
pub trait Talk {
    /// The picture of now.
    fn view(&self) -> View;

    /// When it wants to be called again, in steady time.
    fn timeout(&self) -> Option<Millis>;

    /// Whether to read what the user types.
    fn wants_input(&self) -> bool;

    /// Whether events wait.
    fn has_events(&self) -> bool;

    /// The next thing to show.
    fn poll_event(&mut self) -> Option<Event>;

    /// How many events were given out.
    fn given(&self) -> u64;
}

impl Talk for Session {
    fn view(&self) -> View {
        Session::view(self)
    }

    fn timeout(&self) -> Option<Millis> {
        Session::timeout(self)
    }

    fn wants_input(&self) -> bool {
        Session::wants_input(self)
    }

    fn has_events(&self) -> bool {
        Session::has_events(self)
    }

    fn poll_event(&mut self) -> Option<Event> {
        Session::poll_event(self)
    }

    fn given(&self) -> u64 {
        Session::given(self)
    }
}

/// What a face says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A line was typed.
    Line(String),
    /// A line that is never a command: it was pasted, or comes from a program.
    Text(String),
    /// A command that nobody typed.
    Order(Command),
    /// The user wants to leave soon. The end of the channel, in contrast, waits until all is acknowledged.
    Leave,
}

/// The driver's side.
#[derive(Debug)]
pub struct Ports {
    input: mpsc::Receiver<Input>,
    ended: bool,
    /// Whether the last step was a tick that was due.
    ticked: bool,
    events: mpsc::Sender<Event>,
    shown: watch::Receiver<u64>,
    typing: watch::Receiver<bool>,
    view: watch::Sender<View>,
    uploads: mpsc::UnboundedSender<Order<Upload>>,
    downloads: mpsc::UnboundedSender<Order<Download>>,
    news: mpsc::Receiver<News>,
}

/// The face's side.
#[derive(Debug)]
pub struct Face {
    /// What is typed; when all senders are gone, the client leaves as soon as everything is acknowledged.
    pub input: mpsc::Sender<Input>,
    /// What is to be shown; it ends with the session.
    pub events: mpsc::Receiver<Event>,
    /// How many events have been shown so far: kept cursors follow it.
    pub shown: watch::Sender<u64>,
    /// Whether the line that is typed would be said: sent with each change of it. Only the last one counts.
    pub typing: watch::Sender<bool>,
    /// Where the user is.
    pub view: watch::Receiver<View>,
    /// Files that are to be moved; whoever moves them takes it.
    pub freight: Option<Freight>,
}

/// The side of those who move files.
#[derive(Debug)]
pub struct Freight {
    /// To be sent.
    pub uploads: mpsc::UnboundedReceiver<Order<Upload>>,
    /// To be received.
    pub downloads: mpsc::UnboundedReceiver<Order<Download>>,
    /// What becomes of them.
    pub news: mpsc::Sender<News>,
}

/// Both sides for a session.
pub fn ports(session: &impl Talk) -> (Ports, Face) {
    let (input_in, input) = mpsc::channel(LINES);
    let (events, events_out) = mpsc::channel(EVENTS);
    let (shown_in, shown) = watch::channel(0);
    let (typing_in, typing) = watch::channel(false);
    let (view, view_out) = watch::channel(session.view());
    let (uploads, uploads_out) = mpsc::unbounded_channel();
    let (downloads, downloads_out) = mpsc::unbounded_channel();
    let (news_in, news) = mpsc::channel(NEWS);
    let freight = Some(Freight { uploads: uploads_out, downloads: downloads_out, news: news_in });
    let ports =
        Ports { input, ended: false, ticked: false, events, shown, typing, view, uploads, downloads, news };
    let (input, events, shown, typing, view) = (input_in, events_out, shown_in, typing_in, view_out);
    (ports, Face { input, events, shown, typing, view, freight })
}

/// Something that a port has for the session.
#[derive(Debug)]
pub(crate) enum Step {
    Input(Input),
    End,
    /// An event can be shown.
    Room,
    Shown(u64),
    Typing(bool),
    News(News),
    Tick,
}

/// What the session waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    input: bool,
    events: bool,
    tick: Duration,
    /// Whether a tick is due already.
    due: bool,
}

impl Ready {
    pub(crate) fn of(session: &impl Talk, now: Now) -> Self {
        // Nothing to wait for is rare enough that looking once a minute costs nothing.
        let tick = session.timeout().map_or(Duration::from_secs(60), |deadline| until(deadline, now));
        let due = tick.is_zero();
        // A deadline that is past and changes nothing must not keep the server's messages out.
        let tick = tick.max(Duration::from_millis(1));
        Self { input: session.wants_input(), events: session.has_events(), tick, due }
    }
}

impl Ports {
    /// The next step. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self, ready: Ready) -> Step {
        let ended = self.ended;
        // The timer below comes last and begins anew each time, so what is due is looked for first; not twice in a row,
        // so that it keeps nothing else out.
        self.ticked = ready.due && !self.ticked;
        if self.ticked {
            return Step::Tick;
        }
        tokio::select! {
            biased;
            // A lost face can't be written to, so there is room for ever.
            _ = self.events.reserve(), if ready.events => Step::Room,
            Ok(()) = self.shown.changed() => Step::Shown(*self.shown.borrow_and_update()),
            Ok(()) = self.typing.changed() => Step::Typing(*self.typing.borrow_and_update()),
            Some(news) = self.news.recv() => Step::News(news),
            input = self.input.recv(), if ready.input && !ended => match input {
                Some(input) => Step::Input(input),
                None => {
                    self.ended = true;
                    Step::End
                }
            },
            () = tokio::time::sleep(ready.tick) => Step::Tick,
        }
    }

    /// Another input, if one is there and the session takes it.
    pub(super) fn try_input(&mut self, session: &Session) -> Option<Input> {
        if session.wants_input() { self.input.try_recv().ok() } else { None }
    }

    /// Gives the face as many events as it has room for.
    pub(crate) fn show(&mut self, session: &mut impl Talk) {
        while session.has_events() {
            match self.events.try_reserve() {
                Ok(permit) => {
                    if let Some(event) = session.poll_event() {
                        permit.send(event);
                    }
                }
                Err(mpsc::error::TrySendError::Closed(())) => drop(session.poll_event()),
                Err(mpsc::error::TrySendError::Full(())) => return,
            }
        }
    }

    /// Gives those who move files what there is to move. Nobody may be there to do it.
    pub(super) fn dispatch(&self, session: &mut Session) {
        while let Some(upload) = session.poll_upload() {
            drop(self.uploads.send(upload));
        }
        while let Some(download) = session.poll_download() {
            drop(self.downloads.send(download));
        }
    }

    /// Tells the face where the user is, if that changed.
    pub(crate) fn picture(&self, session: &impl Talk) {
        let view = session.view();
        self.view.send_if_modified(|known| {
            let changed = *known != view;
            *known = view;
            changed
        });
    }

    /// Gives the face all that is left, and waits until it has shown it.
    pub(crate) async fn finish(&mut self, session: &mut impl Talk) {
        while let Some(event) = session.poll_event() {
            if self.events.send(event).await.is_err() {
                return;
            }
        }
        let given = session.given();
        // An error says that the face is gone.
        let _ = self.shown.wait_for(|shown| *shown >= given).await;
    }

    /// How many events have been shown.
    pub(super) fn shown(&self) -> u64 {
        *self.shown.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tick_that_is_due_comes_between_steps_that_never_end() {
        let (_input, input) = mpsc::channel(1);
        let (events, _events) = mpsc::channel(1);
        let (shown_in, shown) = watch::channel(0);
        let picture = View {
            place: crate::session::Place::Room("lobby".to_owned()),
            ready: false,
            name: String::new(),
            people: std::sync::Arc::default(),
            rooms: std::sync::Arc::default(),
            files: std::sync::Arc::default(),
            typing: std::sync::Arc::default(),
            lines: 0,
        };
        let (_typing, typing) = watch::channel(false);
        let (view, _view) = watch::channel(picture);
        let (uploads, _uploads) = mpsc::unbounded_channel();
        let (downloads, _downloads) = mpsc::unbounded_channel();
        let (_news, news) = mpsc::channel(1);
        let mut ports = Ports {
            input,
            ended: false,
            ticked: false,
            events,
            shown,
            typing,
            view,
            uploads,
            downloads,
            news,
        };
        let ready = Ready { input: false, events: false, tick: Duration::from_millis(1), due: true };
        let mut ticks = 0;
        for step in 1..=10 {
            shown_in.send_replace(step);
            match ports.next(ready).await {
                Step::Tick => ticks += 1,
                other => assert!(matches!(other, Step::Shown(_)), "{other:?}"),
            }
        }
        assert_eq!(ticks, 5, "every other step, and no more");
    }
}
