//! The container's program: command, environment, folder, limits.

use dhow_oci::runtime::{
    Box as ConsoleBox, BoxBuilder, PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, User,
};

use super::{INIT_PATH, Inputs};
use crate::ContainerRecord;
use crate::spec::{Invalid, Ulimit, UtsMode};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The first process.
pub(super) fn init(record: &ContainerRecord, inputs: &Inputs) -> Process {
    let mut args: Vec<String> = Vec::new();
    if inputs.init.is_some() {
        args.extend([INIT_PATH.to_owned(), "--".to_owned()]);
    }
    args.push(record.path.clone());
    args.extend(record.args.iter().cloned());

    let host = &inputs.host_name;
    let mut process = Process::default();
    process
        .set_terminal(Some(record.config.tty))
        .set_console_size(console(record.host.console_size))
        .set_user(root())
        .set_args(Some(args))
        .set_env(Some(environment(
            record,
            host,
            record.config.tty,
            &inputs.links,
        )))
        .set_cwd(folder(record).into())
        .set_rlimits(limits(record, &inputs.ulimits))
        .set_oom_score_adj(Some(record.host.oom_score_adj));
    process
}

/// Root with its group among the further ones, as every user has: a group can't be got rid of by changing to another.
#[must_use]
pub fn root() -> User {
    let mut user = User::default();
    user.set_additional_gids(Some(vec![0]));
    user
}

/// The terminal's size, if one was given.
pub fn console((rows, columns): (u16, u16)) -> Option<ConsoleBox> {
    if rows == 0 && columns == 0 {
        return None;
    }
    BoxBuilder::default()
        .height(rows)
        .width(columns)
        .build()
        .ok()
}

/// Where the program starts.
pub fn folder(record: &ContainerRecord) -> String {
    if record.config.working_dir.is_empty() {
        "/".into()
    } else {
        record.config.working_dir.clone()
    }
}

/// The program's environment: Docker's variables, those of links, then the container's, each name once.
pub fn environment(
    record: &ContainerRecord,
    host_name: &str,
    tty: bool,
    links: &[String],
) -> Vec<String> {
    let name = match record.host.uts_mode {
        UtsMode::Host => host_name,
        UtsMode::Private => &record.config.hostname,
    };
    let mut list = vec![PATH.to_owned(), format!("HOSTNAME={name}")];
    if tty {
        list.push("TERM=xterm".to_owned());
    }
    list.extend(links.iter().cloned());
    override_with(&mut list, &record.config.env);
    list
}

/// Adds variables in place of those of the same name; one without `=` takes its name out.
pub fn override_with(list: &mut Vec<String>, variables: &[String]) {
    for variable in variables {
        let name = variable.split('=').next().unwrap_or(variable);
        let existing = list
            .iter()
            .position(|entry| entry.split('=').next().is_some_and(|other| other == name));
        match (existing, variable.contains('=')) {
            (Some(index), true) => list[index].clone_from(variable),
            (Some(index), false) => {
                list.remove(index);
            }
            (None, true) => list.push(variable.clone()),
            (None, false) => {}
        }
    }
}

/// The limits of a container's processes: its own, and the engine's defaults for what it says nothing of.
pub fn limits(record: &ContainerRecord, defaults: &[Ulimit]) -> Option<Vec<PosixRlimit>> {
    let own = &record.host.resources.ulimits;
    let default = defaults
        .iter()
        .filter(|limit| own.iter().all(|other| other.name != limit.name));
    let list: Vec<PosixRlimit> = own
        .iter()
        .chain(default)
        .filter_map(|limit| rlimit(limit).ok())
        .collect();
    (!list.is_empty()).then_some(list)
}

/// A process's limit as the kernel knows it.
///
/// # Errors
/// The name is no limit's.
pub fn rlimit(limit: &Ulimit) -> Result<PosixRlimit, Invalid> {
    let kind: PosixRlimitType = format!("RLIMIT_{}", limit.name.to_ascii_uppercase())
        .parse()
        .map_err(|_| Invalid(format!("invalid ulimit type: {}", limit.name)))?;
    // −1 is the kernel's RLIM_INFINITY.
    let value = |number: i64| u64::try_from(number).unwrap_or(u64::MAX);
    let rlimit = PosixRlimitBuilder::default()
        .typ(kind)
        .soft(value(limit.soft))
        .hard(value(limit.hard));
    rlimit.build().map_err(|error| Invalid(error.to_string()))
}
