//! Conformance suite of the storage plug-in.
