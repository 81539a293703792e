//! Files on their way.

use super::Renderer;
use super::lists::count;
use super::notices::why;
use super::said::safe;
use super::shelf::programs;
use super::width::{grapheme_width, graphemes, width};
use crate::session::event::{Awaited, Refusal, Transfer, TransferStep, Way};
use crate::transfer::{Failure, Pace, Trouble};
use protocol::bundle::Index;
use protocol::code::Code;
use protocol::size::human_size;

/// Columns of a name in a line that tells how far a file is: the line must fit one row.
const COLUMNS: usize = 12;

/// Paths of a folder that are shown which have other names here.
const RENAMED: usize = 20;

/// Columns of a bar.
const BAR: usize = 6;

impl Renderer {
    pub(super) fn transfer(&self, transfer: &Transfer) -> Vec<String> {
        let name = safe(&transfer.name);
        match &transfer.step {
            TransferStep::Queued { .. }
            | TransferStep::Looking { .. }
            | TransferStep::Hashing(_)
            | TransferStep::Verifying(_)
            | TransferStep::Moving(_)
            | TransferStep::Unpacking(_) => self.under_way(transfer),
            TransferStep::Waiting { moved, gone: true } => {
                let (moved, size) = (human_size(*moved), human_size(transfer.size));
                let from = who(&transfer.way);
                vec![self.info(&format!(
                    "'{name}': {moved} of {size} are here; waiting for {from}, who is not online, to send the rest"
                ))]
            }
            TransferStep::Waiting { moved, gone: false } => {
                let (moved, size) = (human_size(*moved), human_size(transfer.size));
                vec![self.info(&format!("'{name}': {moved} of {size} are here; waiting for its sender"))]
            }
            TransferStep::Asked { .. } => {
                let size = human_size(transfer.size);
                vec![self.offer(transfer, &format!("'{name}' ({size})"), "")]
            }
            TransferStep::Listed { index, all } => self.listed(transfer, index, *all),
            TransferStep::LeftOut { .. }
            | TransferStep::Resumed { .. }
            | TransferStep::Renamed { .. }
            | TransferStep::Anew
            | TransferStep::Grew
            | TransferStep::Here => self.unforeseen(transfer),
            TransferStep::Paused { moved } => {
                let how = match moved {
                    0 => "begins".to_owned(),
                    moved => format!("resumes at {}", human_size(*moved)),
                };
                vec![self.info(&format!("'{name}' {how} when you come back"))]
            }
            TransferStep::Declined => vec![self.info(&format!("'{name}' is not received"))],
            TransferStep::Cancelled => vec![self.info(&format!("'{name}' is cancelled"))],
            TransferStep::Withdrawn => {
                vec![self.info(&format!("{} gave up sending '{name}'", who(&transfer.way)))]
            }
            TransferStep::Sent(pace) => {
                let (name, size, rate) = (short(&name), human_size(transfer.size), human_size(pace.rate));
                vec![self.info(&format!("sent '{name}' ({size}, {rate}/s)"))]
            }
            TransferStep::Broken(trouble) => {
                let doing = match transfer.way {
                    Way::Up { .. } => "the upload of",
                    Way::Down { .. } => "the download of",
                };
                vec![self.info(&format!("{doing} '{name}' broke off ({}); trying again …", reason(trouble)))]
            }
            TransferStep::Received { path } => {
                let (size, from) = (human_size(transfer.size), who(&transfer.way));
                vec![self.info(&format!("received '{name}' ({size}) from {from}: {}", safe(path)))]
            }
            TransferStep::There { path } => {
                let again = self.again(transfer);
                let text = format!("'{name}' is here already: {}; {again} receives it again", safe(path));
                vec![self.info(&text)]
            }
            TransferStep::Failed(failure) => {
                let not = match &transfer.way {
                    Way::Up { to } => format!("'{name}' not sent to {}", safe(&to.to_string())),
                    Way::Down { from } => format!("'{name}' not received from {}", safe(from)),
                };
                let text = format!("{not}: {}", what(failure, &transfer.way));
                self.failed(&text, Some(&self.advice(failure, transfer)))
            }
        }
    }
}

impl Renderer {
    /// What receives it although it is here.
    fn again(&self, transfer: &Transfer) -> String {
        match self.errand {
            Some(_) => "-f".to_owned(),
            None => format!("/get -f {}", pointer(transfer)),
        }
    }

