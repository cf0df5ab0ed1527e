//! What a registry knows about an image.

use crate::image::{Descriptor, Platform};

wire! {"PascalCase";
    /// `GET /distribution/{name}/json`.
    pub struct DistributionInspect {
        pub descriptor: Descriptor,
        pub platforms: Option<Vec<Platform>>,
    }
}
