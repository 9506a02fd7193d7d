//! The client for programs without tokio.

use kv_core::command::{Get, GetAnswer, GetMany, Put, PutMany, PutResult, Scan, ScanAnswer};
use kv_core::error::{Error, ErrorKind};
use kv_core::ids::BucketId;
use kv_core::tree::{LeafCount, LeafId};
use kv_core::wire::{BucketChange, ClusterInfo, NodeStatus, PartitionStatus};
use tokio::runtime::Runtime;

use crate::client::ClientBuilder;

/// A [`crate::Client`] that blocks the calling thread. Not to be used inside a tokio runtime.
#[derive(Debug)]
pub struct Client {
    client: crate::client::Client,
    runtime: Runtime,
}

impl Client {
    /// Makes the client that `builder` describes, with a runtime of its own.
    ///
    /// # Errors
    ///
    /// As [`ClientBuilder::build`]; [`ErrorKind::Internal`] if the operating system refuses the runtime what it needs.
    pub fn new(builder: ClientBuilder) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Error::new(ErrorKind::Internal, format!("no runtime: {error}")))?;
        Ok(Client { client: builder.build()?, runtime })
    }

    /// As [`crate::Client::get`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::get`].
    pub fn get(&self, get: Get) -> Result<GetAnswer, Error> {
        self.runtime.block_on(self.client.get(get))
    }

    /// As [`crate::Client::put`].
    pub fn put(&self, put: Put) -> PutResult {
        self.runtime.block_on(self.client.put(put))
    }

    /// As [`crate::Client::get_many`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::get_many`].
    pub fn get_many(&self, get: GetMany) -> Result<Vec<Result<GetAnswer, Error>>, Error> {
        self.runtime.block_on(self.client.get_many(get))
    }

    /// As [`crate::Client::put_many`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::put_many`].
    pub fn put_many(&self, put: PutMany) -> Result<Vec<PutResult>, Error> {
        self.runtime.block_on(self.client.put_many(put))
    }

    /// As [`crate::Client::scan`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::scan`].
    pub fn scan(&self, scan: Scan) -> Result<ScanAnswer, Error> {
        self.runtime.block_on(self.client.scan(scan))
    }

    /// As [`crate::Client::cluster`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::cluster`].
    pub fn cluster(&self) -> Result<ClusterInfo, Error> {
        self.runtime.block_on(self.client.cluster())
    }

    /// As [`crate::Client::status`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::status`].
    pub fn status(&self, address: &str) -> Result<NodeStatus, Error> {
        self.runtime.block_on(self.client.status(address))
    }

    /// As [`crate::Client::partitions`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::partitions`].
    pub fn partitions(&self, address: &str, bucket: BucketId) -> Result<Vec<PartitionStatus>, Error> {
        self.runtime.block_on(self.client.partitions(address, bucket))
    }

    /// As [`crate::Client::repair`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::repair`].
    pub fn repair(&self, address: &str) -> Result<u64, Error> {
        self.runtime.block_on(self.client.repair(address))
    }

    /// As [`crate::Client::count`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::count`].
    pub fn count(&self, address: &str, leaves: Vec<LeafId>) -> Result<Vec<LeafCount>, Error> {
        self.runtime.block_on(self.client.count(address, leaves))
    }

    /// As [`crate::Client::init`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::init`].
    pub fn init(&self, address: &str) -> Result<ClusterInfo, Error> {
        self.runtime.block_on(self.client.init(address))
    }

    /// As [`crate::Client::change_bucket`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::change_bucket`].
    pub fn change_bucket(&self, change: BucketChange) -> Result<(), Error> {
        self.runtime.block_on(self.client.change_bucket(change))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.runtime.block_on(self.client.shut_down());
    }
}
