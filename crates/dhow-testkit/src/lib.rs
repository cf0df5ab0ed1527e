//! Fixtures for the tests: real images, registries, engines and command lines.
