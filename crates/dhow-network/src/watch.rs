//! Watching other firewalls: someone may begin, or cease, to drop forwarded packets at any time, or flush our table.
//!
//! The kernel tells of every change to nftables; nothing is polled. Published ports are kernel state and need no
//! watching to work; without it a change would only be noticed with the next container.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use crate::netlink::{Listener, OVERRUN, attribute};
use crate::networks::{Inner, Networks};
use crate::nft::{DELCHAIN, DELTABLE, NEWCHAIN};

/// A watch that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: OwnedFd,
}

impl Watch {
    /// Begins to watch the calling thread's network namespace.
    pub(crate) fn begin(networks: Weak<Inner>, table: &str) -> io::Result<Self> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let told = stop.try_clone()?;
        let mut listener = Listener::open()?;
        let table = table.to_owned();
        std::thread::Builder::new()
            .name("nft-watch".to_owned())
            .spawn(move || {
                if let Err(error) = run(&networks, &mut listener, &told, &table) {
                    tracing::warn!(%error, "other firewalls are watched no more");
                }
            })?;
        Ok(Self { stop })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread is not waited for: it may be the one that drops this.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
    }
}

fn run(
    networks: &Weak<Inner>,
    listener: &mut Listener,
    stop: &OwnedFd,
    table: &str,
) -> io::Result<()> {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if !fds[1].revents().is_empty() {
            return Ok(());
        }
        let (mut chains, mut removed) = (false, false);
        listener.drain(|kind, body| {
            chains |= matches!(kind, NEWCHAIN | DELCHAIN | DELTABLE | OVERRUN);
            let name = body
                .get(4..)
                .and_then(|attributes| attribute(attributes, 1));
            let ours = name.and_then(|name| name.strip_suffix(&[0])) == Some(table.as_bytes());
            removed |= kind == OVERRUN || (kind == DELTABLE && ours);
        })?;
        if !chains {
            continue;
        }
        let Some(inner) = networks.upgrade() else {
            return Ok(());
        };
        look_again(&Networks { inner }, removed);
    }
}

fn look_again(networks: &Networks, removed: bool) {
    let changed = networks.notice_foreign_firewall();
    // Our own replacement removes the table too, and has put it back by now.
    let missing = removed && !networks.has_table();
    if missing {
        tracing::warn!("the nftables table was removed by someone; it is put back");
    }
    if (changed || missing)
        && let Err(error) = networks.replace_table()
    {
        tracing::warn!(error = %dhow_errdefs::chain(&error), "can't bring the nftables table up to date");
    }
}

impl Networks {
    /// Watches other firewalls from now on, until the last clone of this handle is gone.
    pub(crate) fn watch(&self) -> io::Result<()> {
        let watch = Watch::begin(Arc::downgrade(&self.inner), &self.inner.table)?;
        // Only `open` calls this, once.
        let _ = self.inner.watch.set(watch);
        Ok(())
    }
}
