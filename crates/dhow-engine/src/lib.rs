//! Containers' life: the only place that combines image, snapshot, network, volume and shim.
