//! Shortens two values for one row, so that the part in which they differ is shown. Pure.

/// Returns two values with at most `max` characters each. The beginning that both share is cut first, at a word boundary:
/// `…:0.58` and `…:0.59`. Values that differ are never shortened to the same text.
#[must_use]
pub(super) fn pair(one: &str, other: &str, max: usize) -> (String, String) {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len() <= max && other.len() <= max {
        return (one.iter().collect(), other.iter().collect());
    }
    let shared = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let start = start_of_difference(&one[..shared], max);
    (cut(&one, start, max), cut(&other, start, max))
}

/// Returns where to begin, given the characters that both values share: at the last word boundary, or in the middle of a
/// word that is too long.
fn start_of_difference(shared: &[char], max: usize) -> usize {
    let is_boundary = |letter: &char| !(letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_'));
    let boundary = shared.iter().rposition(is_boundary).unwrap_or_default();
    let farthest = shared.len().saturating_sub(max / 2);
    boundary.max(farthest)
}

/// Returns the text from a character on, with `…` where something is left out.
fn cut(text: &[char], start: usize, max: usize) -> String {
    let head = if start > 0 { "…" } else { "" };
    let room = max - head.chars().count();
    let rest = &text[start.min(text.len())..];
    if rest.len() <= room {
        return format!("{head}{}", rest.iter().collect::<String>());
    }
    format!("{head}{}…", rest[..room - 1].iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_values_stay_different() {
        let digest = "a".repeat(63);
        let words = "lorem ipsum dolor sit amet, ".repeat(5);
        let rows = [
            (format!("r/i@sha256:{digest}0"), format!("r/i@sha256:{digest}1")),
            (format!("{words}x"), format!("{words}y")),
            (format!("x{words}"), format!("y{words}")),
            (words.clone(), format!("{words}more")),
            (format!("{words}{digest}{words}"), format!("{words}{digest}b{words}")),
            ("short".to_owned(), words.clone()),
            (String::new(), words.clone()),
        ];
        for (one, other) in rows {
            for max in [16, 32, 60] {
                let (short, other_short) = pair(&one, &other, max);
                assert_ne!(short, other_short, "{one} {other}");
                assert!(
                    short.chars().count() <= max && other_short.chars().count() <= max,
                    "{short} {other_short}"
                );
            }
        }
    }

    #[test]
    fn shared_beginning_is_cut_at_a_word() {
        let long = "a".repeat(40);
        let (one, other) = pair(&format!("{long}/b:1"), &format!("{long}/b:2"), 32);
        assert_eq!((one.as_str(), other.as_str()), ("…:1", "…:2"));
        assert_eq!(pair("1", "2", 32), ("1".to_owned(), "2".to_owned()));
        assert_eq!(pair(&long, "b", 32).0, format!("{}…", "a".repeat(31)));
    }
}
