//! Watching the states of model versions.

use super::{Registry, STATES_FEED};
use crate::convert::decode;
use futures::{Stream, StreamExt as _};
use remit_api::registry::v1::{ModelState, WatchModelStatesRequest, WatchModelStatesResponse};
use remit_core::Result;
use remit_runtime::Cx;
use remit_runtime::watch::{self, Watched};

fn message(watched: Watched) -> Result<WatchModelStatesResponse> {
    let deleted = watched.is_deletion();
    let item = match &watched.body {
        Some(body) => Some(decode::<ModelState>(body)?),
        None if deleted => Some(ModelState { name: watched.key, ..Default::default() }),
        None => None,
    };
    Ok(WatchModelStatesResponse { phase: watched.phase.into(), cursor: watched.cursor, item, deleted })
}

impl Registry {
    /// Streams the states of all model versions.
    pub fn watch_model_states(
        &self,
        cx: &Cx,
        req: &WatchModelStatesRequest,
    ) -> Result<impl Stream<Item = Result<WatchModelStatesResponse>> + Send + 'static + use<>> {
        let shutdown = self.shutdown.clone();
        let items = watch::stream(self.db.clone(), cx.tenant.clone(), STATES_FEED, &req.cursor, shutdown)?;
        Ok(items.map(|item| item.and_then(message)))
    }
}
