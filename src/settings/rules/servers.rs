//! MCP servers that the application rejects together (`MCPConfig.validate_servers`).

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::settings::load::tree::{Data, Node};

impl RuleChecker<'_> {
    /// The application crashes at a URL that `sse_servers` contains twice; it does not compare `shttp_servers`.
    pub(crate) fn servers(&mut self) {
        let Some(entry) = self.settings.entry(&["mcp", "sse_servers"]) else { return };
        let Data::List(servers) = &entry.node.data else { return };
        let mut earlier_urls = Vec::new();
        for server in servers {
            let Some((url, node)) = url(server) else { continue };
            if earlier_urls.contains(&url) {
                self.diagnostics.push(Diagnostic {
                    id: Id::Contradiction,
                    severity: Severity::Error,
                    message: "`mcp.sse_servers` contains a URL twice; the application would crash at start"
                        .to_owned(),
                    location: Some(node.position.location.clone()),
                    label: "remove one of them".to_owned(),
                    masked: false,
                });
            }
            earlier_urls.push(url);
        }
    }
}

fn url(server: &Node) -> Option<(&str, &Node)> {
    match &server.data {
        Data::Text(url) => Some((url, server)),
        Data::Table(table) => {
            let node = &table.get("url")?.node;
            Some((node.data.as_text()?, node))
        }
        _ => None,
    }
}
