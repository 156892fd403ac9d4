//! The API server's version and clock. Pure.

use std::time::Duration;

use jiff::SignedDuration;

use super::check::{Category, Check};
use crate::catalogue::Id;
use crate::cluster::client::version::{ServerVersion, TESTED_MINOR};
use crate::error::{Error, Kind};

/// How many minor versions away from the tested one the API is expected to be the same. Kubernetes keeps an API for at
/// least that long (<https://kubernetes.io/docs/reference/using-api/deprecation-policy/>).
const SKEW: u32 = 4;
/// The difference of the clocks above which new tokens and certificates are rejected by one of the two.
const MAX_CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_secs(30);

/// Checks the version, and says how long the request took.
pub(super) fn version(version: &ServerVersion, took: Duration) -> Check {
    let text = format!("{} in {} ms, tested with 1.{TESTED_MINOR}", version.text, took.as_millis());
    if version.minor.abs_diff(TESTED_MINOR) <= SKEW {
        return Check::passed(Category::Api, "version", text);
    }
    let message =
        format!("the API server has version {}, far from the tested 1.{TESTED_MINOR}", version.text);
    let error = Error::new(Id::VersionUntested, Kind::Prerequisite, message)
        .hint("handsctl deploy --dry-run=server shows whether this server accepts the objects");
    Check::warning(Category::Api, "version", error)
}

/// Checks the difference of the clocks. `ahead` is how far the server's clock is ahead of this computer's.
pub(super) fn clock(ahead: SignedDuration) -> Check {
    let seconds = ahead.abs().as_secs();
    if ahead.abs() < MAX_CLOCK_DIFFERENCE {
        let text = if seconds == 0 { "equal".to_owned() } else { format!("{seconds} s apart") };
        return Check::passed(Category::Api, "clocks", text);
    }
    let direction = if ahead.is_positive() { "ahead of" } else { "behind" };
    let message = format!("the API server's clock is {seconds} s {direction} this computer's");
    let error = Error::new(Id::ClockSkew, Kind::Prerequisite, message)
        .hint("correct the clock that is wrong: date -u prints this computer's time");
    Check::warning(Category::Api, "clocks", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;

    #[test]
    fn far_versions_and_far_clocks_are_warnings() {
        let is_warning = |check: Check| matches!(check.outcome, Outcome::Warning(_));
        let version_of = |minor| {
            let server = ServerVersion { text: format!("v1.{minor}.0"), minor };
            version(&server, Duration::from_millis(3))
        };
        assert!(!is_warning(version_of(TESTED_MINOR - 4)) && is_warning(version_of(TESTED_MINOR - 5)));
        assert!(
            !is_warning(clock(SignedDuration::from_secs(-29)))
                && is_warning(clock(SignedDuration::from_secs(-30)))
        );
        let Outcome::Warning(error) = clock(SignedDuration::from_secs(-120)).outcome else { panic!() };
        assert_eq!(error.message(), "the API server's clock is 120 s behind this computer's");
    }
}
