//! Puts of one key, and how they are tried again.

use std::time::Instant;

use kv_core::command::{Attempt, Put, PutResult};
use kv_core::wire::AnswerBody;

use crate::client::calls::{ATTEMPTS, Failed, Inner, unexpected, with_timeout};
use crate::client::routing::Routing;

impl Inner {
    /// Tries a put at one node after the other until one takes it, and never again after it may have been written.
    pub(super) async fn put(&self, routing: &std::sync::Arc<Routing>, put: &Put, end: Instant) -> PutResult {
        let route = routing.route(&put.bucket, &put.key, &self.health);
        let judge = |body| match body {
            AnswerBody::Put(result) => result,
            AnswerBody::Refused(error) => PutResult::NotApplied(error),
            _ => PutResult::Indeterminate(unexpected()),
        };
        let request = |left| with_timeout(put, left);
        let refused = PutResult::as_not_applied;
        self.write(routing, route, end, request, judge, refused, Failed::into_result).await
    }

    /// Tries a put that has an id until it is known how it ended, each time for a share of the time.
    pub(super) async fn put_recognised(
        &self,
        routing: &std::sync::Arc<Routing>,
        mut put: Put,
        end: Instant,
    ) -> PutResult {
        let share = end.saturating_duration_since(Instant::now()) / ATTEMPTS;
        let mut may_be_made = matches!(put.options.attempt, Attempt::Again(_));
        loop {
            let result = self.put(routing, &put, (Instant::now() + share).min(end)).await;
            let is_over = Instant::now() >= end;
            match result {
                PutResult::Applied(applied) => return PutResult::Applied(applied),
                PutResult::Indeterminate(error) if is_over => return PutResult::Indeterminate(error),
                PutResult::Indeterminate(_) => may_be_made = true,
                PutResult::NotApplied(error) if !is_over && error.is_retryable() => {}
                // This try was not made, and an earlier one may have been.
                PutResult::NotApplied(error) if may_be_made => return PutResult::Indeterminate(error),
                PutResult::NotApplied(error) => return PutResult::NotApplied(error),
            }
            if let (true, Attempt::First(id)) = (may_be_made, put.options.attempt) {
                put.options.attempt = Attempt::Again(id);
            }
            self.pause(end).await;
        }
    }
}
