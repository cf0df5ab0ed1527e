//! Containers.

use super::Go::{self, Any, Bool, List, Map, Pair, Struct, Text, Words};
use super::{Fields, network};

pub(in super::super) const STRING: Go = Text("string");
pub(in super::super) const STRINGS: Go = List("[]string", &STRING);
pub(in super::super) const STRING_MAP: Go = Map("map[string]string", &STRING);
pub(in super::super) const INT: Go = Go::Number("int", i64::MIN, i64::MAX.cast_unsigned());
const INT64: Go = Go::Number("int64", i64::MIN, i64::MAX.cast_unsigned());
const UINT16: Go = Go::Number("uint16", 0, 65535);
const UINT64: Go = Go::Number("uint64", 0, u64::MAX);
const DURATION: Go = Go::Number("time.Duration", i64::MIN, i64::MAX.cast_unsigned());
const FILE_MODE: Go = Go::Number("fs.FileMode", 0, 0xffff_ffff);
const EMPTY: Go = Struct("struct {}", &[]);
/// Rows and columns of a terminal; the greatest number is what a terminal can have.
pub(in super::super) const SIZE: Go = Pair(&Go::Number("uint", 0, 65535));

const HEALTHCHECK: Fields = &[
    ("Test", STRINGS),
    ("Interval", DURATION),
    ("Timeout", DURATION),
    ("StartPeriod", DURATION),
    ("StartInterval", DURATION),
    ("Retries", INT),
];

const CONFIG: Fields = &[
    ("Hostname", STRING),
    ("Domainname", STRING),
    ("User", STRING),
    ("AttachStdin", Bool),
    ("AttachStdout", Bool),
    ("AttachStderr", Bool),
    ("ExposedPorts", Map("nat.PortSet", &EMPTY)),
    ("Tty", Bool),
    ("OpenStdin", Bool),
    ("StdinOnce", Bool),
    ("Env", STRINGS),
    ("Cmd", Words),
    (
        "Healthcheck",
        Struct("v1.HealthcheckConfig", &[HEALTHCHECK]),
    ),
    ("ArgsEscaped", Bool),
    ("Image", STRING),
    ("Volumes", Map("map[string]struct {}", &EMPTY)),
    ("WorkingDir", STRING),
    ("Entrypoint", Words),
    ("NetworkDisabled", Bool),
    ("MacAddress", STRING),
    ("OnBuild", STRINGS),
    ("Labels", STRING_MAP),
    ("StopSignal", STRING),
    ("StopTimeout", INT),
    ("Shell", Words),
];

const WEIGHT: Go = Struct(
    "blkiodev.WeightDevice",
    &[&[("Path", STRING), ("Weight", UINT16)]],
);
const THROTTLE: Go = Struct(
    "blkiodev.ThrottleDevice",
    &[&[("Path", STRING), ("Rate", UINT64)]],
);
const THROTTLES: Go = List("[]*blkiodev.ThrottleDevice", &THROTTLE);

const DEVICE: Fields = &[
    ("PathOnHost", STRING),
    ("PathInContainer", STRING),
    ("CgroupPermissions", STRING),
];

const DEVICE_REQUEST: Fields = &[
    ("Driver", STRING),
    ("Count", INT),
    ("DeviceIDs", STRINGS),
    ("Capabilities", List("[][]string", &STRINGS)),
    ("Options", STRING_MAP),
];

const ULIMIT: Fields = &[("Name", STRING), ("Hard", INT64), ("Soft", INT64)];

const RESOURCES: Fields = &[
    ("CpuShares", INT64),
    ("Memory", INT64),
    ("NanoCpus", INT64),
    ("CgroupParent", STRING),
    ("BlkioWeight", UINT16),
    (
        "BlkioWeightDevice",
        List("[]*blkiodev.WeightDevice", &WEIGHT),
    ),
    ("BlkioDeviceReadBps", THROTTLES),
    ("BlkioDeviceWriteBps", THROTTLES),
    ("BlkioDeviceReadIOps", THROTTLES),
    ("BlkioDeviceWriteIOps", THROTTLES),
    ("CpuPeriod", INT64),
    ("CpuQuota", INT64),
    ("CpuRealtimePeriod", INT64),
    ("CpuRealtimeRuntime", INT64),
    ("CpusetCpus", STRING),
    ("CpusetMems", STRING),
    (
        "Devices",
        List(
            "[]container.DeviceMapping",
            &Struct("container.DeviceMapping", &[DEVICE]),
        ),
    ),
    ("DeviceCgroupRules", STRINGS),
    (
        "DeviceRequests",
        List(
            "[]container.DeviceRequest",
            &Struct("container.DeviceRequest", &[DEVICE_REQUEST]),
        ),
    ),
    ("KernelMemory", INT64),
    ("KernelMemoryTCP", INT64),
    ("MemoryReservation", INT64),
    ("MemorySwap", INT64),
    ("MemorySwappiness", INT64),
    ("OomKillDisable", Bool),
    ("PidsLimit", INT64),
    (
        "Ulimits",
        List("[]*units.Ulimit", &Struct("units.Ulimit", &[ULIMIT])),
    ),
    ("CpuCount", INT64),
    ("CpuPercent", INT64),
    ("IOMaximumIOps", UINT64),
    ("IOMaximumBandwidth", UINT64),
];