    /// Something about it that its user would not expect.
    fn unforeseen(&self, transfer: &Transfer) -> Vec<String> {
        let name = safe(&transfer.name);
        match &transfer.step {
            TransferStep::LeftOut { count } => {
                let text = format!(
                    "not sent from '{name}': links, devices, pipes, unreadable system files ({count})"
                );
                vec![self.info(&text)]
            }
            TransferStep::Resumed { at } => {
                vec![self.info(&format!("'{name}' resumes at {}", human_size(*at)))]
            }
            TransferStep::Renamed { names } => {
                let text = format!("in '{name}' this disk can't have these names beside others:");
                let rows = names.iter().take(RENAMED).map(|(path, here)| {
                    self.look.pad(&format!("     {} is '{}' here", safe(path), safe(here)))
                });
                let more = names.len().saturating_sub(RENAMED);
                let rest = (more > 0).then(|| self.look.pad(&format!("     … and {more} more")));
                std::iter::once(self.info(&text)).chain(rows).chain(rest).collect()
            }
            TransferStep::Anew => {
                vec![self.info(&format!("'{name}' has changed since it was begun: it is sent anew"))]
            }
            TransferStep::Grew => {
                let size = human_size(transfer.size);
                vec![self.info(&format!(
                    "'{name}' grew while it was sent: the {size} that it had at first are sent"
                ))]
            }
            TransferStep::Here => vec![self.info(&format!("the server had '{name}' already"))],
            _ => Vec::new(),
        }
    }
}

impl Renderer {
    /// What is being done with it.
    fn under_way(&self, transfer: &Transfer) -> Vec<String> {
        let name = safe(&transfer.name);
        let (doing, pace) = match &transfer.step {
            TransferStep::Queued { ahead: 0 } => {
                return vec![self.info(&format!("'{name}' is sent when the connection is there"))];
            }
            TransferStep::Queued { ahead } => {
                let others = count(*ahead as u64, "other file");
                return vec![self.info(&format!("'{name}' is sent after {others}"))];
            }
            TransferStep::Looking { found } => return vec![self.looking(transfer, *found)],
            TransferStep::Hashing(pace) => ("hashing", pace),
            TransferStep::Verifying(pace) => ("verifying", pace),
            TransferStep::Unpacking(pace) => ("unpacking", pace),
            TransferStep::Moving(pace) if matches!(transfer.way, Way::Up { .. }) => ("sending", pace),
            TransferStep::Moving(pace) => ("receiving", pace),
            _ => return Vec::new(),
        };
        vec![self.at_work(transfer, doing, *pace)]
    }

    /// How far it is: on a screen in one row.
    fn at_work(&self, transfer: &Transfer, doing: &str, pace: Pace) -> String {
        let Transfer { size, .. } = transfer;
        if *size == 0 {
            // What a program writes has no size yet.
            let (name, moved, rate) = (safe(&transfer.name), human_size(pace.moved), human_size(pace.rate));
            return self.info(&format!("{doing} '{}': {moved} so far, {rate}/s", short(&name)));
        }
        let percent = u128::from(pace.moved) * 100 / u128::from((*size).max(1));
        let rate = human_size(pace.rate);
        let left = left(*size, pace).map(|left| format!(", {left} left")).unwrap_or_default();
        if !self.look.screen {
            let (name, size) = (safe(&transfer.name), human_size(*size));
            return self.info(&format!("{doing} '{name}': {percent} % of {size}, {rate}/s{left}"));
        }
        let name = short(&safe(&transfer.name));
        let full = usize::try_from(percent * BAR as u128 / 100).unwrap_or(BAR).min(BAR);
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(BAR - full));
        self.info(&format!("{doing} '{name}' [{bar}] {percent} %, {rate}/s{left}"))
    }

    /// How much was found in a folder: on a screen in one row.
    fn looking(&self, transfer: &Transfer, found: u64) -> String {
        let name = safe(&transfer.name);
        if self.look.screen {
            let name = short(&name);
            return self.info(&format!("looking through '{name}', {found} files and folders so far"));
        }
        self.info(&format!("looking through '{name}': {found} files and folders so far"))
    }

    /// Somebody offers something, which the user must decide on.
    fn offer(&self, transfer: &Transfer, what: &str, more: &str) -> String {
        let (from, at) = (who(&transfer.way), pointer(transfer));
        let text = format!("{from} offers {what}: /accept {at} or /decline {at}{more}");
        self.look.pad(&self.look.strong(&format!("-- {text}")))
    }

    fn listed(&self, transfer: &Transfer, index: &Index, all: bool) -> Vec<String> {
        let (name, at) = (safe(&transfer.name), pointer(transfer));
        let (files, size) = (count(index.files() as u64, "file"), human_size(index.bytes()));
        let mut out = vec![self.info(&format!("in the folder '{name}' of {}:", who(&transfer.way)))];
        out.extend(self.listing(index, all, &at));
        let run = match programs(index) {
            0 => String::new(),
            n => format!("; with -x its {} can be run", count(n as u64, "program")),
        };
        out.push(self.offer(transfer, &format!("the folder '{name}' ({files}, {size})"), &run));
        out
    }
}

