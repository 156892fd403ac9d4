//! Guides: what a cluster says when an id appears, how to find out more, how to fix it, and what handsctl does. One file
//! per id, `guides/HC4103.md`, each with the same headings.

use super::Id;

macro_rules! guides {
    ($($code:literal)*) => {
        impl Id {
            /// Returns the guide of this id, as Markdown. None if its explanation says everything.
            #[must_use]
            pub fn guide(self) -> Option<&'static str> {
                match self.code() {
                    $($code => Some(include_str!(concat!("guides/", $code, ".md"))),)*
                    _ => None,
                }
            }
        }
    };
}

guides! {
    "HC2070" "HC2071" "HC2072" "HC2073" "HC2074" "HC2075" "HC2076" "HC2077" "HC2078" "HC2079" "HC2080" "HC2081"
    "HC2082" "HC2083" "HC2084" "HC2085"
    "HC3080"
    "HC4001" "HC4002" "HC4003" "HC4004" "HC4005" "HC4006" "HC4007" "HC4008" "HC4020" "HC4021" "HC4022" "HC4023"
    "HC4024" "HC4025" "HC4026" "HC4027" "HC4028" "HC4030" "HC4031" "HC4032" "HC4033" "HC4034" "HC4090"
    "HC4101" "HC4102" "HC4103" "HC4104" "HC4105" "HC4106" "HC4107"
    "HC4201" "HC4202" "HC4203" "HC4204" "HC4205"
    "HC4301"
    "HC4401" "HC4402" "HC4403" "HC4404" "HC4420"
    "HC4501" "HC4502" "HC4503"
    "HC4601" "HC4602" "HC4603" "HC4604" "HC4605"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::RollbackHelp;

    /// The headings of each guide.
    const HEADINGS: [&str; 4] = ["What happens", "Find out more", "Fix it", "What handsctl does"];
    /// Ids of a rollout, of a webhook that fails it, and of what `doctor` finds in the cluster.
    const RANGES: [&str; 10] =
        ["HC207", "HC208", "HC3080", "HC40", "HC41", "HC42", "HC43", "HC44", "HC45", "HC46"];
    /// Columns of a terminal.
    const COLUMNS: usize = 80;
    /// Lines with text: a guide is read at once.
    const LINES: std::ops::RangeInclusive<usize> = 10..=25;

    fn guides() -> impl Iterator<Item = (Id, &'static str)> {
        Id::ALL.iter().filter_map(|id| Some((*id, id.guide()?)))
    }

    fn one_line(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_id_of_a_rollout_has_a_guide() {
        let lacks = Id::ALL
            .iter()
            .filter(|id| RANGES.iter().any(|range| id.code().starts_with(range)) && id.guide().is_none());
        assert_eq!(lacks.collect::<Vec<_>>(), Vec::<&Id>::new());
        assert!(guides().count() > 50);
    }

    #[test]
    fn guides_have_the_same_headings_and_fit_on_a_screen() {
        for (id, guide) in guides() {
            let headings: Vec<&str> = guide.lines().filter_map(|line| line.strip_prefix("## ")).collect();
            assert_eq!(headings, HEADINGS, "{id}");
            for section in guide.split("## ").skip(1) {
                assert!(section.lines().skip(1).any(|line| !line.is_empty()), "{id}: {section}");
            }
            let wide = guide.lines().find(|line| line.chars().count() > COLUMNS);
            assert_eq!(wide, None, "{id}");
            let lines = guide.lines().filter(|line| !line.is_empty()).count();
            assert!(LINES.contains(&lines), "{id}: {lines} lines");
        }
    }

    #[test]
    fn no_sentence_is_in_the_explanation_and_in_the_guide() {
        for (id, guide) in guides() {
            let guide = one_line(guide);
            let repeated =
                id.entry().explanation.split_inclusive(". ").find(|sentence| guide.contains(sentence.trim()));
            assert_eq!(repeated, None, "{id}");
        }
    }

    #[test]
    fn guides_and_catalogue_agree_on_rollbacks() {
        for (id, guide) in guides() {
            let guide = one_line(guide);
            let said = [
                (RollbackHelp::Yes, "A rollback helps: "),
                (RollbackHelp::No, "No rollback helps"),
                (
                    RollbackHelp::UnlessSameClaims,
                    "A rollback helps only if the earlier revision has other claims",
                ),
            ];
            let said = said.iter().filter(|(_, sentence)| guide.contains(sentence)).map(|(help, _)| *help);
            for help in said {
                assert_eq!(help, id.entry().rollback, "{id}");
            }
        }
    }
}
