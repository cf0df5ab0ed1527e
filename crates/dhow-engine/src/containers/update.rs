//! `update`.

use super::Containers;
use crate::{Error, Result, host};
use dhow_container::oci;
use dhow_container::spec::validate::{self, Facts};
use dhow_container::spec::{Invalid, Resources, RestartName, Update};

impl Containers {
    /// Changes limits and restart policy; gives warnings.
    ///
    /// # Errors
    /// It does not exist or a value can't be.
    pub async fn update(&self, name: &str, update: Update) -> Result<Vec<String>> {
        let container = self.services.find(name)?;
        let runtimes = self.services.runtime_names();
        let facts = Facts {
            cpus: host::machine::cpus(),
            memory_nodes: &host::machine::memory_nodes(),
            apparmor: host::machine::has_apparmor(),
            runtimes: &runtimes,
        };
        let _guard = container.lifecycle.lock().await;
        let record = container.record();
        if let Some(policy) = &update.restart_policy {
            let auto_remove = record.host.auto_remove;
            if auto_remove && policy.name != RestartName::No {
                return Err(Invalid::new("Restart policy cannot be updated because AutoRemove is enabled for the container").into());
            }
            validate::restart(policy, auto_remove)?;
        }
        let mut checked = update.resources.clone();
        merge(&mut checked, &record.host.resources, &update.resources);
        let told = update.devices.change(&mut checked);
        // Docker checks what was given, then what results from it.
        let mut given = update.resources.clone();
        given.memory_swap = if given.memory == 0 {
            0
        } else {
            given.memory_swap
        };
        validate::resources(&given, &facts)?;
        let memory = checked.memory;
        if memory > 0 && checked.memory_swap > 0 && memory > checked.memory_swap {
            return Err(Error::Conflict(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
                    .into(),
            ));
        }
        let warnings = validate::resources(&checked, &facts)?;
        if let Some(task) = container.task() {
            let devices = host::devices::limited(&told)?;
            let resources = oci::resources::changeable(&told, &devices);
            match task.update(resources).await {
                // It ends just now: the limits are those of its next run.
                Err(error) if crate::supervisor::is_over(&error) => {}
                updated => updated?,
            }
        }
        let record = container.save(&self.services.db, |record| {
            record.host.resources = checked;
            if let Some(policy) = update.restart_policy {
                record.host.restart_policy = policy;
            }
        })?;
        self.services.tell(&record, "update");
        Ok(warnings)
    }
}

/// What results when `new` changes `old`: zero and nothing keep what is.
fn merge(result: &mut Resources, old: &Resources, new: &Resources) {
    *result = old.clone();
    macro_rules! take {
        ($($field:ident),+) => {$(
            if new.$field != Resources::default().$field {
                result.$field = new.$field.clone();
            }
        )+};
    }
    take!(
        cpu_shares,
        memory,
        memory_swap,
        memory_reservation,
        nano_cpus,
        cpu_period,
        cpu_quota,
        cpu_realtime_period,
        cpu_realtime_runtime,
        cpuset_cpus,
        cpuset_mems,
        blkio_weight,
        pids_limit
    );
    if new.nano_cpus != 0 {
        result.cpu_period = 0;
        result.cpu_quota = 0;
    } else if new.cpu_quota != 0 || new.cpu_period != 0 {
        result.nano_cpus = 0;
    }
}
