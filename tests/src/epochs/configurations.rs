//! The models that are walked, each shaped for a kind of fault.

use clap::ValueEnum;

use crate::epochs::model::EpochModel;
use crate::epochs::rule::Rule;
use crate::epochs::variant::Variant;
use crate::epochs::world::Budget;

/// A model by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Configuration {
    /// All of it, and much of everything.
    Large,
    /// Few writes, with stand-ins, and stores that are lost.
    StandIns,
    /// Two writes, no stand-ins, and stores that are lost.
    Lost,
    /// Few writes, with stand-ins, and stores of which old copies come back.
    Restored,
    /// Records that disks lose without anybody noticing.
    Silent,
}

impl Configuration {
    /// Every configuration.
    pub const ALL: [Configuration; 5] = [
        Configuration::Large,
        Configuration::StandIns,
        Configuration::Lost,
        Configuration::Restored,
        Configuration::Silent,
    ];

    /// The model of the rule, or of a broken one.
    pub fn model(self, variant: Option<Variant>) -> EpochModel {
        let few = Budget { writes: 4, sends: 6, restarts: 1, losses: 3 };
        let model = EpochModel {
            replicas: 3,
            rule: Rule { variant, stand_in: true },
            budget: few,
            epochs: 8,
            messages_max: 4,
            halves: true,
            backups: false,
            silence: false,
            expiry: false,
            contexts: false,
        };
        match self {
            Configuration::Large => EpochModel {
                budget: Budget { writes: 8, sends: 40, restarts: 4, losses: 4 },
                epochs: 12,
                messages_max: 6,
                backups: true,
                expiry: true,
                contexts: true,
                ..model
            },
            Configuration::StandIns => model,
            Configuration::Lost => EpochModel {
                rule: Rule { variant, stand_in: false },
                budget: Budget { writes: 2, restarts: 0, losses: 6, ..few },
                messages_max: 3,
                ..model
            },
            Configuration::Restored => EpochModel { backups: true, ..model },
            Configuration::Silent => {
                EpochModel { budget: Budget { losses: 1, ..few }, silence: true, expiry: true, ..model }
            }
        }
    }
}

/// Models of which every state can be seen: two replicas and two writes, with sends in between, a store that is lost, or a stand-in.
pub fn small(variant: Option<Variant>) -> [EpochModel; 3] {
    let none = Budget { writes: 2, sends: 0, restarts: 0, losses: 0 };
    let model = EpochModel {
        replicas: 2,
        budget: none,
        epochs: 4,
        messages_max: 1,
        halves: false,
        ..Configuration::Lost.model(variant)
    };
    [
        EpochModel { budget: Budget { sends: 1, ..none }, epochs: 6, ..model },
        EpochModel { budget: Budget { losses: 1, ..none }, ..model },
        EpochModel { rule: Rule { variant, stand_in: true }, ..model },
    ]
}
