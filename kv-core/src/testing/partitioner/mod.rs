//! Conformance suite of the partitioner plug-in.
