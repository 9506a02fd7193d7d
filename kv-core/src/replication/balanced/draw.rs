use super::OwnerSet;
use super::mixer::Mixer;
use super::quota::Quota;
use super::table::Table;
use super::topology::Topology;

/// Draws owners for every partition when there is no placement to start from; every quota is met exactly.
///
/// Partition by partition, each data centre, then each zone in it, then each member in that gets the floor or the ceiling of what it has
/// left over the partitions that are left. Whoever gets the ceiling is drawn by systematic sampling (Madow 1949) in a shuffled
/// order, so that members meet in all combinations and the load of a dead one is shared by many.
pub(super) fn draw(
    topology: &Topology,
    quota: &Quota,
    partitions: usize,
    replicas: usize,
) -> Table<OwnerSet> {
    let mut mixer = Mixer::new(0x6b76_2d64_7261_7700);
    let mut centers = Level::new(&quota.data_centers);
    let mut zones = Level::new(&quota.zones);
    let mut members = Level::new(&quota.members);
    let all: Vec<usize> = (0..topology.data_centers()).collect();
    (0..partitions)
        .map(|done| {
            let left = partitions - done;
            let mut owners = OwnerSet::new();
            for (center, count) in centers.pick(&all, left, replicas, &mut mixer) {
                for (zone, count) in zones.pick(&topology.data_center_zones[center], left, count, &mut mixer)
                {
                    let picked = members.pick(&topology.zone_members[zone], left, count, &mut mixer);
                    owners.extend(picked.into_iter().map(|(member, _)| member as u32));
                }
            }
            mixer.shuffle(&mut owners);
            owners
        })
        .collect()
}

/// What the data centres, zones or members have left.
struct Level {
    slots: Table<usize>,
}

impl Level {
    fn new(quota: &Table<usize>) -> Self {
        Level { slots: quota.clone() }
    }

    /// Picks `count` slots among `children`, of which each must have its slots placed in the `left` partitions that are left.
    fn pick(
        &mut self,
        children: &[usize],
        left: usize,
        count: usize,
        mixer: &mut Mixer,
    ) -> Vec<(usize, usize)> {
        let mut order = children.to_vec();
        mixer.shuffle(&mut order);
        let (mut whole, mut rests) = (0, 0);
        for child in &order {
            whole += self.slots[*child] / left;
            rests += self.slots[*child] % left;
        }
        // `ceilings` is the floor or the ceiling of rests / left; the offset of the sample makes it so.
        let ceilings = count.saturating_sub(whole);
        let edge = rests % left;
        let offset =
            if ceilings > rests / left { mixer.below(edge.max(1)) } else { edge + mixer.below(left - edge) };
        let mut picked = Vec::with_capacity(count);
        let (mut passed, mut next) = (0, offset);
        for child in order {
            let slots = &mut self.slots[child];
            passed += *slots % left;
            let mut taken = *slots / left;
            if passed > next {
                taken += 1;
                next += left;
            }
            *slots -= taken;
            if taken > 0 {
                picked.push((child, taken));
            }
        }
        picked
    }
}
