//! Colours by meaning. A colour never carries a meaning alone: a sign or a word always expresses it as well.

use console::Style;

/// The width in columns for streams that are not a terminal. The same as rustc's.
pub(crate) const DEFAULT_WIDTH: usize = 140;

/// Colours text, or returns it unchanged. A value instead of `console`'s process-wide switch, because stdout and stderr
/// differ and tests run in parallel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Palette {
    colored: bool,
}

impl Palette {
    /// No colour.
    pub(crate) const NONE: Self = Self { colored: false };

    pub(crate) fn new(colored: bool) -> Self {
        Self { colored }
    }

    pub(crate) fn colored(self) -> bool {
        self.colored
    }

    /// Success.
    pub(crate) fn success(self, text: &str) -> String {
        self.apply(&Style::new().green(), text)
    }

    /// Failure.
    pub(crate) fn failure(self, text: &str) -> String {
        self.apply(&Style::new().red().bold(), text)
    }

    /// A removed value.
    pub(crate) fn removed(self, text: &str) -> String {
        self.apply(&Style::new().red(), text)
    }

    /// An added value.
    pub(crate) fn added(self, text: &str) -> String {
        self.apply(&Style::new().green(), text)
    }

    /// A warning, or a change that needs attention.
    pub(crate) fn warning(self, text: &str) -> String {
        self.apply(&Style::new().yellow(), text)
    }

    /// Emphasis without a judgement.
    pub(crate) fn bold(self, text: &str) -> String {
        self.apply(&Style::new().bold(), text)
    }

    /// Secondary text.
    pub(crate) fn dim(self, text: &str) -> String {
        self.apply(&Style::new().dim(), text)
    }

    /// A text in the colour of a name, which is always the same.
    pub(crate) fn by_name(self, name: &str, text: &str) -> String {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let style = match hash >> 32 & 7 {
            0 => Style::new().cyan(),
            1 => Style::new().green(),
            2 => Style::new().magenta(),
            3 => Style::new().yellow(),
            4 => Style::new().blue(),
            5 => Style::new().cyan().bold(),
            6 => Style::new().green().bold(),
            _ => Style::new().magenta().bold(),
        };
        self.apply(&style, text)
    }

    fn apply(self, style: &Style, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        style.apply_to(text).force_styling(self.colored).to_string()
    }
}
