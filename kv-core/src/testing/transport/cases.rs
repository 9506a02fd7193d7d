//! One case per bullet.

mod carrying;
mod failing;
mod stopping;

use super::stage::Stage;

/// Runs the case of that bullet.
pub(super) async fn run(id: &str, stage: &Stage) -> Result<(), String> {
    match id {
        "T-01" => carrying::byte_for_byte(stage).await,
        "T-02" => carrying::many_at_a_time(stage).await,
        "T-03" => failing::ends_by_its_deadline(stage).await,
        "T-04" => carrying::true_sender(stage).await,
        "T-05" => failing::unreachable_and_back(stage).await,
        "T-06" => carrying::slow_delays_nobody(stage).await,
        "T-07" => failing::too_large(stage).await,
        "T-08" => carrying::at_most_once(stage).await,
        "T-09" => stopping::nothing_hangs(stage).await,
        "T-10" => stopping::carried_out_without_its_caller(stage).await,
        _ => Err(format!("there is no bullet {id}")),
    }
}
