//! Looking at a running session: how often, and what is new.

use std::time::Duration;

use coreswarm::Alert;
use coreswarm::Alerts;

/// How long one look may wait for the first alert: what the bar and the signals can bear.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often figures are printed for `--json`.
pub(crate) const STATS_INTERVAL: Duration = Duration::from_secs(1);

/// Alerts that are there, the first one waited for.
pub(crate) fn news(alerts: &Alerts) -> impl Iterator<Item = Alert> + '_ {
    alerts.next(LOOK_INTERVAL).into_iter().chain(std::iter::from_fn(|| alerts.try_next()))
}
