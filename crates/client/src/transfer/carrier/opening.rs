//! Opening what is to be sent.

use super::{FAREWELL, Job};
use crate::drive::Connect;
use crate::files::Files;
use crate::transfer::hashed::Hashed;
use crate::transfer::upload::{Outgoing, give_up, put_of};
use crate::transfer::{Opened, Opening, Source, Step, Upload, candidates, transfer_id};
use std::cell::RefCell;
use std::path::PathBuf;
use tokio::time::timeout;

impl<C: Connect> Job<'_, C> {
    pub(super) async fn open<'f, F: Files>(
        &mut self,
        upload: &Upload,
        home: Option<PathBuf>,
        files: &'f RefCell<F>,
    ) -> Result<Outgoing<'f, F>, Step> {
        let source = self.open_source(upload, home).await?;
        let transfer =
            upload.opened.as_ref().map_or_else(|| transfer_id(&mut self.rng), |known| known.transfer);
        let opened = source.opened(transfer);
        let left_out = source.left_out();
        let hashed = Hashed::restore(files, &opened);
        let outgoing = Outgoing::new(source, opened, upload.target.clone(), hashed)?;
        self.tell(Step::Opened(outgoing.opened().clone())).await;
        if left_out > 0 && upload.opened.is_none() {
            self.tell(Step::LeftOut(left_out)).await;
        }
        Ok(outgoing)
    }

    /// Gives up what an earlier process began to send, if that has no offer which is taken back: it holds space.
    async fn give_up_earlier(&self, upload: &Upload, opened: &Opened) {
        if let Some(put) = put_of(opened, &upload.target).filter(|_| !upload.offered) {
            let told = async {
                let (mut link, ..) = self.connect().await?;
                give_up(&mut link, &put).await
            };
            // A server that can't be told forgets it when its time is over.
            let _ = timeout(FAREWELL, told).await;
        }
    }

    /// A folder may hold a whole disk: it is looked through a little at a time.
    async fn open_source(&self, upload: &Upload, home: Option<PathBuf>) -> Result<Source, Step> {
        let mut opening = match &upload.opened {
            Some(opened) => Source::begin_any(&[&opened.path])?,
            None => Source::begin_any(&candidates(&upload.path, home.as_deref()))?,
        };
        let source = loop {
            opening = match opening {
                Opening::Whole(source) => break source,
                Opening::Looking(looking) => {
                    self.tell(Step::Looking(looking.found())).await;
                    tokio::task::yield_now().await;
                    looking.step()?
                }
            };
        };
        match &upload.opened {
            Some(opened) if !source.opened(opened.transfer).is_same(opened) => {
                self.give_up_earlier(upload, opened).await;
                Err(Step::Outdated)
            }
            _ => Ok(source),
        }
    }
}
