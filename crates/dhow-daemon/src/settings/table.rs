//! Every setting of dockerd: its flag, its key in `daemon.json`, and what it means here.

/// What a setting's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `--icc`, `--icc=false`.
    Flag,
    /// A string.
    Text,
    /// An integer.
    Number,
    /// Any number of strings.
    List,
    /// `key=value`, any number of times.
    Pairs,
    /// `name=path`: a runtime.
    Runtime,
    /// `name=soft[:hard]`: a limit.
    Ulimit,
    /// `base=…,size=…`: an address pool.
    Pool,
    /// In the file only, of any form.
    Document,
}

/// What a setting does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It does what it does in dockerd.
    Used,
    /// It does nothing, for this reason.
    Nothing(&'static str),
    /// It would protect something and can't be had, for this reason: the daemon does not start.
    Refused(&'static str),
    /// It is about how the daemon is run, and not a key of the file.
    Command,
}

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// The long flag; empty for keys of the file that have none.
    pub(super) flag: &'static str,
    /// The short flag.
    pub(super) short: Option<char>,
    /// The key in the file.
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    pub(super) meaning: Meaning,
    /// One line for `--help`.
    pub(super) help: &'static str,
}

const fn used(flag: &'static str, key: &'static str, kind: Kind, help: &'static str) -> Setting {
    Setting {
        flag,
        short: None,
        key,
        kind,
        meaning: Meaning::Used,
        help,
    }
}

const fn short(short: char, mut setting: Setting) -> Setting {
    setting.short = Some(short);
    setting
}

const fn command(flag: &'static str, kind: Kind, help: &'static str) -> Setting {
    Setting {
        flag,
        short: None,
        key: "",
        kind,
        meaning: Meaning::Command,
        help,
    }
}

const fn nothing(flag: &'static str, key: &'static str, kind: Kind, why: &'static str) -> Setting {
    Setting {
        flag,
        short: None,
        key,
        kind,
        meaning: Meaning::Nothing(why),
        help: why,
    }
}

/// A setting that would protect something if it were there: to go on without would be to promise too much.
const fn refused(flag: &'static str, key: &'static str, kind: Kind, why: &'static str) -> Setting {
    Setting {
        flag,
        short: None,
        key,
        kind,
        meaning: Meaning::Refused(why),
        help: why,
    }
}

const OWN_RUNTIME: &str = "there is no containerd: runtime and supervisor are built in";
const NFTABLES: &str = "only nftables is used, and only a table of its own";
const NO_IPV6: &str = "networks have no IPv6 yet";
const NO_SWARM: &str = "there is no swarm mode";
const KERNEL_PORTS: &str = "published ports are the kernel's work";
const LATER: &str = "not supported yet";

