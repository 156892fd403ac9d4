//! Words that texts for people do not use (`docs/style.md`): those that only a reader of the source understands.

/// What is not said, and what is said instead.
const BANNED: &[(&str, &str)] = &[
    ("the set", "the installation"),
    ("a set", "an installation"),
    ("this set", "this installation"),
    ("another set", "another installation"),
    ("each set", "each installation"),
    ("no set", "no installation"),
    ("of set", "of installation"),
    ("set's", "installation's"),
    ("the parent", "the installation's record"),
    ("the pin", "the key"),
    ("mend", "fix"),
    ("cannot be had", "is not available"),
    ("time is over", "timed out"),
    ("take over", "overwrite"),
    ("takes over", "overwrites"),
    ("take them over", "overwrite"),
    ("takes them over", "overwrites"),
    ("take it over", "adopt"),
    ("takes it over", "adopts"),
    ("yield", "leave to others"),
    ("yields", "leaves to others"),
    ("inventory", "record"),
    ("invalid digit found", "a number is expected"),
];

/// What a message does not say either. A guide explains the objects of Kubernetes, so it may.
const UNEXPLAINED: &[(&str, &str)] = &[
    ("the claim", "the volume claim"),
    ("a claim", "a volume claim"),
    ("this claim", "this volume claim"),
    ("the claims", "the volume claims"),
];

/// Values of keys in config.toml, which texts quote.
const VALUES: &[&str] = &["\"yield\"", "\\\"yield\\\""];

/// Returns what is wrong in a text: each banned word with its replacement.
pub(super) fn offences(text: &str) -> Vec<String> {
    found(BANNED, text)
}

/// Returns what is wrong in a message, a page of help or a description of a key.
pub(super) fn offences_of_message(text: &str) -> Vec<String> {
    [offences(text), found(UNEXPLAINED, text)].concat()
}

fn found(words: &[(&str, &str)], text: &str) -> Vec<String> {
    let text = VALUES.iter().fold(text.to_lowercase(), |text, value| text.replace(value, ""));
    let is_word = |at: usize, length: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + length..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    };
    let occurs = |word: &str| text.match_indices(word).any(|(at, found)| is_word(at, found.len()));
    let banned = words.iter().filter(|(word, _)| occurs(word));
    banned.map(|(word, instead)| format!("`{word}`: say `{instead}`")).collect()
}

#[test]
fn words_are_found_whole_and_in_any_case() {
    assert_eq!(offences("The set was not changed"), ["`the set`: say `the installation`"]);
    assert_eq!(offences("a setting, reset the settings, amended"), Vec::<String>::new());
    assert_eq!(offences("(the set's key)").len(), 2);
    assert_eq!(offences("`x = \"yield\"` leaves it").len(), 0);
    assert_eq!(offences("it would yield").len(), 1);
    assert_eq!(offences_of_message("the claim is lost"), ["`the claim`: say `the volume claim`"]);
    assert_eq!(offences_of_message("the volume claim is lost"), Vec::<String>::new());
}