/// What is waited for, behind the word "waiting".
pub fn waited_for(awaited: &Awaited) -> String {
    let so_far = |moved: &u64, size: &u64| match size {
        0 => human_size(*moved),
        size => format!("{} of {}", human_size(*moved), human_size(*size)),
    };
    match awaited {
        Awaited::Server => "for the server".to_owned(),
        Awaited::Answer => "for an answer of the server".to_owned(),
        Awaited::Sending { name, moved, size } => {
            format!("until '{}' is sent: {} so far", safe(name), so_far(moved, size))
        }
        Awaited::Receiving { name, moved, size } => {
            format!("until '{}' is here: {} so far", safe(name), so_far(moved, size))
        }
        Awaited::Sender { name, from, gone, moved, size } => {
            let offline = if *gone { ", who is not online," } else { "" };
            let so_far = so_far(moved, size);
            format!("for {}{offline} to send the rest of '{}': {so_far} are here", safe(from), safe(name))
        }
    }
}

/// What is typed to mean this one: its line, or its name as long as it has none.
fn pointer(transfer: &Transfer) -> String {
    transfer.line.map_or_else(|| safe(&transfer.name), |line| format!("#{line}"))
}

/// How long it still takes at this rate.
fn left(size: u64, pace: Pace) -> Option<String> {
    let bytes = size.saturating_sub(pace.moved);
    let seconds = if pace.rate == 0 { return None } else { bytes.div_ceil(pace.rate) };
    Some(match seconds {
        0..6_000 => format!("{}:{:02}", seconds / 60, seconds % 60),
        6_000..360_000 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", (seconds / 86_400).min(9_999)),
    })
}

fn who(way: &Way) -> String {
    match way {
        Way::Up { to } => safe(&to.to_string()),
        Way::Down { from } => safe(from),
    }
}

/// The beginning and the end of a long name.
fn short(name: &str) -> String {
    if width(name) <= COLUMNS {
        return name.to_owned();
    }
    let half = |graphemes: &mut dyn Iterator<Item = &str>| {
        let mut room = COLUMNS / 2 - 1;
        let fits = |grapheme: &&str| {
            room = room.saturating_sub(grapheme_width(grapheme));
            room > 0
        };
        graphemes.take_while(fits).map(str::to_owned).collect::<Vec<_>>()
    };
    let front = half(&mut graphemes(name)).concat();
    let mut back = half(&mut graphemes(name).rev());
    back.reverse();
    format!("{front}…{}", back.concat())
}

fn reason(trouble: &Trouble) -> String {
    match trouble {
        Trouble::NotReached(words) => safe(words),
        Trouble::Lost(loss) => why(*loss).to_owned(),
        Trouble::Refused(refusal) => sentence(refusal),
        Trouble::WrongBlock => "a piece came damaged".to_owned(),
    }
}

fn sentence(refusal: &Refusal) -> String {
    match refusal.known() {
        Some(code) => code.text().to_owned(),
        None => format!("{} (code {})", safe(&refusal.text), refusal.code),
    }
}

