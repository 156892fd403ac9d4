//! Texts that look like an API key, where a name or a path is expected. Pure.

/// Beginnings of the keys and tokens of known services, and of key files.
const PREFIXES: &[&str] = &[
    "sk-",
    "sk_",
    "pk_",
    "rk_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "hf_",
    "gsk_",
    "xai-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "AIza",
    "AKIA",
    "ASIA",
    "eyJ",
    "npm_",
    "pypi-",
    "dop_v1_",
    "r8_",
    "tvly-",
    "Bearer ",
    "Basic ",
    "-----BEGIN",
];
/// The minimum length of what follows a known beginning, and of a shorter rest with digits: `sk-openai` is a name.
const MIN_REST: usize = 16;
const MIN_REST_WITH_DIGITS: usize = 6;
/// The minimum length of letters and digits in a row that no person would choose as a name.
const MIN_RUN: usize = 20;
/// The minimum number of digits among them.
const MIN_DIGITS: usize = 3;

/// Whether a text begins like the keys of a known service: `sk-…`, `ghp_…`.
#[must_use]
pub fn has_known_prefix(text: &str) -> bool {
    let is_key = |rest: &str| {
        rest.len() >= MIN_REST || rest.len() >= MIN_REST_WITH_DIGITS && digits(rest) >= MIN_DIGITS
    };
    PREFIXES.iter().filter_map(|prefix| text.strip_prefix(prefix)).any(is_key)
}

/// Whether a text looks like a key, and not like a name: a known beginning, or a long mix of letters and digits.
#[must_use]
pub fn resembles_key(text: &str) -> bool {
    has_known_prefix(text) || text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_random)
}

fn is_random(run: &str) -> bool {
    let digits = digits(run);
    run.len() >= MIN_RUN && digits >= MIN_DIGITS && digits < run.len()
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_names() {
        for key in [
            "sk-ant-api03-abcdef",
            "sk_live_abcdefghijkl",
            "ghp_0123456789abcdef",
            "AIzaSyD1234567",
            "eyJhbGciOi.eyJzdWIi.x",
            "skant1234567890abcdef",
            "0123456789abcdef0123456789abcdef",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(resembles_key(key), "{key}");
        }
        for name in [
            "LLM_API_KEY",
            "OPENHANDS_PRODUCTION_OPENAI_API_KEY_2",
            "sk-x",
            "sk-openai",
            "sk-secrets",
            "hf_api_key",
            "npm_config__auth",
            "secrets/llm-key.txt",
            "MYVERYLONGVARIABLENAMEOFACOMPANY",
            "openhands-env-5f4dcc3b5a",
            "",
        ] {
            assert!(!resembles_key(name), "{name}");
        }
    }
}
