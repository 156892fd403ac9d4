//! `[core]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::HttpUrl;
use crate::settings::secrets::value::Secret;

/// Runtime of the sandboxes. OpenHands has others; handsctl deploys only this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// One pod per conversation.
    Kubernetes,
}

/// Store of settings and conversations. The application would treat any other string as `memory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileStore {
    /// A directory on the application's volume.
    Local,
    /// A bucket of Amazon S3 or of an S3-compatible store.
    S3,
    /// A bucket of Google Cloud Storage.
    GoogleCloud,
    /// The pod's memory: everything is lost with the pod.
    Memory,
}

/// General settings of the application.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-unknown" = "key"))]
pub struct Core {
    /// Runtime of the sandboxes. handsctl sets `kubernetes` if the key is absent and rejects any other runtime.
    #[schemars(extend("x-otherwise" = "handsctl runs sandboxes only as pods"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// Name of the agent that a conversation uses by default.
    #[schemars(extend("default" = "CodeActAgent"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_agent: Option<String>,
    /// Store of settings and conversations. `memory` loses them with the pod.
    #[schemars(extend("default" = "local"))]
    #[schemars(extend("x-aliases" = {"gcs": "google_cloud", "gs": "google_cloud", "google": "google_cloud", "googlecloud": "google_cloud", "aws": "s3", "file": "local", "disk": "local", "in_memory": "memory"}))]
    #[schemars(extend("x-otherwise" = "the application would silently keep everything in memory"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_store: Option<FileStore>,
    /// Directory or bucket of the file store; the image sets `/.openhands`.
    #[schemars(extend("default" = "/.openhands"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_store_path: Option<String>,
    /// URL that receives a request for every change in the file store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_store_web_hook_url: Option<HttpUrl>,
    /// Headers of the requests to `file_store_web_hook_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_store_web_hook_headers: Option<BTreeMap<String, String>>,
    /// Whether one request to `file_store_web_hook_url` carries several changes.
    #[schemars(extend("x-since" = "0.52"))]
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_store_web_hook_batch: Option<bool>,
    /// Whether sandboxes run a browser.
    #[schemars(extend("x-since" = "0.49"))]
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_browser: Option<bool>,
    /// Path where headless runs save their trajectory.
    #[schemars(extend("x-ignored" = "only headless runs save trajectories"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_trajectory_path: Option<String>,
    /// Whether headless runs save screenshots in their trajectory.
    #[schemars(extend("default" = false))]
    #[schemars(extend("x-ignored" = "only headless runs save trajectories"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_screenshots_in_trajectory: Option<bool>,
    /// Path of a saved trajectory that a headless run replays first.
    #[schemars(extend("x-ignored" = "only headless runs replay"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_trajectory_path: Option<String>,
    /// API key of the Tavily search engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_api_key: Option<Secret>,
    /// Workspace directory on this computer.
    #[schemars(extend("x-ignored" = "a sandbox has a volume of its own"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_base: Option<String>,
    /// Path of this computer from which the workspace is mounted.
    #[schemars(extend("x-ignored" = "a sandbox has a volume of its own"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_mount_path: Option<String>,
    /// Path in the sandbox at which its volume is mounted.
    #[schemars(extend("default" = "/workspace"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_mount_path_in_sandbox: Option<String>,
    /// Rewrite rule for the path of the workspace.
    #[schemars(extend("x-ignored" = "a sandbox has a volume of its own"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_mount_rewrite: Option<String>,
    /// Directory of the application's caches.
    #[schemars(extend("default" = "/tmp/cache"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_dir: Option<String>,
    /// Whether commands in the sandbox run as the user `openhands`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_openhands: Option<bool>,
    /// Number of steps after which a task is stopped.
    #[schemars(extend("default" = 500))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<i64>,
    /// Cost in US dollars after which a task is stopped.
    #[schemars(extend("examples" = [5.0]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_budget_per_task: Option<f64>,
    /// Whether an empty workspace becomes a Git repository.
    #[schemars(extend("x-since" = "0.49"))]
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_git_in_empty_workspace: Option<bool>,
    /// Whether logs are written without colors.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_color: Option<bool>,
    /// Key that signs the tokens of the web interface; absent: OpenHands generates one and keeps it in the file store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_secret: Option<Secret>,
    /// Whether the application writes debug messages to its log.
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
    /// File types that may be uploaded if uploads are restricted; `.*` allows every type.
    #[schemars(extend("default" = [".*"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_uploads_allowed_extensions: Option<Vec<String>>,
    /// Whether the terminal client accepts input of several lines.
    #[schemars(extend("default" = false))]
    #[schemars(extend("x-ignored" = "only the terminal client uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cli_multiline_input: Option<bool>,
    /// Age in seconds from which conversations are no longer listed.
    #[schemars(extend("default" = 864_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_max_age_seconds: Option<i64>,
    /// Whether long conversations are shortened if there is no `[condenser]` table.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_default_condenser: Option<bool>,
    /// Number of conversations that one user may run at the same time.
    #[schemars(extend("default" = 3))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_conversations: Option<i64>,
    /// Host and port of the application's own MCP server.
    #[schemars(extend("default" = "localhost:3000"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_host: Option<String>,
    /// Author name of the agent's commits.
    #[schemars(extend("x-since" = "0.52"))]
    #[schemars(extend("default" = "openhands"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_user_name: Option<String>,
    /// Author email address of the agent's commits.
    #[schemars(extend("x-since" = "0.52"))]
    #[schemars(extend("default" = "openhands@all-hands.dev"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_user_email: Option<String>,
    /// Seconds that a client waits for a response.
    #[schemars(extend("x-since" = "0.60"))]
    #[schemars(extend("default" = 30))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_wait_timeout: Option<i64>,
}
