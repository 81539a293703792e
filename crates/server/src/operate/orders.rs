//! What operators ask a running server, and have it do: the other end of its socket.

use crate::operator_socket::{Place, runtime_folder};
use crate::store::{Folder, FolderError};
use chrono::{DateTime, Local};
use clap::{Args, Subcommand};
use protocol::code::Code;
use protocol::frame::{Deframer, Item};
use protocol::id::{Millis, Req};
use protocol::limits::MAX_FRAME;
use protocol::message::{ClientMsg, Order, Outcome, PersonRecord, RoomRecord, RosterItem, ServerMsg};
use protocol::system_words::plain_words;
use protocol::text::sanitize_line;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// How long an answer may take: a disk that stands still for a while.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the server is.
#[derive(Clone, Debug, Default, Args)]
pub struct Target {
    /// The server's socket, where its start named another one than admin.sock in the data folder
    #[arg(long, value_name = "PATH", global = true)]
    pub socket: Option<PathBuf>,
}

/// What is done with people.
#[derive(Clone, Debug, Subcommand)]
pub enum PeopleCommand {
    /// Print all of them
    List,
    /// Print what is known of one
    Show {
        /// Their name, or their number
        person: String,
    },
    /// Remove one: their name is free, and what they said stays
    Remove {
        /// Their name, or their number
        person: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What is done with rooms.
#[derive(Clone, Debug, Subcommand)]
pub enum RoomsCommand {
    /// Print all of them, conversations of two included
    List,
    /// Print what is known of one
    Show {
        /// Its name, or its number
        room: String,
    },
    /// End one: nobody is in it any more, and its messages are deleted
    Remove {
        /// Its name, or its number
        room: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Why an order was not carried out.
#[derive(Debug, Error)]
pub enum OrderError {
    /// The data folder can't be had.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is nothing at the socket's place.
    #[error("no server runs here: nobody answers at '{}'", .0.display())]
    NoServer(PathBuf),
    /// There is no place where a socket could be.
    #[error("there is no place where the server's socket could be")]
    NoPlace,
    /// Somebody else's server.
    #[error("the server at '{}' runs as another user", .0.display())]
    NotYours(PathBuf),
    /// The connection broke.
    #[error("the server did not answer: {}", plain_words(.0))]
    Broken(#[from] io::Error),
    /// The server refused.
    #[error("{what}: {why}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why not.
        why: String,
        /// Its code, if this version knows it.
        code: Option<Code>,
    },
    /// Nobody said yes.
    #[error("nothing was removed")]
    Declined,
    /// There is nobody who could be asked.
    #[error("this asks before it removes anything, and stdin is no terminal")]
    NobodyToAsk,
}

impl OrderError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Folder(error) => error.hint(),
            Self::NoServer(_) => {
                "start it with natterd, or name the folder of the one that runs with --data, before the word that \
                 says what to do"
            }
            Self::NoPlace => "name the socket that the server named when it started, with --socket",
            Self::NotYours(_) => "become the user that runs it, or root",
            Self::Broken(_) => "see the server's log",
            Self::Refused { code: Some(Code::NoSuchPerson), .. } => "natterd people list shows all of them",
            Self::Refused { code: Some(Code::NoSuchRoom), .. } => "natterd rooms list shows all of them",
            Self::Refused { code: Some(Code::NotAllowed), .. } => "the lobby is where everybody comes in",
            Self::Refused { code: Some(Code::DiskFull), .. } => "make space on the server's disk",
            Self::Refused { .. } => "the server may be of another version than this program",
            Self::Declined => "type yes to go on",
            Self::NobodyToAsk => "add --yes",
        }
    }

    /// As PRODUCT's conventions have it: 1 for what the caller can change, 3 for what the machine must.
    pub fn code(&self) -> u8 {
        match self {
            Self::Folder(FolderError::Missing { .. })
            | Self::Refused { code: Some(Code::NoSuchPerson | Code::NoSuchRoom), .. }
            | Self::Declined
            | Self::NobodyToAsk => 1,
            Self::Refused { code: Some(Code::NotAllowed), .. } => 5,
            _ => 3,
        }
    }
}

/// Where a server's socket is that keeps its data there, or listens on this port and keeps nothing.
///
/// # Errors
/// [`OrderError::NoPlace`], [`OrderError::Folder`]
pub fn find_socket(target: &Target, data: &Path, memory_port: Option<u16>) -> Result<PathBuf, OrderError> {
    if let Some(socket) = &target.socket {
        return Ok(socket.clone());
    }
    let place = match memory_port {
        Some(port) => Place::Port(port),
        None => {
            Folder::look(data)?;
            Place::Folder(data)
        }
    };
    place.path(runtime_folder().as_deref()).ok_or(OrderError::NoPlace)
}

/// Does something with people, and returns what to print.
///
/// # Errors
/// [`OrderError`]
pub fn order_people(socket: &Path, command: &PeopleCommand) -> Result<String, OrderError> {
    let mut server = Server::connect(socket)?;
    match command {
        PeopleCommand::List => Ok(people_table(&server.people()?)),
        PeopleCommand::Show { person } => Ok(shown_person(&server.person(person)?)),
        PeopleCommand::Remove { person, yes } => {
            let PersonRecord { person, name, .. } = server.person(person)?.record;
            confirm(*yes, &format!("Remove {name} (person {person})? What they said stays."))?;
            server.order(&format!("{name} is not removed"), Order::RemovePerson { person })?;
            Ok(format!("{name} (person {person}) is removed\n"))
        }
    }
}

/// Does something with rooms, and returns what to print.
///
/// # Errors
/// [`OrderError`]
pub fn order_rooms(socket: &Path, command: &RoomsCommand) -> Result<String, OrderError> {
    let mut server = Server::connect(socket)?;
    match command {
        RoomsCommand::List => Ok(rooms_table(&server.rooms()?)),
        RoomsCommand::Show { room } => Ok(shown_room(&server.room(room)?)),
        RoomsCommand::Remove { room, yes } => {
            let RoomRecord { room, name, entries, .. } = server.room(room)?.record;
            confirm(*yes, &format!("End {name} (room {room}) and delete its {entries} messages?"))?;
            server.order(&format!("{name} is not ended"), Order::EndRoom { room })?;
            Ok(format!("{name} (room {room}) has ended\n"))
        }
    }
}

/// What is known of a person.
struct ShownPerson {
    record: PersonRecord,
    agent: String,
    devices: u32,
    addresses: Vec<String>,
    rooms: Vec<String>,
}

/// What is known of a room.
struct ShownRoom {
    record: RoomRecord,
    topic: String,
    people: Vec<RosterItem>,
}

/// A connection to the server.
struct Server {
    stream: UnixStream,
    deframer: Deframer,
    last: u32,
}

impl Server {
    fn connect(path: &Path) -> Result<Self, OrderError> {
        let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                OrderError::NoServer(path.to_owned())
            }
            io::ErrorKind::PermissionDenied => OrderError::NotYours(path.to_owned()),
            _ => OrderError::Broken(error),
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, deframer: Deframer::new(MAX_FRAME), last: 0 })
    }

    fn people(&mut self) -> Result<Vec<PersonRecord>, OrderError> {
        self.pages(
            "the people",
            |last: Option<&PersonRecord>| Order::People { after: last.map(|person| person.person) },
            |outcome| if let Outcome::People { people } = outcome { Some(people) } else { None },
        )
    }

    fn rooms(&mut self) -> Result<Vec<RoomRecord>, OrderError> {
        self.pages(
            "the rooms",
            |last: Option<&RoomRecord>| Order::Rooms { after: last.map(|room| room.room) },
            |outcome| if let Outcome::Rooms { rooms } = outcome { Some(rooms) } else { None },
        )
    }

    /// All pages of a list: how to ask for what comes after the last element so far, and what is in an answer.
    fn pages<T>(
        &mut self,
        what: &str,
        ask: impl Fn(Option<&T>) -> Order,
        read: impl Fn(Outcome) -> Option<Vec<T>>,
    ) -> Result<Vec<T>, OrderError> {
        let mut all = Vec::new();
        loop {
            let (outcome, more) = self.order(what, ask(all.last()))?;
            let page = read(outcome).ok_or_else(not_understood)?;
            // An empty page has nothing to go on from.
            let more = more && !page.is_empty();
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }

    fn person(&mut self, name: &str) -> Result<ShownPerson, OrderError> {
        match self.order(&format!("'{name}'"), Order::Person { name: name.to_owned() })?.0 {
            Outcome::Person { person: record, agent, devices, addresses, rooms } => {
                Ok(ShownPerson { record, agent, devices, addresses, rooms })
            }
            _ => Err(not_understood()),
        }
    }

    fn room(&mut self, name: &str) -> Result<ShownRoom, OrderError> {
        match self.order(&format!("'{name}'"), Order::Room { name: name.to_owned() })?.0 {
            Outcome::Room { room: record, topic, people } => Ok(ShownRoom { record, topic, people }),
            _ => Err(not_understood()),
        }
    }

    /// Gives an order and waits for what becomes of it.
    fn order(&mut self, what: &str, order: Order) -> Result<(Outcome, bool), OrderError> {
        self.last += 1;
        self.stream.write_all(&ClientMsg::Operate { req: Req(self.last), order }.encode())?;
        match self.next()? {
            ServerMsg::Operated { more, outcome, .. } => Ok((outcome, more)),
            ServerMsg::Error { code, text, .. } => {
                let (what, why) = (what.to_owned(), sanitize_line(&text).into_owned());
                Err(OrderError::Refused { what, why, code: Code::from_number(code) })
            }
            _ => Err(not_understood()),
        }
    }

    /// The next frame: exactly one for each order, so nothing is left behind it.
    fn next(&mut self) -> Result<ServerMsg, OrderError> {
        let mut buffer = vec![0; MAX_FRAME as usize];
        loop {
            let n = self.stream.read(&mut buffer)?;
            if n == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let mut input = &buffer[..n];
            match self.deframer.next(&mut input) {
                Ok(None) => {}
                Ok(Some(Item::Frame(frame))) => {
                    let msg = ServerMsg::decode(frame.ty, frame.payload).ok().flatten();
                    return msg.ok_or_else(not_understood);
                }
                Ok(Some(Item::Oversized { .. })) | Err(_) => return Err(not_understood()),
            }
        }
    }
}

