//! One process of the real client.

use super::face::Onlooker;
use super::lines::Typist;
use super::{Actor, Ended, name_of};
use crate::coverage::Sometimes;
use crate::net::{ClientClock, Owner, SimConnect};
use crate::rule::Rule;
use client::drive::{Client, DriveError, Freight, ports};
use client::profile::Profile;
use client::session::event::End;
use client::session::{Config, Session};
use client::transfer::{Carrier, Login, Received};
use protocol::id::RunId;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Runs until it ends; dropping it is its sudden death.
pub(super) async fn process(actor: &Actor, typist: &mut Typist, rng: &mut SmallRng) -> Ended {
    let profile = match Profile::open(actor.disk.clone(), rng) {
        Ok(profile) => profile,
        Err(error) => {
            actor.net.record.fail(Rule::Durable, format!("c{}: {error}", actor.id));
            return std::future::pending().await;
        }
    };
    if !profile.records().is_empty() && actor.net.record.pages().now() > 0 {
        actor.hit(Sometimes::ClientResent);
    }
    let config = Config {
        name: name_of(actor.plan.person),
        device: profile.identity().device,
        secret: profile.identity().secret.clone(),
        agent: "sim".to_owned(),
        // Drawn from a copy, so that what is drawn after it stays what it was.
        run: RunId(rng.clone().random()),
        history: 100,
        interactive: actor.plan.interactive,
    };
    let login = Login {
        device: config.device,
        secret: config.secret.clone(),
        name: config.name.clone(),
        agent: config.agent.clone(),
    };
    let mut session = Session::new(config, profile.kept().clone(), profile.records());
    if actor.folder.is_some() {
        session.receive_up_to(1 << 24);
        session.keep_transfers();
    }
    let (ports, mut face) = ports(&session);
    let freight = face.freight.take();
    let owner = Owner { client: actor.id, bulk: false, classic: false };
    let connect = SimConnect { net: actor.net.clone(), owner };
    let clock = ClientClock(actor.net.record.clone());
    let jitter = SmallRng::from_rng(rng);
    let carried = carry(actor, freight, login, rng);
    let mut client = Client { session, profile, connect, clock, rng: jitter, ports };
    let mut onlooker = Onlooker::new(actor, typist);
    let driven = tokio::select! {
        biased;
        driven = client.drive() => driven,
        () = onlooker.look(face) => return Ended::Left(onlooker.away),
        () = carried => std::future::pending().await,
    };
    if client.session.fences() > 0 {
        let what = format!("c{} was fenced, though nobody else has its device", actor.id);
        actor.net.record.fail(Rule::OneOrder, what);
    }
    ended(&driven, onlooker.away)
}

fn ended(driven: &Result<End, DriveError>, away: u64) -> Ended {
    match driven {
        Ok(End::Quit) => Ended::Left(away),
        Ok(End::Refused(_) | End::NoLogin(_)) | Err(DriveError::Connect(_)) => Ended::Failed,
    }
}

/// Moves files, if this world has any.
async fn carry(actor: &Actor, freight: Option<Freight>, login: Login, rng: &mut SmallRng) {
    let (Some(Freight { uploads, downloads, news }), Some(folder)) = (freight, actor.received()) else {
        return std::future::pending().await;
    };
    let owner = Owner { client: actor.id, bulk: true, classic: false };
    let mut carrier = || Carrier {
        connect: SimConnect { net: actor.net.clone(), owner },
        login: login.clone(),
        rng: SmallRng::from_seed(rng.random()),
        news: news.clone(),
        piped: None,
    };
    let (up, down) = (carrier(), carrier());
    drop(news);
    let received = Received::new(folder);
    // What is left of a process that died is gone on with, as the real program does; nothing is old yet.
    let _ = received.clean(std::time::UNIX_EPOCH);
    let hashed = actor.disk.clone();
    tokio::join!(up.drive_uploads(uploads, None, hashed), down.drive_downloads(downloads, received));
}
