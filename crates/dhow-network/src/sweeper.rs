//! Removing veths when nobody waits for it.
//!
//! Removing a device takes the kernel tens of milliseconds, most of it waiting for its own grace periods. When a
//! container is over, its network namespace takes the pair with it anyway, but someone may hold the namespace open.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::netlink::RouteSocket;

/// Devices to be removed by a thread that lives as long as there are any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sweeper(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    devices: Vec<String>,
    running: bool,
}

impl Sweeper {
    /// Has the device removed soon, in the calling thread's network namespace.
    pub(crate) fn remove(&self, device: String) {
        let mut queue = self.lock();
        queue.devices.push(device);
        if !queue.running {
            let sweeper = self.clone();
            let thread = std::thread::Builder::new().name("sweeper".to_owned());
            match thread.spawn(move || sweeper.run()) {
                Ok(_) => queue.running = true,
                // The next start reconciles.
                Err(error) => tracing::warn!(%error, "can't remove devices now"),
            }
        }
    }

    fn run(&self) {
        let mut socket = match RouteSocket::open() {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(%error, "can't remove devices now");
                None
            }
        };
        loop {
            let devices = {
                let mut queue = self.lock();
                queue.running = !queue.devices.is_empty();
                if !queue.running {
                    return;
                }
                std::mem::take(&mut queue.devices)
            };
            for device in devices {
                if let Some(Err(error)) = socket.as_mut().map(|socket| socket.delete(&device)) {
                    tracing::warn!(device, %error, "can't remove a device");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
