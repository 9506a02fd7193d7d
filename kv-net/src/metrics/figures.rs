use crate::node::NodeFigures;

/// What metrics are made of.
#[derive(Debug, Clone, Copy)]
pub struct Figures<'a> {
    /// What the node did and how it is.
    pub node: &'a NodeFigures,
    /// The same of its front door for clients of Redis, if it has one.
    pub resp: Option<&'a RespFigures>,
}

/// What a front door for clients of Redis did since it opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RespFigures {
    /// Connections that are open.
    pub connections_open: u64,
    /// Connections in all.
    pub connections: u64,
    /// Commands by name, in small letters.
    pub commands: Vec<(String, u64)>,
    /// Connections that were closed because what came over them was not the protocol.
    pub protocol_errors: u64,
}
