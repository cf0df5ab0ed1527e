//! `update`.

use super::Containers;
use crate::container::ContainerRecord;
use crate::lifecycle::publish;
use crate::supervisor::Task;
use crate::{Error, Result, host};
use dhow_container::oci;
use dhow_container::spec::validate::{self, Facts};
use dhow_container::spec::{
    Invalid, PublishPlan, Published, Resources, RestartName, Update, merge, plan_publishing,
};

impl Containers {
    /// Changes limits, restart policy, published ports and, for the next start, variables; gives warnings.
    ///
    /// # Errors
    /// It does not exist, a value can't be, or a port can't be had; then nothing is changed.
    pub async fn update(&self, name: &str, update: Update) -> Result<Vec<String>> {
        let container = self.services.find(name)?;
        let _guard = container.lifecycle.lock().await;
        let record = container.record();
        check_policy(&record, &update)?;
        validate::env(&update.env)?;
        let plan = self.publishing(&record, &update)?;
        let (limits, told, warnings) = self.limits(&record, &update)?;
        let changed = match &plan {
            Some(plan) => publish::change(&self.services, &record, container.task(), plan).await?,
            None => None,
        };
        if let Some(task) = container.task()
            && let Err(error) = tell(&task, &told).await
        {
            if let Some(changed) = changed {
                changed.undo(&self.services).await;
            }
            return Err(error);
        }
        let saved = container.save(&self.services.db, |record| {
            record.host.resources = limits;
            if let Some(policy) = update.restart_policy {
                record.host.restart_policy = policy;
            }
            let env = std::mem::take(&mut record.config.env);
            record.config.env = merge::with_env(env, &update.env);
            if let Some(plan) = plan {
                record.host.port_bindings = plan.bindings;
            }
            if let Some(changed) = &changed {
                changed.note(record);
            }
        });
        match (saved, changed) {
            (Ok(record), changed) => {
                if let Some(changed) = changed {
                    changed.let_go().await;
                }
                self.services.tell(&record, "update");
                Ok(warnings)
            }
            (Err(error), Some(changed)) => {
                changed.undo(&self.services).await;
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// What becomes of the published ports; nothing when they stay.
    fn publishing(&self, record: &ContainerRecord, update: &Update) -> Result<Option<PublishPlan>> {
        if update.publish.is_empty() {
            return Ok(None);
        }
        publish::check(&self.services, record)?;
        let now = Published {
            bindings: &record.host.port_bindings,
            ports: &record.ports,
            all: record.host.publish_all_ports,
        };
        Ok(Some(plan_publishing(&now, &update.publish)?))
    }

    /// The limits that result, those that a running container is told, and warnings.
    fn limits(
        &self,
        record: &ContainerRecord,
        update: &Update,
    ) -> Result<(Resources, Resources, Vec<String>)> {
        let runtimes = self.services.runtime_names();
        let facts = Facts {
            cpus: host::machine::cpus(),
            memory_nodes: &host::machine::memory_nodes(),
            apparmor: host::machine::has_apparmor(),
            quotas: self.services.snapshots.has_quotas(),
            runtimes: &runtimes,
        };
        let mut checked = update.resources.clone();
        merge_limits(&mut checked, &record.host.resources, &update.resources);
        let told = update.devices.change(&mut checked);
        // Docker checks what was given, then what results from it.
        let mut given = update.resources.clone();
        if given.memory == 0 {
            given.memory_swap = 0;
        }
        validate::resources(&given, &facts)?;
        let memory = checked.memory;
        if memory > 0 && checked.memory_swap > 0 && memory > checked.memory_swap {
            return Err(Error::Conflict(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
                    .into(),
            ));
        }
        let warnings = validate::resources(&checked, &facts)?;
        Ok((checked, told, warnings))
    }
}

fn check_policy(record: &ContainerRecord, update: &Update) -> Result<()> {
    let Some(policy) = &update.restart_policy else {
        return Ok(());
    };
    let auto_remove = record.host.auto_remove;
    if auto_remove && policy.name != RestartName::No {
        return Err(Invalid::new(
            "Restart policy cannot be updated because AutoRemove is enabled for the container",
        )
        .into());
    }
    validate::restart(policy, auto_remove)?;
    Ok(validate::restart_check(policy, &record.config)?)
}

async fn tell(task: &Task, limits: &Resources) -> Result<()> {
    let devices = host::devices::limited(limits)?;
    let resources = oci::resources::changeable(limits, &devices);
    match task.update(resources).await {
        // It ends just now: the limits are those of its next run.
        Err(error) if crate::supervisor::is_over(&error) => Ok(()),
        updated => Ok(updated?),
    }
}

/// What results when `new` changes `old`: zero and nothing keep what is.
fn merge_limits(result: &mut Resources, old: &Resources, new: &Resources) {
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
