use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is still to happen, by virtual time and, at one time, in the order in which it was planned.
#[derive(Debug)]
pub(super) struct Queue<H> {
    order: BinaryHeap<Reverse<(u64, u64, u32)>>,
    // Happenings lie beside the heap, so that it moves 24 bytes only.
    slots: Vec<Option<H>>,
    free: Vec<u32>,
    planned: u64,
}

impl<H> Queue<H> {
    pub(super) fn new() -> Self {
        Queue { order: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), planned: 0 }
    }

    pub(super) fn plan(&mut self, at_us: u64, happening: H) {
        self.planned += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(happening);
                slot
            }
            None => {
                self.slots.push(Some(happening));
                (self.slots.len() - 1) as u32
            }
        };
        self.order.push(Reverse((at_us, self.planned, slot)));
    }

    /// Takes out what happens next, if it happens by `until_us`.
    pub(super) fn next(&mut self, until_us: u64) -> Option<(u64, H)> {
        let Reverse((at, _, slot)) = *self.order.peek()?;
        if at > until_us {
            return None;
        }
        self.order.pop();
        self.free.push(slot);
        Some((at, self.slots[slot as usize].take()?))
    }
}
