//! Colours by meaning. They never carry a meaning alone: a sign or a word says the same.

use console::Style;

/// Paints text, or leaves it as it is. Explicit rather than console's process-wide switch,
/// because stdout and stderr differ and tests run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Palette {
    colored: bool,
}

impl Palette {
    /// No colour.
    #[cfg(test)]
    pub(crate) const NONE: Self = Self { colored: false };

    pub(crate) fn new(colored: bool) -> Self {
        Self { colored }
    }

    pub(crate) fn colored(self) -> bool {
        self.colored
    }

    /// It went well.
    pub(crate) fn good(self, text: &str) -> String {
        self.apply(&Style::new().green(), text)
    }

    /// It went wrong.
    pub(crate) fn bad(self, text: &str) -> String {
        self.apply(&Style::new().red().bold(), text)
    }

    /// It is there now.
    pub(crate) fn removed(self, text: &str) -> String {
        self.apply(&Style::new().red(), text)
    }

    /// It would be there.
    pub(crate) fn added(self, text: &str) -> String {
        self.apply(&Style::new().green(), text)
    }

    /// It deserves a look.
    pub(crate) fn remark(self, text: &str) -> String {
        self.apply(&Style::new().yellow(), text)
    }

    /// What stands out without judging.
    pub(crate) fn strong(self, text: &str) -> String {
        self.apply(&Style::new().bold(), text)
    }

    /// What may be overlooked.
    pub(crate) fn faint(self, text: &str) -> String {
        self.apply(&Style::new().dim(), text)
    }

    fn apply(self, style: &Style, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        style.apply_to(text).force_styling(self.colored).to_string()
    }
}
