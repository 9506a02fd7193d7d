/// What kind of run a [`crate::testing::simulation::Simulation`] makes. What it leaves open is drawn from the seed.
#[derive(Debug, Clone)]
pub struct SimulationConfig {
    /// Nodes, or none to draw 3 to 7.
    pub nodes: Option<usize>,
    /// Clients that are busy at a time, or none to draw 12 to 24.
    pub clients: Option<usize>,
    /// Keys, or none to draw 4 to 6. Few, so that clients meet.
    pub keys: Option<usize>,
    /// Client operations.
    pub operations: usize,
    /// What goes wrong.
    pub faults: Faults,
    /// Whether each seed draws a subset of the faults and how often they come (swarm testing, Groce et al. 2012).
    pub swarm: bool,
    /// Whether [`crate::testing::simulation::Report::trace`] is filled.
    pub trace: bool,
}

impl Default for SimulationConfig {
    fn default() -> Self {
        SimulationConfig {
            nodes: None,
            clients: None,
            keys: None,
            operations: 1_000,
            faults: Faults::all(),
            swarm: true,
            trace: false,
        }
    }
}

/// What goes wrong in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Some messages, and at times all of one link, take far longer than others.
    pub delay: bool,
    /// Messages are lost.
    pub loss: bool,
    /// Messages arrive twice.
    pub duplication: bool,
    /// Messages overtake each other.
    pub reordering: bool,
    /// Links are cut: between two groups, around one node, between two nodes, in one direction, from clients.
    pub partitions: bool,
    /// Nodes crash between any two steps and are started again.
    pub crashes: bool,
    /// Nodes stop for a while and go on.
    pub pauses: bool,
    /// Wall clocks jump by up to ten years and drift.
    pub clocks: bool,
    /// Storages fail to read, fail to write with nothing written, and fail to write with nobody knowing.
    pub storage_errors: bool,
    /// Bits of stored records flip, on at most W-1 replicas of a partition at a time.
    pub bit_flips: bool,
    /// Stores are lost whole, on at most W-1 replicas of a partition at a time, and never the only one that has an acknowledged write.
    pub lost_stores: bool,
    /// Stores are put back as they once were, within the same bounds.
    pub restored_stores: bool,
    /// Disks are full for a while: nothing is written.
    pub full_disks: bool,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Faults {
            delay: false,
            loss: false,
            duplication: false,
            reordering: false,
            partitions: false,
            crashes: false,
            pauses: false,
            clocks: false,
            storage_errors: false,
            bit_flips: false,
            lost_stores: false,
            restored_stores: false,
            full_disks: false,
        }
    }

    /// Everything goes wrong.
    pub fn all() -> Self {
        Faults {
            delay: true,
            loss: true,
            duplication: true,
            reordering: true,
            partitions: true,
            crashes: true,
            pauses: true,
            clocks: true,
            storage_errors: true,
            bit_flips: true,
            lost_stores: true,
            restored_stores: true,
            full_disks: true,
        }
    }
}
