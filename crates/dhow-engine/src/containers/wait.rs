//! `wait`.

use std::future::Future;

use super::Containers;
use crate::Result;
use crate::container::{Exit, WaitCondition};

impl Containers {
    /// Waits for a container. The waiting begins with the call, not when the future is first polled.
    ///
    /// # Errors
    /// It does not exist.
    pub fn wait(
        &self,
        name: &str,
        condition: WaitCondition,
    ) -> Result<impl Future<Output = Result<Exit>> + Send + use<>> {
        let container = self.services.find(name)?;
        let mut exits = container.exits();
        // What ends from here on is news; the state is looked at only then.
        let seen = exits.borrow_and_update().count;
        let runs = container.record().state.status.is_running();
        Ok(async move {
            let done = condition == WaitCondition::NotRunning && !runs;
            if !done {
                let wanted = condition;
                let ended = exits.wait_for(|exits| {
                    exits.removed || (wanted != WaitCondition::Removed && exits.count > seen)
                });
                if let Ok(exits) = ended.await
                    && exits.count > seen
                {
                    return Ok(exits.last.clone());
                }
            }
            let state = &container.record().state;
            let error = (!state.error.is_empty()).then(|| state.error.clone());
            Ok(Exit {
                code: state.exit_code,
                error,
            })
        })
    }
}
