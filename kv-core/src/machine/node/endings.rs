use crate::command::{GetAnswer, PutResult, ScanAnswer};
use crate::error::Error;
use crate::machine::many::{Asker, Many, Part};
use crate::machine::node::NodeMachine;
use crate::machine::operation::Waiter;
use crate::machine::outbox::Outbox;
use crate::machine::{Effect, Outcome};
use crate::time::Now;
use crate::view::View;

impl<T> NodeMachine<T> {
    pub(super) fn end_get(
        &mut self,
        at: (&View, Now),
        waiter: Waiter<T>,
        result: Result<GetAnswer, Error>,
        outbox: &mut Outbox<'_, T>,
    ) {
        if !self.is_internal(&waiter) {
            self.stats.get_ended(&result);
        }
        match waiter {
            Waiter::Ticket(ticket) => {
                outbox.effect(Effect::Complete { ticket, outcome: Outcome::Get(result) });
            }
            Waiter::Part(many, index) => self.end_part(at, many, index, Part::Get(result), outbox),
        }
    }

    /// Whether nobody asked for it but a scan or anti-entropy, since replicas differ.
    pub(super) fn is_internal(&self, waiter: &Waiter<T>) -> bool {
        match waiter {
            Waiter::Ticket(_) => false,
            Waiter::Part(many, _) => self.manies.get(many).is_some_and(Many::is_internal),
        }
    }

    pub(super) fn end_put(
        &mut self,
        at: (&View, Now),
        waiter: Waiter<T>,
        result: PutResult,
        outbox: &mut Outbox<'_, T>,
    ) {
        self.stats.put_ended(&result);
        match waiter {
            Waiter::Ticket(ticket) => {
                outbox.effect(Effect::Complete { ticket, outcome: Outcome::Put(result) });
            }
            Waiter::Part(many, index) => self.end_part(at, many, index, Part::Put(result), outbox),
        }
    }

    pub(super) fn end_scan(
        &mut self,
        ticket: T,
        result: Result<ScanAnswer, Error>,
        outbox: &mut Outbox<'_, T>,
    ) {
        self.stats.scan_ended(&result);
        outbox.effect(Effect::Complete { ticket, outcome: Outcome::Scan(result) });
    }

    fn end_part(
        &mut self,
        at: (&View, Now),
        many: u64,
        index: usize,
        part: Part,
        outbox: &mut Outbox<'_, T>,
    ) {
        let complete = self.manies.get_mut(&many).is_some_and(|entry| entry.take(index, part));
        if complete && let Some(entry) = self.manies.remove(&many) {
            match entry.into_outcome() {
                (Asker::Ticket(ticket), outcome) => outbox.effect(Effect::Complete { ticket, outcome }),
                (Asker::Scan(op), Outcome::GetMany(results)) => {
                    self.with_scan(at, op, outbox, |scan, step, outbox| scan.got(step, results, outbox));
                }
                (Asker::Repair, Outcome::GetMany(results)) => {
                    let gets = self.anti_entropy.repaired(at, &results, outbox);
                    self.get_to_repair(at, gets, outbox);
                }
                (Asker::Scan(_) | Asker::Repair, _) => {}
            }
        }
    }
}
