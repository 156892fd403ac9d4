//! Names of variables, keys and headers whose value is a secret. Pure.

/// Endings of names that mark a secret.
pub const ENDINGS: &[&str] = &[
    "API_KEY",
    "APIKEY",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PWD",
    "PAT",
    "SECRET",
    "SECRET_KEY",
    "SECRET_KEY_BASE",
    "SECRET_BASE",
    "BASIC_AUTH",
    "PASSWORD_HASH",
    "ACCESS_KEY",
    "ACCESS_KEY_ID",
    "PRIVATE_KEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "CREDS",
    "AUTH_HEADER",
    "BEARER",
    "COOKIE",
    "JWT",
    "OTP",
    "PASSCODE",
    // One key for several.
    "ACCESS_KEYS",
    "API_KEYS",
    "APIKEYS",
    "COOKIES",
    "PASSWORDS",
    "PRIVATE_KEYS",
    "SECRET_KEYS",
    "SECRETS",
    "TOKENS",
    "WEBHOOK",
    "WEBHOOK_URL",
    "AUTHORIZATION",
    "DSN",
    "DATABASE_URL",
    "CONNECTION_STRING",
];

/// The same, but not as a whole name: `{ key = "…" }` is a key of something else.
const SECOND_WORDS: &[&str] = &["KEY", "AUTH"];
/// The same, also without a separator before it: `PGPASSWORD`.
const LAST_LETTERS: &[&str] = &[
    "PASSWORD",
    "ACCESSKEY",
    "ACCESSTOKEN",
    "APITOKEN",
    "AUTHTOKEN",
    "CLIENTSECRET",
    "CONNECTIONSTRING",
    "PRIVATEKEY",
    "SECRETKEY",
];
/// Words after such an ending: the form of the secret, or which of several it is. `client-key-data`, `API_KEY_PROD`.
/// Digits at the end are removed before: `TOKEN_B64`.
const LATER_WORDS: &[&str] = &[
    "_B",
    "_BACKUP",
    "_BASE",
    "_DATA",
    "_DEV",
    "_NEW",
    "_OLD",
    "_PEM",
    "_PREVIOUS",
    "_PRIMARY",
    "_PROD",
    "_PRODUCTION",
    "_SECONDARY",
    "_STAGING",
    "_TEST",
];
/// Words before `TOKENS` that count the tokens of a language model.
const COUNTING: &[&str] = &[
    "ALLOWED",
    "AUDIO",
    "AVAILABLE",
    "BATCH",
    "BATCHED",
    "BUDGET",
    "CACHE",
    "CACHED",
    "CHUNK",
    "COMPLETION",
    "CONTEXT",
    "CREATION",
    "DECODE",
    "DRAFT",
    "ENCODER",
    "GENERATED",
    "IMAGE",
    "INPUT",
    "KEEP",
    "LIMIT",
    "MAX",
    "MAXIMUM",
    "MIN",
    "NEW",
    "NUM",
    "NUMBER",
    "OUTPUT",
    "OVERLAP",
    "PER",
    "PREDICTION",
    "PREFILL",
    "PROMPT",
    "QUEUED",
    "READ",
    "REASONING",
    "REMAINING",
    "REQUEST",
    "RESPONSE",
    "SPECIAL",
    "SPECULATIVE",
    "STOP",
    "TEXT",
    "THINKING",
    "TOTAL",
    "USED",
    "WAITING",
    "WRITE",
];
/// Words before `AUTH`, `JWT` and `OTP` that switch them.
const SWITCHING: &[&str] =
    &["DISABLE", "ENABLE", "NO", "REQUIRE", "REQUIRES", "SKIP", "USE", "WITH", "WITHOUT"];
/// Names with such an ending that are not secret: the directives of nginx take the address of a server.
const PUBLIC: &[&str] =
    &["PUBLIC_KEY", "PROXY_PASS", "FASTCGI_PASS", "UWSGI_PASS", "GRPC_PASS", "GIT_CONFIG_KEY"];
/// The last letters of all endings.
const LAST_OF_ENDINGS: &[&str] = &[
    "ey", "en", "rd", "wd", "se", "ss", "at", "et", "id", "ls", "ds", "er", "ok", "rl", "on", "sn", "ng",
    "th", "sh", "al", "ie", "wt", "tp", "de", "ys", "es", "ts", "ns", "_b", "-b", "up", "ta", "ev", "ew",
    "ld", "em", "us", "ry", "od", "st",
];
const LAST_OF_ENDINGS_LENGTH: usize = 2;

