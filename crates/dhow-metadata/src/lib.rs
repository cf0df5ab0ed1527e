//! The engine's records in SQLite: typed collections and transactions.