fn not_understood() -> OrderError {
    OrderError::Broken(io::Error::new(io::ErrorKind::InvalidData, "it said something else"))
}

/// Asks on the terminal, unless that is not wanted.
fn confirm(yes: bool, question: &str) -> Result<(), OrderError> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(OrderError::NobodyToAsk);
    }
    let mut answer = String::new();
    write!(io::stderr(), "{question} [yes/no] ")?;
    io::stdin().read_line(&mut answer)?;
    if answer.trim().eq_ignore_ascii_case("yes") { Ok(()) } else { Err(OrderError::Declined) }
}

fn people_table(people: &[PersonRecord]) -> String {
    let head = ["NAME", "NUMBER", "LAST SEEN", "ONLINE", "ROOMS"].map(str::to_owned);
    let row = |person: &PersonRecord| {
        let online = if person.presence.online { "yes" } else { "no" };
        let guest = if person.presence.guest { ", guest" } else { "" };
        [
            person.name.clone(),
            person.person.to_string(),
            time(person.seen),
            format!("{online}{guest}"),
            person.rooms.to_string(),
        ]
    };
    table(&[head].into_iter().chain(people.iter().map(row)).collect::<Vec<_>>())
}

fn rooms_table(rooms: &[RoomRecord]) -> String {
    let head = ["NAME", "NUMBER", "LAST MESSAGE", "MESSAGES", "MEMBERS", "ONLINE"].map(str::to_owned);
    let row = |room: &RoomRecord| {
        [
            name_of(room),
            room.room.to_string(),
            time(room.time),
            room.entries.to_string(),
            room.members.to_string(),
            room.online.to_string(),
        ]
    };
    table(&[head].into_iter().chain(rooms.iter().map(row)).collect::<Vec<_>>())
}

