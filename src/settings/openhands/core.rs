//! `[core]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::HttpUrl;
use crate::settings::secrets::value::Secret;

/// What runs sandboxes. OpenHands has others; handsctl deploys only this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// A pod for every conversation.
    Kubernetes,
}

/// Where settings and conversations are kept. Every other text would be `memory` to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileStore {
    /// A directory of the application's volume.
    Local,
    /// A bucket of S3 or of what speaks its protocol.
    S3,
    /// A bucket of Google Cloud Storage.
    GoogleCloud,
    /// Nowhere: everything is lost with the pod.
    Memory,
}

/// The application itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "key"))]
pub struct Core {
    /// What runs sandboxes. handsctl writes `kubernetes` where it is absent; another one is refused.
    #[schemars(extend("x-otherwise" = "handsctl runs sandboxes as pods only"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// Name of the agent that is used where none is asked for.
    #[schemars(extend("default" = "CodeActAgent"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_agent: Option<String>,
    /// Where settings and conversations are kept. `memory` loses them with the pod.
    #[schemars(extend("default" = "local"))]
    #[schemars(extend("x-aliases" = {"gcs": "google_cloud", "gs": "google_cloud", "google": "google_cloud", "googlecloud": "google_cloud", "aws": "s3", "file": "local", "disk": "local", "in_memory": "memory"}))]
    #[schemars(extend("x-otherwise" = "the application would silently keep everything in memory"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_store: Option<FileStore>,
    /// Directory or bucket of the file store; the image sets `/.openhands`.
    #[schemars(extend("default" = "/.openhands"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_store_path: Option<String>,
    /// Address that is told about every change in the file store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_store_web_hook_url: Option<HttpUrl>,
    /// Headers of those calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_store_web_hook_headers: Option<BTreeMap<String, String>>,
    /// Whether changes are told several at a time.
    #[schemars(extend("x-since" = "0.52"))]
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_store_web_hook_batch: Option<bool>,
    /// Whether sandboxes run a browser.
    #[schemars(extend("x-since" = "0.49"))]
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_browser: Option<bool>,
    /// Where headless runs save what happened.
    #[schemars(extend("x-ignored" = "only headless runs save trajectories"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_trajectory_path: Option<String>,
    /// Whether they save screenshots with it.
    #[schemars(extend("default" = false))]
    #[schemars(extend("x-ignored" = "only headless runs save trajectories"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_screenshots_in_trajectory: Option<bool>,
    /// A saved run to be repeated first.
    #[schemars(extend("x-ignored" = "only headless runs replay"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_trajectory_path: Option<String>,
    /// Key of the Tavily search engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_api_key: Option<Secret>,
    /// Directory of this computer that is the workspace.
    #[schemars(extend("x-ignored" = "a sandbox has a volume of its own"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_base: Option<String>,
    /// Where the workspace is mounted from.
    #[schemars(extend("x-ignored" = "a sandbox has a volume of its own"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_mount_path: Option<String>,
    /// Where the sandbox's volume is mounted.
    #[schemars(extend("default" = "/workspace"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_mount_path_in_sandbox: Option<String>,
    /// Rewrites the path of the workspace.
    #[schemars(extend("x-ignored" = "a sandbox has a volume of its own"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_mount_rewrite: Option<String>,
    /// Directory for caches.
    #[schemars(extend("default" = "/tmp/cache"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_dir: Option<String>,
    /// Whether commands in the sandbox run as the user `openhands`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_openhands: Option<bool>,
    /// Steps after which a task is stopped.
    #[schemars(extend("default" = 500))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<i64>,
    /// Cost after which a task is stopped, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_budget_per_task: Option<f64>,
    /// Whether an empty workspace becomes a Git repository.
    #[schemars(extend("x-since" = "0.49"))]
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_git_in_empty_workspace: Option<bool>,
    /// Whether logs are written without colour.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_color: Option<bool>,
    /// Signs the tokens of the web interface; made and kept in the file store where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_secret: Option<Secret>,
    /// Whether the application logs more.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<bool>,
    /// Largest upload in megabytes; 0: no limit.
    #[schemars(extend("default" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_uploads_max_file_size_mb: Option<i64>,
    /// Whether uploads are restricted to some file types.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_uploads_restrict_file_types: Option<bool>,
    /// Those file types; `.*` is every one.
    #[schemars(extend("default" = [".*"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_uploads_allowed_extensions: Option<Vec<String>>,
    /// Whether the terminal client reads several lines.
    #[schemars(extend("default" = false))]
    #[schemars(extend("x-ignored" = "only the terminal client uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cli_multiline_input: Option<bool>,
    /// Age at which conversations are no longer listed, in seconds.
    #[schemars(extend("default" = 864_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_max_age_seconds: Option<i64>,
    /// Whether long conversations are shortened where no `[condenser]` is given.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_default_condenser: Option<bool>,
    /// Conversations that one user may run at a time.
    #[schemars(extend("default" = 3))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_conversations: Option<i64>,
    /// Host and port of the application's own MCP server.
    #[schemars(extend("default" = "localhost:3000"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_host: Option<String>,
    /// Name in commits that the agent makes.
    #[schemars(extend("x-since" = "0.52"))]
    #[schemars(extend("default" = "openhands"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_user_name: Option<String>,
    /// Address in commits that the agent makes.
    #[schemars(extend("x-since" = "0.52"))]
    #[schemars(extend("default" = "openhands@all-hands.dev"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_user_email: Option<String>,
    /// Seconds that a client waits for an answer.
    #[schemars(extend("x-since" = "0.60"))]
    #[schemars(extend("default" = 30))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_wait_timeout: Option<i64>,
}
