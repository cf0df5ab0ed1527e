//! Execs, volumes, credentials.

use super::Go::{self, Any, Bool, Struct};
use super::container::{SIZE, STRING, STRING_MAP, STRINGS};

/// `POST /containers/{id}/exec`.
pub(super) const EXEC: Go = Struct(
    "container.ExecOptions",
    &[&[
        ("User", STRING),
        ("Privileged", Bool),
        ("Tty", Bool),
        ("ConsoleSize", SIZE),
        ("AttachStdin", Bool),
        ("AttachStderr", Bool),
        ("AttachStdout", Bool),
        ("Detach", Bool),
        ("DetachKeys", STRING),
        ("Env", STRINGS),
        ("WorkingDir", STRING),
        ("Cmd", STRINGS),
    ]],
);
/// `POST /exec/{id}/start`.
pub(super) const EXEC_START: Go = Struct(
    "container.ExecStartOptions",
    &[&[("Detach", Bool), ("Tty", Bool), ("ConsoleSize", SIZE)]],
);
/// `POST /volumes/create`.
pub(super) const VOLUME: Go = Struct(
    "volume.CreateOptions",
    &[&[
        ("Name", STRING),
        ("Driver", STRING),
        ("DriverOpts", STRING_MAP),
        ("Labels", STRING_MAP),
        ("ClusterVolumeSpec", Any),
    ]],
);
/// `POST /auth`.
pub(super) const AUTH: Go = Struct(
    "registry.AuthConfig",
    &[&[
        ("username", STRING),
        ("password", STRING),
        ("auth", STRING),
        ("email", STRING),
        ("serveraddress", STRING),
        ("identitytoken", STRING),
        ("registrytoken", STRING),
    ]],
);