fn what(failure: &Failure, way: &Way) -> String {
    match failure {
        Failure::NotFound(path) => format!("no such file: '{}'", safe(path)),
        Failure::Folder => "that is a folder".to_owned(),
        Failure::BadFolder(words) => match way {
            Way::Up { .. } => format!("that folder can't be sent: {}", safe(words)),
            Way::Down { .. } => format!("that is no folder that can be written: {}", safe(words)),
        },
        Failure::NotPlain => "that is no plain file".to_owned(),
        Failure::Unreadable(words) => format!("it can't be read: {}", safe(words)),
        Failure::TooLarge { limit: 1, .. } if matches!(way, Way::Up { .. }) => {
            "the server has no space left for files of yours".to_owned()
        }
        Failure::TooLarge { size, limit } => {
            let whose = if matches!(way, Way::Up { .. }) { "the server takes" } else { "you take" };
            match (human_size(*size), human_size(*limit)) {
                // Of what a program writes nobody knows more than that.
                (size, most) if size == most => {
                    format!("it is too large: more than {most}, and {whose} no more")
                }
                (size, most) => format!("it is too large: {size}, and {whose} at most {most}"),
            }
        }
        Failure::NoFiles => "this server takes no files".to_owned(),
        Failure::Changed => "it changed while it was sent".to_owned(),
        Failure::Refused(refusal) => sentence(refusal),
        Failure::WrongContent => "what came is not what was announced".to_owned(),
        Failure::TooMany => "too many files are waiting to be received".to_owned(),
        Failure::NoRoom { needed, free, folder } => {
            let (needed, free) = (human_size(*needed), human_size(*free));
            format!("it needs {needed}, and {free} are free in '{}'", safe(folder))
        }
        Failure::Unwritable(words) => format!("it can't be written here: {}", safe(words)),
        Failure::CutOff => "the connection broke in its middle".to_owned(),
        Failure::Left => "you left before it was done".to_owned(),
    }
}

impl Renderer {
    /// What to do about a failure, with the options that its reader has.
    fn advice(&self, failure: &Failure, transfer: &Transfer) -> String {
        match (failure, &self.errand) {
            (Failure::NotFound(_), Some(_)) => "check the path".to_owned(),
            (Failure::NotPlain, Some(visit)) => {
                format!("send what is in it by way of stdin: natter send {visit} - < FILE")
            }
            (Failure::NoRoom { .. } | Failure::Unwritable(_), Some(_)) => {
                "make room there, or name another place with -o, and get it again".to_owned()
            }
            (Failure::NoRoom { .. } | Failure::Unwritable(_), None) => format!(
                "make room there or start natter with --received DIR; then /get {} receives it",
                pointer(transfer)
            ),
            (Failure::Refused(refusal), _) if refusal.known() != Some(Code::NoSuchFile) => {
                self.hint(refusal.known(), refusal.detail)
            }
            (failure, _) => advice(failure, &transfer.way),
        }
    }
}

fn advice(failure: &Failure, way: &Way) -> String {
    let again = match way {
        Way::Up { .. } => "send it again".to_owned(),
        Way::Down { from } => format!("ask {} to send it again", safe(from)),
    };
    match failure {
        Failure::NotFound(_) => "check the path; Tab completes it".to_owned(),
        Failure::Folder => "pack it first, with tar or zip, and send the archive".to_owned(),
        Failure::BadFolder(_) if matches!(way, Way::Up { .. }) => {
            "change that, or pack it with tar or zip, and send the archive".to_owned()
        }
        Failure::BadFolder(_) => "nothing of it was written".to_owned(),
        Failure::NotPlain => "copy what is in it to a plain file, and send that".to_owned(),
        Failure::Unreadable(_) => "check its permissions".to_owned(),
        Failure::TooLarge { .. } if matches!(way, Way::Up { .. }) => {
            "take back files that nobody needs (/files, /delete #N), or ask the operator for more space"
                .to_owned()
        }
        Failure::TooLarge { size, .. } => {
            format!("start natter with --max-receive {}, and {again}", size.div_ceil(1 << 20))
        }
        Failure::NoFiles => "ask the operator, or put it elsewhere and send the address".to_owned(),
        Failure::Changed => "send it again when nothing writes to it any more".to_owned(),
        Failure::Refused(_) | Failure::NoRoom { .. } | Failure::Unwritable(_) => again,
        Failure::WrongContent | Failure::TooMany | Failure::CutOff | Failure::Left => again,
    }
}
