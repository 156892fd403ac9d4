//! Who started the run that made a revision, and from which commit: what a CI system says of itself, and the user's note.
//!
//! All of it is untrusted text: it is shortened and cleaned when it is recorded, and again when it is read.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The variables of one CI system.
struct CiVariables {
    /// The variable that is `true` in each of its runs.
    flag: &'static str,
    actor: &'static str,
    commit: &'static str,
}

/// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>. Gitea and Forgejo set the same.
const GITHUB: CiVariables =
    CiVariables { flag: "GITHUB_ACTIONS", actor: "GITHUB_ACTOR", commit: "GITHUB_SHA" };
/// <https://docs.gitlab.com/ci/variables/predefined_variables/>.
const GITLAB: CiVariables =
    CiVariables { flag: "GITLAB_CI", actor: "GITLAB_USER_LOGIN", commit: "CI_COMMIT_SHA" };

/// The maximum length of an actor in characters.
const MAX_ACTOR: usize = 100;
/// The maximum length of a note in characters.
const MAX_NOTE: usize = 300;
/// The maximum length of a URL in bytes.
const MAX_URL: usize = 500;
/// The minimum and maximum length of a commit: an abbreviated SHA-1, a SHA-256.
const COMMIT: std::ops::RangeInclusive<usize> = 7..=64;
/// The length of a commit in a table.
const SHORT_COMMIT: usize = 7;

/// The origin of a revision, beside the user and the computer; empty outside of CI and without a note.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The user in whose name the CI system runs: `octocat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The commit of the pipeline, as hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The URL of the pipeline's run or job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_url: Option<String>,
    /// The text of `--note`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Provenance {
    /// Reads the variables of the CI system in which the process runs.
    #[must_use]
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let Some(ci) = [GITHUB, GITLAB].into_iter().find(|ci| variable(ci.flag).as_deref() == Some("true"))
        else {
            return Self::default();
        };
        let run_url = match ci.flag {
            "GITHUB_ACTIONS" => github_run(&variable),
            _ => variable("CI_JOB_URL"),
        };
        Self { actor: variable(ci.actor), commit: variable(ci.commit), run_url, note: None }.cleaned()
    }

    /// Adds the text of `--note`.
    #[must_use]
    pub fn with_note(self, note: Option<String>) -> Self {
        Self { note, ..self }.cleaned()
    }

    /// Returns each field shortened and on one line; one that is not what it claims to be is left out.
    #[must_use]
    pub fn cleaned(self) -> Self {
        Self {
            actor: self.actor.and_then(|actor| one_line(&actor, MAX_ACTOR)),
            commit: self.commit.filter(|commit| is_commit(commit)),
            run_url: self.run_url.filter(|url| is_url(url)),
            note: self.note.and_then(|note| one_line(&note, MAX_NOTE)),
        }
    }

    /// Returns whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns all fields for programs; an unknown one is null.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({ "actor": self.actor, "commit": self.commit, "run_url": self.run_url, "note": self.note })
    }

    /// Returns the beginning of the commit, as git abbreviates it.
    #[must_use]
    pub fn short_commit(&self) -> Option<&str> {
        self.commit.as_deref().map(|commit| commit.get(..SHORT_COMMIT).unwrap_or(commit))
    }
}

fn github_run(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let [server, repository, run] = ["GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"].map(variable);
    Some(format!("{}/{}/actions/runs/{}", server?, repository?, run?))
}

/// Joins the lines of a text, and removes what a terminal would execute. None if nothing is left.
fn one_line(text: &str, max: usize) -> Option<String> {
    let visible: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= max {
        return Some(words).filter(|words| !words.is_empty());
    }
    Some(words.chars().take(max - 1).chain(['…']).collect())
}

fn is_commit(text: &str) -> bool {
    COMMIT.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a text is a plain URL of a web page. `@` may follow a password.
fn is_url(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]!$&'()*+,;=%".contains(&byte);
    (text.starts_with("https://") || text.starts_with("http://"))
        && text.len() <= MAX_URL
        && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";

    fn from(variables: &[(&str, &str)]) -> Provenance {
        Provenance::from_variables(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn github_and_gitlab_name_actor_commit_and_run() {
        let github = from(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_ACTOR", "octocat"),
            ("GITHUB_SHA", SHA),
            ("GITHUB_SERVER_URL", "https://git.example"),
            ("GITHUB_REPOSITORY", "team/app"),
            ("GITHUB_RUN_ID", "42"),
        ]);
        assert_eq!(github.actor.as_deref(), Some("octocat"));
        assert_eq!((github.commit.as_deref(), github.short_commit()), (Some(SHA), Some("1a2b3c4")));
        assert_eq!(github.run_url.as_deref(), Some("https://git.example/team/app/actions/runs/42"));
        let gitlab = from(&[
            ("GITLAB_CI", "true"),
            ("GITLAB_USER_LOGIN", "ana"),
            ("CI_COMMIT_SHA", SHA),
            ("CI_JOB_URL", "https://git.example/team/app/-/jobs/7"),
        ]);
        assert_eq!(gitlab.actor.as_deref(), Some("ana"));
        assert_eq!(gitlab.run_url.as_deref(), Some("https://git.example/team/app/-/jobs/7"));
    }

    #[test]
    fn variables_outside_of_ci_are_not_read() {
        assert!(from(&[("GITHUB_ACTOR", "octocat"), ("CI_COMMIT_SHA", SHA)]).is_empty());
        assert!(from(&[]).is_empty());
    }

    #[test]
    fn untrusted_text_is_shortened_and_cleaned() {
        let long = "é".repeat(400);
        let provenance = from(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_ACTOR", "a\x1b[2J\nb"),
            ("GITHUB_SHA", "main; rm"),
            ("GITHUB_SERVER_URL", "https://ana:planted@git.example"),
            ("GITHUB_REPOSITORY", "a/b"),
            ("GITHUB_RUN_ID", "1"),
        ])
        .with_note(Some(long));
        assert_eq!(provenance.actor.as_deref(), Some("a [2J b"));
        assert_eq!((&provenance.commit, &provenance.run_url), (&None, &None));
        let note = provenance.note.unwrap();
        assert_eq!((note.chars().count(), note.ends_with('…')), (300, true));
        assert_eq!(Provenance::default().with_note(Some(" \n ".to_owned())), Provenance::default());
    }
}
