use crate::causality::Stamp;
use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, Epoch, Token};
use crate::mutants::{self, Mutant};
use crate::replica::aged::Age;
use crate::replica::{Epochs, FoundRecord, Merge, Mint};
use crate::time::Now;
use crate::tree::{LeafId, TreeId};
use crate::view::View;

/// What mutations are applied to, beside the store.
pub(super) struct Place<'a> {
    pub(super) view: &'a View,
    pub(super) epochs: &'a Epochs,
    pub(super) now: Now,
}

impl Place<'_> {
    pub(super) fn tree(&self, bucket: BucketId, token: Token) -> TreeId {
        LeafId::of(bucket, token, self.view.layout.partitioning()).tree
    }

    pub(super) fn age(&self, tree: TreeId) -> Age {
        let drift_ms = self.view.limits.clock_drift_ms_max;
        Age { epoch: self.epochs.epoch(tree), now: self.now, drift_ms }
    }

    /// The epoch in which a record that this node makes counts as read: its own, or, where it stands in for an owner, one from which no owner is
    /// further away than one.
    pub(super) fn age_of_mint(&self, mint: &Mint) -> Result<Age, Error> {
        let tree = self.tree(mint.bucket.id, mint.token);
        let age = self.age(tree);
        if mint.stand_in_for.is_none() && self.epochs.is_behind(tree) {
            let message = "this node's store is older than what it had, and is brought up to date first: nothing was written";
            return Err(Error::new(ErrorKind::StaleEpoch, message));
        }
        if mint.stand_in_for.is_none() {
            let is_old = |found: &FoundRecord| found.read.epoch.plus(1) < age.epoch;
            return match mint.found.as_deref() {
                Some(found) if is_old(found) => {
                    let message = "what was found was read long ago: nothing was written";
                    Err(Error::new(ErrorKind::StaleEpoch, message))
                }
                _ => Ok(age),
            };
        }
        let epoch = self.epochs.asked(tree).ok_or_else(|| {
            let message = "this node took another's place and was not told yet how far the owners are: nothing was written";
            Error::new(ErrorKind::StaleEpoch, message)
        })?;
        Ok(Age { epoch, ..age })
    }

    /// Whether what was read in an epoch may be taken (`docs/epochs.md`, rules 3 and 11).
    pub(super) fn check_epoch(&self, merge: &Merge) -> Result<Age, ErrorKind> {
        let tree = self.tree(merge.bucket.id, merge.token);
        let (age, read) = (self.age(tree), merge.read.epoch);
        if merge.stand_in_for.is_some() {
            let takes = self.epochs.asked(tree).is_some_and(|asked| read >= asked);
            return if takes || mutants::on(Mutant::StandInsTakeAnyEpoch) {
                Ok(age)
            } else {
                Err(ErrorKind::StaleEpoch)
            };
        }
        if read == Epoch::NONE {
            // With nothing a damaged record is healed of which nobody has a version.
            let is_empty = merge.record.dots().is_ok_and(|dots| dots.is_empty());
            return if is_empty { Ok(age) } else { Err(ErrorKind::StaleEpoch) };
        }
        if mutants::on(Mutant::ReplicasRefuseStamps) {
            let stamp = merge.record.decode().map_or(Stamp::default(), |record| record.stamp());
            if stamp.millis() > self.now.wall_ms + age.drift_ms {
                return Err(ErrorKind::ClockSkew);
            }
        }
        self.epochs.heard_epoch(tree, read);
        if mutants::on(Mutant::NoFence) || (read.plus(1) >= age.epoch && read <= age.epoch.plus(1)) {
            Ok(age)
        } else if read < age.epoch {
            Err(ErrorKind::StaleEpoch)
        } else {
            // It is this replica that is behind, and it begins anew before it takes anything.
            Err(ErrorKind::Recovering)
        }
    }
}
