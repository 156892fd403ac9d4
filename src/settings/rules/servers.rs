//! MCP servers that the application does not take together (`MCPConfig.validate_servers`).

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::settings::load::tree::{Data, Node};

impl RuleChecker<'_> {
    /// An address that stands twice in `sse_servers` stops the application; `shttp_servers` are not compared.
    pub(crate) fn servers(&mut self) {
        let Some(entry) = self.settings.entry(&["mcp", "sse_servers"]) else { return };
        let Data::List(servers) = &entry.node.data else { return };
        let mut seen = Vec::new();
        for server in servers {
            let Some((url, node)) = address(server) else { continue };
            if seen.contains(&url) {
                self.found.push(Diagnostic {
                    id: Id::Contradiction,
                    severity: Severity::Error,
                    message: "`mcp.sse_servers` has an address twice; the application would crash at start"
                        .to_owned(),
                    location: Some(node.place.location.clone()),
                    label: "leave one of them out".to_owned(),
                    masked: false,
                });
            }
            seen.push(url);
        }
    }
}

fn address(server: &Node) -> Option<(&str, &Node)> {
    match &server.data {
        Data::Text(url) => Some((url, server)),
        Data::Table(table) => {
            let node = &table.get("url")?.node;
            Some((node.data.as_text()?, node))
        }
        _ => None,
    }
}
