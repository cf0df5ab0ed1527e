//! `start`, `kill`, `delete`, `pause`, `resume`, `update`.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use dhow_oci::signal;

use super::Failed;
use crate::spec::{
    LinuxBlockIoBuilder, LinuxCpuBuilder, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources,
};
use crate::{Builtin, Error, Runtime};

#[derive(Debug, Args)]
pub(super) struct Kill {
    /// Send it to every process in the container
    #[arg(short, long)]
    all: bool,
    /// The container's id
    id: String,
    /// The signal, by name or number
    #[arg(default_value = "SIGTERM")]
    signal: String,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// Kill it first where it runs; do not mind where it is not there
    #[arg(short, long)]
    force: bool,
    /// The container's id
    id: String,
}

/// Limits; those that are not given stay as they are.
#[derive(Debug, Args)]
pub(super) struct Update {
    /// File with the limits as in the specification, `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Bytes of memory
    #[arg(long, allow_hyphen_values = true)]
    memory: Option<i64>,
    /// Bytes of memory kept as long as possible
    #[arg(long, allow_hyphen_values = true)]
    memory_reservation: Option<i64>,
    /// Bytes of memory and swap together, -1 for no limit
    #[arg(long, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Relative weight of processor time
    #[arg(long)]
    cpu_share: Option<u64>,
    /// Microseconds of processor time in a period
    #[arg(long, allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// Microseconds of a period
    #[arg(long)]
    cpu_period: Option<u64>,
    /// Processors to use
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Relative weight of input and output
    #[arg(long)]
    blkio_weight: Option<u16>,
    /// Most processes and threads, -1 for no limit
    #[arg(long, allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// The container's id
    id: String,
}

pub(super) fn start(runtime: &Builtin, id: &str) -> Result<(), Failed> {
    Ok(runtime.start(id)?)
}

pub(super) fn pause(runtime: &Builtin, id: &str) -> Result<(), Failed> {
    Ok(runtime.pause(id)?)
}

pub(super) fn resume(runtime: &Builtin, id: &str) -> Result<(), Failed> {
    Ok(runtime.resume(id)?)
}

impl Kill {
    pub(super) fn run(&self, runtime: &Builtin) -> Result<(), Failed> {
        let signal = signal_number(&self.signal)
            .ok_or_else(|| format!("unknown signal {:?}", self.signal))?;
        Ok(runtime.kill(&self.id, signal, self.all)?)
    }
}

impl Delete {
    pub(super) fn run(&self, runtime: &Builtin) -> Result<(), Failed> {
        match runtime.delete(&self.id, self.force) {
            Err(Error::NotFound(_)) if self.force => Ok(()),
            other => Ok(other?),
        }
    }
}

impl Update {
    pub(super) fn run(&self, runtime: &Builtin) -> Result<(), Failed> {
        let mut resources = match &self.resources {
            Some(path) if path.as_os_str() == "-" => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                serde_json::from_str(&text)?
            }
            Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
            None => LinuxResources::default(),
        };
        self.add_flags(&mut resources)?;
        // The device rules of a container are not what this command is for, as in runc.
        resources.set_devices(None);
        Ok(runtime.update(&self.id, &resources)?)
    }

    fn add_flags(&self, resources: &mut LinuxResources) -> Result<(), Failed> {
        let mut memory = resources
            .memory()
            .unwrap_or(LinuxMemoryBuilder::default().build()?);
        if self.memory.is_some() {
            memory.set_limit(self.memory);
        }
        if self.memory_swap.is_some() {
            memory.set_swap(self.memory_swap);
        }
        if self.memory_reservation.is_some() {
            memory.set_reservation(self.memory_reservation);
        }
        resources.set_memory(Some(memory));
        let mut cpu = resources
            .cpu()
            .clone()
            .unwrap_or(LinuxCpuBuilder::default().build()?);
        if self.cpu_share.is_some() {
            cpu.set_shares(self.cpu_share);
        }
        if self.cpu_quota.is_some() {
            cpu.set_quota(self.cpu_quota);
        }
        if self.cpu_period.is_some() {
            cpu.set_period(self.cpu_period);
        }
        if self.cpuset_cpus.is_some() {
            cpu.set_cpus(self.cpuset_cpus.clone());
        }
        if self.cpuset_mems.is_some() {
            cpu.set_mems(self.cpuset_mems.clone());
        }
        resources.set_cpu(Some(cpu));
        if let Some(limit) = self.pids_limit {
            resources.set_pids(Some(LinuxPidsBuilder::default().limit(limit).build()?));
        }
        if let Some(weight) = self.blkio_weight {
            let mut block = resources.block_io().clone();
            let block = block.get_or_insert(LinuxBlockIoBuilder::default().build()?);
            block.set_weight(Some(weight));
            resources.set_block_io(Some(block.clone()));
        }
        Ok(())
    }
}

/// `9`, `KILL`, `SIGKILL`, `RTMIN+3`.
fn signal_number(text: &str) -> Option<i32> {
    match text.parse() {
        Ok(number) => (0..=signal::LAST).contains(&number).then_some(number),
        Err(_) => signal::number_of(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("SIGSYS", 31),
            ("RTMIN+3", 37),
        ] {
            assert_eq!(signal_number(text), Some(number), "{text}");
        }
        for text in ["", "NOPE", "65", "-1", "RTMIN+99"] {
            assert_eq!(signal_number(text), None, "{text}");
        }
    }
}
