//! Composition root: settings, wiring, restore, signals, drain.
