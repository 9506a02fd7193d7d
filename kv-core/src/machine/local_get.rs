use smallvec::smallvec;

use crate::causality::Context;
use crate::command::GetAnswer;
use crate::error::Error;
use crate::ids::{Epoch, OpId};
use crate::machine::{PreparedGet, ResolveRequest, resolve};
use crate::record::EncodedRecord;
use crate::replica::read;
use crate::storage::Storage;
use crate::view::View;
use crate::wire::{ReadAnswer, ReadItem};

/// Serves a get that needs a single replica from the local store, where the call is made and without the machine; `None` if the get needs
/// more than that, because of what it asks for or of what the store holds. `buffer` is scratch space.
pub fn local_get(
    view: &View,
    store: &dyn Storage,
    get: &PreparedGet,
    buffer: &mut Vec<u8>,
) -> Option<Result<GetAnswer, Error>> {
    let target = &get.target;
    if get.needed != 1 || get.explain || !target.owners.contains(&view.node()) {
        return None;
    }
    let item = ReadItem { bucket: target.bucket.id, epoch: Epoch(0), key: target.key.clone(), unless: None };
    let record = match read(view, store, &item, buffer) {
        ReadAnswer::Record(bytes) => EncodedRecord::check(bytes, target.bucket.id, &target.key).ok()?,
        ReadAnswer::Absent => {
            let context = Context::default().seal(view.secret(), target.bucket.id, &target.key);
            return Some(Ok(GetAnswer { context, ..GetAnswer::default() }));
        }
        _ => return None,
    };
    let request = ResolveRequest {
        op: OpId(0),
        bucket: target.bucket.clone(),
        key: item.key,
        records: smallvec![record],
        secret: *view.secret(),
    };
    Some(resolve(&request).map(|resolution| GetAnswer {
        values: resolution.values,
        context: resolution.context,
        explain: None,
    }))
}
