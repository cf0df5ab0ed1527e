//! How a container's runs have ended, for those who wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::container::Exit;

/// How a container's runs have ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exits {
    /// How many runs have ended since the engine started.
    pub(crate) count: u64,
    /// How the last one ended.
    pub(crate) last: Exit,
    /// The container is gone.
    pub(crate) removed: bool,
}

/// Where exits are told. There is a channel, which takes some room, only once somebody has listened.
pub(super) struct Teller(Mutex<State>);

enum State {
    Quiet(Exits),
    Heard(watch::Sender<Exits>),
}

impl Teller {
    pub(super) fn new(exits: Exits) -> Self {
        Self(Mutex::new(State::Quiet(exits)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens from now on.
    pub(super) fn listen(&self) -> watch::Receiver<Exits> {
        let mut state = self.state();
        match &mut *state {
            State::Heard(sender) => sender.subscribe(),
            State::Quiet(exits) => {
                let (sender, receiver) = watch::channel(std::mem::take(exits));
                *state = State::Heard(sender);
                receiver
            }
        }
    }

    /// Changes what is known, and tells it.
    pub(super) fn tell(&self, change: impl FnOnce(&mut Exits)) {
        match &mut *self.state() {
            State::Quiet(exits) => change(exits),
            State::Heard(sender) => sender.send_modify(change),
        }
    }

    /// Gives the channel's room back if nobody listens any more.
    pub(super) fn hush(&self) {
        let mut state = self.state();
        if let State::Heard(sender) = &*state
            && sender.receiver_count() == 0
        {
            let exits = sender.borrow().clone();
            *state = State::Quiet(exits);
        }
    }
}
