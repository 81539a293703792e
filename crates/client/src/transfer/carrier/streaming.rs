//! A job that sends what a program writes.

use super::{FAREWELL, Job};
use crate::backoff::Backoff;
use crate::drive::Connect;
use crate::files::Files;
use crate::transfer::crew::Signal;
use crate::transfer::fault::Stop;
use crate::transfer::spool::spool;
use crate::transfer::stream::{Stream, is_full};
use crate::transfer::upload::give_up;
use crate::transfer::{Failure, Opened, Piped, Shape, Step, Trouble, Upload, posted_name, transfer_id};
use protocol::limits::FEATURE_UNKNOWN_SIZE;
use std::cell::RefCell;
use tokio::time::timeout;

/// How an attempt ended.
enum Ended {
    Sent(Step),
    /// This server must know the size first, and takes at most so many bytes.
    Spool(u64),
}

impl<C: Connect> Job<'_, C> {
    /// Sends it while it is read, or, to a server that can't take it so, when all of it was read.
    pub(super) async fn stream<F: Files>(mut self, upload: Upload, piped: Piped, files: &RefCell<F>) -> Step {
        let (name, transfer) = (posted_name(&piped.name), transfer_id(&mut self.rng));
        let (path, size, stamp, shape) = (upload.path.clone(), 0, 0, Shape::File);
        self.tell(Step::Opened(Opened {
            transfer,
            path,
            name: name.clone(),
            size,
            stamp,
            shape,
            first: None,
        }))
        .await;
        let mut stream = Stream::new(piped, name, transfer, upload.target.clone());
        let mut backoff = Backoff::default();
        loop {
            let mut signal = self.signal.clone();
            let ended = tokio::select! {
                biased;
                () = Signal::cancelled(&mut signal) => {
                    let _ = timeout(FAREWELL, self.give_up_stream(&stream)).await;
                    return Step::Cancelled;
                }
                ended = self.attempt_stream(&mut stream) => ended,
            };
            let stop = match ended {
                Ok(Ended::Sent(step)) => return step,
                Ok(Ended::Spool(limit)) => return self.spool_first(upload, stream, limit, files).await,
                Err(stop) => stop,
            };
            if is_full(&stop) {
                // Given up by the server: nothing is left of it there.
                return Step::Failed(match stop {
                    Stop::Failed(failure) => failure,
                    Stop::Passing(_) => Failure::CutOff,
                });
            }
            if let Some(failed) = self.pause(stop, &mut backoff).await {
                // Nobody can go on with it: it must not hold space.
                let _ = timeout(FAREWELL, self.give_up_stream(&stream)).await;
                return failed;
            }
        }
    }

    async fn attempt_stream(&self, stream: &mut Stream) -> Result<Ended, Stop> {
        let (mut link, limits, features) = self.connect().await?;
        if features & FEATURE_UNKNOWN_SIZE == 0 {
            return if limits.file == 0 {
                Err(Failure::NoFiles.into())
            } else {
                Ok(Ended::Spool(limits.file))
            };
        }
        stream.send(&mut link, &limits, async |step| self.tell(step).await).await.map(Ended::Sent)
    }

    async fn give_up_stream(&self, stream: &Stream) -> Result<(), Trouble> {
        let (mut link, ..) = self.connect().await?;
        give_up(&mut link, &stream.put()).await
    }

    async fn spool_first<F: Files>(
        self,
        upload: Upload,
        stream: Stream,
        limit: u64,
        files: &RefCell<F>,
    ) -> Step {
        let Some(piped) = stream.into_piped() else {
            // Another server answers now, and what was read does not come again.
            return Step::Failed(Failure::CutOff);
        };
        let mut signal = self.signal.clone();
        let spooled = tokio::select! {
            biased;
            () = Signal::cancelled(&mut signal) => return Step::Cancelled,
            spooled = spool(piped, limit) => spooled,
        };
        match spooled {
            Ok(path) => self.upload(Upload { path, ..upload }, None, files).await,
            Err(failure) => Step::Failed(failure),
        }
    }
}
