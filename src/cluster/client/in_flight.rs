//! Limits the number of concurrent requests after the server has responded 429.
//!
//! There is no limit before. Each 429 halves the number, each full round of other responses adds one: additive increase
//! and multiplicative decrease, as TCP does.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The number of requests that a part of a command sends at a time. Each needs a connection: kube uses HTTP/1.1.
pub(crate) const IN_FLIGHT: usize = 16;

/// From this limit on, there is no limit any more: no part of a command sends more requests at a time.
const UNLIMITED: usize = 32;

/// The requests that wait for a response.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    limit: Option<usize>,
    /// The number of halvings. Requests that were sent before the last one do not halve again.
    round: u64,
    /// Responses other than 429 since the limit changed.
    accepted: usize,
}

/// The right to send a request. Dropping it lets another request be sent.
#[must_use = "dropping it lets another request be sent"]
pub(crate) struct Slot<'a> {
    in_flight: &'a InFlight,
    round: u64,
}

impl InFlight {
    /// Waits until another request may be sent.
    pub(crate) async fn slot(&self) -> Slot<'_> {
        loop {
            if let Some(round) = self.state().enter() {
                return Slot { in_flight: self, round };
            }
            self.ended.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    /// Records the response to the request: 429, or any other.
    pub(crate) fn on_response(&self, is_too_many: bool) {
        self.in_flight.state().on_response(self.round, is_too_many);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let free = self.in_flight.state().leave();
        for _ in 0..free {
            self.in_flight.ended.notify_one();
        }
    }
}

impl State {
    fn enter(&mut self) -> Option<u64> {
        if self.limit.is_some_and(|limit| self.running >= limit) {
            return None;
        }
        self.running += 1;
        Some(self.round)
    }

    /// Returns the number of waiting requests to wake: two, so that a raised limit is used.
    fn leave(&mut self) -> usize {
        self.running = self.running.saturating_sub(1);
        self.limit.map_or(2, |limit| limit.saturating_sub(self.running).min(2))
    }

    fn on_response(&mut self, round: u64, is_too_many: bool) {
        if is_too_many {
            if round == self.round {
                let current = self.limit.unwrap_or(self.running).min(self.running);
                self.limit = Some((current / 2).max(1));
                self.round += 1;
                self.accepted = 0;
            }
            return;
        }
        let Some(limit) = self.limit else { return };
        self.accepted += 1;
        if self.accepted >= limit {
            self.accepted = 0;
            self.limit = Some(limit + 1).filter(|limit| *limit < UNLIMITED);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn limit(in_flight: &InFlight) -> Option<usize> {
        in_flight.state().limit
    }

    #[tokio::test]
    async fn burst_of_429_halves_once() {
        let in_flight = InFlight::default();
        let mut slots = Vec::new();
        for _ in 0..16 {
            slots.push(in_flight.slot().await);
        }
        for slot in &slots {
            slot.on_response(true);
        }
        assert_eq!(limit(&in_flight), Some(8));
        slots.clear();
        let later = in_flight.slot().await;
        later.on_response(true);
        assert_eq!(limit(&in_flight), Some(1), "one request runs");
        drop(later);
        let last = in_flight.slot().await;
        last.on_response(true);
        assert_eq!(limit(&in_flight), Some(1), "one request is always allowed");
    }

    #[tokio::test]
    async fn accepted_requests_raise_the_limit_until_it_ends() {
        let in_flight = InFlight::default();
        in_flight.slot().await.on_response(true);
        for expected in [2, 2, 3] {
            in_flight.slot().await.on_response(false);
            assert_eq!(limit(&in_flight), Some(expected));
        }
        for _ in 0..1000 {
            in_flight.slot().await.on_response(false);
        }
        assert_eq!(limit(&in_flight), None);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_requests_are_all_sent_in_the_end() {
        let in_flight = Arc::new(InFlight::default());
        in_flight.slot().await.on_response(true);
        let most = Arc::new(Mutex::new(0));
        let requests = (0..50).map(|_| {
            let (in_flight, most) = (in_flight.clone(), most.clone());
            tokio::spawn(async move {
                let slot = in_flight.slot().await;
                let running = in_flight.state().running;
                let allowed = in_flight.state().limit.unwrap_or(UNLIMITED);
                assert!(running <= allowed, "{running} of {allowed}");
                *most.lock().unwrap() += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
                slot.on_response(false);
            })
        });
        for request in requests.collect::<Vec<_>>() {
            request.await.unwrap();
        }
        assert_eq!(*most.lock().unwrap(), 50);
    }
}