/// Rows with their columns below each other.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        out += cells.collect::<Vec<_>>().join("  ").trim_end();
        out += "\n";
    }
    out
}

fn shown_person(shown: &ShownPerson) -> String {
    let ShownPerson { record, agent, devices, addresses, rooms } = shown;
    let kind = if record.presence.guest { "guest" } else { "person" };
    let online = match (record.presence.online, addresses.is_empty()) {
        (true, false) => format!("yes, from {}", addresses.join(", ")),
        (true, true) => "the link broke a moment ago".to_owned(),
        (false, _) => "no".to_owned(),
    };
    let mut out = format!("{} ({kind} {})\n", record.name, record.person);
    for (what, value) in [
        ("online", online),
        ("last seen", time(record.seen)),
        ("devices", devices.to_string()),
        ("program", sanitize_line(agent).into_owned()),
        ("rooms", some_of(rooms, record.rooms)),
    ] {
        let value = if value.is_empty() { "-" } else { &value };
        // Writing to a string can't fail.
        let _ = writeln!(out, "  {what:<12}{value}");
    }
    out
}

fn shown_room(shown: &ShownRoom) -> String {
    let ShownRoom { record, topic, people } = shown;
    let mut out = format!("{} (room {})\n", name_of(record), record.room);
    let names: Vec<_> = people.iter().map(|person| person.name.clone()).collect();
    for (what, value) in [
        ("topic", sanitize_line(topic).into_owned()),
        ("messages", record.entries.to_string()),
        ("newest", time(record.time)),
        ("online", record.online.to_string()),
        ("members", some_of(&names, record.members)),
    ] {
        let value = if value.is_empty() { "-" } else { &value };
        // Writing to a string can't fail.
        let _ = writeln!(out, "  {what:<12}{value}");
    }
    out
}

