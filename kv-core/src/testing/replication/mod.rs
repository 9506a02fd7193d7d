//! Conformance suite of the replication plug-in.
