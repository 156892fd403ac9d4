//! `[mcp]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::format::{Program, ServerName, ServerUrl, VariableName};
use crate::settings::secrets::value::{Secret, Value};

/// Servers of the Model Context Protocol, whose tools the agent has. Keys hold their values in a Secret; a list
/// that has one is moved there as a whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("x-unknown" = "crash"))]
pub struct Mcp {
    /// Servers that speak SSE: addresses, or tables with `url` and `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sse_servers: Option<Vec<SseServer>>,
    /// Programs that the sandbox starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdio_servers: Option<Vec<StdioServer>>,
    /// Servers that speak streaming HTTP: addresses, or tables with `url`, `api_key` and `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shttp_servers: Option<Vec<HttpServer>>,
}

/// A server that speaks SSE.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SseServer {
    /// Its address.
    Address(ServerUrl),
    /// Its address and key.
    Table(SseServerTable),
}

/// Address and key of a server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-unknown" = "dropped"))]
pub struct SseServerTable {
    /// Address, with `http://` or `https://`.
    pub url: ServerUrl,
    /// Key that the server asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
}

/// A server that speaks streaming HTTP.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HttpServer {
    /// Its address.
    Address(ServerUrl),
    /// Its address, key and patience.
    Table(HttpServerTable),
}

/// Address, key and patience of a server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-unknown" = "dropped"))]
pub struct HttpServerTable {
    /// Address, with `http://` or `https://`.
    pub url: ServerUrl,
    /// Key that the server asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// Seconds that a tool may take.
    #[schemars(range(min = 1, max = 3600), extend("x-since" = "0.58", "default" = 60))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

/// A program that the sandbox starts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-unknown" = "dropped"))]
pub struct StdioServer {
    /// Name: letters, digits, `-` and `_`.
    pub name: ServerName,
    /// The program, without its arguments.
    pub command: Program,
    /// Its arguments: a list, or one text as a shell takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Arguments>,
    /// Environment variables of the program: a table, or one text `A=1,B=2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Variables>,
}

/// Arguments of a program.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Arguments {
    /// As a shell takes them.
    Text(String),
    /// One by one.
    List(Vec<String>),
}

/// Environment variables of a program.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Variables {
    /// `A=1,B=2`.
    Text(String),
    /// By name.
    Table(VariableTable),
}

/// Variables by name; a value may be a secret reference.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("propertyNames" = {"type": "string", "format": "variable-name"}))]
pub struct VariableTable(pub BTreeMap<VariableName, Value>);
