//! Conformance suite of the resolver plug-in.
