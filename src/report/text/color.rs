//! Whether to colour a stream. Pure: the environment is an argument.

/// The value of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// Colour, depending on the environment and the stream.
    #[default]
    Auto,
    /// Always colour, even in a file.
    Always,
    /// Never colour.
    Never,
}

/// The environment variables about colour. None for a variable that is not set.
#[derive(Debug, Clone, Default)]
pub(crate) struct ColorVariables {
    pub(crate) no_color: Option<String>,
    pub(crate) clicolor_force: Option<String>,
    pub(crate) clicolor: Option<String>,
    pub(crate) term: Option<String>,
}

/// Returns whether to colour a stream. The order of precedence is `--color`, `NO_COLOR` (non-empty), `CLICOLOR_FORCE`,
/// `CLICOLOR=0`, and whether the stream is a terminal.
///
/// <https://no-color.org> and <https://bixense.com/clicolors> do not define the precedence; this is `CMake`'s order.
/// `console` uses the reverse order for both variables, so its own detection is overridden.
pub(crate) fn is_enabled(choice: ColorChoice, variables: &ColorVariables, terminal: bool) -> bool {
    let is_set = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
    let force = &variables.clicolor_force;
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if is_set(&variables.no_color) => false,
        ColorChoice::Auto if is_set(force) && force.as_deref() != Some("0") => true,
        ColorChoice::Auto if variables.clicolor.as_deref() == Some("0") => false,
        ColorChoice::Auto => terminal && variables.term.as_deref() != Some("dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_and_variables_have_cmake_precedence() {
        // choice, NO_COLOR, CLICOLOR_FORCE, CLICOLOR, TERM, terminal → colour
        let table = [
            (ColorChoice::Auto, None, None, None, None, true, true),
            (ColorChoice::Auto, None, None, None, None, false, false),
            (ColorChoice::Auto, None, None, None, Some("dumb"), true, false),
            (ColorChoice::Auto, None, None, Some("0"), None, true, false),
            (ColorChoice::Auto, None, None, Some("1"), None, false, false),
            (ColorChoice::Auto, None, Some("1"), Some("0"), None, false, true),
            (ColorChoice::Auto, None, Some("0"), None, None, false, false),
            (ColorChoice::Auto, None, Some(""), None, None, false, false),
            (ColorChoice::Auto, Some("1"), Some("1"), None, None, true, false),
            (ColorChoice::Auto, Some(""), None, None, None, true, true),
            (ColorChoice::Always, Some("1"), None, Some("0"), None, false, true),
            (ColorChoice::Never, None, Some("1"), None, None, true, false),
        ];
        for (choice, no_color, force, clicolor, term, terminal, expected) in table {
            let owned = |value: Option<&str>| value.map(str::to_owned);
            let variables = ColorVariables {
                no_color: owned(no_color),
                clicolor_force: owned(force),
                clicolor: owned(clicolor),
                term: owned(term),
            };
            assert_eq!(
                is_enabled(choice, &variables, terminal),
                expected,
                "{choice:?} {variables:?} {terminal}"
            );
        }
    }
}
