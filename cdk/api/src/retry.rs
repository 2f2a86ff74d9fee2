//! Retries of exchanges with the API. Pure.
//!
//! A request that changes nothing, or leads to the same state when repeated, is sent again after a lost connection or an
//! error of the service. A request that creates something is not: the caller has to look first.

use std::time::Duration;

use cavatica_aws::http::{Exchange, HttpFailure};

use crate::refusal::{Kind, Refusal};

/// Longest wait for one request, all pauses together. Source: the rate limit's window, 300 seconds.
pub(crate) const WITHIN: Duration = Duration::from_secs(300);
/// Longest wait for the end of maintenance.
const MAINTENANCE_WITHIN: Duration = Duration::from_secs(60);
/// Longest wait for services that fail, and for connections.
const SERVICE_WITHIN: Duration = Duration::from_secs(45);
/// Pause after a rate limit that names no time, or one in the past.
const UNNAMED_RESET: Duration = Duration::from_secs(5);
/// Pauses double from here.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause but for a rate limit.
const LONGEST: Duration = Duration::from_secs(15);

/// Situation after a failed exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempts {
    /// Number of exchanges so far, at least 1.
    pub(crate) made: u32,
    /// Sum of the pauses so far.
    pub(crate) waited: Duration,
    /// Time of the platform's clock, in seconds since 1970.
    pub(crate) now: u64,
}

/// Returns the pause before the next exchange; `None` if the result is final.
pub(crate) fn pause(creates: bool, result: &Result<Exchange, HttpFailure>, attempts: Attempts) -> Option<Duration> {
    let doubled = (FIRST * 2_u32.saturating_pow(attempts.made.saturating_sub(1).min(10))).min(LONGEST);
    let within = |limit: Duration, pause: Duration| (attempts.waited + pause <= limit).then_some(pause);
    match result {
        // The request never left this machine.
        Err(HttpFailure::Unusable) => None,
        Err(_) if creates => None,
        Err(_) => within(SERVICE_WITHIN, doubled),
        Ok(exchange) if exchange.status < 400 => None,
        Ok(exchange) => match Refusal::read(exchange.status, &exchange.body, None).kind() {
            Kind::RateLimit => within(WITHIN, until_reset(exchange, attempts.now)),
            Kind::Maintenance => within(MAINTENANCE_WITHIN, doubled),
            Kind::Service if !creates => within(SERVICE_WITHIN, doubled),
            _ => None,
        },
    }
}

/// Returns the time until the rate limit's reset, which the answer names in seconds since 1970.
fn until_reset(exchange: &Exchange, now: u64) -> Duration {
    let reset = exchange.header("x-ratelimit-reset").and_then(|value| value.parse::<u64>().ok());
    match reset.and_then(|reset| reset.checked_sub(now)).filter(|seconds| *seconds > 0) {
        Some(seconds) => Duration::from_secs(seconds + 1),
        None => UNNAMED_RESET,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_by_method_answer_and_time() {
        let answer = |status: u16, body: &str, reset: Option<&str>| {
            let headers = reset.map(|reset| ("x-ratelimit-reset".to_owned(), reset.to_owned())).into_iter().collect();
            Ok(Exchange { status, headers, body: body.as_bytes().to_vec() })
        };
        let seconds = |number| Some(Duration::from_secs(number));
        for (name, creates, result, waited, expected) in [
            ("success", false, answer(200, "{}", None), 0, None),
            ("a lost answer to a read", false, Err(HttpFailure::Connection), 0, seconds(1)),
            ("a lost answer to a creation", true, Err(HttpFailure::Connection), 0, None),
            ("an address that cannot be used", false, Err(HttpFailure::Unusable), 0, None),
            ("a gateway's HTML", false, answer(504, "<html>", None), 0, seconds(1)),
            ("the same for a creation", true, answer(504, "<html>", None), 0, None),
            ("the same too long", false, answer(504, "<html>", None), 45, None),
            ("a rate limit with a time", true, answer(429, "{}", Some("1030")), 0, seconds(31)),
            ("one in the past", false, answer(429, "{}", Some("900")), 0, seconds(5)),
            ("one without", false, answer(429, "{}", None), 0, seconds(5)),
            ("one that is too far", false, answer(429, "{}", Some("9999")), 0, None),
            ("maintenance", true, answer(503, r#"{"code":0}"#, None), 0, seconds(1)),
            ("maintenance that stays", true, answer(503, r#"{"code":0}"#, None), 60, None),
            ("a refusal", false, answer(400, r#"{"code":9010}"#, None), 0, None),
            ("the platform's own services", false, answer(500, r#"{"code":9000}"#, None), 0, seconds(1)),
        ] {
            let attempts = Attempts { made: 1, waited: Duration::from_secs(waited), now: 1_000 };
            assert_eq!(pause(creates, &result, attempts), expected, "{name}");
        }
    }
}