/// Whether a name marks its value as a secret: `GITHUB_TOKEN`, `X-Session-API-Key`, `clientSecret`.
#[must_use]
pub fn is_sensitive(name: &str) -> bool {
    // One of several: `DB_PASSWORD_1`.
    let name =
        name.trim_end_matches(|letter: char| letter.is_ascii_digit()).trim_end_matches(['_', '-', '.']);
    if !has_usual_end(name) {
        return false;
    }
    let name = words(name);
    let name = LATER_WORDS.iter().find_map(|later| name.strip_suffix(later)).unwrap_or(&name);
    // The annotation `checksum/secret` restarts pods.
    let is_public = name.starts_with("CHECKSUM") || PUBLIC.iter().any(|public| name.ends_with(public));
    let follows = |last: &str, words: &[&str]| {
        let before = name.strip_suffix(last).map(|before| before.trim_end_matches('_'));
        before.is_some_and(|before| words.contains(&before.rsplit('_').next().unwrap_or_default()))
    };
    let is_switch = ["AUTH", "JWT", "OTP"].into_iter().any(|last| follows(last, SWITCHING));
    if is_public || is_switch || follows("TOKENS", COUNTING) {
        return false;
    }
    let rest = |ending: &&str| name.strip_suffix(*ending);
    ENDINGS.iter().filter_map(rest).any(|rest| rest.is_empty() || rest.ends_with('_'))
        || SECOND_WORDS.iter().filter_map(rest).any(|rest| rest.ends_with('_'))
        || LAST_LETTERS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a name has the last letters of one that marks a secret. Most names have not, and a large manifest has many.
fn has_usual_end(name: &str) -> bool {
    let bytes = name.as_bytes();
    let Some(last) = bytes.len().checked_sub(LAST_OF_ENDINGS_LENGTH).map(|start| &bytes[start..]) else {
        return false;
    };
    LAST_OF_ENDINGS.iter().any(|end| end.as_bytes().eq_ignore_ascii_case(last))
}

/// Returns a name in capitals, with `_` between its words.
pub(super) fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut before = None;
    for letter in name.trim_start_matches('-').chars() {
        let is_start = letter.is_ascii_uppercase()
            && before.is_some_and(|before: char| before.is_ascii_lowercase() || before.is_ascii_digit());
        if is_start {
            words.push('_');
        }
        words.push(if matches!(letter, '-' | '.' | '/') { '_' } else { letter.to_ascii_uppercase() });
        before = Some(letter);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_letters_are_those_of_all_endings() {
        for ending in ENDINGS.iter().chain(SECOND_WORDS).chain(LAST_LETTERS).chain(LATER_WORDS) {
            assert!(has_usual_end(ending), "{ending}");
        }
    }

    #[test]
    fn secret_names_are_sensitive() {
        for name in [
            "GITHUB_TOKEN",
            "api_key",
            "X-Session-API-Key",
            "Authorization",
            "DB_PASS",
            "jwt_secret",
            "DATABASE_URL",
            "SMTP_PASS",
            "MYSQL_PWD",
            "AZURE_DEVOPS_PAT",
            "ENCRYPTION_KEY",
            "SENTRY_DSN",
            "DSN",
            "SSH_PASSPHRASE",
            "PGPASSWORD",
            "LLM_CREDS",
            "AUTH_HEADER",
            "SLACK_WEBHOOK",
            "STORAGE_CONNECTION_STRING",
            "clientSecret",
            "apiKey",
            "spring.datasource.password",
            "example.org/token",
            "API_KEYS",
            "passwords",
            "BOT_TOKENS",
            "tokens",
            "X-Auth",
            "REGISTRY_AUTH",
            "Cookie",
            "Set-Cookie",
            "USER_JWT",
            "DOOR_PASSCODE",
            "LOGIN_OTP",
            "AWS_CREDENTIAL",
            "authtoken",
            "ACCESSTOKEN",
            "myaccesskey",
            "CLIENTSECRET",
            "connectionstring",
            "client-key-data",
            "TLS_KEY_PEM",
            "PRIVATE_KEY_B64",
            "GCP_CREDENTIALS_BASE64",
            "TOKEN_OLD",
            "API_KEY_PROD",
            "stagingApiKeyPrimary",
        ] {
            assert!(is_sensitive(name), "{name}");
        }
        for name in [
            "max_output_tokens",
            "MONKEY",
            "LLM_MODEL",
            "KEYBOARD",
            "BYPASS",
            "key",
            "TURKEY",
            "COMPASS",
            "SSH_PUBLIC_KEY",
            "PATH",
            "FORMAT",
            "--key",
            "checksum/secret",
            "max_tokens",
            "maxTokens",
            "PROMPT_TOKENS",
            "num_tokens",
            "thinking_tokens",
            "total-tokens",
            "author",
            "authority",
            "certificate-authority-data",
            "client-certificate-data",
            "CERT_PEM",
            "PUBLIC_KEY_PEM",
            "ENABLE_AUTH",
            "useAuth",
            "USE_JWT",
            "ENABLE_OTP",
            "MAX_BATCH_PREFILL_TOKENS",
            "max_num_batched_tokens",
            "max_waiting_tokens",
            "num_speculative_tokens",
            "auth",
            "cookie_domain",
            "session",
            "DATA",
            "test",
            "hotp_digits",
            "STOP",
        ] {
            assert!(!is_sensitive(name), "{name}");
        }
    }
}
