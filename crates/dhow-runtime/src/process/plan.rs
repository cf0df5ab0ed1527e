//! What a process is to be, worked out from the specification before anything is cloned.

use std::ffi::CString;
use std::path::PathBuf;

use dhow_sys::exec::SchedulerAttributes;

use super::capabilities::CapabilityPlan;
use crate::error::{Error, Result};
use crate::seccomp::Program;
use crate::spec::{
    IOPriorityClass, LinuxPersonality, LinuxPersonalityDomain, LinuxSchedulerFlag,
    LinuxSchedulerPolicy, PosixRlimit, PosixRlimitType, Process, Scheduler,
};
use crate::user::ResolvedUser;

/// Everything about a process that does not depend on what it finds in the container.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) cwd: PathBuf,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) umask: u32,
    pub(crate) capabilities: CapabilityPlan,
    pub(crate) seccomp: Option<Program>,
    pub(crate) attributes: Attributes,
}

/// The rest: what most processes have nothing special of.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) no_new_privileges: bool,
    pub(crate) limits: Vec<Limit>,
    pub(crate) apparmor: Option<String>,
    pub(crate) selinux: Option<String>,
    pub(crate) io_priority: Option<(u8, u16)>,
    pub(crate) scheduler: Option<SchedulerAttributes>,
    pub(crate) personality: Option<u64>,
}

/// A resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) kind: PosixRlimitType,
    pub(crate) number: u32,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

impl ProcessPlan {
    /// The plan of `process`; `user` is what an unresolved user was found to be, `home` its home directory.
    pub(crate) fn new(process: &Process, user: Option<&ResolvedUser>, home: &str) -> Result<Self> {
        let args = process.args().clone().unwrap_or_default();
        if args.is_empty() {
            return Err(Error::Spec("args must not be empty".into()));
        }
        if !process.cwd().is_absolute() {
            return Err(Error::Spec("Cwd must be an absolute path".into()));
        }
        let mut env = process.env().clone().unwrap_or_default();
        // As runc: an empty HOME is none.
        if !env
            .iter()
            .any(|entry| entry.starts_with("HOME=") && entry != "HOME=")
        {
            env.retain(|entry| entry != "HOME=");
            env.push(format!("HOME={home}"));
        }
        if args.iter().chain(&env).any(|text| text.contains('\0')) {
            return Err(Error::Spec(
                "an argument or variable contains a null byte".into(),
            ));
        }
        let given = process.user();
        let (uid, gid, groups) = match user {
            Some(user) => (user.uid, user.gid, user.additional_gids.clone()),
            None => (
                given.uid(),
                given.gid(),
                given.additional_gids().clone().unwrap_or_default(),
            ),
        };
        let capabilities = process.capabilities().as_ref().map(CapabilityPlan::new);
        Ok(Self {
            args,
            env,
            cwd: process.cwd().clone(),
            uid,
            gid,
            groups,
            umask: given.umask().unwrap_or(0o022),
            capabilities: capabilities.unwrap_or_default(),
            seccomp: None,
            attributes: Attributes::new(process)?,
        })
    }

    /// The arguments for `execve`.
    pub(crate) fn c_args(&self) -> Vec<CString> {
        c_strings(&self.args)
    }

    /// The environment for `execve`.
    pub(crate) fn c_env(&self) -> Vec<CString> {
        c_strings(&self.env)
    }
}

impl Attributes {
    fn new(process: &Process) -> Result<Self> {
        let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let io_priority = process.io_priority().as_ref().map(|priority| {
            let class = match priority.class() {
                IOPriorityClass::IoprioClassRt => 1,
                IOPriorityClass::IoprioClassBe => 2,
                IOPriorityClass::IoprioClassIdle => 3,
            };
            let level = u16::try_from(priority.priority());
            level
                .map(|level| (class, level))
                .map_err(|_| Error::Spec("invalid ioPriority".into()))
        });
        Ok(Self {
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            limits: process.rlimits().iter().flatten().map(limit).collect(),
            apparmor: named(process.apparmor_profile()),
            selinux: named(process.selinux_label()),
            io_priority: io_priority.transpose()?,
            scheduler: process.scheduler().as_ref().map(scheduler).transpose()?,
            personality: None,
        })
    }
}

/// `PER_*` of a container.
pub(crate) fn personality(given: &LinuxPersonality) -> Result<u64> {
    if given
        .flags()
        .as_ref()
        .is_some_and(|flags| !flags.is_empty())
    {
        return Err(Error::Spec("personality flags are not supported".into()));
    }
    Ok(match given.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    })
}

fn limit(given: &PosixRlimit) -> Limit {
    let number = match given.typ() {
        PosixRlimitType::RlimitCpu => 0,
        PosixRlimitType::RlimitFsize => 1,
        PosixRlimitType::RlimitData => 2,
        PosixRlimitType::RlimitStack => 3,
        PosixRlimitType::RlimitCore => 4,
        PosixRlimitType::RlimitRss => 5,
        PosixRlimitType::RlimitNproc => 6,
        PosixRlimitType::RlimitNofile => 7,
        PosixRlimitType::RlimitMemlock => 8,
        PosixRlimitType::RlimitAs => 9,
        PosixRlimitType::RlimitLocks => 10,
        PosixRlimitType::RlimitSigpending => 11,
        PosixRlimitType::RlimitMsgqueue => 12,
        PosixRlimitType::RlimitNice => 13,
        PosixRlimitType::RlimitRtprio => 14,
        PosixRlimitType::RlimitRttime => 15,
    };
    Limit {
        kind: given.typ(),
        number,
        soft: given.soft(),
        hard: given.hard(),
    }
}

fn scheduler(given: &Scheduler) -> Result<SchedulerAttributes> {
    let policy = match given.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => {
            return Err(Error::Spec("SCHED_ISO does not exist".into()));
        }
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    };
    let flags = given.flags().iter().flatten().fold(0, |flags, one| {
        flags
            | match one {
                LinuxSchedulerFlag::SchedResetOnFork => 0x01,
                LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
                LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
                LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
                LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
                LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
                LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
            }
    });
    let priority = u32::try_from(given.priority().unwrap_or(0));
    Ok(SchedulerAttributes {
        policy,
        flags,
        nice: given.nice().unwrap_or(0),
        priority: priority.map_err(|_| Error::Spec("invalid scheduler priority".into()))?,
        runtime: given.runtime().unwrap_or(0),
        deadline: given.deadline().unwrap_or(0),
        period: given.period().unwrap_or(0),
        ..SchedulerAttributes::default()
    })
}

fn c_strings(texts: &[String]) -> Vec<CString> {
    // Null bytes have been refused when the plan was made.
    texts
        .iter()
        .filter_map(|text| CString::new(text.as_bytes()).ok())
        .collect()
}
