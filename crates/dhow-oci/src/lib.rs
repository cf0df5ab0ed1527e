//! OCI and Docker image types: digests, references, platforms, descriptors, manifests, configs.
