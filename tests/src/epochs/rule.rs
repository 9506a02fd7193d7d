//! The rule that is modelled.

use crate::epochs::variant::Variant;

/// An epoch of the partition.
pub(super) type Epoch = u8;

/// The rule as it is, or with one variant, and how much of what is around it is modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub variant: Option<Variant>,
    /// Whether there is a stand-in.
    pub stand_in: bool,
}

impl Rule {
    /// Whether this part is varied.
    pub fn is(self, variant: Variant) -> bool {
        self.variant == Some(variant) || (variant == Variant::StandInsPromise && self.names_age())
    }

    /// Whether names go from pasts by their own age.
    pub fn names_age(self) -> bool {
        self.variant.is_some_and(Variant::names_age)
    }

    /// Whether a name that is in pasts since `since` goes in `epoch`.
    pub fn name_is_due(self, since: Epoch, epoch: Epoch) -> bool {
        let after = if self.is(Variant::NamesAgeAfterTwo) { 2 } else { 4 };
        since + after <= epoch
    }

    /// Whether since when a name was in pasts is forgotten.
    pub fn name_is_forgotten(self, since: Epoch, epoch: Epoch) -> bool {
        since + 8 <= epoch
    }

    /// Whether what was held since `since` is due in `epoch`.
    pub fn due(self, since: Epoch, epoch: Epoch) -> bool {
        let after = match self.variant {
            Some(Variant::ReapsAfterOne) => 1,
            Some(Variant::ReapsAfterTwo) => 2,
            Some(Variant::ReapsAfterThree) => 3,
            Some(Variant::BornAfterFive) => 5,
            _ => 4,
        };
        since + after <= epoch
    }

    /// Whether `since` of a version in records that were read in epoch `read` and arrive in `epoch` holds for the receiver too: the sender
    /// has been through all of `since + 1`, so every replica has had the version.
    pub fn is_common(self, since: Epoch, read: Epoch, epoch: Epoch) -> bool {
        match self.variant {
            Some(Variant::OwnSince) => false,
            Some(Variant::SendersSince | Variant::BornAfterFive) => true,
            Some(Variant::SinceByReceiver) => since + 2 <= epoch,
            _ => since + 2 <= read,
        }
    }

    /// Whether a replica in `epoch` takes records that were read in epoch `read`.
    pub fn takes(self, read: Epoch, epoch: Epoch) -> bool {
        let oldest =
            if self.is(Variant::WideFence) { epoch.saturating_sub(2) } else { epoch.saturating_sub(1) };
        (read >= oldest || self.is(Variant::NoFence)) && read <= epoch + 1
    }
}
