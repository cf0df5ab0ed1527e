//! HTTP: routes, versions, hijacked streams, wire to engine conversion.
