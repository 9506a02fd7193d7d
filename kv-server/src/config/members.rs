//! The list of members: `[[members]]` in the file, `ID=ADDRESS` elsewhere.

use kv_core::ids::NodeId;
use kv_core::layout::Member;

use super::forms;

const FIELDS: [&str; 5] = ["id", "address", "zone", "data_center", "capacity"];

/// Reads one member written as `ID=ADDRESS`.
pub(super) fn read_short(text: &str) -> Result<Member, String> {
    let (id, address) =
        text.split_once('=').ok_or_else(|| format!("'{text}' is not a member: write ID=HOST:PORT"))?;
    Ok(Member::new(read_id(id.trim())?, forms::address::read(address.trim())?))
}

/// Reads members written as `ID=ADDRESS,ID=ADDRESS`.
pub(super) fn read_list(text: &str) -> Result<Vec<Member>, String> {
    text.split(',').map(str::trim).filter(|member| !member.is_empty()).map(read_short).collect()
}

fn read_id(text: &str) -> Result<NodeId, String> {
    forms::node::read(text)?.ok_or_else(|| "a member needs an id".into())
}

/// A member that is being read, field by field.
#[derive(Debug, Default)]
pub(super) struct MemberDraft {
    id: Option<NodeId>,
    address: Option<String>,
    zone: Option<String>,
    data_center: Option<String>,
    capacity: Option<u32>,
}

impl MemberDraft {
    /// The names of the fields.
    pub(super) fn fields() -> impl Iterator<Item = &'static str> {
        FIELDS.into_iter()
    }

    /// Sets one field; `None` if there is no such field.
    pub(super) fn set(&mut self, field: &str, text: &str) -> Option<Result<(), String>> {
        let result = match field {
            "id" => read_id(text).map(|id| self.id = Some(id)),
            "address" => forms::address::read(text).map(|address| self.address = Some(address)),
            "zone" => forms::text::read(text).map(|zone| self.zone = Some(zone)),
            "data_center" => forms::text::read(text).map(|name| self.data_center = Some(name)),
            "capacity" => forms::number::read(text).and_then(|capacity| match capacity {
                0 => Err("a member's capacity is at least 1".into()),
                capacity => {
                    self.capacity = Some(capacity);
                    Ok(())
                }
            }),
            _ => return None,
        };
        Some(result)
    }

    /// The member, if all that it needs is there.
    pub(super) fn finish(self) -> Result<Member, String> {
        let id = self.id.ok_or("a member needs an id")?;
        let address = self.address.ok_or_else(|| format!("member {id} needs an address"))?;
        let mut member = Member::new(id, address);
        member.zone = self.zone.unwrap_or(member.zone);
        member.data_center = self.data_center.unwrap_or(member.data_center);
        member.capacity = self.capacity.unwrap_or(member.capacity);
        Ok(member)
    }
}
