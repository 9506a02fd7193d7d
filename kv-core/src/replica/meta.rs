use std::sync::Arc;

use crate::bucket::BucketTable;
use crate::causality::{Clock, Stamp};
use crate::error::{Error, ErrorKind};
use crate::ids::{BucketId, ClusterId, Incarnation, NodeId};
use crate::key::StorageKey;
use crate::layout::Layout;
use crate::replica::copies::count_copies;
use crate::replica::{Ledger, Minter, Partitions};
use crate::replica::{epochs, trees};
use crate::storage::{Batch, Durability, Storage};
use crate::view::{ClusterSecret, Identity};

/// The newest format of a store that this build reads and the one that it writes.
const STORE_FORMAT: u32 = 1;

/// Names of the pieces of metadata in a store.
#[derive(Debug, Clone, Copy)]
pub struct Meta;

impl Meta {
    /// Format number, cluster, secret and node id.
    pub const IDENTITY: &'static str = "identity";
    /// The present life of the store.
    pub const INCARNATION: &'static str = "incarnation";
    /// The ceiling of stamps given out.
    pub const CEILING: &'static str = "ceiling";
    /// The layout.
    pub const LAYOUT: &'static str = "layout";
    /// The bucket table.
    pub const BUCKETS: &'static str = "buckets";

    pub(super) fn put_ceiling(batch: &mut Batch, ceiling: Stamp) {
        batch.put(StorageKey::meta(Self::CEILING).as_bytes(), &[&ceiling.0.to_le_bytes()]);
    }

    /// A bucket table as it is stored under [`Meta::BUCKETS`].
    pub fn encode_table(table: &BucketTable) -> Vec<u8> {
        encode(table)
    }

    fn put_incarnation(batch: &mut Batch, incarnation: Incarnation) {
        batch.put(StorageKey::meta(Self::INCARNATION).as_bytes(), &[&incarnation.0.to_le_bytes()]);
    }
}

/// What a store says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIdentity {
    /// Whose store it is; none for a store that no node used yet.
    pub identity: Option<Identity>,
}

impl StoreIdentity {
    /// Reads the identity that is in `store`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::IncompatibleFormat`] for a newer store, [`ErrorKind::StorageUnusable`] for metadata that is rubbish,
    /// [`ErrorKind::StorageFailed`] if it cannot be read.
    pub fn read(store: &dyn Storage) -> Result<Self, Error> {
        let Some(bytes) = get_meta(store, Meta::IDENTITY)? else {
            return Ok(StoreIdentity { identity: None });
        };
        let (format, rest): (u32, &[u8]) =
            postcard::take_from_bytes(&bytes).map_err(|_| rubbish(Meta::IDENTITY))?;
        if format > STORE_FORMAT {
            return Err(Error::new(
                ErrorKind::IncompatibleFormat,
                format!(
                    "the store has format {format}, this build reads up to {STORE_FORMAT}: run a newer release"
                ),
            ));
        }
        let (cluster, secret, node): (ClusterId, [u8; 16], NodeId) =
            postcard::from_bytes(rest).map_err(|_| rubbish(Meta::IDENTITY))?;
        Ok(StoreIdentity { identity: Some(Identity { cluster, secret: ClusterSecret(secret), node }) })
    }

    /// Makes `store` the store of `identity`, with that layout and bucket table.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongIdentity`] if it is another's already; the commit's error otherwise.
    pub fn write(
        store: &dyn Storage,
        identity: &Identity,
        layout: &Layout,
        table: &BucketTable,
    ) -> Result<(), Error> {
        let before = Self::read(store)?.identity;
        if before.as_ref().is_some_and(|before| before != identity) {
            return Err(Error::new(ErrorKind::WrongIdentity, "the store belongs to another node or cluster"));
        }
        let mut bytes = encode(&STORE_FORMAT);
        bytes.extend(encode(&(identity.cluster, identity.secret.0, identity.node)));
        let mut batch = Batch::new();
        batch.put(StorageKey::meta(Meta::IDENTITY).as_bytes(), &[&bytes]);
        batch.put(StorageKey::meta(Meta::LAYOUT).as_bytes(), &[&encode(layout)]);
        batch.put(StorageKey::meta(Meta::BUCKETS).as_bytes(), &[&encode(table)]);
        store.write(&batch, Durability::Synced).map_err(Error::from)
    }
}

