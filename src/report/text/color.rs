//! Whether a stream gets colour. Pure: the environment is an argument.

/// What `--color` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// The environment and the stream decide.
    #[default]
    Auto,
    /// Colour, also into a file.
    Always,
    /// No colour.
    Never,
}

/// The environment variables that speak about colour; None where one is not set.
#[derive(Debug, Clone, Default)]
pub(crate) struct ColorVariables {
    pub(crate) no_color: Option<String>,
    pub(crate) clicolor_force: Option<String>,
    pub(crate) clicolor: Option<String>,
    pub(crate) term: Option<String>,
}

/// `--color` > `NO_COLOR` (non-empty) > `CLICOLOR_FORCE` > `CLICOLOR=0` > whether it is a terminal.
///
/// <https://no-color.org> and <https://bixense.com/clicolors> leave open what wins; this is `CMake`'s order.
/// `console` decides both cases the other way round, so its own detection is overruled.
pub(crate) fn wanted(choice: ColorChoice, variables: &ColorVariables, terminal: bool) -> bool {
    let set = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
    let force = &variables.clicolor_force;
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if set(&variables.no_color) => false,
        ColorChoice::Auto if set(force) && force.as_deref() != Some("0") => true,
        ColorChoice::Auto if variables.clicolor.as_deref() == Some("0") => false,
        ColorChoice::Auto => terminal && variables.term.as_deref() != Some("dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence() {
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
            assert_eq!(wanted(choice, &variables, terminal), expected, "{choice:?} {variables:?} {terminal}");
        }
    }
}
