//! Checks of a create request that need nothing of the machine.
