//! The level of a line: of JSON in its fields, of text at its beginning. Pure.

use std::sync::LazyLock;

use regex::bytes::Regex;
use serde_json::Value;

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For developers; traces as well.
    Debug,
    /// What happens.
    Info,
    /// What may be a fault.
    Warning,
    /// What has failed; fatal and critical lines as well.
    Error,
}

/// Fields of JSON that have the level: Python's loggers and OpenHands, Go's, those of cloud providers, pino's and bunyan's.
const FIELDS: &[&str] = &["level", "levelname", "severity", "lvl", "log.level", "@level"];
/// The beginning of a line that is searched.
const BEGINNING: usize = 256;

/// A level after a time and the name of a logger: `12:00:00 - openhands:INFO: file.py`, `INFO:     127.0.0.1`,
/// `2026-01-01 12:00:00,123 - name - WARNING - text`, `[error]`, `2026-01-01T12:00:00Z INF text`.
static LEADING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(concat!(
        r"^(?:\x1b\[[0-9;]*m)*\[?(?:\d[\dT:.,/Z+ -]*)?\]?(?:\s*[-|]\s+)?\s*(?:\x1b\[[0-9;]*m)*",
        r"(?:[A-Za-z_][\w./-]*(?::|\s+[-|]\s+))?(?:\x1b\[[0-9;]*m)*[\[<(]?",
        r"(TRACE|DEBUG|INFO|NOTICE|WARNING|WARN|ERROR|ERR|CRITICAL|FATAL|PANIC|EMERG|ALERT|TRC|DBG|INF|WRN|FTL|PNC",
        r"|trace|debug|info|notice|warning|warn|error|critical|crit|fatal|panic|emerg|alert)",
        r"(?:\x1b\[[0-9;]*m)*(?:[\]>):|]|\s+[-|\[]|\s|$)",
    ))
});
/// A level between others: `time="…" level=warning msg="…"`.
static FIELD: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r#"(?:^|\s)(?:level|lvl|severity)="?([A-Za-z]+)"#));
/// That of Kubernetes' components: `W1129 18:02:12.000000 1 file.go:1] text`.
static KLOG: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"^([IWEF])\d{4} \d\d:\d\d:\d\d"));

fn pattern(text: &str) -> Option<Regex> {
    Regex::new(&format!("(?-u){text}")).ok()
}

/// Returns the level of a line. None if it has none: a line of a traceback belongs to the one before it.
pub(crate) fn level_of(line: &[u8]) -> Option<LogLevel> {
    if line.first() == Some(&b'{') {
        return of_json(line);
    }
    let beginning = &line[..line.len().min(BEGINNING)];
    [&LEADING, &KLOG, &FIELD].into_iter().find_map(|pattern| {
        let word = pattern.as_ref()?.captures(beginning)?.get(1)?;
        of_word(std::str::from_utf8(word.as_bytes()).ok()?)
    })
}

fn of_json(line: &[u8]) -> Option<LogLevel> {
    let object: Value = serde_json::from_slice(line).ok()?;
    match FIELDS.iter().find_map(|field| object.get(*field))? {
        Value::String(word) => of_word(word),
        // pino and bunyan: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal.
        Value::Number(number) => Some(match number.as_u64()? {
            ..30 => LogLevel::Debug,
            30..40 => LogLevel::Info,
            40..50 => LogLevel::Warning,
            50.. => LogLevel::Error,
        }),
        _ => None,
    }
}

fn of_word(word: &str) -> Option<LogLevel> {
    Some(match word.to_ascii_lowercase().as_str() {
        "trace" | "debug" | "trc" | "dbg" => LogLevel::Debug,
        "info" | "information" | "informational" | "notice" | "inf" | "i" | "default" => LogLevel::Info,
        "warning" | "warn" | "wrn" | "w" => LogLevel::Warning,
        "error" | "err" | "critical" | "crit" | "fatal" | "panic" | "emerg" | "emergency" | "alert"
        | "ftl" | "pnc" | "e" | "f" => LogLevel::Error,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_of_each_format() {
        use LogLevel::{Debug, Error, Info, Warning};
        for (line, level) in [
            ("12:00:00 - openhands:INFO: server.py:41 - started", Some(Info)),
            ("\x1b[92m12:00:00 - openhands:ERROR\x1b[0m: session.py:12 - failed", Some(Error)),
            ("INFO:     127.0.0.1:4242 - \"GET /alive HTTP/1.1\" 200 OK", Some(Info)),
            ("\x1b[32mINFO\x1b[0m:     Started server process [1]", Some(Info)),
            ("2026-01-01 12:00:00,123 - name - WARNING - text", Some(Warning)),
            ("2026-01-01T12:00:00Z WRN text", Some(Warning)),
            ("2026/01/01 12:00:00 [error] 29#29: *1 open() failed", Some(Error)),
            ("[DEBUG] text", Some(Debug)),
            ("time=\"2026-01-01T12:00:00Z\" level=warning msg=\"text\"", Some(Warning)),
            ("W1129 18:02:12.000000       1 file.go:1] text", Some(Warning)),
            ("CRITICAL text", Some(Error)),
            (r#"{"message": "m", "level": "error"}"#, Some(Error)),
            (r#"{"message": "m", "levelname": "WARNING", "level": null}"#, None),
            (r#"{"severity":"INFO","message":"m"}"#, Some(Info)),
            (r#"{"level":40,"msg":"m"}"#, Some(Warning)),
            (r#"{"broken"#, None),
            ("Traceback (most recent call last):", None),
            ("  File \"/app/a.py\", line 1, in <module>", None),
            ("ValueError: INFO is no number", None),
            ("information is here", None),
            ("Errors were found", None),
            ("", None),
        ] {
            assert_eq!(level_of(line.as_bytes()), level, "{line}");
        }
        assert_eq!(level_of(b"ERROR: \xff\n"), Some(Error));
    }
}