/// All settings.
pub(super) const SETTINGS: &[Setting] = &[
    command("config-file", Kind::Text, "The daemon's settings file"),
    command(
        "remove-host-state",
        Kind::Flag,
        "Remove this instance's bridges, nftables table and control groups, and exit",
    ),
    command("validate", Kind::Flag, "Check the settings and exit"),
    short(
        'v',
        command("version", Kind::Flag, "Print the version and exit"),
    ),
    command(
        "ready-fd",
        Kind::Number,
        "Write a byte to this descriptor when the API is served",
    ),
    used(
        "add-runtime",
        "runtimes",
        Kind::Runtime,
        "Register an OCI runtime, NAME=PATH",
    ),
    used(
        "bip",
        "bip",
        Kind::Text,
        "Address and prefix length of the default bridge",
    ),
    short(
        'b',
        used(
            "bridge",
            "bridge",
            Kind::Text,
            "Name of the default bridge's device; none for no bridge",
        ),
    ),
    used(
        "cgroup-parent",
        "cgroup-parent",
        Kind::Text,
        "Parent of the containers' cgroups",
    ),
    used(
        "data-root",
        "data-root",
        Kind::Text,
        "Where everything durable is kept",
    ),
    short('D', used("debug", "debug", Kind::Flag, "Log more")),
    used(
        "default-address-pool",
        "default-address-pools",
        Kind::Pool,
        "Addresses for networks, base=CIDR,size=BITS",
    ),
    used(
        "default-cgroupns-mode",
        "default-cgroupns-mode",
        Kind::Text,
        "Containers' cgroup namespace: host or private",
    ),
    used(
        "default-ipc-mode",
        "default-ipc-mode",
        Kind::Text,
        "Containers' IPC namespace: private or shareable",
    ),
    used(
        "default-runtime",
        "default-runtime",
        Kind::Text,
        "The OCI runtime of containers that name none",
    ),
    used(
        "default-shm-size",
        "default-shm-size",
        Kind::Text,
        "Size of containers' /dev/shm",
    ),
    used(
        "default-ulimit",
        "default-ulimits",
        Kind::Ulimit,
        "Containers' limits, NAME=SOFT[:HARD]",
    ),
    used(
        "cdi-spec-dir",
        "cdi-spec-dirs",
        Kind::List,
        "Where vendors' specifications of devices (CDI) are",
    ),
    used("dns", "dns", Kind::List, "Containers' name servers"),
    used(
        "dns-opt",
        "dns-opts",
        Kind::List,
        "Options of containers' resolv.conf",
    ),
    used(
        "dns-search",
        "dns-search",
        Kind::List,
        "Containers' search domains",
    ),
    used(
        "exec-root",
        "exec-root",
        Kind::Text,
        "Where what lasts until the next boot is kept",
    ),
    used(
        "experimental",
        "experimental",
        Kind::Flag,
        "Enable experimental features",
    ),
    used(
        "fixed-cidr",
        "fixed-cidr",
        Kind::Text,
        "The part of the default bridge's subnet containers get addresses from",
    ),
    short(
        'G',
        used(
            "group",
            "group",
            Kind::Text,
            "The group of the unix sockets",
        ),
    ),
    short(
        'H',
        used(
            "host",
            "hosts",
            Kind::List,
            "Where to serve the API: unix://, tcp://, fd://",
        ),
    ),
    used(
        "host-gateway-ip",
        "host-gateway-ips",
        Kind::List,
        "What host-gateway stands for in --add-host",
    ),
    used(
        "icc",
        "icc",
        Kind::Flag,
        "Containers on the default bridge may talk to each other",
    ),
    used("init", "init", Kind::Flag, "Run an init in every container"),
    used(
        "insecure-registry",
        "insecure-registries",
        Kind::List,
        "Registries without (valid) TLS",
    ),
    used(
        "ip",
        "ip",
        Kind::Text,
        "The host's address ports are published at",
    ),
    used(
        "ip-forward",
        "ip-forward",
        Kind::Flag,
        "Turn IP forwarding on",
    ),
    used(
        "ip-masq",
        "ip-masq",
        Kind::Flag,
        "Hide containers behind the host's address",
    ),
    used(
        "json-file-unbounded",
        "json-file-unbounded",
        Kind::Flag,
        "Logs of json-file without a max-size grow forever, as Docker's do",
    ),
    used("label", "labels", Kind::List, "Labels of the engine"),
    used(
        "live-restore",
        "live-restore",
        Kind::Flag,
        "Containers live on without the daemon; always so here",
    ),
    used(
        "log-driver",
        "log-driver",
        Kind::Text,
        "Containers' log driver",
    ),
    used(
        "log-format",
        "log-format",
        Kind::Text,
        "The daemon's own log: text or json",
    ),
    short(
        'l',
        used(
            "log-level",
            "log-level",
            Kind::Text,
            "The daemon's own log: debug, info, warn, error, fatal",
        ),
    ),
    used(
        "log-opt",
        "log-opts",
        Kind::Pairs,
        "Options of containers' log driver",
    ),
    used(
        "max-download-attempts",
        "max-download-attempts",
        Kind::Number,
        "How often a download is tried",
    ),
    used("mtu", "mtu", Kind::Number, "The default bridge's MTU"),
    used(
        "no-new-privileges",
        "no-new-privileges",
        Kind::Flag,
        "Containers' programs can't gain privileges",
    ),
    short(
        'p',
        used(
            "pidfile",
            "pidfile",
            Kind::Text,
            "Where to write the daemon's pid",
        ),
    ),
    used(
        "raw-logs",
        "raw-logs",
        Kind::Flag,
        "The daemon's own log without colours",
    ),
    used(
        "registry-mirror",
        "registry-mirrors",
        Kind::List,
        "Mirrors of Docker Hub",
    ),
    used(
        "seccomp-profile",
        "seccomp-profile",
        Kind::Text,
        "Containers' seccomp profile: a file, builtin or unconfined",
    ),
    used(
        "shutdown-timeout",
        "shutdown-timeout",
        Kind::Number,
        "Seconds requests get when the daemon ends",
    ),
    used(
        "tls",
        "tls",
        Kind::Flag,
        "TLS on TCP; --tls=false serves the API in the clear",
    ),
    used(
        "tlscacert",
        "tlscacert",
        Kind::Text,
        "Who signs clients' certificates",
    ),
    used("tlscert", "tlscert", Kind::Text, "The daemon's certificate"),
    used("tlskey", "tlskey", Kind::Text, "The daemon's key"),
    used(
        "tlsverify",
        "tlsverify",
        Kind::Flag,
        "TLS on TCP, for clients with a certificate only",
    ),
    nothing(
        "allow-nondistributable-artifacts",
        "allow-nondistributable-artifacts",
        Kind::List,
        "every layer is distributable",
    ),
    refused(
        "authorization-plugin",
        "authorization-plugins",
        Kind::List,
        "not implemented: the API would not be restricted",
    ),
    nothing("bip6", "bip6", Kind::Text, NO_IPV6),
    nothing("containerd", "containerd", Kind::Text, OWN_RUNTIME),
    nothing(
        "containerd-namespace",
        "containerd-namespace",
        Kind::Text,
        OWN_RUNTIME,
    ),
    nothing(
        "containerd-plugins-namespace",
        "containerd-plugin-namespace",
        Kind::Text,
        OWN_RUNTIME,
    ),
    nothing("cpu-rt-period", "cpu-rt-period", Kind::Number, LATER),
    nothing("cpu-rt-runtime", "cpu-rt-runtime", Kind::Number, LATER),
    nothing("cri-containerd", "cri-containerd", Kind::Flag, OWN_RUNTIME),
    nothing("default-gateway", "default-gateway", Kind::Text, LATER),
    nothing(
        "default-gateway-v6",
        "default-gateway-v6",
        Kind::Text,
        NO_IPV6,
    ),
    nothing(
        "default-network-opt",
        "default-network-opts",
        Kind::Pairs,
        LATER,
    ),
    nothing(
        "exec-opt",
        "exec-opts",
        Kind::List,
        "cgroups are driven directly",
    ),
    used(
        "feature",
        "features",
        Kind::Pairs,
        "Turn a feature off or on: buildkit (whether clients build with BuildKit's protocol)",
    ),
    nothing("firewall-backend", "firewall-backend", Kind::Text, NFTABLES),
    nothing("fixed-cidr-v6", "fixed-cidr-v6", Kind::Text, NO_IPV6),
    used(
        "http-proxy",
        "http-proxy",
        Kind::Text,
        "HTTP proxy URL to use for outgoing traffic",
    ),
    used(
        "https-proxy",
        "https-proxy",
        Kind::Text,
        "HTTPS proxy URL to use for outgoing traffic",
    ),
    used(
        "no-proxy",
        "no-proxy",
        Kind::Text,
        "Comma-separated list of hosts or IP addresses for which the proxy is skipped",
    ),
    nothing("init-path", "init-path", Kind::Text, "the init is built in"),
    nothing(
        "ip-forward-no-drop",
        "ip-forward-no-drop",
        Kind::Flag,
        "the host's FORWARD policy is never changed",
    ),
    nothing("ip6tables", "ip6tables", Kind::Flag, NFTABLES),
    nothing("iptables", "iptables", Kind::Flag, NFTABLES),
    nothing("ipv6", "ipv6", Kind::Flag, NO_IPV6),
    nothing(
        "max-concurrent-downloads",
        "max-concurrent-downloads",
        Kind::Number,
        "downloads are paced by the disk",
    ),
    nothing(
        "max-concurrent-uploads",
        "max-concurrent-uploads",
        Kind::Number,
        "uploads are paced by the network",
    ),
    nothing("metrics-addr", "metrics-addr", Kind::Text, LATER),
    nothing(
        "network-control-plane-mtu",
        "network-control-plane-mtu",
        Kind::Number,
        NO_SWARM,
    ),
    nothing(
        "node-generic-resource",
        "node-generic-resources",
        Kind::List,
        NO_SWARM,
    ),
    nothing("rootless", "rootless", Kind::Flag, LATER),
    refused(
        "selinux-enabled",
        "selinux-enabled",
        Kind::Flag,
        "not implemented: containers would have no labels",
    ),
    short(
        's',
        nothing(
            "storage-driver",
            "storage-driver",
            Kind::Text,
            "overlayfs is the storage driver",
        ),
    ),
    nothing(
        "storage-opt",
        "storage-opts",
        Kind::List,
        "overlayfs has no options",
    ),
    nothing(
        "swarm-default-advertise-addr",
        "swarm-default-advertise-addr",
        Kind::Text,
        NO_SWARM,
    ),
    nothing("userland-proxy", "userland-proxy", Kind::Flag, KERNEL_PORTS),
    nothing(
        "userland-proxy-path",
        "userland-proxy-path",
        Kind::Text,
        KERNEL_PORTS,
    ),
    refused(
        "userns-remap",
        "userns-remap",
        Kind::Text,
        "not implemented: containers' root would be the host's",
    ),
    used("", "builder", Kind::Document, ""),
    used("", "proxies", Kind::Document, ""),
    nothing(
        "",
        "min-api-version",
        Kind::Text,
        "API 1.24 and later are served",
    ),
    nothing("", "nri-opts", Kind::Document, LATER),
    nothing(
        "",
        "deprecated-key-path",
        Kind::Text,
        "there is no such key",
    ),
    // The name this key had until Docker 27.
    used("", "host-gateway-ip", Kind::Text, ""),
];

/// The setting with this key.
pub(super) fn by_key(key: &str) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .find(|setting| !key.is_empty() && setting.key == key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_flag_and_key_is_there_once() {
        let flags: Vec<_> = SETTINGS
            .iter()
            .map(|setting| setting.flag)
            .filter(|flag| !flag.is_empty())
            .collect();
        assert_eq!(flags.iter().collect::<BTreeSet<_>>().len(), flags.len());
        let keys: Vec<_> = SETTINGS
            .iter()
            .map(|setting| setting.key)
            .filter(|key| !key.is_empty())
            .collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
    }
}
