//! Colours by meaning. They never carry a meaning alone: a sign or a word says the same.

use console::Style;

/// Paints text, or leaves it as it is. Explicit rather than console's process-wide switch,
/// because stdout and stderr differ and tests run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paint {
    colored: bool,
}

impl Paint {
    /// No colour.
    #[cfg(test)]
    pub(super) const NONE: Self = Self { colored: false };

    pub(super) fn new(colored: bool) -> Self {
        Self { colored }
    }

    pub(super) fn colored(self) -> bool {
        self.colored
    }

    /// It went well.
    pub(super) fn good(self, text: &str) -> String {
        self.apply(&Style::new().green(), text)
    }

    /// It went wrong.
    pub(super) fn bad(self, text: &str) -> String {
        self.apply(&Style::new().red().bold(), text)
    }

    /// It is there now.
    pub(super) fn removed(self, text: &str) -> String {
        self.apply(&Style::new().red(), text)
    }

    /// It would be there.
    pub(super) fn added(self, text: &str) -> String {
        self.apply(&Style::new().green(), text)
    }

    /// It deserves a look.
    pub(super) fn remark(self, text: &str) -> String {
        self.apply(&Style::new().yellow(), text)
    }

    /// What stands out without judging.
    pub(super) fn strong(self, text: &str) -> String {
        self.apply(&Style::new().bold(), text)
    }

    /// What may be overlooked.
    pub(super) fn faint(self, text: &str) -> String {
        self.apply(&Style::new().dim(), text)
    }

    fn apply(self, style: &Style, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        style.apply_to(text).force_styling(self.colored).to_string()
    }
}
