//! The expiry of a bearer token, from its own claims (RFC 7519, section 4.1.4). Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

/// Returns the `exp` claim of a JSON Web Token; None for an opaque token.
#[must_use]
pub(crate) fn expiry(token: &str) -> Option<Timestamp> {
    let payload = token.split('.').nth(1)?;
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Timestamp::from_second(claims["exp"].as_i64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_none_for_opaque_token() {
        assert_eq!(expiry("abcdef.0123456789abcdef"), None);
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"exp":86400}"#));
        assert_eq!(expiry(&token).unwrap().to_string(), "1970-01-02T00:00:00Z");
    }
}
