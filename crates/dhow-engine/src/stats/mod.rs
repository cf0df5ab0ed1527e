//! What containers use: samples taken once a second while somebody listens, and not at all while nobody does.
//!
//! A [`Sample`] is what one container had used at one moment; [`Stats`] is a sample beside the one before, from which
//! clients compute rates; [`StatsStream`] gives one after the other.

mod collector;
mod counters;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use futures::stream::BoxStream;
use jiff::Timestamp;

pub use dhow_runtime::cgroup::{IoStats, MemoryStats, Stats as Usage, Version as CgroupVersion};

pub(crate) use collector::{Collector, sample};

/// How stats are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatsOptions {
    /// One after the other, until the container is removed.
    pub stream: bool,
    /// A single sample, without waiting for a second one to compare it with.
    pub one_shot: bool,
}

/// Counters of one interface of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets received broken.
    pub rx_errors: u64,
    /// Packets not taken.
    pub rx_dropped: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets not sent for want of room.
    pub tx_dropped: u64,
}

/// Processor time of the whole machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Processors {
    /// Nanoseconds since boot, of all processors together, idle ones included.
    pub time: u64,
    /// How many there are.
    pub online: u32,
}

/// What a container had used at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The moment.
    pub read: Timestamp,
    /// Which cgroups the figures are from.
    pub version: CgroupVersion,
    /// What its control group counts. The memory limit is the machine's memory where there is no lower one.
    pub usage: Usage,
    /// Its own interfaces by name; none when it has no network namespace of its own.
    pub networks: BTreeMap<String, Traffic>,
    /// The machine's processors at the same moment.
    pub machine: Processors,
}

/// A container's sample beside the one before.
#[derive(Debug, Clone)]
pub struct Stats {
    /// The container's id.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// The sample; nothing while it does not run.
    pub now: Option<Arc<Sample>>,
    /// The sample before; nothing at first.
    pub before: Option<Arc<Sample>>,
}

/// A container's stats as they come. Ends when the container is removed, or with the only one that was asked for.
pub struct StatsStream(BoxStream<'static, Stats>);

impl StatsStream {
    pub(crate) fn new(stats: impl Stream<Item = Stats> + Send + 'static) -> Self {
        Self(Box::pin(stats))
    }
}

impl std::fmt::Debug for StatsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatsStream").finish_non_exhaustive()
    }
}

impl Stream for StatsStream {
    type Item = Stats;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Stats>> {
        Poll::Ready(ready!(self.0.as_mut().poll_next(cx)))
    }
}
