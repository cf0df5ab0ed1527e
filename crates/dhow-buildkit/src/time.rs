//! Times as messages have them.

use std::time::SystemTime;

use bollard_buildkit_proto::google::protobuf::Timestamp as Stamp;
use jiff::Timestamp;

/// A time as a message has it.
pub(crate) fn stamp(time: Timestamp) -> Stamp {
    Stamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

/// A file's time as a message has it.
pub(crate) fn stamp_of(time: SystemTime) -> Option<Stamp> {
    Timestamp::try_from(time).ok().map(stamp)
}
