//! From options to a line of JSON.

use crate::attack;
use crate::clock::Clock;
use crate::crowd::Crowd;
use crate::fault::Fault;
use crate::file;
use crate::idle;
use crate::limit::LimitServer;
use crate::options::{
    AttackOptions, Dialect, FileOptions, IdleOptions, LimitOptions, Options, PacedOptions, SaturatedOptions,
    StoredOptions, Task,
};
use crate::paced::Paced;
use crate::process::raise_socket_limit;
use crate::report::Report;
use crate::saturated::Saturated;
use crate::speaker::{Classic, Limit, Native, Nats, Persona, Role, Speaker};
use crate::stalled::Stalled;
use crate::stored;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Texts that a sender of a paced run may be ahead of its slowest receiver before the run is given up.
const PACED_WINDOW: u32 = 1_024;

/// Runs a task; the report goes to stdout, a fault to stderr.
pub fn run(options: &Options) -> ExitCode {
    match start(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("natter-load: {fault}\nhint: {}", fault.hint());
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> Result<(), Fault> {
    raise_socket_limit()?;
    let clock = Clock::start();
    let dialect = match &options.task {
        Task::Saturated(options) => options.target.dialect,
        Task::Paced(options) => options.target.dialect,
        Task::Idle(options) => options.target.dialect,
        Task::File(options) => options.target.dialect,
        Task::Stored(options) => return print(&stored(options, clock)?),
        Task::Attack(options) => return print(&attack(options, clock)?),
        Task::Limit(options) => return serve(options, clock),
    };
    let report = match dialect {
        Dialect::Native => work::<Native>(&options.task, clock),
        Dialect::Classic => work::<Classic>(&options.task, clock),
        Dialect::Nats => work::<Nats>(&options.task, clock),
        Dialect::Limit => work::<Limit>(&options.task, clock),
    };
    print(&report?)
}

fn print(report: &Report) -> Result<(), Fault> {
    let line = serde_json::to_string(report).map_err(|error| Fault::system("a report")(error.into()))?;
    say(&line)
}

/// Only the native dialect acknowledges anything.
fn stored(options: &StoredOptions, clock: Clock) -> Result<Report, Fault> {
    Ok(Report {
        workload: "stored",
        dialect: Native::DIALECT,
        settings: BTreeMap::from([
            ("clients", options.clients.into()),
            ("rate", options.rate.map_or(0.0, f64::from)),
            ("window", options.window.into()),
            ("text", options.texts.text.into()),
        ]),
        figures: stored::run(options, clock)?,
    })
}

fn attack(options: &AttackOptions, clock: Clock) -> Result<Report, Fault> {
    Ok(Report {
        workload: "attack",
        dialect: Native::DIALECT,
        settings: BTreeMap::from([
            ("addresses", options.addresses.into()),
            ("only", options.only.map_or(0.0, f64::from)),
            ("sink", f64::from(u8::from(options.sink))),
        ]),
        figures: attack::run(options, clock)?,
    })
}

fn serve(options: &LimitOptions, clock: Clock) -> Result<(), Fault> {
    let mut server = LimitServer::bind(options.listen)?;
    say(&format!("listening on {}", server.address()?))?;
    server.serve(clock, Duration::from_secs(options.seconds))
}

fn work<S: Speaker>(task: &Task, clock: Clock) -> Result<Report, Fault> {
    match task {
        Task::Saturated(options) => saturated::<S>(options, clock),
        Task::Paced(options) => paced::<S>(options, clock),
        Task::Idle(options) => idle::<S>(options, clock),
        Task::File(options) => file::<S>(options, clock),
        Task::Stored(_) | Task::Attack(_) | Task::Limit(_) => unreachable!("these were begun before"),
    }
}

fn saturated<S: Speaker>(options: &SaturatedOptions, clock: Clock) -> Result<Report, Fault> {
    let SaturatedOptions { target, room, window } = options;
    let personas = one_room(room.receivers, room.senders);
    let crowd = Crowd::<S>::join(target.server, personas, clock, target.patience())?;
    let run = Saturated::new(crowd, room.extent(*window), clock, room.texts.span(target.patience()));
    Ok(Report {
        workload: "saturated",
        dialect: S::DIALECT,
        settings: BTreeMap::from([
            ("receivers", room.receivers.into()),
            ("senders", room.senders.into()),
            ("text", room.texts.text.into()),
            ("window", (*window).into()),
        ]),
        figures: run.run(target.process())?,
    })
}

/// Bytes that the system takes for a reader that stands still: few, so that it is one soon.
const STANDING_BUFFER: usize = 16 * 1024;

fn paced<S: Speaker>(options: &PacedOptions, clock: Clock) -> Result<Report, Fault> {
    let PacedOptions { target, room, rate, stalled } = options;
    let personas = one_room(room.receivers, room.senders);
    let others = room.receivers + room.senders..room.receivers + room.senders + stalled;
    let standing = others
        .map(|number| Persona { unread: Some(STANDING_BUFFER), ..persona(number, Role::Receiver, 0) })
        .collect();
    let standing = Crowd::<S>::join(target.server, standing, clock, target.patience())?;
    let crowd = Crowd::<S>::join(target.server, personas, clock, target.patience())?;
    let extent = room.extent(PACED_WINDOW);
    let readers = usize::try_from(*stalled).unwrap_or(usize::MAX);
    let standing = Stalled::new(standing, readers, extent.senders, extent.text);
    let run = Paced::new(crowd, standing, extent, clock, room.texts.span(target.patience()), *rate);
    Ok(Report {
        workload: "paced",
        dialect: S::DIALECT,
        settings: BTreeMap::from([
            ("receivers", room.receivers.into()),
            ("senders", room.senders.into()),
            ("text", room.texts.text.into()),
            ("rate", (*rate).into()),
            ("stalled", (*stalled).into()),
        ]),
        figures: run.run(target.process().as_ref())?,
    })
}

fn idle<S: Speaker>(options: &IdleOptions, clock: Clock) -> Result<Report, Fault> {
    let IdleOptions { target, connections, per_room } = options;
    let server = target
        .process()
        .ok_or(Fault::NoFigure { what: "memory without --server-pid", path: "/proc".to_owned() })?;
    let personas = (0..*connections).map(|number| persona(number, Role::Receiver, number / per_room));
    let figures = idle::run::<S>(target.server, personas.collect(), clock, target.patience(), &server)?;
    Ok(Report {
        workload: "idle",
        dialect: S::DIALECT,
        settings: BTreeMap::from([("connections", (*connections).into()), ("per_room", (*per_room).into())]),
        figures,
    })
}

fn file<S: Speaker>(options: &FileOptions, clock: Clock) -> Result<Report, Fault> {
    let FileOptions { target, receivers, mib } = options;
    let (bytes, patience) = (u64::from(*mib) << 20, target.patience());
    let everybody = usize::try_from(*receivers).unwrap_or(usize::MAX);
    let figures = if target.dialect == Dialect::Native {
        file::carry(target.server, everybody, bytes, clock, patience, target.process())?
    } else {
        let crowd = Crowd::<S>::join(target.server, one_room(*receivers, 1), clock, patience)?;
        file::relay(crowd, everybody, bytes, clock, patience, target.process())?
    };
    Ok(Report {
        workload: "file",
        dialect: S::DIALECT,
        settings: BTreeMap::from([("receivers", (*receivers).into()), ("mib", (*mib).into())]),
        figures,
    })
}

/// Receivers first, so that all of them are there before anybody sends.
fn one_room(receivers: u32, senders: u32) -> Vec<Persona> {
    let everybody = (0..receivers + senders).map(|number| {
        let role = if number < receivers { Role::Receiver } else { Role::Sender };
        persona(number, role, 0)
    });
    everybody.collect()
}

fn persona(number: u32, role: Role, room: u32) -> Persona {
    Persona {
        number: usize::try_from(number).unwrap_or(usize::MAX),
        role,
        room: format!("load-{room}"),
        run: std::process::id().into(),
        unread: None,
    }
}

fn say(line: &str) -> Result<(), Fault> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(Fault::system("to write to stdout"))
}
