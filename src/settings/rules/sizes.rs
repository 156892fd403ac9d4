//! Amounts of memory and storage that are too small for anything, because their suffix is missing or wrong.

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::Severity;
use crate::settings::format::Quantity;

impl RuleChecker<'_> {
    pub(crate) fn sizes(&mut self) {
        let settings = self.settings;
        let (sandbox, resources) = (&settings.openhands.kubernetes, &settings.deploy.resources);
        self.size(&["kubernetes", "pvc_storage_size"], &sandbox.pvc_storage_size);
        let memory = [
            (&["kubernetes", "resource_memory_request"][..], Some(&sandbox.resource_memory_request)),
            (&["kubernetes", "resource_memory_limit"], Some(&sandbox.resource_memory_limit)),
            (&["deploy", "resources", "requests", "memory"], resources.requests.memory.as_ref()),
            (&["deploy", "resources", "limits", "memory"], resources.limits.memory.as_ref()),
        ];
        for (path, amount) in memory {
            // No request and no limit are both written as zero.
            if let Some(amount) = amount.filter(|amount| !amount.is_zero()) {
                self.size(path, amount);
            }
        }
    }

    /// Reports an amount of bytes below one mebibyte. Kubernetes accepts it, and creates a volume or a container of that
    /// size.
    pub(super) fn size(&mut self, path: &[&str], amount: &Quantity) {
        if amount.nanos() >= Quantity::MEBIBYTE {
            return;
        }
        let key = path.join(".");
        let (message, label) = if amount.is_zero() {
            (format!("`{key}` is zero"), "use a size such as 5Gi".to_owned())
        } else {
            let label = match Quantity::with_missing_suffix(amount.as_str()) {
                Some(meant) if amount.as_str().ends_with('m') => {
                    format!("write \"{meant}\": `m` is a thousandth of a byte")
                }
                Some(meant) => format!("write \"{meant}\": without a suffix it is bytes"),
                None => "use a size such as 5Gi".to_owned(),
            };
            (format!("`{key}` is {amount}, less than 1Mi"), label)
        };
        self.report(Id::BadValue, Severity::Error, path, message, &label);
    }
}
