//! Conformance suite of the transport plug-in.
