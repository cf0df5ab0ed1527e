//! Layers and writable snapshots on overlayfs.
