use std::collections::BTreeMap;
use std::path::Path;

use kv_core::storage::{Batch, Change, Page, ScanRange};

use crate::batches::batch;
use crate::engine::Engine;

/// What a store has to hold after a number of batches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    engine: Engine,
    map: BTreeMap<Vec<u8>, Vec<u8>>,
    batches: usize,
}

impl Model {
    /// An empty store of that engine.
    pub(crate) fn of(engine: Engine) -> Self {
        Model { engine, ..Model::default() }
    }

    /// The state before the first of `batches` that is not in it.
    pub(crate) fn after(batches: usize) -> Self {
        let mut model = Model::default();
        while model.batches < batches {
            model.advance();
        }
        model
    }

    /// Whether the store holds exactly `batches`, applied in that order.
    pub(crate) fn is_stored(directory: &Path, batches: &[usize]) -> bool {
        let mut model = Model::default();
        batches.iter().for_each(|number| model.apply(&batch(*number)));
        read(Engine::Lmdb, directory) == model.map
    }

    /// Batches in the state.
    pub(crate) fn batches(&self) -> usize {
        self.batches
    }

    /// Adds the next batch.
    pub(crate) fn advance(&mut self) {
        self.apply(&batch(self.batches));
        self.batches += 1;
    }

    fn apply(&mut self, batch: &Batch) {
        for change in batch.changes() {
            match change {
                Change::Put { key, value } => {
                    self.map.insert(key.to_vec(), value.to_vec());
                }
                Change::Delete { key } => {
                    self.map.remove(key);
                }
                Change::DeleteRange { start, end } => {
                    self.map.retain(|key, _| !ScanRange::new(start, end).contains(key));
                }
            }
        }
    }

    /// Opens the store and makes sure that it holds exactly the batches that were acknowledged, beginning with the first that
    /// this model lacks, and at most the next one, whole. Advances this model to what is there.
    ///
    /// # Panics
    ///
    /// If not; `context` says how the store came to be.
    pub(crate) fn check(&mut self, directory: &Path, acknowledged: &[usize], context: &str) {
        for number in acknowledged {
            assert_eq!(*number, self.batches, "acknowledged out of order, {context}");
            self.advance();
        }
        let found = read(self.engine, directory);
        if found == self.map {
            return;
        }
        let batches = self.batches;
        self.advance();
        assert!(
            found == self.map,
            "{batches} batches were acknowledged, but the store holds others, {context}"
        );
    }
}

fn read(engine: Engine, directory: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let storage = engine.without_thread().open(directory);
    let mut page = Page::new(usize::MAX, usize::MAX);
    storage.scan(ScanRange::new(b"", b""), &mut page).expect("scan");
    let entries = page.entries().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    assert_eq!(storage.stats().expect("stats").entries, page.entries().len() as u64);
    entries
}
