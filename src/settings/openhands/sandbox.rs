//! `[sandbox]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::free_table::FreeTable;
use crate::settings::format::{ImageRef, VariableName};
use crate::settings::secrets::value::{Secret, Value};

/// Sandboxes, in which conversations run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-unknown" = "crash"))]
pub struct Sandbox {
    /// URL of the remote runtime.
    #[schemars(extend("default" = "http://localhost:8000"))]
    #[schemars(extend("x-ignored" = "only the remote runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_runtime_api_url: Option<String>,
    /// URL of the local runtime.
    #[schemars(extend("default" = "http://localhost"))]
    #[schemars(extend("x-ignored" = "only the Docker runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_runtime_url: Option<String>,
    /// Whether a conversation's pod is kept when the conversation is closed.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_runtime_alive: Option<bool>,
    /// Whether the sandbox of a closed conversation is paused instead of stopped.
    #[schemars(extend("default" = true))]
    #[schemars(extend("x-ignored" = "only the Docker runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_closed_runtimes: Option<bool>,
    /// Whether the containers of all sandboxes are removed when the application stops.
    #[schemars(extend("default" = false))]
    #[schemars(extend("x-ignored" = "only the Docker runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rm_all_containers: Option<bool>,
    /// API key of the remote runtime.
    #[schemars(extend("x-ignored" = "only the remote runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// Image from which a runtime image is built.
    #[schemars(extend("default" = "nikolaik/python-nodejs:python3.12-nodejs22"))]
    #[schemars(extend("x-ignored" = "it is used only without runtime_container_image, which handsctl always sets"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_container_image: Option<String>,
    /// Image of the sandboxes, which must match the application's version; absent: handsctl sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_container_image: Option<ImageRef>,
    /// User ID of the processes in a sandbox.
    #[schemars(extend("x-ignored" = "sandboxes run as root"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<i64>,
    /// Seconds after which an action in a sandbox times out.
    #[schemars(extend("default" = 120))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// Seconds that the remote runtime may take to start.
    #[schemars(extend("default" = 180))]
    #[schemars(extend("x-ignored" = "only the remote runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_runtime_init_timeout: Option<i64>,
    /// Seconds after which a request to the remote runtime times out.
    #[schemars(extend("default" = 180))]
    #[schemars(extend("x-ignored" = "only the remote runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_runtime_api_timeout: Option<i64>,
    /// Whether failed requests to the remote runtime are retried.
    #[schemars(extend("default" = true))]
    #[schemars(extend("x-ignored" = "only the remote runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_runtime_enable_retries: Option<bool>,
    /// Class of the remote runtime.
    #[schemars(extend("x-ignored" = "only the remote runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_runtime_class: Option<String>,
    /// Whether files in the sandbox are linted after the agent has edited them.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_auto_lint: Option<bool>,
    /// Whether the sandbox's container uses the host's network.
    #[schemars(extend("default" = false))]
    #[schemars(extend("x-ignored" = "only the Docker runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_host_network: Option<bool>,
    /// Additional networks of the sandbox's container.
    #[schemars(extend("x-since" = "0.55"))]
    #[schemars(extend("x-ignored" = "only the Docker runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_networks: Option<Vec<String>>,
    /// Host address to which the ports of the sandbox's container are bound.
    #[schemars(extend("default" = "0.0.0.0"))]
    #[schemars(extend("x-ignored" = "only the Docker runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_binding_address: Option<String>,
    /// Additional arguments of the build of the runtime image.
    #[schemars(extend("x-ignored" = "the Kubernetes runtime builds no image"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_extra_build_args: Option<Vec<String>>,
    /// Whether the sandbox's plugins are started.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initialize_plugins: Option<bool>,
    /// Whether the runtime image is always rebuilt.
    #[schemars(extend("default" = false))]
    #[schemars(extend("x-ignored" = "the Kubernetes runtime builds no image"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_rebuild_runtime: Option<bool>,
    /// Shell commands at the end of the build of the runtime image.
    #[schemars(extend("x-ignored" = "the Kubernetes runtime builds no image"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_extra_deps: Option<String>,
    /// Environment variables of the sandboxes' pods. A value may be a secret reference; all variables are then passed
    /// to the application in a Secret.
    #[schemars(extend("propertyNames" = {"type": "string", "format": "variable-name"}))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_startup_env_vars: Option<BTreeMap<VariableName, Value>>,
    /// `BrowserGym` environment of an evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browsergym_eval_env: Option<String>,
    /// Platform for which the runtime image is built.
    #[schemars(extend("x-ignored" = "the Kubernetes runtime builds no image"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Seconds after which an idle conversation is closed.
    #[schemars(extend("default" = 3600))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close_delay: Option<i64>,
    /// Resource factor of the remote runtime.
    #[schemars(extend("default" = 1))]
    #[schemars(extend("x-ignored" = "only the remote runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_runtime_resource_factor: Option<i64>,
    /// Whether the sandbox's container gets a GPU.
    #[schemars(extend("default" = false))]
    #[schemars(extend("x-ignored" = "only the Docker runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_gpu: Option<bool>,
    /// Additional arguments of the sandbox's container.
    #[schemars(extend("x-ignored" = "only the Docker runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_runtime_kwargs: Option<FreeTable>,
    /// Repository that headless runs clone.
    #[schemars(extend("x-ignored" = "only headless runs use it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected_repo: Option<String>,
    /// Directories that the terminal client trusts.
    #[schemars(extend("x-ignored" = "only the terminal client uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_dirs: Option<Vec<String>>,
    /// Port of the sandbox's `VSCode`.
    #[schemars(extend("x-ignored" = "the Kubernetes runtime always uses 8081"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vscode_port: Option<i64>,
    /// Directories of this computer that are mounted into the sandbox.
    #[schemars(extend("x-ignored" = "a sandbox has a volume of its own"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<String>,
    /// GPUs that are visible to the sandbox's container.
    #[schemars(extend("x-since" = "0.46"))]
    #[schemars(extend("x-ignored" = "only the Docker runtime uses it"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda_visible_devices: Option<String>,
}
