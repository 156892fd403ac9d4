//! `[mcp]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::{Program, ServerName, ServerUrl, VariableName};
use crate::settings::secrets::value::{Secret, Value};

/// Servers of the Model Context Protocol, whose tools the agent can use. A list that contains a secret is moved to a
/// Secret as a whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-unknown" = "crash"))]
pub struct Mcp {
    /// Servers that use SSE: URLs, or tables with `url` and `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sse_servers: Option<Vec<SseServer>>,
    /// Servers that the sandbox starts as programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdio_servers: Option<Vec<StdioServer>>,
    /// Servers that use streaming HTTP: URLs, or tables with `url`, `api_key` and `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shttp_servers: Option<Vec<HttpServer>>,
}

/// Server that uses SSE.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SseServer {
    /// URL of the server.
    Address(ServerUrl),
    /// URL and API key of the server.
    Table(SseServerTable),
}

/// URL and API key of a server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-unknown" = "dropped"))]
pub struct SseServerTable {
    /// URL of the server.
    pub url: ServerUrl,
    /// API key that the server requires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
}

/// Server that uses streaming HTTP.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HttpServer {
    /// URL of the server.
    Address(ServerUrl),
    /// URL, API key and timeout of the server.
    Table(HttpServerTable),
}

/// URL, API key and timeout of a server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-unknown" = "dropped"))]
pub struct HttpServerTable {
    /// URL of the server.
    pub url: ServerUrl,
    /// API key that the server requires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// Seconds after which a tool call times out.
    #[schemars(range(min = 1, max = 3600), extend("x-since" = "0.58", "default" = 60))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

/// Server that the sandbox starts as a program.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-unknown" = "dropped"))]
pub struct StdioServer {
    /// Name of the server: letters, digits, `-` and `_`.
    pub name: ServerName,
    /// Program of the server, without its arguments.
    pub command: Program,
    /// Arguments of the program: a list, or one string in shell syntax.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Arguments>,
    /// Environment variables of the program: a table, or one string such as `A=1,B=2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Variables>,
}

/// Arguments of a program.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Arguments {
    /// One string in shell syntax.
    Text(String),
    /// One string per argument.
    List(Vec<String>),
}

/// Environment variables of a program.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Variables {
    /// One string such as `A=1,B=2`.
    Text(String),
    /// A table of values by name.
    Table(VariableTable),
}

/// Variables by name; a value may be a secret reference.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("propertyNames" = {"type": "string", "format": "variable-name"}))]
pub struct VariableTable(pub BTreeMap<VariableName, Value>);