const RESTART_POLICY: Go = Struct(
    "container.RestartPolicy",
    &[&[
        ("Name", Text("container.RestartPolicyMode")),
        ("MaximumRetryCount", INT),
    ]],
);

const BINDING: Go = Struct(
    "nat.PortBinding",
    &[&[("HostIp", STRING), ("HostPort", STRING)]],
);

const PORT_MAP: Go = Map("nat.PortMap", &List("[]nat.PortBinding", &BINDING));

const BIND_OPTIONS: Fields = &[
    ("Propagation", Text("mount.Propagation")),
    ("NonRecursive", Bool),
    ("CreateMountpoint", Bool),
    ("ReadOnlyNonRecursive", Bool),
    ("ReadOnlyForceRecursive", Bool),
];

const VOLUME_OPTIONS: Fields = &[
    ("NoCopy", Bool),
    ("Labels", STRING_MAP),
    ("Subpath", STRING),
    (
        "DriverConfig",
        Struct(
            "mount.Driver",
            &[&[("Name", STRING), ("Options", STRING_MAP)]],
        ),
    ),
];

const TMPFS_OPTIONS: Fields = &[
    ("SizeBytes", INT64),
    ("Mode", FILE_MODE),
    ("Options", List("[][]string", &STRINGS)),
];

const MOUNT: Fields = &[
    ("Type", Text("mount.Type")),
    ("Source", STRING),
    ("Target", STRING),
    ("ReadOnly", Bool),
    ("Consistency", Text("mount.Consistency")),
    ("BindOptions", Struct("mount.BindOptions", &[BIND_OPTIONS])),
    (
        "VolumeOptions",
        Struct("mount.VolumeOptions", &[VOLUME_OPTIONS]),
    ),
    (
        "ImageOptions",
        Struct("mount.ImageOptions", &[&[("Subpath", STRING)]]),
    ),
    (
        "TmpfsOptions",
        Struct("mount.TmpfsOptions", &[TMPFS_OPTIONS]),
    ),
    ("ClusterOptions", Any),
];

const HOST: Fields = &[
    ("Binds", STRINGS),
    ("ContainerIDFile", STRING),
    (
        "LogConfig",
        Struct(
            "container.LogConfig",
            &[&[("Type", STRING), ("Config", STRING_MAP)]],
        ),
    ),
    ("NetworkMode", Text("container.NetworkMode")),
    ("PortBindings", PORT_MAP),
    ("RestartPolicy", RESTART_POLICY),
    ("AutoRemove", Bool),
    ("VolumeDriver", STRING),
    ("VolumesFrom", STRINGS),
    ("ConsoleSize", SIZE),
    ("Annotations", STRING_MAP),
    ("CapAdd", Words),
    ("CapDrop", Words),
    ("CgroupnsMode", Text("container.CgroupnsMode")),
    ("Dns", STRINGS),
    ("DnsOptions", STRINGS),
    ("DnsSearch", STRINGS),
    ("ExtraHosts", STRINGS),
    ("GroupAdd", STRINGS),
    ("IpcMode", Text("container.IpcMode")),
    ("Cgroup", Text("container.CgroupSpec")),
    ("Links", STRINGS),
    ("OomScoreAdj", INT),
    ("PidMode", Text("container.PidMode")),
    ("Privileged", Bool),
    ("PublishAllPorts", Bool),
    ("ReadonlyRootfs", Bool),
    ("SecurityOpt", STRINGS),
    ("StorageOpt", STRING_MAP),
    ("Tmpfs", STRING_MAP),
    ("UTSMode", Text("container.UTSMode")),
    ("UsernsMode", Text("container.UsernsMode")),
    ("ShmSize", INT64),
    ("Sysctls", STRING_MAP),
    ("Runtime", STRING),
    ("Isolation", Text("container.Isolation")),
    (
        "Mounts",
        List("[]mount.Mount", &Struct("mount.Mount", &[MOUNT])),
    ),
    ("MaskedPaths", STRINGS),
    ("ReadonlyPaths", STRINGS),
    ("Init", Bool),
];

const NETWORKING: Go = Struct(
    "network.NetworkingConfig",
    &[&[(
        "EndpointsConfig",
        Map("map[string]*network.EndpointSettings", &network::ENDPOINT),
    )]],
);

/// `POST /containers/create`.
pub(super) const CREATE: Go = Struct(
    "container.CreateRequest",
    &[
        CONFIG,
        &[
            (
                "HostConfig",
                Struct("container.HostConfig", &[HOST, RESOURCES]),
            ),
            ("NetworkingConfig", NETWORKING),
        ],
    ],
);
/// `POST /commit`.
pub(super) const COMMIT: Go = Struct("container.commitRequest", &[CONFIG]);
/// `POST /containers/{id}/update`.
pub(super) const UPDATE: Go = Struct(
    "container.UpdateConfig",
    &[
        RESOURCES,
        &[("Init", Bool), ("RestartPolicy", RESTART_POLICY)],
        // Dhow's own.
        &[
            ("PublishAdd", PORT_MAP),
            ("PublishRemove", STRINGS),
            ("Env", STRINGS),
        ],
    ],
);
