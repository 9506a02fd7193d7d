use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kv_core::machine::Event;

use crate::node::shared::Shared;

/// How often the machine's timers are looked at: deadlines and hedges are this much late at worst, and a busy node is not woken for each.
const RESOLUTION: Duration = Duration::from_millis(4);

impl Shared {
    /// Wakes the timer if it sleeps because nothing was due soon.
    pub(super) fn wake_timer(&self) {
        if self.timer_sleeps.load(Ordering::Acquire) && self.timer_sleeps.swap(false, Ordering::AcqRel) {
            self.timer.notify_one();
        }
    }

    /// How long until the machine wants to be ticked; none while the node belongs to no cluster.
    fn until_tick(&self) -> Option<Duration> {
        self.live.load().as_ref()?;
        let at_us = self.machine.lock().next_wakeup_us();
        Some(Duration::from_micros(at_us.saturating_sub(self.now().monotonic_us)))
    }
}

/// Ticks the machine when it has waited long enough.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut stopped = shared.stopped.subscribe();
    loop {
        if shared.until_tick().is_none_or(|wait| wait > RESOLUTION) {
            shared.timer_sleeps.store(true, Ordering::Release);
            // An operation that began before the flag was set is seen here.
            let wait = shared.until_tick();
            let over = tokio::select! {
                () = shared.timer.notified() => false,
                () = sleep(wait) => false,
                _ = stopped.wait_for(Option::is_some) => true,
            };
            // Operations that are under way when the node stops still have their deadlines.
            if over && shared.machine.lock().waiting() == 0 {
                return;
            }
        }
        tokio::time::sleep(RESOLUTION).await;
        if shared.until_tick().is_some_and(|wait| wait.is_zero())
            && let Some(live) = shared.live.load_full()
        {
            shared.drive(&live, Event::Tick);
        }
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
