//! Tolerations that the API server refuses
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>).

use super::checker::RuleChecker;
use crate::settings::handsctl::{TaintEffect, TolerationOperator};

impl RuleChecker<'_> {
    pub(crate) fn scheduling(&mut self) {
        let path = &["deploy", "tolerations"];
        for (at, toleration) in self.settings.deploy.tolerations.clone().into_iter().enumerate() {
            let exists = toleration.operator == Some(TolerationOperator::Exists);
            if exists && toleration.value.is_some() {
                let message = "a toleration with `operator = \"Exists\"` has no value";
                self.contradiction_in(path, at, message, "leave `value` or `operator` out");
            }
            if toleration.key.is_none() && !exists {
                let message = "a toleration without `key` needs `operator = \"Exists\"`";
                self.contradiction_in(path, at, message, "it then tolerates every taint");
            }
            if toleration.toleration_seconds.is_some() && toleration.effect != Some(TaintEffect::NoExecute) {
                let message = "`toleration_seconds` needs `effect = \"NoExecute\"`";
                self.contradiction_in(path, at, message, "only that effect makes running pods go");
            }
        }
    }
}
