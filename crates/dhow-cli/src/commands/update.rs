//! `update`: changes the limits of containers.

use dhow_terminal::units::parse_bytes;
use serde_json::{Value, json};

use super::runner;
use crate::command::{Arguments, Command, Completes};
use crate::error::{Error, Result};
use crate::session::{Session, all_or};
use dhow_client::Request;
use dhow_client::request::escape;
use dhow_options::flags::{Flag, Kind, Parsed};
use dhow_options::{environment, ports, resources};

pub(crate) const COMMAND: Command = Command {
    also: "container update, update",
    arguments: Arguments::AtLeast(1),
    completes: Completes::Containers(&[]),
    flags: &[&[
        Flag::new(
            "blkio-weight",
            Kind::Uint(16),
            "uint16",
            "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
        ),
        Flag::int(
            "cpu-period",
            "Limit CPU CFS (Completely Fair Scheduler) period",
        ),
        Flag::int(
            "cpu-quota",
            "Limit CPU CFS (Completely Fair Scheduler) quota",
        ),
        Flag::int(
            "cpu-rt-period",
            "Limit the CPU real-time period in microseconds",
        ),
        Flag::int(
            "cpu-rt-runtime",
            "Limit the CPU real-time runtime in microseconds",
        ),
        Flag::int("cpu-shares", "CPU shares (relative weight)").short('c'),
        Flag::new("cpus", Kind::Text, "decimal", "Number of CPUs").checked(resources::check_cpus),
        Flag::text("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
        Flag::text("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
        Flag::new("memory", Kind::Text, "bytes", "Memory limit")
            .short('m')
            .checked(resources::check_bytes),
        Flag::new(
            "memory-reservation",
            Kind::Text,
            "bytes",
            "Memory soft limit",
        )
        .checked(resources::check_bytes),
        Flag::new(
            "memory-swap",
            Kind::Text,
            "bytes",
            "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
        )
        .checked(resources::check_swap),
        Flag::int(
            "pids-limit",
            "Tune container pids limit (set -1 for unlimited)",
        ),
        Flag::text("restart", "Restart policy to apply when a container exits"),
        Flag::list(
            "env",
            "Set environment variables with the next start, or remove them when without a value",
        )
        .short('e')
        .checked(environment::check),
        Flag::list("publish-add", "Publish a container's port(s) to the host"),
        Flag::list(
            "publish-rm",
            "Publish a container's port no more ([[IP:]HOST-PORT:]PORT[/PROTOCOL])",
        ),
    ]],
    ..Command::new(
        "update",
        "Update configuration of one or more containers",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        runner!(run),
    )
};

async fn run(session: &Session, flags: &Parsed) -> Result<()> {
    let client = session.client()?;
    if flags.nothing_changed() {
        return Err(Error::text(
            "you must provide one or more flags when using this command",
        ));
    }
    let request = request(flags)?;
    let (mut failures, mut warnings) = (Vec::new(), Vec::new());
    for name in &flags.arguments {
        let path = format!("/containers/{}/update", escape(name));
        match client
            .json::<Value>(Request::post(path).json(&request)?)
            .await
        {
            Ok(answer) => {
                session.println(name)?;
                let given = answer["Warnings"].as_array().cloned().unwrap_or_default();
                warnings.extend(given.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            Err(error) if error.is_no_daemon() => return Err(error.into()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    if !warnings.is_empty() {
        session.warn(&warnings.join("\n"));
    }
    all_or(failures)
}

fn request(flags: &Parsed) -> Result<Value> {
    let bytes = |name: &str| parse_bytes(flags.text(name)).unwrap_or(0);
    let restart = match flags.text("restart") {
        "" => json!({"Name": "", "MaximumRetryCount": 0}),
        policy => json!(resources::restart(policy).map_err(Error::text)?),
    };
    let pids = flags.changed("pids-limit").then(|| flags.int("pids-limit"));
    let mut request = json!({
        "CpuShares": flags.int("cpu-shares"),
        "Memory": bytes("memory"),
        "NanoCpus": resources::cpus(flags.text("cpus")).map_err(Error::text)?,
        "BlkioWeight": flags.int("blkio-weight"),
        "CpuPeriod": flags.int("cpu-period"),
        "CpuQuota": flags.int("cpu-quota"),
        "CpuRealtimePeriod": flags.int("cpu-rt-period"),
        "CpuRealtimeRuntime": flags.int("cpu-rt-runtime"),
        "CpusetCpus": flags.text("cpuset-cpus"),
        "CpusetMems": flags.text("cpuset-mems"),
        "MemoryReservation": bytes("memory-reservation"),
        "MemorySwap": resources::swap(flags.text("memory-swap")),
        "PidsLimit": pids,
        "RestartPolicy": restart,
    });
    own(flags, &mut request)?;
    Ok(request)
}

/// Fields that other engines don't have; they are sent only where they are meant.
fn own(flags: &Parsed, request: &mut Value) -> Result<()> {
    let (_, add) = ports::publish(&flags.list("publish-add")).map_err(Error::text)?;
    if !add.is_empty() {
        request["PublishAdd"] = json!(add);
    }
    let remove = flags.list("publish-rm");
    if !remove.is_empty() {
        request["PublishRemove"] = json!(remove);
    }
    let env = environment::environment(&[], &flags.list("env")).map_err(Error::text)?;
    if !env.is_empty() {
        request["Env"] = json!(env);
    }
    Ok(())
}