/// The layout in `store`, if it has one.
///
/// # Errors
///
/// As [`StoreIdentity::read`]; [`ErrorKind::InvalidLayout`] if it contradicts itself.
pub fn store_layout(store: &dyn Storage) -> Result<Option<Layout>, Error> {
    let Some(bytes) = get_meta(store, Meta::LAYOUT)? else { return Ok(None) };
    let layout: Layout = postcard::from_bytes(&bytes).map_err(|_| rubbish(Meta::LAYOUT))?;
    layout.check()?;
    Ok(Some(layout))
}

/// The bucket table in `store`, or the one that every cluster begins with.
///
/// # Errors
///
/// As [`StoreIdentity::read`].
pub fn store_table(store: &dyn Storage) -> Result<BucketTable, Error> {
    match get_meta(store, Meta::BUCKETS)? {
        Some(bytes) => postcard::from_bytes(&bytes).map_err(|_| rubbish(Meta::BUCKETS)),
        None => Ok(BucketTable::default()),
    }
}

/// Begins a new life of `store`: stores `incarnation` and a ceiling of stamps, and returns what its writer begins with.
///
/// # Errors
///
/// The error of the read or of the commit; nothing was given out.
pub fn open_store(
    store: &dyn Storage,
    incarnation: Incarnation,
    now: crate::time::Now,
) -> Result<Ledger, Error> {
    let stand_ins = Arc::new(count_copies(store)?);
    let ceiling = match get_meta(store, Meta::CEILING)? {
        Some(bytes) => Stamp(u64::from_le_bytes(bytes.try_into().map_err(|_| rubbish(Meta::CEILING))?)),
        None => Stamp::default(),
    };
    let clock = Clock::above(ceiling);
    let lease = clock.lease_needed(now.wall_ms).unwrap_or(ceiling);
    let mut batch = Batch::new();
    let partitions = Partitions { trees: trees::load(store, &mut batch)?, epochs: epochs::load(store)? };
    Meta::put_incarnation(&mut batch, incarnation);
    Meta::put_ceiling(&mut batch, lease);
    store.write(&batch, Durability::Synced).map_err(Error::from)?;
    clock.lease_stored(lease);
    Ok(Ledger {
        minter: Minter::new(incarnation, Arc::new(clock)),
        stand_ins,
        partitions: Arc::new(partitions),
        space: Arc::default(),
    })
}

/// Marks the new store of a node whose old one was lost: nothing in it is complete until the others were asked.
///
/// # Errors
///
/// The commit's error.
pub fn mark_replacement(store: &dyn Storage, buckets: &[BucketId]) -> Result<(), Error> {
    let mut batch = Batch::new();
    epochs::put_replacement(&mut batch, buckets);
    store.write(&batch, Durability::Synced).map_err(Error::from)
}

impl Minter {
    /// Takes a new life after a failed commit, if one is needed: stores it first.
    ///
    /// # Errors
    ///
    /// The commit's error; the minter then gives out nothing.
    pub fn revive(&mut self, store: &dyn Storage, fresh: Incarnation) -> Result<(), Error> {
        if self.incarnation().is_some() {
            return Ok(());
        }
        let mut batch = Batch::new();
        Meta::put_incarnation(&mut batch, fresh);
        store.write(&batch, Durability::Synced).map_err(Error::from)?;
        self.renew(fresh);
        Ok(())
    }
}

fn encode<V: serde::Serialize>(value: &V) -> Vec<u8> {
    // Layouts, tables and ids hold nothing that postcard refuses.
    match postcard::to_stdvec(value) {
        Ok(bytes) => bytes,
        Err(error) => unreachable!("metadata does not encode: {error}"),
    }
}

fn get_meta(store: &dyn Storage, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let mut bytes = Vec::new();
    Ok(store.get(StorageKey::meta(name).as_bytes(), &mut bytes)?.then_some(bytes))
}

fn rubbish(name: &str) -> Error {
    Error::new(
        ErrorKind::StorageUnusable,
        format!(
            "the store's {name} does not decode: the store is damaged or is not a store of this software"
        ),
    )
}
