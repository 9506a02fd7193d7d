use crate::error::ErrorKind;
use crate::record::EncodedRecord;
use crate::replica::{Merge, MergeGroup};
use crate::view::View;
use crate::wire::WriteItem;

/// Checks the records of a peer's write, outside every lock, and makes the mutation of them. Each is refused for itself:
/// [`ErrorKind::UnknownBucket`], [`ErrorKind::NotOwner`], or [`ErrorKind::InvalidFrame`] for a record that fails its checksum.
pub fn accept_writes<T>(view: &View, reply: Option<T>, items: Vec<WriteItem>) -> MergeGroup<T> {
    MergeGroup { reply, op: None, items: items.into_iter().map(|item| accept(view, item)).collect() }
}

fn accept(view: &View, item: WriteItem) -> Result<Merge, ErrorKind> {
    let bucket = view.bucket_by_id(item.bucket).ok_or(ErrorKind::UnknownBucket)?;
    let token = view.token(&item.key);
    let owners = view.owners(bucket, token);
    let fits = match item.stand_in_for {
        None => owners.contains(&view.node()),
        Some(owner) => owners.contains(&owner) && !owners.contains(&view.node()),
    };
    if !fits {
        return Err(ErrorKind::NotOwner);
    }
    let record =
        EncodedRecord::check(item.record, bucket.id, &item.key).map_err(|_| ErrorKind::InvalidFrame)?;
    Ok(Merge {
        bucket: bucket.clone(),
        key: item.key,
        token,
        record,
        read: item.read,
        heal: item.heal,
        stand_in_for: item.stand_in_for,
    })
}
