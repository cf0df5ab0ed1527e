//! The flags that `create` and `run` share.

use super::{devices, environment, mount, network, resources};
use crate::flags::{Flag, Kind};

const NETWORK: Flag = Flag::new(
    "network",
    Kind::List,
    "network",
    "Connect a container to a network",
)
.checked(network::check);
const NETWORK_ALIAS: Flag = Flag::list(
    "network-alias",
    "Add network-scoped alias for the container",
);
const DNS_OPTION: Flag = Flag::list("dns-option", "Set DNS options");

/// What a container is made with.
pub const CONTAINER: &[Flag] = &[
    Flag::list("add-host", "Add a custom host-to-IP mapping (host:ip)")
        .checked(resources::check_host),
    Flag::new(
        "annotation",
        Kind::List,
        "map",
        "Add an annotation to the container (passed through to the OCI runtime) (default map[])",
    ),
    Flag::list("attach", "Attach to STDIN, STDOUT or STDERR")
        .short('a')
        .checked(resources::check_attach),
    Flag::new(
        "blkio-weight",
        Kind::Uint(16),
        "uint16",
        "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
    ),
    Flag::list(
        "blkio-weight-device",
        "Block IO weight (relative device weight) (default [])",
    )
    .checked(devices::check_weight),
    Flag::list("cap-add", "Add Linux capabilities"),
    Flag::list("cap-drop", "Drop Linux capabilities"),
    Flag::text("cgroup-parent", "Optional parent cgroup for the container"),
    Flag::text(
        "cgroupns",
        "Cgroup namespace to use (host|private)\n'host':    Run the container in the Docker host's cgroup namespace\n'private': Run the container in its own private cgroup namespace\n'':        Use the cgroup namespace as configured by the\n           default-cgroupns-mode option on the daemon (default)",
    ),
    Flag::text("cidfile", "Write the container ID to the file"),
    Flag::int("cpu-count", "CPU count (Windows only)").hidden(),
    Flag::int("cpu-percent", "CPU percent (Windows only)").hidden(),
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
        "Limit CPU real-time period in microseconds",
    ),
    Flag::int(
        "cpu-rt-runtime",
        "Limit CPU real-time runtime in microseconds",
    ),
    Flag::int("cpu-shares", "CPU shares (relative weight)").short('c'),
    Flag::new("cpus", Kind::Text, "decimal", "Number of CPUs").checked(resources::check_cpus),
    Flag::text("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
    Flag::text("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
    Flag::list("device", "Add a host device to the container"),
    Flag::list(
        "device-cgroup-rule",
        "Add a rule to the cgroup allowed devices list",
    )
    .checked(devices::check_rule),
    Flag::list(
        "device-read-bps",
        "Limit read rate (bytes per second) from a device (default [])",
    )
    .checked(devices::check_bytes_rate),
    Flag::list(
        "device-read-iops",
        "Limit read rate (IO per second) from a device (default [])",
    )
    .checked(devices::check_operations_rate),
    Flag::list(
        "device-write-bps",
        "Limit write rate (bytes per second) to a device (default [])",
    )
    .checked(devices::check_bytes_rate),
    Flag::list(
        "device-write-iops",
        "Limit write rate (IO per second) to a device (default [])",
    )
    .checked(devices::check_operations_rate),
    Flag::list("dns", "Set custom DNS servers").checked(resources::check_ip),
    DNS_OPTION,
    Flag::list("dns-search", "Set custom DNS search domains").checked(resources::check_domain),
    Flag::text("domainname", "Container NIS domain name"),
    Flag::text(
        "entrypoint",
        "Overwrite the default ENTRYPOINT of the image",
    ),
    Flag::list("env", "Set environment variables")
        .short('e')
        .checked(environment::check),
    Flag::list("env-file", "Read in a file of environment variables"),
    Flag::list("expose", "Expose a port or a range of ports"),
    Flag::new(
        "gpus",
        Kind::List,
        "gpu-request",
        "GPU devices to add to the container ('all' to pass all GPUs)",
    )
    .checked(devices::check_gpus),
    Flag::list("group-add", "Add additional groups to join"),
    Flag::text("health-cmd", "Command to run to check health"),
    Flag::new(
        "health-interval",
        Kind::Duration,
        "duration",
        "Time between running the check (ms|s|m|h) (default 0s)",
    ),
    Flag::int(
        "health-retries",
        "Consecutive failures needed to report unhealthy",
    ),
    Flag::new(
        "health-start-interval",
        Kind::Duration,
        "duration",
        "Time between running the check during the start period (ms|s|m|h) (default 0s)",
    ),
    Flag::new(
        "health-start-period",
        Kind::Duration,
        "duration",
        "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)",
    ),
    Flag::new(
        "health-timeout",
        Kind::Duration,
        "duration",
        "Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
    ),
    Flag::text("hostname", "Container host name").short('h'),
    Flag::switch(
        "init",
        "Run an init inside the container that forwards signals and reaps processes",
    ),
    Flag::switch("interactive", "Keep STDIN open even if not attached").short('i'),
    Flag::new(
        "io-maxbandwidth",
        Kind::Text,
        "bytes",
        "Maximum IO bandwidth limit for the system drive (Windows only)",
    )
    .checked(resources::check_bytes)
    .hidden(),
    Flag::new(
        "io-maxiops",
        Kind::Uint(64),
        "uint",
        "Maximum IOps limit for the system drive (Windows only)",
    )
    .hidden(),
    Flag::text("ip", "IPv4 address (e.g., 172.30.100.104)"),
    Flag::text("ip6", "IPv6 address (e.g., 2001:db8::33)"),
    Flag::text("ipc", "IPC mode to use"),
    Flag::text("isolation", "Container isolation technology"),
    Flag::new("kernel-memory", Kind::Text, "bytes", "Kernel memory limit")
        .checked(resources::check_bytes),
    Flag::list("label", "Set meta data on a container")
        .short('l')
        .checked(environment::check_label),
    Flag::list("label-file", "Read in a line delimited file of labels"),
    Flag::list("link", "Add link to another container").checked(resources::check_link),
    Flag::list("link-local-ip", "Container IPv4/IPv6 link-local addresses"),
    Flag::text("log-driver", "Logging driver for the container"),
    Flag::list("log-opt", "Log driver options"),
    Flag::text(
        "mac-address",
        "Container MAC address (e.g., 92:d0:c6:0a:29:33)",
    ),
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
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
    )
    .checked(resources::check_swap),
    Flag::int(
        "memory-swappiness",
        "Tune container memory swappiness (0 to 100) (default -1)",
    )
    .default("-1"),
    Flag::new(
        "mount",
        Kind::List,
        "mount",
        "Attach a filesystem mount to the container",
    )
    .checked(mount::check),
    NETWORK,
    NETWORK_ALIAS,
    Flag::switch(
        "no-healthcheck",
        "Disable any container-specified HEALTHCHECK",
    ),
    Flag::switch("oom-kill-disable", "Disable OOM Killer"),
    Flag::int(
        "oom-score-adj",
        "Tune host's OOM preferences (-1000 to 1000)",
    ),
    Flag::text("pid", "PID namespace to use"),
    Flag::int(
        "pids-limit",
        "Tune container pids limit (set -1 for unlimited)",
    ),
    Flag::switch("privileged", "Give extended privileges to this container"),
    Flag::list("publish", "Publish a container's port(s) to the host").short('p'),
    Flag::switch("publish-all", "Publish all exposed ports to random ports").short('P'),
    Flag::switch(
        "read-only",
        "Mount the container's root filesystem as read only",
    ),
    Flag::text(
        "restart",
        "Restart policy to apply when a container exits (default \"no\")",
    )
    .default("no"),
    Flag::switch(
        "rm",
        "Automatically remove the container and its associated anonymous volumes when it exits",
    ),
    Flag::text("runtime", "Runtime to use for this container"),
    Flag::list("security-opt", "Security Options"),
    Flag::new("shm-size", Kind::Text, "bytes", "Size of /dev/shm").checked(resources::check_bytes),
    Flag::text("stop-signal", "Signal to stop the container"),
    Flag::int("stop-timeout", "Timeout (in seconds) to stop a container"),
    Flag::list("storage-opt", "Storage driver options for the container"),
    Flag::new(
        "sysctl",
        Kind::List,
        "map",
        "Sysctl options (default map[])",
    )
    .checked(resources::check_sysctl),
    Flag::list("tmpfs", "Mount a tmpfs directory"),
    Flag::switch("tty", "Allocate a pseudo-TTY").short('t'),
    Flag::new(
        "ulimit",
        Kind::List,
        "ulimit",
        "Ulimit options (default [])",
    )
    .checked(resources::check_ulimit),
    Flag::switch(
        "use-api-socket",
        "Bind mount Docker API socket and required auth",
    ),
    Flag::text("user", "Username or UID (format: <name|uid>[:<group|gid>])").short('u'),
    Flag::text("userns", "User namespace to use"),
    Flag::text("uts", "UTS namespace to use"),
    Flag::list("volume", "Bind mount a volume").short('v'),
    Flag::text("volume-driver", "Optional volume driver for the container"),
    Flag::list(
        "volumes-from",
        "Mount volumes from the specified container(s)",
    ),
    Flag::text("workdir", "Working directory inside the container").short('w'),
    Flag::alias("net", &NETWORK),
    Flag::alias("net-alias", &NETWORK_ALIAS),
    Flag::alias("dns-opt", &DNS_OPTION),
];
