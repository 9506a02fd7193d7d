//! What nodes and clients say to each other. Enums only ever grow at their end; golden bytes hold every variant.

mod frame;
mod message;
mod peer;

pub use frame::{decode_answer, decode_request, encode_answer, encode_request};
pub use message::{
    Answer, AnswerBody, BucketChange, ClusterInfo, EpochStatus, Header, Join, NodeStatus, PartitionStatus,
    PeerStatus, RepairStatus, Request, RequestBody,
};
pub use peer::{
    ClearItem, CompareAnswer, CompareItem, Forward, ForwardAnswer, Heal, RangeAnswer, RangeEntry, RangeItem,
    RangePage, RangeState, ReadAnswer, ReadItem, Source, Standing, WriteAnswer, WriteItem,
};
