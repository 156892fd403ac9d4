//! Tolerations that the API server rejects
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>).

use super::checker::RuleChecker;
use crate::settings::handsctl::{TaintEffect, TolerationOperator};

impl RuleChecker<'_> {
    pub(crate) fn scheduling(&mut self) {
        let path = &["deploy", "tolerations"];
        for (index, toleration) in self.settings.deploy.tolerations.clone().into_iter().enumerate() {
            let exists = toleration.operator == Some(TolerationOperator::Exists);
            if exists && toleration.value.is_some() {
                let message = "a toleration with `operator = \"Exists\"` takes no value";
                self.contradiction_in(path, index, message, "leave `value` or `operator` out");
            }
            if toleration.key.is_none() && !exists {
                let message = "a toleration without `key` needs `operator = \"Exists\"`";
                self.contradiction_in(path, index, message, "it then tolerates every taint");
            }
            if toleration.toleration_seconds.is_some() && toleration.effect != Some(TaintEffect::NoExecute) {
                let message = "`toleration_seconds` needs `effect = \"NoExecute\"`";
                self.contradiction_in(path, index, message, "only that effect evicts running pods");
            }
        }
    }
}
