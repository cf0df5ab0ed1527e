//! The flags of `build`: buildx's, and those of the classic builder that mean something here.

use dhow_golang::parse_bool;
use dhow_options::flags::{Flag, Kind, Parsed};
use dhow_options::resources;

use crate::error::{Error, Result};

/// Those of buildx.
pub(super) const TABLE: &[Flag] = &[
    Flag::list("add-host", "Add a custom host-to-IP mapping (\"host:ip\")"),
    Flag::list(
        "allow",
        "Allow extra privileged entitlement (e.g., \"network.host\", \"security.insecure\")",
    ),
    Flag::list("annotation", "Add annotation to the image"),
    Flag::list(
        "attest",
        "Attestation parameters (format: \"type=sbom,generator=image\")",
    ),
    Flag::list("build-arg", "Set build-time variables"),
    Flag::list(
        "build-context",
        "Additional build contexts (e.g., name=path)",
    ),
    Flag::new(
        "cache-from",
        Kind::List,
        "strings",
        "External cache sources (e.g., \"user/app:cache\", \"type=registry,ref=user/app:cache\")",
    ),
    Flag::list(
        "cache-to",
        "Cache export destinations (e.g., \"user/app:cache\", \"type=inline\")",
    ),
    Flag::text(
        "call",
        "Set method for evaluating build (\"check\", \"outline\", \"targets\") (default \"build\")",
    )
    .default("build"),
    Flag::text(
        "cgroup-parent",
        "Set the parent cgroup for the \"RUN\" instructions during build",
    ),
    Flag::switch("check", "Shorthand for \"--call=check\""),
    Flag::switch("debug", "Show warnings with all their details").short('D'),
    Flag::text("file", "Name of the Dockerfile (Default is \"PATH/Dockerfile\")").short('f'),
    Flag::text("iidfile", "Write the image ID to a file"),
    Flag::list("label", "Set metadata for an image"),
    Flag::switch("load", "Shorthand for \"--output=type=docker\""),
    Flag::text("metadata-file", "Write build result metadata to a file"),
    Flag::text(
        "network",
        "Set the networking mode for the \"RUN\" instructions during build (default \"default\")",
    ),
    Flag::switch("no-cache", "Do not use cache when building the image"),
    Flag::list("no-cache-filter", "Do not cache specified stages"),
    Flag::list(
        "output",
        "Output destination (format: \"type=local,dest=path\")",
    )
    .short('o'),
    Flag::new(
        "platform",
        Kind::List,
        "string",
        "Set target platform for build",
    ),
    Flag::text(
        "progress",
        "Set type of progress output (\"auto\", \"none\", \"plain\", \"quiet\", \"rawjson\", \"tty\"). Use plain to show container output (default \"auto\")",
    )
    .default("auto"),
    Flag::text("provenance", "Shorthand for \"--attest=type=provenance\""),
    Flag::switch("pull", "Always attempt to pull all referenced images"),
    Flag::switch("push", "Shorthand for \"--output=type=registry\""),
    Flag::switch("quiet", "Suppress the build output and print image ID on success").short('q'),
    Flag::text("sbom", "Shorthand for \"--attest=type=sbom\""),
    Flag::list(
        "secret",
        "Secret to expose to the build (format: \"id=mysecret[,src=/local/secret]\")",
    ),
    Flag::new(
        "shm-size",
        Kind::Text,
        "bytes",
        "Shared memory size for build containers",
    )
    .checked(resources::check_bytes),
    Flag::list(
        "ssh",
        "SSH agent socket to expose to the build (format: \"default|<id>[=<socket>]\")",
    ),
    Flag::list("tag", "Name and optionally a tag (format: \"name:tag\")").short('t'),
    Flag::text("target", "Set the target build stage to build"),
    Flag::new(
        "ulimit",
        Kind::List,
        "ulimit",
        "Ulimit options (default [])",
    )
    .checked(resources::check_ulimit),
];

/// Says why a flag of the classic builder is refused.
const fn refused(name: &'static str, kind: Kind, value: &'static str) -> Flag {
    Flag::new(name, kind, value, "Of the classic builder only")
        .hidden()
        .checked(|_| Err("not implemented for builds with BuildKit's protocol".to_owned()))
}

/// Those that only the classic builder has.
pub(super) const CLASSIC: &[Flag] = &[
    Flag::text("builder", "Override the configured builder instance").hidden(),
    Flag::switch("compress", "Compress the build context using gzip").hidden(),
    refused("cpu-period", Kind::Int(64), "int"),
    refused("cpu-quota", Kind::Int(64), "int"),
    refused("cpu-shares", Kind::Int(64), "int").short('c'),
    refused("cpuset-cpus", Kind::Text, "string"),
    refused("cpuset-mems", Kind::Text, "string"),
    crate::commands::content_trust("Skip image verification (default true)").hidden(),
    Flag::switch("force-rm", "Always remove intermediate containers").hidden(),
    refused("isolation", Kind::Text, "string"),
    refused("memory", Kind::Text, "bytes").short('m'),
    refused("memory-swap", Kind::Text, "bytes"),
    Flag::switch(
        "rm",
        "Remove intermediate containers after a successful build",
    )
    .default("true")
    .hidden()
    .checked(|value| match parse_bool(value) {
        Ok(false) => Err("there are no intermediate containers to be kept".to_owned()),
        _ => Ok(()),
    }),
    refused("security-opt", Kind::Text, "strings"),
    Flag::switch(
        "squash",
        "Squash newly built layers into a single new layer",
    )
    .hidden()
    .checked(|value| match parse_bool(value) {
        Ok(true) => Err("not implemented: use a stage that copies from another".to_owned()),
        _ => Ok(()),
    }),
];

/// Checks what contradicts itself or what there is not.
pub(super) fn check(flags: &Parsed) -> Result<()> {
    crate::commands::check_content_trust(flags)?;
    if flags.switch("quiet") && flags.changed("progress") && flags.text("progress") != "quiet" {
        let mode = flags.text("progress");
        let text = format!("ERROR: progress={mode} and quiet cannot be used together");
        return Err(Error::text(text));
    }
    if flags.switch("check") && flags.changed("call") && flags.text("call") != "check" {
        return Err(Error::text(
            "ERROR: --check and --call cannot be used together",
        ));
    }
    if flags.switch("no-cache") && flags.changed("no-cache-filter") {
        return Err(super::failed(
            "--no-cache and --no-cache-filter cannot currently be used together",
        ));
    }
    for flag in ["iidfile", "metadata-file"] {
        super::answer::check_place(flags.text(flag)).map_err(super::failed)?;
    }
    match flags.text("builder") {
        "" | "default" => Ok(()),
        name => Err(Error::text(format!(
            "ERROR: no builder {name:?} found: the engine's own is the only one"
        ))),
    }
}

/// The fields `key=value` of one value; the key of a field alone is empty.
pub(super) fn fields(value: &str) -> Result<Vec<(String, String)>, String> {
    let fields = dhow_options::csv(value)?;
    let pair = |field: &String| match field.split_once('=') {
        Some((key, value)) => (key.trim().to_lowercase(), value.to_owned()),
        None => (String::new(), field.trim().to_owned()),
    };
    Ok(fields.iter().map(pair).collect())
}
