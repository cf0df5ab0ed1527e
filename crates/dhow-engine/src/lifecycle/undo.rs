//! An undo stack: what was done is taken back in reverse order, unless all went well.

/// Steps to take back when it is dropped before [`Undo::keep`].
#[derive(Default)]
pub(crate) struct Undo<'a> {
    steps: Vec<Box<dyn FnOnce() + Send + 'a>>,
}

impl<'a> Undo<'a> {
    /// Adds what takes the step just done back.
    pub(crate) fn push(&mut self, step: impl FnOnce() + Send + 'a) {
        self.steps.push(Box::new(step));
    }

    /// All went well: nothing is taken back.
    pub(crate) fn keep(mut self) {
        self.steps.clear();
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        while let Some(step) = self.steps.pop() {
            step();
        }
    }
}

/// Logs that a step could not be taken back; the next start of the engine tries again.
pub(crate) fn report<E: std::error::Error + 'static>(step: &str, result: Result<(), E>) {
    if let Err(error) = result {
        tracing::warn!("{step}: {}", dhow_errdefs::chain(&error));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn steps_are_taken_back_in_reverse_unless_kept() {
        let done = Mutex::new(Vec::new());
        let note = |number| done.lock().unwrap().push(number);
        let mut undo = Undo::default();
        undo.push(|| note(1));
        undo.push(|| note(2));
        drop(undo);
        let mut undo = Undo::default();
        undo.push(|| note(3));
        undo.keep();
        assert_eq!(*done.lock().unwrap(), [2, 1]);
    }
}