/// How many there are, and those of them that are told.
fn some_of(names: &[String], count: u32) -> String {
    let told = names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect::<Vec<_>>();
    match told[..] {
        [] => count.to_string(),
        _ if u32::try_from(names.len()).is_ok_and(|all| all < count) => {
            format!("{count}: {}, …", told.join(", "))
        }
        _ => format!("{count}: {}", told.join(", ")),
    }
}

fn name_of(room: &RoomRecord) -> String {
    if room.direct { format!("({})", room.name) } else { room.name.clone() }
}

/// In the time zone of whoever reads it.
fn time(at: Millis) -> String {
    let known = Some(at.0).filter(|at| *at > 0).and_then(|at| i64::try_from(at).ok());
    let time = known.and_then(DateTime::from_timestamp_millis);
    time.map_or_else(|| "-".to_owned(), |time| time.with_timezone(&Local).format("%F %H:%M").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{PersonId, RoomId};
    use protocol::message::Presence;

    fn alice() -> PersonRecord {
        let presence = Presence { online: true, ..Presence::default() };
        let person = PersonId::new(3).unwrap();
        PersonRecord { person, name: "alice".to_owned(), presence, seen: Millis(0), rooms: 2 }
    }

    #[test]
    fn a_table_has_its_columns_below_each_other() {
        let guest = PersonRecord {
            person: PersonId::new(12_345).unwrap(),
            name: "somebody-else".to_owned(),
            presence: Presence { guest: true, ..Presence::default() },
            ..alice()
        };
        insta::assert_snapshot!(people_table(&[alice(), guest]), @"
        NAME           NUMBER  LAST SEEN  ONLINE     ROOMS
        alice          3       -          yes        2
        somebody-else  12345   -          no, guest  2
        ");
        let room = RoomRecord {
            room: RoomId::new(7).unwrap(),
            name: "alice, bob".to_owned(),
            direct: true,
            members: 2,
            online: 1,
            entries: 1_234,
            time: Millis(0),
        };
        insta::assert_snapshot!(rooms_table(&[room]), @"
        NAME          NUMBER  LAST MESSAGE  MESSAGES  MEMBERS  ONLINE
        (alice, bob)  7       -             1234      2        1
        ");
    }

    #[test]
    fn all_that_is_known_of_one_stands_in_lines() {
        let shown = ShownPerson {
            record: alice(),
            agent: "natter/0.1.0".to_owned(),
            devices: 2,
            addresses: vec!["127.0.0.1".to_owned()],
            rooms: vec!["lobby".to_owned(), "dev".to_owned()],
        };
        insta::assert_snapshot!(shown_person(&shown), @"
        alice (person 3)
          online      yes, from 127.0.0.1
          last seen   -
          devices     2
          program     natter/0.1.0
          rooms       2: lobby, dev
        ");
        let room = RoomRecord {
            room: RoomId::new(7).unwrap(),
            name: "dev".to_owned(),
            direct: false,
            members: 300,
            online: 1,
            entries: 12,
            time: Millis(0),
        };
        let item = |name: &str| RosterItem {
            person: PersonId::FIRST,
            name: name.to_owned(),
            presence: Presence::default(),
            away: String::new(),
        };
        let shown =
            ShownRoom { record: room, topic: String::new(), people: vec![item("alice"), item("bob")] };
        insta::assert_snapshot!(shown_room(&shown), @"
        dev (room 7)
          topic       -
          messages    12
          newest      -
          online      1
          members     300: alice, bob, …
        ");
    }
}
