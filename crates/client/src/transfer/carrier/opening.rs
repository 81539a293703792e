//! Opening what is to be sent.

use super::Job;
use crate::drive::Connect;
use crate::files::Files;
use crate::transfer::hashed::Hashed;
use crate::transfer::upload::Outgoing;
use crate::transfer::{Opening, Source, Step, Upload, candidates, transfer_id};
use std::cell::RefCell;
use std::path::PathBuf;

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
        self.tell(Step::Opened(opened.clone())).await;
        if source.left_out() > 0 && upload.opened.is_none() {
            self.tell(Step::LeftOut(source.left_out())).await;
        }
        let hashed = Hashed::restore(files, &opened);
        Ok(Outgoing::new(source, opened, upload.target.clone(), hashed)?)
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
            Some(opened) if source.opened(opened.transfer) != *opened => Err(Step::Outdated),
            _ => Ok(source),
        }
    }
}
