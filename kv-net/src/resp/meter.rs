use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::metrics::RespFigures;
use crate::resp::session::Door;
use crate::resp::table::{COMMANDS, Support};

/// Tells what a front door does, also after it closed.
#[derive(Debug, Clone)]
pub struct RespMeter(pub(super) Arc<Door>);

impl RespMeter {
    /// What it did so far.
    pub fn figures(&self) -> RespFigures {
        let counts = &self.0.counts;
        let mut commands = Vec::with_capacity(COMMANDS.len());
        let (mut refused, mut unknown) = (0, 0);
        for (place, count) in counts.commands().enumerate() {
            match COMMANDS.get(place) {
                Some(command) if matches!(command.support, Support::Refused(_)) => refused += count,
                Some(command) => commands.push((command.name.to_ascii_lowercase(), count)),
                None => unknown += count,
            }
        }
        commands.extend([("refused".into(), refused), ("unknown".into(), unknown)]);
        RespFigures {
            connections_open: self.0.clients.read().len() as u64,
            connections: counts.connections.load(Ordering::Relaxed),
            commands,
            protocol_errors: counts.protocol_errors.load(Ordering::Relaxed),
        }
    }
}
