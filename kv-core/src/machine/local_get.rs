use crate::command::GetAnswer;
use crate::error::{Error, ErrorKind};
use crate::machine::PreparedGet;
use crate::machine::resolve::values;
use crate::record::Record;
use crate::replica::{Epochs, read_cell};
use crate::storage::Storage;
use crate::tree::LeafId;
use crate::view::View;

/// Serves a get that needs a single replica from the local store, where the call is made and without the machine; `None` if the get needs
/// more than that, because of what it asks for or of what the store holds. `wall_ms` looks at the clock; `buffer` is scratch space.
pub fn local_get(
    view: &View,
    store: &dyn Storage,
    epochs: &Epochs,
    get: &PreparedGet,
    wall_ms: impl FnOnce() -> u64,
    buffer: &mut Vec<u8>,
) -> Option<Result<GetAnswer, Error>> {
    let target = &get.target;
    if get.needed != 1 || get.explain || !target.owners.contains(&view.node()) {
        return None;
    }
    let tree = LeafId::of(target.bucket.id, target.token, view.layout.partitioning()).tree;
    if epochs.is_recovering(tree) {
        return None;
    }
    let bucket = &target.bucket;
    let found = read_cell(store, (bucket.id, target.token, &target.key), buffer, |cell| {
        if cell.recovering.is_some() {
            return None;
        }
        Some(cell.decode_record().map_err(|error| Error::new(ErrorKind::Damaged, error.to_string())))
    });
    let record = match found {
        Ok(None) => Record::new(),
        Ok(Some(Some(Ok(record)))) => record,
        _ => return None,
    };
    let context = record.context().seal(view.secret(), bucket.id, &target.key);
    // A look at the clock is a good part of what such a get costs.
    let expires = record.versions().iter().any(|version| version.expiry.is_some());
    let (values, _) = values(bucket, record, 1, if expires { wall_ms() } else { 0 });
    Some(Ok(GetAnswer { values, context, stand_ins: 0, explain: None }))
}
