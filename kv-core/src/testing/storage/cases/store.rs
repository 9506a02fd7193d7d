use std::ops::Deref;
use std::sync::Arc;

use super::super::{StorageFactory, StoragePlace};
use crate::storage::{Batch, CommitError, Durability, Storage};

/// An open store and its place, with the calls that the cases make most, unwrapped.
#[derive(Debug)]
pub(super) struct Store {
    // Before the place, so that the store is closed when the place is removed.
    storage: Arc<dyn Storage>,
    place: Box<dyn StoragePlace>,
}

impl Store {
    /// A fresh store.
    pub(super) fn fresh(factory: &dyn StorageFactory) -> Self {
        Store::open(factory.place())
    }

    /// The store of `place`.
    pub(super) fn open(place: Box<dyn StoragePlace>) -> Self {
        let storage = place.open().expect("the store opens");
        Store { storage, place }
    }

    /// Closes the store and opens it again.
    pub(super) fn reopen(self) -> Self {
        let Store { storage, place } = self;
        drop(storage);
        Store::open(place)
    }

    /// Where the store lies.
    pub(super) fn place(&self) -> &dyn StoragePlace {
        &*self.place
    }

    /// The value of `key`, read into a buffer of its own.
    pub(super) fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        self.storage.get(key, &mut value).expect("get").then_some(value)
    }

    /// Writes the batch that `fill` makes.
    pub(super) fn try_write(&self, fill: impl FnOnce(&mut Batch)) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        fill(&mut batch);
        self.storage.write(&batch, Durability::Buffered)
    }

    /// Writes the batch that `fill` makes, which has to succeed.
    pub(super) fn write(&self, fill: impl FnOnce(&mut Batch)) {
        self.try_write(fill).expect("write");
    }

    /// Puts one key.
    pub(super) fn put(&self, key: &[u8], value: &[u8]) {
        self.write(|batch| batch.put(key, &[value]));
    }
}

impl Deref for Store {
    type Target = dyn Storage;

    fn deref(&self) -> &Self::Target {
        &*self.storage
    }
}
