use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kv_core::machine::Event;

use crate::node::shared::Shared;

/// How often the machine's timers are looked at: deadlines and hedges are this much late at worst, and a busy node is not woken for each.
const RESOLUTION: Duration = Duration::from_millis(4);

impl Shared {
    /// Wakes the timer if it sleeps because nothing was under way.
    pub(super) fn wake_timer(&self) {
        if self.timer_sleeps.load(Ordering::Acquire) && self.timer_sleeps.swap(false, Ordering::AcqRel) {
            self.timer.notify_one();
        }
    }
}

/// Ticks the machine while it has anything to wait for.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut stopped = shared.stopped.subscribe();
    loop {
        if shared.machine.lock().next_wakeup_us().is_none() {
            shared.timer_sleeps.store(true, Ordering::Release);
            // An operation that began before the flag was set is seen here.
            if shared.machine.lock().next_wakeup_us().is_none() {
                let over = tokio::select! {
                    () = shared.timer.notified() => false,
                    _ = stopped.wait_for(Option::is_some) => true,
                };
                // Operations that are under way when the node stops still have their deadlines.
                if over && shared.machine.lock().next_wakeup_us().is_none() {
                    return;
                }
            }
        }
        tokio::time::sleep(RESOLUTION).await;
        let due = shared.machine.lock().next_wakeup_us().is_some_and(|at| at <= shared.now().monotonic_us);
        if due && let Some(live) = shared.live.load_full() {
            shared.drive(&live, Event::Tick);
        }
    }
}
